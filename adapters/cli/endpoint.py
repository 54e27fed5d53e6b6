"""An endpoint whose control session is text: the family gives profile and grammar, no more.

Settings of every such family: `transport` (`telnet`, `ssh`, `console`; the port decides when it is left
out) and `command` (for `console`: what to run, with {host} {port} {user} filled in).
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar

from adapters.cli.connection import Connection
from adapters.cli.profile import Profile
from adapters.cli.wire import Target
from adapters.control.endpoint import ControlledEndpoint
from adapters.control.grammar import Grammar
from adapters.control.link import Link
from adapters.errors import Rejected
from adapters.trace import Trace
from adapters.values import Control

if TYPE_CHECKING:
    from adapters.registry import Surroundings


class TextEndpoint(ControlledEndpoint):
    """The base of the families that are spoken to in text."""

    more_settings: ClassVar[frozenset[str]] = frozenset()
    """Keys of the family's own, besides `transport` and `command`."""

    def __init__(
        self,
        control: Control,
        surroundings: "Surroundings",
        profile: Profile,
        grammar: Callable[[], Grammar],
    ) -> None:
        self._profile = profile
        self._transport = _transport(control, profile, self.more_settings)
        self._trace = Trace((control.secret,))
        self._target = Target(
            control.name,
            control.host,
            control.port or profile.ports.get(self._transport, 0),
            control.username,
            control.secret,
            surroundings.host_keys,
            profile.legacy,
            str(control.settings.get("command") or ""),
            profile.terminal,
        )
        super().__init__(control, surroundings, profile.pace, self._converse, grammar)

    async def _converse(self) -> Link:
        return await Connection.open(self._target, self._transport, self._profile, self.heard, self._trace, self._tape)

    @property
    def not_understood(self) -> int:
        """How many lines came that nobody understood."""
        return self._trace.unread


def _transport(control: Control, profile: Profile, more: frozenset[str]) -> str:
    """The transport a device is reached by. Raises Rejected that says which setting is wrong."""
    known = {"transport", "command"} | more
    for key in control.settings:
        if key not in known:
            raise Rejected(control.name, "settings", f"{key!r} is not one of {', '.join(sorted(known))}")
    if not control.host:
        raise Rejected(control.name, "settings", "has no control address; expected a host name or IP address")
    transports = (*profile.ports, "console")
    given = control.settings.get("transport") or ("console" if control.settings.get("command") else "")
    if not given:
        by_port = {port: name for name, port in profile.ports.items()}
        given = by_port.get(control.port or 0) or next(iter(profile.ports))
    if given not in transports:
        raise Rejected(control.name, "settings", f"transport is {given!r}; expected one of {', '.join(transports)}")
    if given == "console" and not control.settings.get("command"):
        raise Rejected(control.name, "settings", "transport console needs 'command', like: ssh -t jump telnet {host}")
    return str(given)

"""An endpoint whose control session is HTTP: the family gives profile, grammar and link.

The setting of every such family: `transport`, `https` or `http`; left out, port 80 means `http`.
"""

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar

from adapters.control.endpoint import ControlledEndpoint
from adapters.control.grammar import Grammar
from adapters.control.link import Link
from adapters.errors import Rejected
from adapters.http.link import HttpLink
from adapters.http.profile import HttpProfile
from adapters.http.veil import Veil
from adapters.http.wire import Target
from adapters.trace import Trace
from adapters.values import Control

if TYPE_CHECKING:
    from adapters.registry import Surroundings


class HttpEndpoint(ControlledEndpoint):
    """The base of the families that are spoken to by HTTP."""

    more_settings: ClassVar[frozenset[str]] = frozenset()
    """Keys of the family's own, besides `transport`."""
    hidden: ClassVar[re.Pattern[str]]
    """Where secrets stand in what is sent and received; see `adapters.http.veil`."""
    link: ClassVar[type[HttpLink]]

    def __init__(
        self,
        control: Control,
        surroundings: "Surroundings",
        profile: HttpProfile,
        grammar: Callable[[], Grammar],
    ) -> None:
        scheme = _scheme(control, profile, self.more_settings)
        self._trace = Trace((control.secret,))
        self._target = Target(
            control.name,
            scheme == "https",
            control.host,
            control.port or profile.ports[scheme],
            control.username or profile.username,
            control.secret,
            surroundings.host_keys,
        )
        super().__init__(control, surroundings, profile.pace, self._converse, grammar)

    async def _converse(self) -> Link:
        veil = Veil(self.hidden, self._target.secret)
        return await self.link.open(self._target, self._pace, self._trace, self._tape, veil)


def _scheme(control: Control, profile: HttpProfile, more: frozenset[str]) -> str:
    """How a device is spoken to. Raises Rejected that says which setting is wrong."""
    known = {"transport"} | more
    for key in control.settings:
        if key not in known:
            raise Rejected(control.name, "settings", f"{key!r} is not one of {', '.join(sorted(known))}")
    if not control.host:
        raise Rejected(control.name, "settings", "has no control address; expected a host name or IP address")
    by_port = {port: name for name, port in profile.ports.items()}
    given = control.settings.get("transport") or by_port.get(control.port or 0) or next(iter(profile.ports))
    if given not in profile.ports:
        raise Rejected(control.name, "settings", f"transport is {given!r}; expected one of {', '.join(profile.ports)}")
    return str(given)

"""The family `sip` of bridges: an MCU or a hosted room of which only the dial string is known.

It cannot call, cannot say who is in, and cannot put anybody out: sites enter by third-party
control or by their own dialing, and what the bridge sees stays unknown.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from adapters.capabilities import Capability
from adapters.errors import NotSupported, Rejected
from adapters.values import Address, ConferenceSpec, Control, DialOptions, Identity, LegSeen, Ports, Roster

if TYPE_CHECKING:
    from adapters.registry import Surroundings

_WHY = "this bridge has no control interface; only its dial string is known"


class SipBridge:
    """A bridge known by `conference_address`, in which `{number}` stands for the conference."""

    family = "sip"
    capabilities = frozenset({Capability.SIP})

    def __init__(self, control: Control, surroundings: "Surroundings") -> None:
        self._name = control.name
        self._now = surroundings.now
        self._pattern = str(control.settings.get("conference_address", ""))
        ports = control.settings.get("ports")
        self._ports = ports if isinstance(ports, int) else None
        try:
            address = self.expect("0")
        except ValueError as wrong:
            raise Rejected(self._name, "open", f"conference_address: {wrong}") from None
        if "{" in address.user or "{" in address.host:
            raise Rejected(self._name, "open", f"conference_address: {address}: only {{number}} may stand in braces")
        if not address.is_sip:
            raise Rejected(self._name, "open", f"conference_address: {address} is no sip: address")

    async def open(self) -> Identity:
        """Nothing to open; the bridge reveals nothing."""
        return Identity()

    async def close(self) -> None:
        """Nothing to close."""

    async def ports(self) -> Ports:
        """What the inventory says; how many are in use is unknown."""
        return Ports(self._ports, None)

    def expect(self, conference: str) -> Address:
        return Address.parse(self._pattern.replace("{number}", conference))

    async def open_conference(self, spec: ConferenceSpec) -> None:
        """Nothing to do: a conference is there when somebody dials it."""

    async def end_conference(self, conference: str) -> None:
        """Nothing to do: the conference ends when its members have left."""

    async def invite(self, leg: str, conference: str, to: Address, options: DialOptions) -> None:
        raise NotSupported(self._name, "invite", _WHY)

    async def snapshot(self, conference: str) -> Roster:
        """Unknown: the bridge does not say who is in."""
        return Roster(conference, (), self._now(), known=False)

    async def adopt(self, legs: Sequence[str]) -> tuple[LegSeen, ...]:
        """It makes no calls, so there is none to take up."""
        return ()

    async def drop(self, leg: str) -> None:
        """It makes no calls, so every leg of its making is over."""

    async def mute(self, conference: str, member: str, on: bool) -> None:
        raise NotSupported(self._name, "mute", _WHY)

    async def send_digits(self, leg: str, digits: str) -> None:
        raise NotSupported(self._name, "send_digits", _WHY)

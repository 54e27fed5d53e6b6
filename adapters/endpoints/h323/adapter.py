"""The family `h323`: no control session and no call control of ours; its bridge dials it."""

from typing import TYPE_CHECKING

from adapters.capabilities import Capability
from adapters.errors import NotSupported
from adapters.values import Address, Control, DialOptions, Identity, LegMemory, LegSeen

if TYPE_CHECKING:
    from adapters.registry import Surroundings

_WHY = "an H.323 endpoint has no control session; only a bridge can call it (way bridge-dials)"


class H323Endpoint:
    """One H.323 endpoint: known by its address, reached through a bridge."""

    family = "h323"
    capabilities: frozenset[Capability] = frozenset()

    def __init__(self, control: Control, surroundings: "Surroundings") -> None:
        self._name = control.name

    async def open(self) -> Identity:
        """Nothing to open; the device reveals nothing."""
        return Identity()

    async def close(self) -> None:
        """Nothing to close."""

    async def snapshot(self) -> tuple[LegSeen, ...]:
        """No call is ever made here."""
        return ()

    async def dial(self, leg: str, to: Address, options: DialOptions) -> None:
        raise NotSupported(self._name, "dial", _WHY)

    async def hang_up(self, leg: str) -> None:
        """No call is ever made here, so every leg is over."""

    async def adopt(self, leg: str, memory: LegMemory) -> LegSeen:
        raise NotSupported(self._name, "adopt", _WHY)

    async def mute(self, on: bool) -> None:
        raise NotSupported(self._name, "mute", _WHY)

"""The family `h323`: no control session and no call control of ours; its bridge dials it."""

from typing import TYPE_CHECKING

from adapters.capabilities import Capability
from adapters.control.refusal import Refusing
from adapters.values import Control, Identity, LegSeen

if TYPE_CHECKING:
    from adapters.registry import Surroundings

_WHY = "an H.323 endpoint has no control session; only a bridge can call it (way bridge-dials)"


class H323Endpoint(Refusing):
    """One H.323 endpoint: known by its address, reached through a bridge."""

    family = "h323"
    capabilities: frozenset[Capability] = frozenset()
    lacking = _WHY

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

    async def hang_up(self, leg: str) -> None:
        """No call is ever made here, so every leg is over."""

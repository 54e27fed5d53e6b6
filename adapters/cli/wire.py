"""What every transport of text promises: bytes out, bytes in, an end."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Protocol

from adapters.cli.profile import LegacySsh
from adapters.hostkeys import HostKeys


class Receiver(Protocol):
    """Is told what comes. Called in the event loop."""

    def received(self, data: bytes) -> bool:
        """Bytes. True when they end in the middle of a line: the next ones may be gathered a moment."""
        ...

    def lost(self, reason: str) -> None:
        """The other side is gone. Told once, last; not told after `Wire.close`."""
        ...


class Wire(Protocol):
    """An open way to a device."""

    def write(self, data: bytes) -> None:
        """Send bytes. Never blocks; on a wire that has ended it does nothing."""
        ...

    async def close(self) -> None:
        """End it and wait until it is torn down. Safe to repeat, raises nothing."""
        ...


@dataclass(frozen=True, slots=True)
class Target:
    """Where a device's console is, how to get there and as whom; `device` is its name in the inventory."""

    device: str
    host: str
    port: int
    username: str
    secret: str = field(repr=False)
    host_keys: HostKeys
    legacy: LegacySsh | None = None
    command: str = ""  # of the transport `console`
    terminal: str = "ANSI"

    @property
    def place(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


OpenWire = Callable[[Target, Receiver], Awaitable[Wire]]
"""Opens a wire. Raises OSError with a readable text, LoginRefused, Unreachable."""

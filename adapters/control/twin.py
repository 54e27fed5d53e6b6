"""Twins of devices with a control port: the machine is a codec, and the port is a server on a real socket."""

from adapters.control.fault import Faults
from adapters.virtual.codec import Codec, CodecCall


class Twin:
    """One device as seen from its control port, whatever is spoken there.

    `commands` is what it was told, `heard_bytes` counts everything that came, also what was
    refused; `log_ins` and `refusals` count who came in and who did not.
    """

    def __init__(self, codec: Codec, *, secret: str = "", username: str = "", faults: Faults | None = None) -> None:
        self.codec = codec
        self.secret = secret
        self.username = username
        self.faults = faults or Faults()
        self.commands: list[str] = []
        self.heard_bytes = 0
        self.log_ins = 0
        self.refusals = 0
        self.address: tuple[str, int] = ("", 0)
        self.is_up = False
        codec.watchers.append(self._changed)

    async def start(self, host: str = "127.0.0.1", port: int = 0, transport: str = "") -> tuple[str, int]:
        """Listen. Raises OSError."""
        raise NotImplementedError

    async def stop(self) -> None:
        """Drop every session and listen no more. Safe to repeat; `come_back` may follow."""
        raise NotImplementedError

    async def come_back(self) -> None:
        """Listen again where it did."""
        await self.start(*self.address)

    def drop_consoles(self) -> None:
        """End every session; who has one notices at once, or with its next request."""
        raise NotImplementedError

    def reboot(self) -> None:
        """Calls and sessions are gone; it listens again at once."""
        self.drop_consoles()
        self.codec.reboot()

    def changed(self, call: CodecCall) -> None:
        """A call took a step; tell whom it concerns."""

    def _changed(self, call: CodecCall) -> None:
        if self.is_up:
            self.changed(call)

"""A recorded session as a server: says what the device said, and hears whether it is told the same.

Played over plain TCP whatever it was recorded over; secrets are `***` in a transcript and match the
secret that the replay is given.
"""

import asyncio
import re

from adapters.transcript import SECRET, Transcript

_HIDDEN = re.compile(rb"\*+")


class ReplayError(AssertionError):
    """The client says something else than in the recording; says what, and where."""


class Replay:
    """One transcript on a real socket, one connection at a time.

    `piece` is how many bytes leave at a time; 0: all that came together.
    """

    def __init__(self, transcript: Transcript, secret: str, piece: int = 0) -> None:
        self._transcript = transcript
        self._secret = secret.encode()
        self._piece = piece
        self._server: asyncio.Server | None = None
        self._peer: asyncio.Future[tuple[asyncio.StreamReader, asyncio.StreamWriter]] | None = None

    async def start(self, host: str = "127.0.0.1") -> tuple[str, int]:
        """Listen on a free port. Raises OSError."""
        self._peer = asyncio.get_running_loop().create_future()
        self._server = await asyncio.start_server(self._take, host, 0)
        name = self._server.sockets[0].getsockname()
        return name[0], name[1]

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
        if self._peer is not None and self._peer.done():
            self._peer.result()[1].close()

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._peer is not None and not self._peer.done():
            self._peer.set_result((reader, writer))

    async def say(self, data: bytes) -> None:
        """What the device said next."""
        assert self._peer is not None
        _, writer = await self._peer
        data = data.replace(SECRET.encode(), self._secret)
        step = self._piece or len(data) or 1
        for start in range(0, len(data), step):
            writer.write(data[start : start + step])
            await writer.drain()
            await asyncio.sleep(0)

    async def hear(self, data: bytes, deadline_s: float = 10.0) -> None:
        """What it was told next. Raises ReplayError for anything else."""
        assert self._peer is not None
        reader, _ = await self._peer
        ends = data[-1:]
        expected = re.compile(
            b"".join(
                b"(?:" + re.escape(self._secret) + rb"|.)*?" if _HIDDEN.fullmatch(part) else re.escape(part)
                for part in re.split(rb"(\*+)", data)
            ),
            re.DOTALL,
        )
        heard = b""
        try:
            async with asyncio.timeout(deadline_s):
                while not expected.fullmatch(heard):
                    more = await reader.readuntil(ends)
                    heard += more
                    if len(heard) > len(data) + len(self._secret) + 64:
                        break
        except (TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass
        if not expected.fullmatch(heard):
            raise ReplayError(f"{self._transcript.title}: expected {data!r}, heard {heard!r}")

"""A recorded HTTP session as a server: hears whether it is asked the same, and answers what was answered then.

An entry is a request or an answer as `adapters.http.link` records it: the first line, headers that matter, an
empty line, the body. A `***` in a request stands for anything; in an answer it is sent as it is.
"""

import asyncio
import re

from adapters.http.order import Answer, Request
from adapters.http.server import HttpServer, Peer, written
from adapters.transcript import Transcript

_HIDDEN = re.compile(r"(\*{3})")


class ReplayError(AssertionError):
    """The client asks something else than in the recording; says what, and where."""


class HttpReplay:
    """One transcript on a real socket, without TLS. `piece` is how many bytes leave at a time; 0: all."""

    def __init__(self, transcript: Transcript, piece: int = 0) -> None:
        self._transcript = transcript
        self._piece = piece
        self._asked: asyncio.Queue[tuple[Peer, Request]] = asyncio.Queue()
        self._peer: Peer | None = None
        self._answered = asyncio.Event()
        self._server = HttpServer(self._serve)

    async def start(self, host: str = "127.0.0.1") -> tuple[str, int]:
        """Listen on a free port. Raises OSError."""
        return await self._server.start(host, 0)

    async def stop(self) -> None:
        await self._server.stop()

    async def _serve(self, peer: Peer, request: Request) -> None:
        self._answered.clear()
        await self._asked.put((peer, request))
        await self._answered.wait()

    async def hear(self, data: bytes, deadline_s: float = 10.0) -> None:
        """What it is asked next. Raises ReplayError for anything else."""
        try:
            async with asyncio.timeout(deadline_s):
                self._peer, request = await self._asked.get()
        except TimeoutError:
            raise ReplayError(f"{self._transcript.title}: expected {data!r}, and nothing came") from None
        first, headers, body = _parts(data)
        matches = [
            (first, f"{request.method} {request.target}"),
            (body, request.body.decode("utf-8", "replace")),
            *((value, request.headers.get(name, "")) for name, value in headers),
        ]
        for expected, heard in matches:
            if not _same(expected, heard):
                raise ReplayError(f"{self._transcript.title}: expected {expected!r}, heard {heard!r}")

    async def say(self, data: bytes) -> None:
        """What the device answered."""
        assert self._peer is not None
        await self._peer.send(written(answer_of(data)), self._piece)
        self._answered.set()


def answer_of(data: bytes) -> Answer:
    """An answer as it stands in a transcript."""
    first, headers, body = _parts(data)
    return Answer(int(first), headers, body.encode())


def _parts(data: bytes) -> tuple[str, tuple[tuple[str, str], ...], str]:
    head, _, body = data.decode("utf-8", "surrogateescape").partition("\r\n\r\n")
    first, *lines = head.split("\r\n")
    headers = tuple((name.strip().lower(), value.strip()) for name, _, value in (line.partition(":") for line in lines))
    return first, headers, body


def _same(expected: str, heard: str) -> bool:
    pattern = "".join(".*?" if part == "***" else re.escape(part) for part in _HIDDEN.split(expected))
    return re.fullmatch(pattern, heard, re.DOTALL) is not None

"""The far end of a line check, made by hand: sound on sockets of a test's own, and what it heard."""

import asyncio
import itertools
import struct
from collections.abc import Callable

from adapters.linecheck import ports
from adapters.linecheck.ports import Ports

WAIT_S = 10.0
Mangle = Callable[[int, bytes], list[bytes]]
"""What is sent back for the n-th packet: nothing, the packet, another."""


def rtp(
    sequence: int,
    timestamp: int,
    payload: bytes = b"\xff" * 160,
    *,
    kind: int = 0,
    ssrc: int = 0x1234,
    csrc: int = 0,
    extension: bytes = b"",
    padding: int = 0,
    marker: bool = False,
) -> bytes:
    """One RTP packet, with whatever RFC 3550 section 5.1 allows."""
    first = 0x80 | (0x20 if padding else 0) | (0x10 if extension else 0) | csrc
    head = struct.pack("!BBHII", first, (0x80 if marker else 0) | kind, sequence & 0xFFFF, timestamp & 0xFFFFFFFF, ssrc)
    head += b"\xc5\xc5\xc5\xc5" * csrc
    if extension:
        head += struct.pack("!HH", 0xBEDE, len(extension) // 4) + extension
    return head + payload + (bytes(padding - 1) + bytes([padding]) if padding else b"")


class Far(asyncio.DatagramProtocol):
    """RTP and RTCP sockets. `heard` is every RTP packet, `reports` every RTCP packet, in order."""

    def __init__(self, mangle: Mangle) -> None:
        self.heard: list[bytes] = []
        self.reports: list[bytes] = []
        self.times: list[float] = []
        self.peer: tuple[str, int] = ("", 0)
        self.rtcp_peer: tuple[str, int] = ("", 0)
        self._mangle = mangle
        self._numbers = itertools.count()
        self._fresh = asyncio.Event()
        self._rtp: asyncio.DatagramTransport
        self._rtcp: asyncio.DatagramTransport

    @classmethod
    async def open(cls, mangle: Mangle = lambda _, data: [data], *, odd: bool = False) -> "Far":
        """`odd` puts RTP on an odd port, and RTCP on the even one above it."""
        loop, far = asyncio.get_running_loop(), cls(mangle)
        while True:
            pair = Ports().take("127.0.0.1")
            if not odd:
                break
            port = pair.port
            pair.close()
            shifted = ports.at("127.0.0.1", port + 1)
            if shifted is not None:
                pair = shifted
                break
        far._rtp = (await loop.create_datagram_endpoint(lambda: far, sock=pair.rtp))[0]
        far._rtcp = (await loop.create_datagram_endpoint(lambda: _Reports(far), sock=pair.rtcp))[0]
        return far

    @property
    def port(self) -> int:
        port: int = self._rtp.get_extra_info("sockname")[1]
        return port

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.peer = addr
        self.heard.append(data)
        self.times.append(asyncio.get_running_loop().time())
        for back in self._mangle(next(self._numbers), data):
            self._rtp.sendto(back, addr)
        self.wake()

    def wake(self) -> None:
        self._fresh.set()

    def say(self, data: bytes) -> None:
        self._rtp.sendto(data, self.peer)

    def say_rtcp(self, data: bytes) -> None:
        self._rtcp.sendto(data, (self.peer[0], self.peer[1] + 1))

    async def until(self, came: Callable[[], object]) -> None:
        """Wait until it is so; it is looked at after every packet."""
        async with asyncio.timeout(WAIT_S):
            while not came():
                self._fresh.clear()
                await self._fresh.wait()

    async def packets(self, count: int) -> None:
        await self.until(lambda: len(self.heard) >= count)

    def close(self) -> None:
        self._rtp.close()
        self._rtcp.close()

    @property
    def ssrcs(self) -> set[bytes]:
        return {data[8:12] for data in self.heard}

    @property
    def sequences(self) -> list[int]:
        return [int.from_bytes(data[2:4], "big") for data in self.heard]


class _Reports(asyncio.DatagramProtocol):
    def __init__(self, far: Far) -> None:
        self._far = far

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self._far.rtcp_peer = addr
        self._far.reports.append(data)
        self._far.wake()


def description(
    port: int, formats: str = "0 101", lines: str = "", *, more: str = "", host: str = "127.0.0.1"
) -> bytes:
    """An answer as a peer writes it; `more` comes behind, with m-lines of its own."""
    text = (
        f"v=0\r\no=far 1 1 IN IP4 {host}\r\ns=-\r\nc=IN IP4 {host}\r\nt=0 0\r\n"
        f"m=audio {port} RTP/AVP {formats}\r\n{lines}{more}"
    )
    return text.encode()

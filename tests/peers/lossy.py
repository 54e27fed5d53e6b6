"""A bad line between a caller and a real peer: SIP is passed on, sound goes through us and loses packets."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from adapters.linecheck.ports import Ports
from adapters.values import Address

_AUDIO = re.compile(rb"(?m)^m=audio ([0-9]+) ")
_CONNECTION = re.compile(rb"(?m)^c=IN IP4 [0-9.]+")
_RTCP = re.compile(rb"(?m)^a=rtcp:[^\r\n]*\r?\n")
_LENGTH = re.compile(rb"(?im)^(Content-Length|l)\s*:\s*[0-9]+")

Where = tuple[str, int]


class _Pipe(asyncio.DatagramProtocol):
    """Passes datagrams of two parties on to one another; every so-many-th is lost."""

    def __init__(self, percent_back: int, percent: int) -> None:
        self.near: Where | None = None
        self.far: Where | None = None
        self._percent = (percent, percent_back)
        self._count = [0, 0]
        self.transport: asyncio.DatagramTransport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]

    def datagram_received(self, data: bytes, addr: Where) -> None:
        back = addr != self.near  # a peer may listen everywhere and send from elsewhere (baresip: from 127.0.0.1)
        to = self.near if back else self.far
        self._count[back] += 1
        number, percent = self._count[back], self._percent[back]
        if to is not None and number * percent // 100 == (number - 1) * percent // 100:
            self.transport.sendto(data, to)


class _Signaling(asyncio.DatagramProtocol):
    """Passes SIP on as a wire does, but for the places where sound goes."""

    def __init__(self, peer: Where, host: str, rtp: _Pipe, rtcp: _Pipe) -> None:
        self._peer, self._host, self._rtp, self._rtcp = peer, host, rtp, rtcp
        self._caller: Where | None = None
        self.transport: asyncio.DatagramTransport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]

    def datagram_received(self, data: bytes, addr: Where) -> None:
        back = addr == self._peer
        if not back:
            self._caller = addr
        to = self._caller if back else self._peer
        if to is not None:
            self.transport.sendto(self._moved(data, back), to)

    def _moved(self, data: bytes, back: bool) -> bytes:
        head, gap, body = data.partition(b"\r\n\r\n")
        media = _AUDIO.search(body)
        if media is None:
            return data
        host = _CONNECTION.search(body)
        assert host is not None
        where = host[0].rpartition(b" ")[2].decode(), int(media[1])
        above = where[0], where[1] + 1
        if back:
            self._rtp.far, self._rtcp.far = where, above
        else:
            self._rtp.near, self._rtcp.near = where, above
        port = self._rtp.transport.get_extra_info("sockname")[1]
        body = _RTCP.sub(b"", body)  # the usual port, then
        body = _CONNECTION.sub(f"c=IN IP4 {self._host}".encode(), body)
        body = _AUDIO.sub(f"m=audio {port} ".encode(), body, count=1)
        return _LENGTH.sub(rb"\1: " + str(len(body)).encode(), head) + gap + body


@asynccontextmanager
async def lossy(address: str, host: str, *, percent: int = 0, percent_back: int | None = None) -> AsyncIterator[str]:
    """The address under which `address` is reached over the bad line; `percent_back` is of what comes from it.

    With `percent` alone both directions lose as much.
    """
    back = percent_back if percent_back is not None else (percent if percent < 100 else 0)
    loop, peer, pair = asyncio.get_running_loop(), Address.parse(address), Ports().take(host)
    rtp, rtcp = _Pipe(back, percent), _Pipe(0, 0)
    opened = [
        (await loop.create_datagram_endpoint(lambda: rtp, sock=pair.rtp))[0],
        (await loop.create_datagram_endpoint(lambda: rtcp, sock=pair.rtcp))[0],
    ]
    signaling = _Signaling((peer.host, peer.port or 5060), host, rtp, rtcp)
    transport, _ = await loop.create_datagram_endpoint(lambda: signaling, local_addr=(host, 0))
    try:
        yield f"sip:{peer.user}@{host}:{transport.get_extra_info('sockname')[1]}"
    finally:
        for each in (*opened, transport):
            each.close()

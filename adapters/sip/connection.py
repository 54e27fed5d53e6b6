"""One connection over TCP: SIP cut into messages, kept alive, and given up when nothing comes of it.

A connection that we opened is pinged (RFC 5626 section 4.4.1); once its peer has answered a
ping, a ping without answer is the end of it. Not all peers answer: Asterisk 22 does not,
baresip does (measured).
"""

from __future__ import annotations

import asyncio
import random
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING

from adapters.sip.framing import Framer
from adapters.sip.message import Malformed
from adapters.sip.transport import PING, PONG, Flow
from adapters.sip.uri import host_port

if TYPE_CHECKING:
    from adapters.sip.stream import Streams

_MAX_BACKLOG = 1024 * 1024
"""Bytes that may wait for a slow peer; beyond it the connection is given up."""
_KEEP_IDLE_S = 120


class Connection(Flow, asyncio.Protocol):
    """One connection, theirs or ours; what is sent before it stands waits."""

    __slots__ = (
        "_alarm",
        "_framer",
        "_owner",
        "_pinged",
        "_streams",
        "_transport",
        "_used_at",
        "_waiting",
        "_waits",
        "answers",
        "closed",
        "is_known",
        "is_lent",
        "name",
        "names",
        "our_port",
        "outgoing",
        "stood",
        "unanswered",
        "why",
    )
    reliable = True
    transport = "TCP"

    def __init__(self, streams: Streams, host: str, port: int, names: tuple[str, ...] = (), our_port: int = 0) -> None:
        super().__init__(host, port, streams.home)
        self._streams = streams
        self._owner = streams.owner
        self._framer = Framer()
        self._transport: asyncio.Transport | None = None
        self._waiting: list[bytes] = []
        self._waits = 0
        self._alarm: asyncio.TimerHandle | None = None
        self._pinged = False
        self._used_at = 0.0
        self.names = names
        self.name = names[0] if names else ""
        """Who we connected to; empty for TCP and for who connected to us."""
        self.our_port = our_port
        self.outgoing = False
        self.closed = False
        self.stood = False
        self.is_known = False
        """Whether it has ever sent a whole message."""
        self.is_lent = False
        """Whether new calls may go over it though its peer opened it: it registered over it."""
        self.answers = False
        """Whether its peer has shown that it answers pings."""
        self.unanswered = 0
        """Pings in a row without an answer."""
        self.why = ""

    def send(self, data: bytes) -> None:
        if self.closed:
            return
        if self._transport is None or not self.stood:
            self._waiting.append(data)
            self._waits += len(data)
            if self._waits > _MAX_BACKLOG:
                self.close("too much waits for it")
        elif self._transport.get_write_buffer_size() > _MAX_BACKLOG:
            self.close("the peer reads too slowly")
        else:
            if len(data) > len(PING):
                self._used_at = asyncio.get_running_loop().time()
            self._write(data)

    def _write(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)

    def ping(self) -> None:
        """Ask for a sign of life; without one the connection fails, if its peer ever gave one."""
        self.send(PING)
        if not self.closed:
            self._pinged = True
            self._set_alarm(self._streams.terms.pong_s, self._no_pong)

    def close(self, why: str = "") -> None:
        if self._transport is not None:
            self._transport.abort()
        self._gone(why)

    def keep(self) -> None:
        """Ping it from now on, again and again."""
        self._pinged = False
        self._set_alarm(random.uniform(*self._streams.terms.ping_s), self._ping_or_leave)

    def _ping_or_leave(self) -> None:
        if asyncio.get_running_loop().time() - self._used_at > self._streams.terms.idle_s:
            self.close("nothing went over it for long")
        else:
            self.ping()

    def _set_alarm(self, delay_s: float, action: Callable[[], None]) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm = asyncio.get_running_loop().call_later(delay_s, action)

    def _no_pong(self) -> None:
        self.unanswered += 1
        if self.answers:
            self.close("the peer answers no ping any more")
        else:
            self.keep()

    # -- what asyncio tells -----------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        if self.closed:
            transport.abort()
            return
        self._transport = transport
        sock = transport.get_extra_info("socket")
        if sock is not None:
            _tune(sock)
        self._begin()

    def _begin(self) -> None:
        """The bytes can flow; what waits goes out when it stands."""
        self._stand()

    def _stand(self) -> None:
        self.stood = True
        self._used_at = asyncio.get_running_loop().time()
        waiting, self._waiting, self._waits = self._waiting, [], 0
        for data in waiting:
            self._write(data)
        if self.outgoing and not self.closed:
            self.keep()

    def data_received(self, data: bytes) -> None:
        self._read(data)

    def _read(self, data: bytes) -> None:
        framer = self._framer
        try:
            messages = framer.feed(data)
        except Malformed as wrong:
            self._owner.unreadable(wrong, self)
            self.close(f"what came is no SIP: {wrong}")
            return
        if framer.pings:
            framer.pings = 0
            self.send(PONG)
        elif self._pinged and framer.take_pong():
            self.answers = True
            self.unanswered = 0
            self.keep()
        for message in messages:
            if self.closed:
                return
            self._owner.received(message, self)
        if self.closed:
            return
        if messages:
            self._used_at = asyncio.get_running_loop().time()
        if messages and not self.is_known:
            self.is_known = True
            self._streams.met(self)
        if framer.partial:
            self._streams.expect(self, anew=bool(messages))
        elif self.is_known or self.outgoing:
            self._streams.satisfied(self)

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._gone("the peer closed the connection" if exc is None else str(getattr(exc, "strerror", None) or exc))

    def _gone(self, why: str) -> None:
        if not self.closed:
            self.closed = True
            self._waiting = []
            self.why = f"{self.transport} to {host_port(self.name or self.host, self.port)}: {why}" if why else ""
            if self._alarm is not None:
                self._alarm.cancel()
                self._alarm = None
            self._streams.forget(self)
            self._owner.flow_failed(self)


def _tune(sock: socket.socket) -> None:
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    # a peer that lost power is noticed though it owes us nothing
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, _KEEP_IDLE_S)

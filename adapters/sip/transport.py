"""Sockets for SIP: UDP with a large receive buffer and a drain loop, TCP with framing.

A `Flow` is a peer over one socket. UDP refusals (ICMP) are read from the error queue, so
that a closed port is known at once instead of after 32 s (RFC 3261 section 18.4).
"""

import asyncio
import contextlib
import re
import socket
import struct
from typing import Protocol

from adapters.sip.framing import Framer
from adapters.sip.message import Malformed

RECEIVE_BUFFER = 8 * 1024 * 1024
_DRAIN = 256
"""Datagrams read in one go before others get their turn."""
_IP_RECVERR = 11
_IPV6_RECVERR = 25
_SO_RCVBUFFORCE = 33
_MAX_BACKLOG = 1024 * 1024
"""Bytes that may wait for a slow TCP peer; beyond it the connection is given up."""
MAX_CONNECTIONS = 20_000
CONNECT_S = 4.0
KEEP_ALIVE = b"\r\n\r\n"

_BRANCH = re.compile(rb"branch=([^\s;,]+)")
_SENT = re.compile(rb"([A-Z]+) ")


class Owner(Protocol):
    """Who gets what the sockets bring."""

    def received(self, data: bytes, flow: "Flow") -> None: ...

    def unreadable(self, wrong: Malformed, flow: "Flow") -> None: ...

    def flow_failed(self, flow: "Flow") -> None: ...

    def datagram_refused(self, branch: str, method: str) -> None: ...


class Flow:
    """A peer over one socket. `host`, `port` are the peer's; `local` is our own address."""

    __slots__ = ("host", "local", "port")
    reliable = False
    transport = "UDP"

    def __init__(self, host: str, port: int, local: tuple[str, int]) -> None:
        self.host = host
        self.port = port
        self.local = local

    def send(self, data: bytes) -> None:
        raise NotImplementedError


class UdpFlow(Flow):
    __slots__ = ("_udp",)

    def __init__(self, udp: "Udp", host: str, port: int) -> None:
        self._udp = udp
        self.host = host
        self.port = port
        self.local = udp.address

    def send(self, data: bytes) -> None:
        self._udp.send(data, self.host, self.port)


class Udp:
    """One UDP socket."""

    def __init__(self, owner: Owner, host: str, port: int) -> None:
        self._owner = owner
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._socket = sock = socket.socket(family, socket.SOCK_DGRAM)
        sock.setblocking(False)
        try:
            sock.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, RECEIVE_BUFFER)
        except OSError:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        with contextlib.suppress(OSError):
            if family == socket.AF_INET:
                sock.setsockopt(socket.IPPROTO_IP, _IP_RECVERR, 1)
            else:
                sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_RECVERR, 1)
        try:
            sock.bind((host, port))
        except OSError:
            sock.close()
            raise
        bound = sock.getsockname()
        self.address: tuple[str, int] = (bound[0], bound[1])
        self.lost = 0
        """Datagrams the kernel would not take; the transactions repeat them."""
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(sock.fileno(), self._readable)

    def close(self) -> None:
        if self._socket.fileno() >= 0:
            self._loop.remove_reader(self._socket.fileno())
            self._socket.close()

    def send(self, data: bytes, host: str, port: int) -> None:
        for _ in range(3):
            try:
                self._socket.sendto(data, (host, port))
                return
            except BlockingIOError:
                break
            except OSError:
                # perhaps the refusal of an earlier datagram, reported here: read it, try again
                if self._socket.fileno() < 0 or not self._refusals():
                    break
        self.lost += 1

    def _readable(self) -> None:
        receive = self._socket.recvfrom
        received = self._owner.received
        for _ in range(_DRAIN):
            try:
                data, peer = receive(65_535)
            except BlockingIOError:
                break
            except OSError:
                if self._socket.fileno() < 0:
                    return
                continue
            received(data, UdpFlow(self, peer[0], peer[1]))
            if self._socket.fileno() < 0:
                return
        self._refusals()

    def _refusals(self) -> int:
        """Read the error queue; how many refusals were in it."""
        count = 0
        while count < _DRAIN:
            try:
                data, ancillary, _, _ = self._socket.recvmsg(2048, 512, socket.MSG_ERRQUEUE)
            except OSError:
                return count
            count += 1
            errors = [struct.unpack_from("=I", raw)[0] for _, _, raw in ancillary if len(raw) >= 4]
            branch, method = _BRANCH.search(data), _SENT.match(data)
            if errors and branch and method:
                self._owner.datagram_refused(branch[1].decode("latin-1"), method[1].decode("latin-1"))
        return count


class Connection(Flow, asyncio.Protocol):
    """One TCP connection, theirs or ours; what is sent before it stands waits."""

    __slots__ = ("_framer", "_owner", "_transport", "_waiting", "closed", "outgoing", "stood")
    reliable = True
    transport = "TCP"

    def __init__(self, owner: Owner, host: str, port: int, local: tuple[str, int], outgoing: bool) -> None:
        super().__init__(host, port, local)
        self._owner = owner
        self._framer = Framer()
        self._transport: asyncio.Transport | None = None
        self._waiting: list[bytes] = []
        self.outgoing = outgoing
        self.closed = False
        self.stood = False

    def send(self, data: bytes) -> None:
        if self.closed:
            return
        if self._transport is None:
            self._waiting.append(data)
        elif self._transport.get_write_buffer_size() > _MAX_BACKLOG:
            self.close()
        else:
            self._transport.write(data)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()
        self._gone()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        if self.closed:
            transport.abort()
            return
        self._transport = transport
        self.stood = True
        sock = transport.get_extra_info("socket")
        if sock is not None:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for data in self._waiting:
            transport.write(data)
        self._waiting = []

    def data_received(self, data: bytes) -> None:
        framer = self._framer
        try:
            messages = framer.feed(data)
        except Malformed as wrong:
            self._owner.unreadable(wrong, self)
            self.close()
            return
        if framer.pings:
            framer.pings = 0
            self.send(b"\r\n")
        for message in messages:
            if self.closed:
                return
            self._owner.received(message, self)

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._gone()

    def _gone(self) -> None:
        if not self.closed:
            self.closed = True
            self._waiting = []
            self._owner.flow_failed(self)


class Tcp:
    """One listening TCP socket and the connections of its address, both ways."""

    def __init__(self, owner: Owner) -> None:
        self._owner = owner
        self._server: asyncio.Server | None = None
        self._connections: dict[tuple[str, int], Connection] = {}
        self._connecting: set[asyncio.Task[None]] = set()
        self.address: tuple[str, int] = ("", 0)

    async def listen(self, host: str, port: int) -> None:
        """Bind. Raises OSError when the address is taken."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Incoming(self), host, port, backlog=1024)
        bound = self._server.sockets[0].getsockname()
        self.address = (bound[0], bound[1])

    def close(self) -> None:
        if self._server is not None:
            self._server.close()
        for task in list(self._connecting):
            task.cancel()
        for connection in list(self._connections.values()):
            connection.close()

    def existing(self, host: str, port: int) -> Connection | None:
        """A living connection with this peer address, if there is one (RFC 5923)."""
        connection = self._connections.get((host, port))
        return connection if connection is not None and not connection.closed else None

    def connect(self, host: str, port: int) -> Connection:
        """A connection to the peer, the old one if it stands; sending may begin at once."""
        connection = self.existing(host, port)
        if connection is None:
            connection = Connection(self._owner, host, port, self.address, outgoing=True)
            self._keep(connection)
            task = asyncio.get_running_loop().create_task(self._open(connection))
            self._connecting.add(task)
            task.add_done_callback(self._connecting.discard)
        return connection

    def ping(self) -> None:
        """Keep-alive on the connections we opened (RFC 5626 section 4.4.1)."""
        for connection in self._connections.values():
            if connection.outgoing:
                connection.send(KEEP_ALIVE)

    def accepted(self, host: str, port: int) -> Connection | None:
        """A new incoming connection, or None when there are too many."""
        if len(self._connections) >= MAX_CONNECTIONS:
            return None
        connection = Connection(self._owner, host, port, self.address, outgoing=False)
        self._keep(connection)
        return connection

    def forget(self, connection: Flow) -> None:
        """Take a closed connection off the books."""
        if self._connections.get((connection.host, connection.port)) is connection:
            del self._connections[connection.host, connection.port]

    def _keep(self, connection: Connection) -> None:
        self._connections[connection.host, connection.port] = connection

    async def _open(self, connection: Connection) -> None:
        loop = asyncio.get_running_loop()
        source = (self.address[0], 0)
        try:
            async with asyncio.timeout(CONNECT_S):
                await loop.create_connection(lambda: connection, connection.host, connection.port, local_addr=source)
        except (OSError, TimeoutError):
            connection.close()


class _Incoming(asyncio.Protocol):
    """Stands in for an accepted connection until its peer is known."""

    def __init__(self, tcp: Tcp) -> None:
        self._tcp = tcp

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        peer = transport.get_extra_info("peername")
        connection = self._tcp.accepted(peer[0], peer[1]) if peer else None
        if connection is None:
            transport.abort()
            return
        transport.set_protocol(connection)
        connection.connection_made(transport)

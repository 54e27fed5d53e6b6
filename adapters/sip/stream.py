"""SIP over TCP and TLS: connections both ways, cut into messages, kept alive, and bounded.

A connection that we opened is pinged (RFC 5626 section 4.4.1); once its peer has answered a
ping, a ping without answer is the end of it. Not all peers answer: Asterisk 22 does not,
baresip does (measured). A stranger has `Terms.message_s` for its first whole message.
"""

import asyncio
import random
import socket
import ssl
from collections import Counter
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from cryptography import x509

from adapters.sip.framing import Framer
from adapters.sip.message import Malformed
from adapters.sip.tls import Tls, in_words
from adapters.sip.transport import PING, PONG, Flow, Owner
from adapters.sip.uri import host_port

_MAX_BACKLOG = 1024 * 1024
"""Bytes that may wait for a slow peer; beyond it the connection is given up."""
_IP_BIND_ADDRESS_NO_PORT = 24
_KEEP_IDLE_S = 120


@dataclass(frozen=True, slots=True)
class Terms:
    """How long connections wait for what, and how many there may be."""

    connect_s: float = 4.0
    """Until a connection stands; as long again for the handshake of TLS."""
    message_s: float = 30.0
    """For a whole message since it began, and for a stranger's first one."""
    ping_s: tuple[float, float] = (95.0, 120.0)
    """Between two pings, spread so (RFC 5626 section 4.4.1)."""
    pong_s: float = 10.0
    connections: int = 20_000
    of_one_host: int = 2_000
    """Incoming ones of them from one address."""
    strangers: int = 64
    """From one address that have not sent a whole message yet."""


class Connection(Flow, asyncio.Protocol):
    """One connection, theirs or ours; what is sent before it stands waits."""

    __slots__ = (
        "_alarm",
        "_framer",
        "_owner",
        "_pinged",
        "_streams",
        "_transport",
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

    def __init__(
        self, streams: "Streams", host: str, port: int, names: tuple[str, ...] = (), our_port: int = 0
    ) -> None:
        super().__init__(host, port, streams.home)
        self._streams = streams
        self._owner = streams.owner
        self._framer = Framer()
        self._transport: asyncio.Transport | None = None
        self._waiting: list[bytes] = []
        self._waits = 0
        self._alarm: asyncio.TimerHandle | None = None
        self._pinged = False
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
        if self._transport is None:
            self._waiting.append(data)
            self._waits += len(data)
            if self._waits > _MAX_BACKLOG:
                self.close("too much waits for it")
        elif self._transport.get_write_buffer_size() > _MAX_BACKLOG:
            self.close("the peer reads too slowly")
        else:
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
        self._set_alarm(random.uniform(*self._streams.terms.ping_s), self.ping)

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
        if wrong := self._objection(transport):
            self.close(wrong)
            return
        self.stood = True
        sock = transport.get_extra_info("socket")
        if sock is not None:
            _tune(sock)
        for data in self._waiting:
            transport.write(data)
        self._waiting = []
        self._waits = 0
        if self.outgoing:
            self.keep()

    def _objection(self, transport: asyncio.Transport) -> str:
        return ""

    def data_received(self, data: bytes) -> None:
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
        self._gone("the peer closed the connection" if exc is None else self._blame(exc))

    def _blame(self, error: BaseException) -> str:
        return str(getattr(error, "strerror", None) or error)

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


class Secured(Connection):
    """A connection with TLS."""

    __slots__ = ()
    transport = "TLS"

    def _objection(self, transport: asyncio.Transport) -> str:
        tls = self._streams.tls
        if not self.outgoing or tls is None:
            return ""
        return tls.objection(transport.get_extra_info("ssl_object"), self.names)

    def _blame(self, error: BaseException) -> str:
        return in_words(error)


class Streams:
    """The connections of one address of ours, and its listening socket; with `tls` all are secured.

    `home` is the address they belong to (`Flow.local`).
    """

    def __init__(self, owner: Owner, home: tuple[str, int], terms: Terms, tls: Tls | None = None) -> None:
        self.owner = owner
        self.home = home
        self.terms = terms
        self.tls = tls
        self._kind = Secured if tls is not None else Connection
        self._server: asyncio.Server | None = None
        self._connections: dict[tuple[str, int, str], Connection] = {}
        self._hosts: Counter[str] = Counter()
        self._strangers: Counter[str] = Counter()
        self._due: dict[Connection, float] = {}  # in order: all wait equally long
        self._sweeping: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.address: tuple[str, int] | None = None
        """Where it listens; None when it does not."""
        self.refused = 0
        """Incoming connections that were too many."""

    def __len__(self) -> int:
        return len(self._connections)

    async def listen(self, host: str, port: int) -> None:
        """Bind. Raises OSError when the address is taken."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Incoming(self), host, port, backlog=1024)
        bound = self._server.sockets[0].getsockname()
        self.address = (bound[0], bound[1])

    def close(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        if self._sweeping is not None:
            self._sweeping.cancel()
            self._sweeping = None
        for task in list(self._tasks):
            task.cancel()
        for connection in list(self._connections.values()):
            connection.close()

    # -- ours -------------------------------------------------------------------------

    def existing(self, host: str, port: int, names: tuple[str, ...] = ()) -> Connection | None:
        """A living connection with this peer address, if there is one (RFC 5923)."""
        for name in ("", *names):
            connection = self._connections.get((host, port, name))
            if connection is not None:
                return connection
        return None

    def connect(self, host: str, port: int, names: tuple[str, ...] = ()) -> Connection:
        """A connection to the peer, the old one if it stands; sending may begin at once.

        `names` are those its certificate may have, the URI's first.
        """
        names = names if self.tls is not None else ()
        name = names[0] if names else ""
        connection = self._connections.get((host, port, name))
        if connection is None:
            sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
            sock.setblocking(False)
            wrong: OSError | None = None
            try:
                if self.address is not None and ":" not in host:
                    sock.setsockopt(socket.IPPROTO_IP, _IP_BIND_ADDRESS_NO_PORT, 1)
                sock.bind((self.home[0], 0))
            except OSError as error:
                wrong = error
            # who cannot call us back may still find the connection, by the port that our Contact shows
            connection = self._kind(self, host, port, names, 0 if wrong else sock.getsockname()[1])
            connection.outgoing = True
            self._connections[host, port, name] = connection
            self._start(self._open(connection, sock, wrong))
        return connection

    def _start(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _open(self, connection: Connection, sock: socket.socket, wrong: OSError | None) -> None:
        loop = asyncio.get_running_loop()
        host, port, names = connection.host, connection.port, connection.names
        terms = self.terms
        try:
            if wrong is not None:
                raise wrong
            async with asyncio.timeout(terms.connect_s):
                await loop.sock_connect(sock, (host, port))
            if self.tls is None:
                await loop.create_connection(lambda: connection, sock=sock)
                return
            await loop.create_connection(
                lambda: connection,
                sock=sock,
                ssl=self.tls.client(names),
                server_hostname=names[0] if names else host,
                ssl_handshake_timeout=terms.connect_s,
            )
        except asyncio.CancelledError:
            sock.close()
            raise
        except ssl.SSLCertVerificationError as error:
            connection.close(in_words(error, await _shown(host, port, connection.name, terms.connect_s)))
        except (OSError, TimeoutError, ValueError) as error:
            sock.close()
            if self.tls is not None:
                connection.close(in_words(error))
            elif isinstance(error, TimeoutError):
                connection.close("no answer")
            else:
                connection.close(in_words(error))

    # -- theirs -----------------------------------------------------------------------

    def arrived(self, transport: asyncio.Transport) -> None:
        """Take a new incoming connection, or end it when there are too many."""
        peer = transport.get_extra_info("peername")
        host = peer[0] if peer else ""
        terms = self.terms
        if (
            not peer
            or len(self._connections) >= terms.connections
            or self._hosts[host] >= terms.of_one_host
            or self._strangers[host] >= terms.strangers
        ):
            self.refused += 1
            transport.abort()
            return
        connection = self._kind(self, host, peer[1])
        self._connections[host, peer[1], ""] = connection
        self._hosts[host] += 1
        self._strangers[host] += 1
        self.expect(connection)
        if self.tls is None:
            transport.set_protocol(connection)
            connection.connection_made(transport)
        else:
            self._start(self._shake_hands(connection, transport, self.tls))

    async def _shake_hands(self, connection: Connection, transport: asyncio.Transport, tls: Tls) -> None:
        loop = asyncio.get_running_loop()
        try:
            secured = await loop.start_tls(
                transport, connection, tls.server(), server_side=True, ssl_handshake_timeout=self.terms.connect_s
            )
        except asyncio.CancelledError:
            transport.abort()
            raise
        except (OSError, TimeoutError) as error:
            transport.abort()
            connection.close(in_words(error))
            return
        if secured is None:
            connection.close("the peer broke the handshake off")
        else:
            connection.connection_made(secured)

    def met(self, connection: Connection) -> None:
        """It has sent a whole message: a stranger no more."""
        if not connection.outgoing:
            self._less(self._strangers, connection.host)

    def expect(self, connection: Connection, anew: bool = False) -> None:
        """A whole message must come within `message_s`, or the connection is ended."""
        if connection in self._due:
            if not anew:
                return
            del self._due[connection]
        loop = asyncio.get_running_loop()
        self._due[connection] = loop.time() + self.terms.message_s
        if self._sweeping is None:
            self._sweeping = loop.call_later(self.terms.message_s, self._sweep)

    def satisfied(self, connection: Connection) -> None:
        """Nothing is owed by it."""
        self._due.pop(connection, None)

    def _sweep(self) -> None:
        self._sweeping = None
        loop = asyncio.get_running_loop()
        now = loop.time()
        for connection, due in list(self._due.items()):
            if due > now:
                self._sweeping = loop.call_later(due - now, self._sweep)
                return
            connection.close(f"no whole message came within {self.terms.message_s:g} s")

    def forget(self, connection: Connection) -> None:
        """Take a closed connection off the books."""
        self._due.pop(connection, None)
        key = (connection.host, connection.port, connection.name)
        if self._connections.get(key) is not connection:
            return
        del self._connections[key]
        if not connection.outgoing:
            self._less(self._hosts, connection.host)
            if not connection.is_known:
                self._less(self._strangers, connection.host)

    @staticmethod
    def _less(counts: Counter[str], host: str) -> None:
        counts[host] -= 1
        if counts[host] <= 0:
            del counts[host]


class _Incoming(asyncio.Protocol):
    """Stands in for an accepted connection until its peer is known."""

    def __init__(self, streams: Streams) -> None:
        self._streams = streams

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._streams.arrived(transport)


def _tune(sock: socket.socket) -> None:
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    # a peer that lost power is noticed though it owes us nothing
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, _KEEP_IDLE_S)


async def _shown(host: str, port: int, name: str, limit_s: float) -> x509.Certificate | None:
    """The certificate that somebody shows and that is not believed, to say what is wrong with it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # it is only read: not a byte of SIP goes over this connection
    try:
        async with asyncio.timeout(limit_s):
            _, writer = await asyncio.open_connection(host, port, ssl=context, server_hostname=name or host)
    except (OSError, TimeoutError, ValueError):
        return None
    shown = writer.get_extra_info("ssl_object")
    raw = shown.getpeercert(binary_form=True) if shown is not None else None
    writer.transport.abort()
    try:
        return x509.load_der_x509_certificate(raw) if raw else None
    except ValueError:
        return None

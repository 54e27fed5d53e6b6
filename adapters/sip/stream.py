"""Every connection of one address of ours over TCP or TLS: opened, taken in, used again, and bounded.

A stranger has `Terms.message_s` for its first whole message, and one source can have only so
many connections; what is reused is what stands to the same socket (RFC 5923).
"""

import asyncio
import socket
from collections import Counter
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any

from adapters.sip.connection import Connection
from adapters.sip.secured import Secured
from adapters.sip.tls import Tls, in_words
from adapters.sip.transport import Owner

_IP_BIND_ADDRESS_NO_PORT = 24


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
    idle_s: float = 3600.0
    """Without any message: then a connection of ours is closed, as nobody seems to need it."""
    connections: int = 20_000
    of_one_host: int = 2_000
    """Incoming ones of them from one address."""
    strangers: int = 64
    """From one address that have not sent a whole message yet."""


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
            self.start(self._open(connection, sock, wrong))
        return connection

    def start(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """Run something beside; it ends with us."""
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _open(self, connection: Connection, sock: socket.socket, wrong: OSError | None) -> None:
        loop = asyncio.get_running_loop()
        try:
            if wrong is not None:
                raise wrong
            async with asyncio.timeout(self.terms.connect_s):
                await loop.sock_connect(sock, (connection.host, connection.port))
            await loop.create_connection(lambda: connection, sock=sock)
        except asyncio.CancelledError:
            sock.close()
            raise
        except (OSError, TimeoutError) as error:
            sock.close()
            connection.close("no answer" if isinstance(error, TimeoutError) else in_words(error))

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
        transport.set_protocol(connection)
        connection.connection_made(transport)

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

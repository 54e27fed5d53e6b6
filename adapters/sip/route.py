"""Which way a message takes: our addresses, the peer's name looked up, UDP or TCP.

RFC 3261 sections 8.1.2, 18.1.1 (a large request goes over TCP) and 12.2.1.1 (inside a
dialog a connection that stands is used again, RFC 5923).
"""

import asyncio
import ipaddress
import socket
from collections.abc import Callable
from functools import lru_cache

from adapters.sip.dialog import Dialog
from adapters.sip.message import Request
from adapters.sip.transport import Flow, Owner, Tcp, Udp, UdpFlow
from adapters.sip.uri import BadUri, Uri, host_port

_LARGE = 1300
_HEAD = 800
"""About how large a head gets; a smaller sum than `_LARGE` needs no counting."""
_NO_TCP_S = 300.0
"""How long a peer that takes no TCP is remembered as one."""
_NAME_S = 30.0
"""How long a looked-up name is believed."""
_REMEMBERED = 10_000
"""Names and peers remembered at once; beyond it the tables start anew."""

_LONGEST_LITERAL = 45
_ELSEWHERE = "192.0.2.1"
"""Stands for a peer that is known by name only: the default route leads there."""

Go = Callable[[Flow | None], None]
"""Told the flow, or None when there is no way."""


class Bound:
    """One address of ours: UDP and TCP on the same port."""

    __slots__ = ("_wildcard", "address", "tcp", "udp")

    def __init__(self, udp: Udp, tcp: Tcp) -> None:
        self.udp = udp
        self.tcp = tcp
        self.address = udp.address
        self._wildcard = udp.address[0] in ("0.0.0.0", "::")

    def host_for(self, peer: str) -> str:
        """Our address as this peer can reach it."""
        if not self._wildcard:
            return self.address[0]
        return own_address(peer if is_literal(peer) else _ELSEWHERE)

    def shown(self, peer: str) -> str:
        """Our `host:port` as this peer can reach it."""
        return host_port(self.host_for(peer), self.address[1])


class Routes:
    """The addresses of one agent and the ways from them."""

    def __init__(self, owner: Owner) -> None:
        self._owner = owner
        self._bound: dict[tuple[str, int], Bound] = {}
        self._names: dict[str, tuple[float, str]] = {}
        self._no_tcp: dict[tuple[str, int], float] = {}
        self._lookups: set[asyncio.Task[None]] = set()

    async def bind(self, host: str, port: int) -> Bound:
        """Take an address for UDP and TCP. Raises OSError."""
        for _ in range(20):
            udp = Udp(self._owner, host, port)
            tcp = Tcp(self._owner)
            try:
                await tcp.listen(*udp.address)
            except OSError:
                udp.close()
                if port:
                    raise
                continue  # the port is free for UDP only: another one
            bound = self._bound[udp.address] = Bound(udp, tcp)
            return bound
        raise OSError(f"no port of {host} is free for both UDP and TCP")

    def close(self) -> None:
        for task in list(self._lookups):
            task.cancel()
        for bound in self._bound.values():
            bound.udp.close()
            bound.tcp.close()
        self._bound.clear()

    def at(self, address: tuple[str, int]) -> Bound:
        """The socket pair at an address of ours. Raises KeyError."""
        return self._bound[address]

    def ping(self) -> None:
        """Keep the TCP connections alive that we opened."""
        for bound in self._bound.values():
            bound.tcp.ping()

    def lost(self, flow: Flow, refused: bool) -> None:
        """A connection is gone; `refused` when it never stood."""
        bound = self._bound.get(flow.local)
        if bound is not None:
            bound.tcp.forget(flow)
        if refused:
            if len(self._no_tcp) >= _REMEMBERED:
                self._no_tcp.clear()
            self._no_tcp[flow.host, flow.port] = asyncio.get_running_loop().time() + _NO_TCP_S

    def find(self, hop: str, bound: Bound, dialog: Dialog | None, go: Go) -> None:
        """Find the flow to a URI and go on with it; only a name that is new takes time."""
        try:
            uri = Uri.parse(hop)
        except BadUri:
            go(None)
            return
        if uri.secure:
            go(None)
        elif is_literal(uri.host):
            go(_flow(bound, uri, uri.host, dialog))
        else:
            loop = asyncio.get_running_loop()
            known = self._names.get(uri.host)
            if known is not None and known[0] > loop.time():
                go(_flow(bound, uri, known[1], dialog))
                return
            task = loop.create_task(self._look_up(uri, bound, dialog, go))
            self._lookups.add(task)
            task.add_done_callback(self._lookups.discard)

    async def _look_up(self, uri: Uri, bound: Bound, dialog: Dialog | None, go: Go) -> None:
        loop = asyncio.get_running_loop()
        family = socket.AF_INET6 if ":" in bound.address[0] else socket.AF_INET
        try:
            found = await loop.getaddrinfo(uri.host, None, family=family, type=socket.SOCK_DGRAM)
        except OSError:
            go(None)
            return
        host = str(found[0][4][0])
        if len(self._names) >= _REMEMBERED:
            self._names.clear()
        self._names[uri.host] = (loop.time() + _NAME_S, host)
        go(_flow(bound, uri, host, dialog))

    def for_size(self, request: Request, flow: Flow, bound: Bound) -> Flow:
        """The flow itself, or TCP when the request is too large for a datagram."""
        if flow.reliable or len(request.body) + _HEAD <= _LARGE:
            return flow
        if len(request.to_bytes()) + 120 <= _LARGE:  # its Via and Contact are still to come
            return flow
        if self._no_tcp.get((flow.host, flow.port), 0.0) > asyncio.get_running_loop().time():
            return flow
        return bound.tcp.connect(flow.host, flow.port)


def _flow(bound: Bound, uri: Uri, host: str, dialog: Dialog | None) -> Flow:
    port = uri.port or 5060
    if dialog is not None and dialog.transport == "TCP" and dialog.peer is not None:
        standing = bound.tcp.existing(*dialog.peer)
        if standing is not None and (uri.transport != "udp"):
            return standing
    if uri.transport == "tcp":
        return bound.tcp.connect(host, port)
    return UdpFlow(bound.udp, host, port)


def contact(user: str, shown: str, transport: str) -> str:
    """Our Contact value."""
    who = f"{user}@" if user else ""
    return f"<sip:{who}{shown};transport=tcp>" if transport == "TCP" else f"<sip:{who}{shown}>"


def is_literal(host: str) -> bool:
    """Whether a host is an IP address and needs no looking up."""
    return len(host) <= _LONGEST_LITERAL and _is_literal(host)


@lru_cache(maxsize=8192)
def _is_literal(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


@lru_cache(maxsize=4096)
def own_address(peer: str) -> str:
    """The address of ours that the way to this peer starts from."""
    with socket.socket(socket.AF_INET6 if ":" in peer else socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((peer, 9))
        except OSError:
            return "127.0.0.1"
        return str(probe.getsockname()[0])

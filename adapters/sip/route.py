"""Which way a message takes: our addresses, the peer's name looked up, UDP, TCP or TLS.

RFC 3261 sections 8.1.2, 18.1.1 (a large request goes over TCP), 26.2 (sips:) and 12.2.1.1
(inside a dialog a connection that stands is used again, RFC 5923); RFC 3263 by `locate`.
"""

import asyncio
import ipaddress
import socket
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

from adapters.sip.connection import Connection
from adapters.sip.dialog import Dialog
from adapters.sip.locate import NoWay, Plan, Target, direct
from adapters.sip.message import Request, uri_of
from adapters.sip.names import Resolver
from adapters.sip.stream import Streams, Terms
from adapters.sip.tls import Tls
from adapters.sip.transport import Flow, Owner
from adapters.sip.udp import Udp, UdpFlow
from adapters.sip.uri import BadUri, Uri, host_port

_LARGE = 1300
_HEAD = 800
"""About how large a head gets; a smaller sum than `_LARGE` needs no counting."""
_NO_TCP_S = 300.0
"""How long a peer that takes no TCP is remembered as one."""
_REMEMBERED = 20_000
"""Peers and ways remembered at once; beyond it the table starts anew."""

_LONGEST_LITERAL = 45
_ELSEWHERE = "192.0.2.1"
"""Stands for a peer that is known by name only: the default route leads there."""


class Way(NamedTuple):
    """The flow a request takes; without one, `why` not. `more` are places to try after it."""

    flow: Flow | None
    more: tuple[Target, ...] = ()
    why: str = ""


Go = Callable[[Way], None]


class Bound:
    """One address of ours: UDP and TCP on the same port, TLS on one of its own if we have a certificate."""

    __slots__ = ("_shown", "_wildcard", "address", "tcp", "tls", "udp", "v6", "ways")

    def __init__(self, udp: Udp, tcp: Streams, tls: Streams) -> None:
        self.udp = udp
        self.tcp = tcp
        self.tls = tls
        self.address = udp.address
        self.v6 = ":" in udp.address[0]
        self._wildcard = udp.address[0] in ("0.0.0.0", "::")
        self._shown = "" if self._wildcard else host_port(*udp.address)
        self.ways: dict[str, Way] = {}
        """To URIs with an address and no name over UDP: found once, they stay."""

    def keep(self, hop: str, way: Way) -> None:
        """Remember the way to a URI that always leads to the same socket."""
        if len(self.ways) >= _REMEMBERED:
            self.ways.clear()
        self.ways[hop] = way

    def host_for(self, peer: str) -> str:
        """Our address as this peer can reach it."""
        if not self._wildcard:
            return self.address[0]
        return own_address(peer if is_literal(peer) else _ELSEWHERE)

    def shown(self, peer: str, flow: object = None) -> str:
        """Our `host:port` as this peer can reach it, over the transport of `flow` (UDP without one)."""
        if self._shown and not isinstance(flow, Connection):
            return self._shown
        port = self.address[1]
        if isinstance(flow, Connection) and flow.transport == "TLS":
            port = self.tls.address[1] if self.tls.address else flow.our_port or port
        return host_port(self.host_for(peer), port)


class Routes:
    """The addresses of one agent and the ways from them."""

    def __init__(
        self, owner: Owner, tls: Tls | None = None, resolver: Resolver | None = None, terms: Terms | None = None
    ) -> None:
        self._owner = owner
        self._tls = tls
        self._resolver = resolver or Resolver()
        self._terms = terms or Terms()
        self._bound: dict[tuple[str, int], Bound] = {}
        self._no_tcp: dict[tuple[str, int], float] = {}
        self._lookups: set[asyncio.Task[None]] = set()

    async def bind(self, host: str, port: int, tls_port: int | None = None) -> Bound:
        """Take an address for UDP and TCP, and with a certificate of ours for TLS. Raises OSError.

        `tls_port` is one above the other where it is not given; 0 is any free one, as for `port`.
        """
        for _ in range(20):
            udp = Udp(self._owner, host, port)
            tcp = Streams(self._owner, udp.address, self._terms)
            if self._tls is None:
                self._tls = Tls()  # what we show is nothing, whom we believe is for the system to say
            tls = Streams(self._owner, udp.address, self._terms, self._tls)
            try:
                await tcp.listen(*udp.address)
                if self._tls.has_certificate:
                    await tls.listen(host, tls_port if tls_port is not None else port and port + 1)
            except OSError:
                udp.close()
                tcp.close()
                if port:
                    raise
                continue  # the port is free for UDP only: another one
            bound = self._bound[udp.address] = Bound(udp, tcp, tls)
            return bound
        raise OSError(f"no port of {host} is free for both UDP and TCP")

    def close(self) -> None:
        self._resolver.close()
        for task in list(self._lookups):
            task.cancel()
        for bound in self._bound.values():
            bound.udp.close()
            bound.tcp.close()
            bound.tls.close()
        self._bound.clear()

    def at(self, address: tuple[str, int]) -> Bound:
        """The sockets at an address of ours. Raises KeyError."""
        return self._bound[address]

    def lost(self, flow: Flow, refused: bool) -> None:
        """A connection is gone; `refused` when it never stood."""
        if refused and flow.transport == "TCP":
            if len(self._no_tcp) >= _REMEMBERED:
                self._no_tcp.clear()
            self._no_tcp[flow.host, flow.port] = asyncio.get_running_loop().time() + _NO_TCP_S

    def way_back(self, flow: Flow, sent_by: str) -> Flow:
        """A new connection for an answer whose own is gone (RFC 3261 section 18.2.2).

        It leads to the sender's address, whatever its Via says, and to the port of its sent-by.
        """
        bound = self._bound.get(flow.local)
        if bound is None or not flow.reliable:
            return flow
        streams, usual = (bound.tls, 5061) if flow.transport == "TLS" else (bound.tcp, 5060)
        host, _, digits = sent_by.rpartition(":")
        port = int(digits or usual)
        if not 0 < port < 65536:
            return flow
        return streams.existing(flow.host, port) or streams.connect(flow.host, port, (host.strip("[]"),))

    # -- who registered ---------------------------------------------------------------

    def standing(self, transport: str, host: str, port: int, local: tuple[str, int]) -> Flow | None:
        """The flow to a peer's socket from an address of ours, if there is one now: always over UDP.

        For who registered over it: `sip:host:port;transport=...` with that socket leads to it.
        """
        bound = self._bound.get(local)
        if bound is None:
            return None
        if transport == "UDP":
            return UdpFlow(bound.udp, host, port)
        found = (bound.tls if transport == "TLS" else bound.tcp).existing(host, port)
        if found is not None:
            found.is_lent = True
        return found

    # -- finding ----------------------------------------------------------------------

    def find(self, hop: str, bound: Bound, dialog: Dialog | None, go: Go, key: str = "") -> None:
        """Find the flow to a URI and go on with it; only a name that is new takes time.

        `key` decides between servers of one name that are equal: the same key, the same order.
        """
        if dialog is None or dialog.transport not in _STREAMS:
            way = bound.ways.get(hop)
            if way is not None:
                go(way)
                return
        try:
            uri = Uri.parse(hop)
        except BadUri:
            go(Way(None, why=f"no way to {hop}: that is no sip: address"))
            return
        standing = self._standing(uri, bound, dialog)
        if standing is not None:
            go(Way(standing))
            return
        host = uri.maddr or uri.host
        if is_literal(host):
            if (":" in host) is not bound.v6:
                mine = "IPv6" if bound.v6 else "IPv4"
                go(Way(None, why=f"no way to {hop}: {bound.address[0]} reaches {mine} addresses only"))
            else:
                way = Way(self.flow(direct(uri, host), bound, hop, dialog))
                if isinstance(way.flow, UdpFlow):
                    bound.keep(hop, way)
                go(way)
            return
        known = self._resolver.known(uri, bound.v6)
        if known is not None:
            go(self._way(known, hop, bound, dialog, key))
            return
        task = asyncio.get_running_loop().create_task(self._look_up(uri, hop, bound, dialog, go, key))
        self._lookups.add(task)
        task.add_done_callback(self._lookups.discard)

    def flow(self, target: Target, bound: Bound, hop: str, dialog: Dialog | None) -> Flow:
        """The flow to one place; `hop` is the URI that led there, whose host a certificate must name."""
        transport, host, port = target
        if transport == "UDP":
            return UdpFlow(bound.udp, host, port)
        if transport == "TCP":
            return bound.tcp.connect(host, port)
        theirs = bound.tls.existing(host, port)
        if theirs is not None and theirs.is_lent and is_literal(Uri.parse(hop).host):
            return theirs
        return bound.tls.connect(host, port, _names(hop, dialog))

    def _standing(self, uri: Uri, bound: Bound, dialog: Dialog | None) -> Flow | None:
        if dialog is not None and dialog.peer is not None and dialog.transport in _STREAMS:
            if dialog.transport == "TLS":
                standing = bound.tls.existing(*dialog.peer, (uri.host, *_called(dialog)))
            else:
                standing = bound.tcp.existing(*dialog.peer) if not uri.secure else None
            if standing is not None and uri.transport != "udp":
                return standing
        return None

    async def _look_up(self, uri: Uri, hop: str, bound: Bound, dialog: Dialog | None, go: Go, key: str) -> None:
        found: Plan | NoWay
        try:
            found = await self._resolver.find(uri, bound.v6)
        except NoWay as wrong:
            found = wrong
        go(self._way(found, hop, bound, dialog, key))

    def _way(self, found: Plan | NoWay, hop: str, bound: Bound, dialog: Dialog | None, key: str) -> Way:
        if isinstance(found, NoWay):
            return Way(None, why=f"no way to {hop}: {found}")
        first, *more = found.targets(key)
        return Way(self.flow(first, bound, hop, dialog), tuple(more))

    def for_size(self, request: Request, flow: Flow, bound: Bound) -> Flow:
        """The flow itself, or TCP when the request is too large for a datagram."""
        if flow.reliable or len(request.body) + _HEAD <= _LARGE:
            return flow
        if len(request.to_bytes()) + 120 <= _LARGE:  # its Via and Contact are still to come
            return flow
        if self._no_tcp.get((flow.host, flow.port), 0.0) > asyncio.get_running_loop().time():
            return flow
        return bound.tcp.connect(flow.host, flow.port)


_STREAMS = ("TCP", "TLS")


def _names(hop: str, dialog: Dialog | None) -> tuple[str, ...]:
    """Whom a certificate may name: the URI's host, and inside a dialog also whom we called.

    A Contact is often a bare address, and only the name that was called is in the certificate; who
    proves that name is who we called, wherever it is.
    """
    return tuple(dict.fromkeys((Uri.parse(hop).host, *_called(dialog))))


def _called(dialog: Dialog | None) -> tuple[str, ...]:
    try:
        return (Uri.parse(uri_of(dialog.remote)).host,) if dialog is not None else ()
    except BadUri:
        return ()


def contact(user: str, shown: str, transport: str, secure: bool = False) -> str:
    """Our Contact value; `secure` where the other side's URI is sips: (RFC 3261 section 8.1.1.8).

    A secure one names its transport too, which is needless and deprecated: baresip 1.0 goes by that
    alone and sends a BYE to a bare sips: over UDP (measured).
    """
    who = f"{user}@" if user else ""
    if secure:
        return f"<sips:{who}{shown};transport=tls>"
    return f"<sip:{who}{shown}>" if transport == "UDP" else f"<sip:{who}{shown};transport={transport.lower()}>"


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

"""SIP over UDP: one socket with a large receive buffer and a drain loop.

What is sent in one turn of the event loop leaves together at its end: a peer that sleeps is
woken once for all of it, and waking costs the sender more than the datagram (measured: 8 % of a pair).

Refusals (ICMP) are read from the error queue, so that a closed port is known at once instead
of after 32 s (RFC 3261 section 18.4).
"""

import asyncio
import contextlib
import re
import socket
import struct

from adapters.sip.transport import Flow, Owner

RECEIVE_BUFFER = 8 * 1024 * 1024
_DRAIN = 256
"""Datagrams read in one go before others get their turn."""
_REMEMBERED = 20_000
"""Peers whose flows are kept at hand; beyond it the table starts anew."""
_BATCH = 64
"""Datagrams that wait for one another at most."""
_IP_RECVERR = 11
_IPV6_RECVERR = 25
_SO_RCVBUFFORCE = 33

_BRANCH = re.compile(rb"branch=([^\s;,]+)")
_SENT = re.compile(rb"([A-Z]+) ")


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
        self._flows: dict[tuple[str, int], UdpFlow] = {}
        self._waiting: list[tuple[bytes, tuple[str, int]]] = []
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(sock.fileno(), self._readable)

    def close(self) -> None:
        if self._socket.fileno() >= 0:
            self._flush()
            self._loop.remove_reader(self._socket.fileno())
            self._socket.close()

    def send(self, data: bytes, host: str, port: int) -> None:
        """Send it at the end of this turn of the loop, behind what waits already."""
        waiting = self._waiting
        if not waiting:
            self._loop.call_soon(self._flush)
        waiting.append((data, (host, port)))
        if len(waiting) >= _BATCH:
            self._flush()

    def _flush(self) -> None:
        waiting, self._waiting = self._waiting, []
        for data, peer in waiting:
            self._send(data, peer)

    def _send(self, data: bytes, peer: tuple[str, int]) -> None:
        for _ in range(3):
            try:
                self._socket.sendto(data, peer)
                return
            except (BlockingIOError, OverflowError, ValueError):
                break  # full; or a stranger's Via named a port that is none
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
            received(data, self._flows.get(peer) or self._flow(peer))
            if self._socket.fileno() < 0:
                return
        self._refusals()

    def _flow(self, peer: tuple[str, int]) -> UdpFlow:
        """For a peer that has not been heard before."""
        if len(self._flows) >= _REMEMBERED:
            self._flows.clear()
        flow = self._flows[peer] = UdpFlow(self, peer[0], peer[1])
        return flow

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

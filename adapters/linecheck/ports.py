"""Pairs of UDP ports for sound: an even one for RTP, the odd one above it for RTCP (RFC 3550 section 11)."""

import contextlib
import socket
from dataclasses import dataclass

_TRIES_ANYWHERE = 64
_TIMESTAMPNS = 35
"""SO_TIMESTAMPNS of Linux (asm-generic/socket.h), which Python has no name for."""
_BUFFER = 262_144


class NoPorts(Exception):
    """No pair is free; the text says in which range."""


@dataclass(frozen=True, slots=True)
class Pair:
    """Two bound sockets. Close it when the call is over."""

    rtp: socket.socket
    rtcp: socket.socket

    @property
    def port(self) -> int:
        port: int = self.rtp.getsockname()[1]
        return port

    def close(self) -> None:
        """Safe to repeat."""
        self.rtp.close()
        self.rtcp.close()


class Ports:
    """Gives out pairs by turns, so that a port just given up rests; without a range, any free ones.

    What is given out is bound, so that no two can be given the same; nothing is searched
    through: a try costs one `bind`.
    """

    __slots__ = ("_first", "_next", "_pairs")

    def __init__(self, first: int = 0, last: int = 0) -> None:
        """`first` to `last`, both included; 0 for no range. Raises ValueError."""
        if first and not 1024 <= first < last <= 65535:
            raise ValueError(f"ports {first} to {last} are no range; expected 1024 to 65535, the first below the last")
        self._first = first + first % 2
        self._pairs = (last - self._first + 1) // 2
        if first and self._pairs < 1:
            raise ValueError(f"ports {first} to {last} hold no pair of an even port and the one above it")
        self._next = 0

    def take(self, host: str) -> Pair:
        """A pair of sockets on `host`. Raises NoPorts."""
        if not self._first:
            for _ in range(_TRIES_ANYWHERE):
                pair = _anywhere(host)
                if pair is not None:
                    return pair
            raise NoPorts(f"no two UDP ports of {host} beside one another are free")
        for _ in range(self._pairs):
            port = self._first + 2 * self._next
            self._next = (self._next + 1) % self._pairs
            pair = at(host, port)
            if pair is not None:
                return pair
        raise NoPorts(f"all UDP ports from {self._first} on ({self._pairs} pairs) of {host} are taken")


def _anywhere(host: str) -> Pair | None:
    rtp = _socket(host)
    try:
        rtp.bind((host, 0))
    except OSError as error:
        rtp.close()
        raise NoPorts(f"{host} is no address of this machine: {error.strerror}") from None
    port = rtp.getsockname()[1]
    if port % 2 or port == 65534:
        rtp.close()
        return None
    return _with_rtcp(rtp, host, port)


def at(host: str, port: int) -> Pair | None:
    """The pair from `port` on; None when one of the two is taken."""
    rtp = _socket(host)
    try:
        rtp.bind((host, port))
    except OSError:
        rtp.close()
        return None
    return _with_rtcp(rtp, host, port)


def _with_rtcp(rtp: socket.socket, host: str, port: int) -> Pair | None:
    rtcp = _socket(host)
    try:
        rtcp.bind((host, port + 1))
    except OSError:
        rtp.close()
        rtcp.close()
        return None
    return Pair(rtp, rtcp)


def _socket(host: str) -> socket.socket:
    made = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
    made.setblocking(False)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
    with contextlib.suppress(OSError):
        made.setsockopt(socket.SOL_SOCKET, _TIMESTAMPNS, 1)  # when a packet came, not when we read it
    return made

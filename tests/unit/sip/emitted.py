"""A second opinion on what we write: every message that our sockets send is read by sipmessage, a strict parser."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import sipmessage

from adapters.sip.message import parse
from adapters.sip.stream import Connection
from adapters.sip.udp import Udp


@contextmanager
def recorded() -> Iterator[list[bytes]]:
    """What all agents of this process send meanwhile, word for word."""
    sent: list[bytes] = []
    by_udp, by_stream = Udp.send, Connection.send

    def datagram(udp: Udp, data: bytes, host: str, port: int) -> None:
        sent.append(data)
        by_udp(udp, data, host, port)

    def on_stream(connection: Connection, data: bytes) -> None:
        sent.append(data)
        by_stream(connection, data)

    Udp.send, Connection.send = datagram, on_stream  # type: ignore[method-assign]
    try:
        yield sent
    finally:
        Udp.send, Connection.send = by_udp, by_stream  # type: ignore[method-assign]


@cache
def _fields(kind: type[sipmessage.Message]) -> tuple[str, ...]:
    return tuple(name for one in kind.__mro__ for name, value in vars(one).items() if isinstance(value, property))


def read_strictly(data: bytes) -> None:
    """Every header that sipmessage knows the grammar of is read. Raises ValueError."""
    ours = parse(data)
    strict = sipmessage.Message.parse(data)
    for name in _fields(type(strict)):
        getattr(strict, name)
    assert strict.call_id == ours.call_id
    assert (strict.cseq.sequence, strict.cseq.method) == (ours.cseq, ours.cseq_method)
    assert strict.via[0].parameters["branch"] == ours.branch
    assert strict.body == ours.body

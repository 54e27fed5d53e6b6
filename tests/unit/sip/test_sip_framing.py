"""Messages cut from a byte stream (RFC 3261 section 18.3, RFC 5626 section 3.5.1)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.sip.framing import Framer
from adapters.sip.message import MAX_HEAD, Malformed

ONE = b"OPTIONS sip:a@b SIP/2.0\r\nVia: x\r\nContent-Length: 5\r\n\r\nab\r\n\r"
TWO = b"SIP/2.0 200 OK\nl :\n 0\n\n"
THREE = b"BYE sip:a@b SIP/2.0\r\nContent-Length: 0\r\nX: Content-Length: 9\r\n\r\n"


@pytest.mark.rfc("3261", "18.3")
@pytest.mark.rfc("5626", "3.5.1")
def test_the_stream_may_break_at_every_byte() -> None:
    stream = b"\r\n\r\n" + ONE + b"\r\n" + TWO + b"\r\n\r\n" + THREE
    for cut in range(len(stream) + 1):
        framer = Framer()
        assert framer.feed(stream[:cut]) + framer.feed(stream[cut:]) == [ONE, TWO, THREE], cut
        assert framer.pings == 2


@pytest.mark.rfc("3261", "18.3")
@given(st.lists(st.integers(1, 30), max_size=40))
def test_the_pieces_do_not_matter(sizes: list[int]) -> None:
    stream = ONE + TWO + THREE + ONE
    framer, got, at = Framer(), [], 0
    for size in sizes:
        got += framer.feed(stream[at : at + size])
        at += size
    got += framer.feed(stream[at:])
    assert got == [ONE, TWO, THREE, ONE]


@pytest.mark.rfc("3261", "18.3")
@pytest.mark.parametrize("length", [b"-1", b"x", b"999999999", b"1\r\nl: 2", b""])
def test_a_length_that_is_none_ends_the_stream(length: bytes) -> None:
    with pytest.raises(Malformed):
        Framer().feed(b"OPTIONS sip:a@b SIP/2.0\r\nContent-Length: " + length + b"\r\n\r\n")


@pytest.mark.rfc("3261", "18.3", "20.14")
def test_a_message_without_a_length_ends_the_stream() -> None:
    with pytest.raises(Malformed, match="no Content-Length"):
        Framer().feed(b"OPTIONS sip:a@b SIP/2.0\r\nVia: x\r\n\r\n")


def test_a_head_without_an_end_is_given_up() -> None:
    framer = Framer()
    with pytest.raises(Malformed, match="a head of more than"):
        for _ in range(MAX_HEAD // 100 + 2):
            framer.feed(b"x" * 100)

"""Recorded sessions: nothing is lost in writing them down, secrets are, and a wrong file says where."""

import pytest
from hypothesis import given
from hypothesis import strategies as some

from adapters.transcript import MOST_BYTES, Recorder, TranscriptError, parse, unwritten, written

HEAD = "# t\n# source: captured\n"


@given(some.binary(max_size=200))
def test_bytes_written_down_are_the_same_bytes(data: bytes) -> None:
    text = written(data)
    assert unwritten(text) == data and "\n" not in text and "\r" not in text


@given(some.lists(some.tuples(some.sampled_from("<>"), some.binary(min_size=1, max_size=50)), max_size=20))
def test_a_recording_reads_back(pieces: list[tuple[str, bytes]]) -> None:
    tape = Recorder("acme", (), lambda: 0.0)
    for kind, data in pieces:
        (tape.received if kind == "<" else tape.sent)(data)
    read = parse(tape.text())
    for kind in "<>":
        assert b"".join(e.data for e in read.entries if e.kind == kind) == b"".join(d for k, d in pieces if k == kind)


def test_a_secret_is_gone_even_if_it_came_in_pieces() -> None:
    tape = Recorder("acme", ("mật-khẩu\\1",), lambda: 0.0)
    secret = "mật-khẩu\\1".encode()
    tape.sent(b"login ")
    tape.sent(secret + b"\r")
    for byte in secret:
        tape.received(bytes([byte]))
    tape.verb("log", {"with": "mật-khẩu\\1"})
    tape.event("Odd mật-khẩu\\1")
    text = tape.text()
    assert "khẩu" not in text and text.count("***") == 4


def test_verbs_events_and_keys_are_kept() -> None:
    read = parse(
        '# A title\n# family: acme\n# source: made up, today\n! 0.1 dial {"leg": "x"}\n= 0.25 LegConnected x\n'
    )
    assert read.title == "A title" and read.source == "made up" and read.keys["family"] == "acme"
    assert read.entries[0].verb == ("dial", {"leg": "x"}) and read.entries[1].at_s == 0.25


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (HEAD + "what is this", "line 3"),
        (HEAD + r"< 0.0 \q", "line 3.*no escape"),
        (HEAD + r"< 0.0 \x1", "line 3.*no escape"),
        (HEAD + "! 0.0 dial {", "line 3"),
        (HEAD + "< soon OK", "line 3.*seconds"),
        ("# t\n< 0.0 OK\n", "source"),
        ("# t\n# source: hearsay\n", "source.*captured"),
    ],
)
def test_a_file_that_is_none_says_which_line_and_what_would_be_right(text: str, told: str) -> None:
    with pytest.raises(TranscriptError, match=told):
        parse(text)


def test_a_recording_has_an_end() -> None:
    tape = Recorder("acme", (), lambda: 0.0)
    for _ in range(MOST_BYTES // 10_000 + 10):
        tape.received(b"x" * 10_000)
        tape.sent(b"y")
    assert tape.is_cut and "cut after" in tape.text() and len(tape.text()) < 2 * MOST_BYTES

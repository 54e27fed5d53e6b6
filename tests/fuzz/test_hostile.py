"""What is read costs what its length costs: texts on which a search that begins anew never comes to its end.

Each text is as long as it may be. Read once it takes some milliseconds; the bound is what nobody needs who
reads it once, and what every quadratic reader of these texts passed by far (3 to 60 s, measured).
"""

import time
from collections.abc import Callable

import pytest

from adapters.sip import sdp as sdps
from adapters.sip.message import MAX_BODY
from tests.fuzz.targets import TARGETS

BOUND_S = 2.0
LONG = 30_000
HEAD = (
    "INVITE sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\nFrom: <sip:x@y>;tag=1\r\nTo: <sip:a@b>\r\n"
    "Call-ID: i\r\nCSeq: 1 INVITE\r\n"
)
TEXTS = {
    "blanks": " " * LONG + "x",
    "letters": "a" * LONG,
    "words": "a " * (LONG // 2),
    "quotes": '"' * (LONG - 1),
    "quoted quotes": '\\"' * (LONG // 2),
    "a quote without an end": '"\\' * (LONG // 2) + "x",
    "brackets": "<" * LONG,
    "commas": "," * LONG,
    "semicolons": ";" * LONG,
    "tags": ";tag" * (LONG // 4),
    "fields": "a=," * (LONG // 3),
    "a Via with blanks behind": "SIP/2.0/UDP h" + " " * LONG + "x",
    "a Via with blanks around its colon": "SIP/2.0/UDP h" + " " * (LONG // 2) + ":" + " " * (LONG // 2) + "x",
    "a Via with many rports": "SIP/2.0/UDP h" + ";rport  " * (LONG // 8),
}


def seconds(act: Callable[[], object]) -> float:
    """What it costs this process."""
    began = time.process_time()
    act()
    return time.process_time() - began


@pytest.mark.parametrize("subject", ["uri", "digest", "sdp"])
@pytest.mark.parametrize("text", TEXTS)
def test_alone(subject: str, text: str) -> None:
    prefix = {"digest": "Digest ", "sdp": "m=audio 5 "}.get(subject, "")
    assert seconds(lambda: TARGETS[subject]((prefix + TEXTS[text]).encode())) < BOUND_S


@pytest.mark.parametrize("subject", ["parser", "framing"])
@pytest.mark.parametrize("text", TEXTS)
def test_as_a_header(subject: str, text: str) -> None:
    def read() -> None:
        for name in ("Via", "Contact", "Record-Route", "X", "l"):
            TARGETS[subject](f"{HEAD}{name}: {TEXTS[text]}\r\nl: 0\r\n\r\n".encode())

    assert seconds(read) < BOUND_S


def test_many_media_lines() -> None:
    two = b"m=audio 5 RTP/AVP 97\r\nm=audio 5 RTP/SAVP 97\r\nm=video 5 RTP/AVP 97\r\n"
    offer = two * (MAX_BODY // len(two))

    def change() -> None:
        assert sdps.without_doubles(offer).count(b"m=audio 0 RTP/SAVP") == offer.count(b"m=audio 5 RTP/SAVP")
        assert b"m=video 5" not in sdps.without_video(offer)

    assert seconds(change) < BOUND_S


def test_a_stream_in_single_bytes() -> None:
    from adapters.sip.framing import Framer

    framer = Framer()

    def drip() -> None:
        for byte in b"OPTIONS sip:a@b SIP/2.0\r\nl: 100000\r\n\r\n" + b"x" * 100_000:
            framer.feed(bytes([byte]))

    assert seconds(drip) < BOUND_S

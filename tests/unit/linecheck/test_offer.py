"""Descriptions: what is offered, what is made of an answer, what is answered to an offer."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.linecheck.offer import Codec, answer, far_sound, offer
from adapters.sip.sdp import medias
from tests.unit.linecheck.far import description


def test_the_offer_is_audio_only() -> None:
    (media,) = medias(offer("127.0.0.1", 16400, 7))
    assert (media.kind, media.port, media.formats) == ("audio", 16400, "0 8 101")
    assert b"c=IN IP6 ::1\r\n" in offer("::1", 16400, 7)


@pytest.mark.parametrize(
    ("sdp", "found"),
    [
        (description(4000, "8 0"), (Codec.PCMA, 8, 4001)),
        (description(4001, "0"), (Codec.PCMU, 0, 4002)),
        (description(4000, "96", "a=rtpmap:96 pcma/8000/1\r\n"), (Codec.PCMA, 96, 4001)),
        (description(4000, "0", "a=rtcp:5000\r\n"), (Codec.PCMU, 0, 5000)),
        (description(4000, "0", "a=rtcp:99999\r\n"), (Codec.PCMU, 0, 4001)),
        (description(0, "0"), None),
        (description(4000, "96", "a=rtpmap:96 PCMA/16000\r\n"), None),
        (description(4000, "0", "a=rtpmap:0 opus/48000/2\r\n"), None),
        (description(4000, "9 18"), None),
        (description(4000).replace(b"RTP/AVP", b"RTP/SAVP"), None),
        (description(4000).replace(b"c=IN IP4 127.0.0.1\r\n", b""), None),
        (b"", None),
        (b"\xff\xfe nonsense", None),
        (description(4000).replace(b"m=audio", b"m=video 5000 RTP/AVP 96\r\nm=audio"), (Codec.PCMU, 0, 4001)),
    ],
)
def test_what_an_answer_says(sdp: bytes, found: tuple[Codec, int, int] | None) -> None:
    far = far_sound(sdp)
    assert (None if far is None else (far.codec, far.payload, far.rtcp_port)) == found


@pytest.mark.parametrize(
    ("line", "listens", "speaks"),
    [("sendrecv", 1, 1), ("sendonly", 0, 1), ("recvonly", 1, 0), ("inactive", 0, 0), ("ptime:20", 1, 1)],
)
def test_directions_are_the_peers(line: str, listens: int, speaks: int) -> None:
    far = far_sound(description(4000, "0", f"a={line}\r\n"))
    assert far is not None and (far.listens, far.speaks) == (bool(listens), bool(speaks))
    ours = answer(description(4000, "0", f"a={line}\r\n"), "127.0.0.1", 16400, 7, 2)
    back = far_sound(ours or b"")
    assert back is not None and (back.listens, back.speaks) == (bool(speaks), bool(listens))


def test_nowhere_is_a_hold() -> None:
    far = far_sound(description(4000, host="0.0.0.0"))
    assert far is not None and not far.listens and not far.speaks


def test_an_offer_is_answered_line_for_line_with_its_numbers() -> None:
    more = "m=video 5000 RTP/AVP 96\r\nm=application 6000 TCP/BFCP *\r\nm=audio 7000 RTP/AVP 0\r\n"
    lines = "a=rtpmap:107 PCMA/8000\r\na=rtpmap:97 telephone-event/8000\r\n"
    ours = answer(description(4000, "99 107 97", lines, more=more), "127.0.0.1", 16400, 7, 2)
    assert ours is not None
    assert [(media.kind, media.port, media.formats) for media in medias(ours)] == [
        ("audio", 16400, "107 97"), ("video", 0, "96"), ("application", 0, "*"), ("audio", 0, "0"),
    ]  # fmt: skip
    assert answer(description(4000, "9"), "127.0.0.1", 16400, 7, 2) is None


@given(st.binary(max_size=400))
def test_any_bytes_are_taken(data: bytes) -> None:
    for sdp in (data, b"m=audio 4000 RTP/AVP " + data, description(4000, "0", data.decode("latin-1"))):
        far_sound(sdp)
        answer(sdp, "127.0.0.1", 16400, 7, 2)

"""SDP is relayed as it is; the few changes touch nothing else (RFC 3264, RFC 3725)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.sip.sdp import (
    awake,
    black_hole,
    hold,
    medias,
    origin,
    refusal,
    same_media,
    same_session,
    with_origin,
    without_doubles,
    without_video,
    zero_ports,
)
from tests.unit.sip.wire import sdp

TWICE = (
    b"v=0\r\no=FreeSWITCH 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
    b"m=audio 20004 RTP/SAVP 0 101\r\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:x\r\n"
    b"m=audio 20004 RTP/AVP 0 101\r\na=rtpmap:0 PCMU/8000\r\n"
    b"m=application 20010/2 UDP/BFCP *\r\n"
)


@pytest.mark.rfc("3264", "5")
def test_media_lines_are_found_in_order() -> None:
    assert [(m.kind, m.port, m.protocol, m.formats) for m in medias(TWICE)] == [
        ("audio", 20004, "RTP/SAVP", "0 101"),
        ("audio", 20004, "RTP/AVP", "0 101"),
        ("application", 20010, "UDP/BFCP", "*"),
    ]
    assert medias(b"") == []


@pytest.mark.rfc("3264", "8.2")
def test_zeroing_a_port_changes_that_port_alone() -> None:
    assert zero_ports(TWICE, {1}) == TWICE.replace(b"20004 RTP/AVP", b"0 RTP/AVP")
    assert zero_ports(TWICE, {2}) == TWICE.replace(b"20010/2", b"0")


@pytest.mark.rfc("3264", "5.1")
def test_of_one_audio_offered_twice_the_secure_line_is_given_up() -> None:
    assert without_doubles(TWICE) == TWICE.replace(b"20004 RTP/SAVP", b"0 RTP/SAVP")
    assert without_doubles(sdp(video=True)) == sdp(video=True)


@pytest.mark.rfc("3264", "5.1")
@pytest.mark.parametrize(
    "lines",
    [
        b"m=audio 20004 RTP/SAVP 0\r\n",  # the only way there is
        b"m=audio 20004 RTP/SAVP 0\r\nm=audio 20006 RTP/AVP 0\r\n",  # two media, each with its port
        b"m=audio 20004 RTP/SAVP 0\r\nm=video 20004 RTP/AVP 96\r\n",  # bundled, and not the same media
        b"m=audio 20004 RTP/SAVP 0\r\nm=audio 0 RTP/AVP 0\r\n",  # the other one is switched off
    ],
)
def test_a_secure_line_that_stands_for_itself_is_kept(lines: bytes) -> None:
    one = b"v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n" + lines
    assert without_doubles(one) is one


def test_video_is_switched_off_in_place() -> None:
    assert without_video(sdp(video=True)) == sdp(video=True).replace(b"m=video 4002", b"m=video 0")
    assert without_video(sdp()) == sdp()


@pytest.mark.rfc("3264", "6.1")
@pytest.mark.rfc("3725", "4.3")
def test_a_hold_answer_takes_the_first_plain_audio_into_a_black_hole() -> None:
    answer = hold(TWICE, 1, "192.0.2.7")
    assert [(m.kind, m.port, m.protocol) for m in medias(answer)] == [
        ("audio", 0, "RTP/SAVP"),
        ("audio", 9, "RTP/AVP"),
        ("application", 0, "UDP/BFCP"),
    ]
    assert b"c=IN IP4 0.0.0.0\r\n" in answer
    assert b"a=rtpmap:0 PCMU/8000\r\na=inactive\r\n" in answer
    assert b"crypto" not in answer


@pytest.mark.rfc("3264", "6")
def test_a_refusal_takes_nothing() -> None:
    assert [m.port for m in medias(refusal(TWICE, 1, "192.0.2.7"))] == [0, 0, 0]


@pytest.mark.rfc("3264", "8")
def test_our_origin_replaces_the_origin_line_alone() -> None:
    changed = with_origin(sdp(), 1, 4, "192.0.2.7")
    assert changed == sdp().replace(b"o=- 7 1 IN IP4 127.0.0.1", b"o=diemcau 1 4 IN IP4 192.0.2.7")


def test_the_same_media_is_told_by_place_not_by_words() -> None:
    assert same_media(sdp(video=True), sdp(video=True, version=9).replace(b"a=x-odd", b"a=y-odd"))
    assert not same_media(sdp(), sdp(port=4010))
    assert not same_media(sdp(), sdp(host="127.0.0.2"))
    assert not same_media(sdp(video=True), sdp())
    assert same_media(without_video(sdp(video=True)), sdp())


@given(st.binary(max_size=300))
def test_no_bytes_break_it(noise: bytes) -> None:
    for text in (noise, b"m=audio 1 RTP/AVP 0\r\n" + noise):
        hold(text, 1, "h")
        assert len(medias(refusal(text, 1, "h"))) == len(medias(text))
        without_doubles(text)
        same_media(text, noise)


@pytest.mark.rfc("3725", "4.4")
def test_a_black_hole_is_an_offer_that_sends_nothing_anywhere() -> None:
    offer = black_hole(1, "127.0.40.1")
    [audio] = medias(offer)
    assert (audio.kind, audio.port, audio.protocol) == ("audio", 9, "RTP/AVP")
    assert b"\r\nc=IN IP4 0.0.0.0\r\n" in offer and offer.endswith(b"a=inactive\r\n")
    assert origin(1, 1, "127.0.40.1") in offer


@pytest.mark.rfc("3264", "8.4")
def test_an_answer_to_a_hold_is_awake_again() -> None:
    held = b"v=0\r\nm=audio 4000 RTP/AVP 0\r\na=inactive\r\na=rtpmap:0 PCMU/8000\r\n"
    assert awake(held) == b"v=0\r\nm=audio 4000 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\n"
    assert awake(held.replace(b"\r\n", b"\n")) == b"v=0\nm=audio 4000 RTP/AVP 0\na=rtpmap:0 PCMU/8000\n"


def test_the_same_session_under_another_origin_is_the_same() -> None:
    one = b"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\nm=audio 4000 RTP/AVP 0\r\n"
    assert same_session(one, with_origin(one, 1, 7, "127.0.0.9"))
    assert not same_session(one, one.replace(b"4000", b"4002"))
    assert not same_session(one, one + b"a=sendonly\r\n")

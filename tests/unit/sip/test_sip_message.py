"""The parser: tolerant in what it takes, strict in what it believes (RFC 3261 sections 7, 8, 25; RFC 4475)."""

import pytest
import sipmessage
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.sip.dialog import Dialog
from adapters.sip.message import (
    MAX_BODY,
    Malformed,
    Request,
    Response,
    display_of,
    name_addr,
    parse,
    response_to,
    split_commas,
    tag_of,
    uri_of,
)

HEAD = (
    "INVITE sip:room@192.0.2.1 SIP/2.0\r\n"
    "Via: SIP/2.0/UDP 192.0.2.9:5060;branch=z9hG4bKabc\r\n"
    'From: "Xã A" <sip:ep@192.0.2.9>;tag=f1\r\n'
    "To: <sip:room@192.0.2.1>\r\n"
    "Call-ID: c1@192.0.2.9\r\n"
    "CSeq: 7 INVITE\r\n"
)


def whole(head: str = HEAD, body: bytes = b"") -> bytes:
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


@pytest.mark.rfc("3261", "8.1.1", "17.1.3")
def test_who_and_which_transaction_are_read_once() -> None:
    message = parse(whole())
    assert isinstance(message, Request)
    assert (message.method, message.uri) == ("INVITE", "sip:room@192.0.2.1")
    assert (message.call_id, message.cseq, message.cseq_method) == ("c1@192.0.2.9", 7, "INVITE")
    assert (message.branch, message.from_tag, message.to_tag) == ("z9hG4bKabc", "f1", "")
    assert display_of(message.get("from")) == "Xã A"


@pytest.mark.rfc("3261", "7.3.1", "7.3.3")
def test_compact_names_folding_and_no_space_after_the_colon_are_taken() -> None:
    message = parse(
        b"OPTIONS sip:a@b SIP/2.0\r\n"
        b"v:SIP/2.0/UDP h;branch=z9hG4bK1,\r\n SIP/2.0/TCP g;branch=z9hG4bK2\r\n"
        b"f:<sip:x@y>\r\n\t;tag=one\r\nt:sip:a@b;tag=two\r\ni:id\r\nCSEQ :  1   OPTIONS\r\n"
        b"l:3\r\nc:text/plain\r\n\r\nabcdef"
    )
    assert message.branch == "z9hG4bK1"
    assert len(message.listed("via")) == 2
    assert (message.from_tag, message.to_tag, message.call_id) == ("one", "two", "id")
    assert message.body == b"abc"
    assert message.get("content-type") == "text/plain"


@pytest.mark.rfc("3261", "7.5")
def test_bare_line_feeds_and_leading_empty_lines_are_taken() -> None:
    message = parse(b"\r\n\r\n" + whole(body=b"x").replace(b"\r\n", b"\n"))
    assert message.call_id == "c1@192.0.2.9"
    assert message.body == b"x"


@pytest.mark.rfc("3261", "7.4")
def test_bytes_that_are_not_utf8_survive_in_head_and_body() -> None:
    body = bytes(range(256))
    raw = whole(HEAD + "X-Odd: ", body).replace(b"X-Odd: ", b"X-Odd: \xff\xfe\r\n")
    message = parse(raw)
    assert message.body == body
    assert b"X-Odd: \xff\xfe\r\n" in message.to_bytes()
    assert parse(message.to_bytes()).body == body


@pytest.mark.rfc("3261", "7.4.1")
def test_a_body_is_sdp_only_by_its_type() -> None:
    assert parse(whole(HEAD + "Content-Type: Application/SDP ; charset=utf-8\r\n", b"v=0")).sdp == b"v=0"
    assert parse(whole(HEAD + "Content-Type: text/plain\r\n", b"v=0")).sdp == b""


@pytest.mark.rfc("3261", "7.1", "8.1.1.5")
@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("Call-ID: c1@192.0.2.9\r\n", "", "no Call-ID"),
        ("CSeq: 7 INVITE", "CSeq: 7 BYE", "CSeq is for BYE"),
        ("CSeq: 7", "CSeq: 2147483648", "below 2**31"),
        ("CSeq: 7", "CSeq: -7", "below 2**31"),
        ("CSeq: 7", "CSeq: 7\u0663", "below 2**31"),
        ("To: <", "To: <sip:other@x>\r\nTo: <", "2 To headers"),
        ("From: ", "From: <sip:z@z>;tag=q\r\nFrom: ", "2 From headers"),
        ("Via: ", "V ia: ", "is not a header line"),
        ("Via: SIP/2.0/UDP 192.0.2.9:5060;branch=z9hG4bKabc\r\n", "", "no Via"),
        ("SIP/2.0\r\nVia", "SIP/3.0\r\nVia", "not SIP/2.0"),
        ("INVITE sip", "INV ITE sip", "no URI"),
        ("INVITE sip", "<INVITE sip", "neither a request line"),
        ("Call-ID: c1", "Call-ID: c1\rX: y", "bare CR"),
        ("Call-ID: c1", "Call-ID: c1\0", "NUL"),
    ],
)
def test_what_does_not_hold_is_not_believed(old: str, new: str, why: str) -> None:
    assert old in HEAD
    with pytest.raises(Malformed, match=why.replace("**", r"\*\*")):
        parse(whole(HEAD.replace(old, new, 1)))


@pytest.mark.rfc("3261", "18.3")
@pytest.mark.parametrize("length", ["5", "-1", "1e3", "99999999999999", "", "2, 3", str(MAX_BODY + 1)])
def test_a_content_length_that_does_not_fit_gets_a_400(length: str) -> None:
    with pytest.raises(Malformed) as wrong:
        parse(f"{HEAD}Content-Length: {length}\r\n\r\nabc".encode())
    assert wrong.value.request is not None
    assert response_to(wrong.value.request, 400).get("call-id") == "c1@192.0.2.9"


def test_two_content_lengths_must_agree() -> None:
    assert parse(f"{HEAD}l: 2\r\nContent-Length: 2\r\n\r\nabc".encode()).body == b"ab"
    with pytest.raises(Malformed, match="not one number"):
        parse(f"{HEAD}l: 2\r\nContent-Length: 3\r\n\r\nabc".encode())


def test_an_ack_and_a_response_are_never_answerable() -> None:
    for start, cseq in (("ACK sip:room@192.0.2.1 SIP/2.0", "7 ACK"), ("SIP/2.0 200 OK", "7 INVITE")):
        head = HEAD.replace("INVITE sip:room@192.0.2.1 SIP/2.0", start).replace("7 INVITE", cseq)
        with pytest.raises(Malformed) as wrong:
            parse(f"{head}Content-Length: 9\r\n\r\n".encode())
        assert wrong.value.request is None


def test_every_limit_is_a_limit() -> None:
    with pytest.raises(Malformed, match="header lines"):
        parse(whole(HEAD + "X: y\r\n" * 300))
    with pytest.raises(Malformed, match="a head of"):
        parse(whole(HEAD + f"X: {'y' * 40_000}\r\n"))


def test_a_truncated_message_is_never_believed() -> None:
    raw = whole(HEAD, b"v=0\r\n")
    for cut in range(1, len(raw)):
        with pytest.raises(Malformed):
            parse(raw[:cut])


@pytest.mark.rfc("3261", "20.10", "25.1")
def test_the_address_of_a_name_addr_whatever_its_display_name() -> None:
    tricky = r'"a <sip:evil@x>;tag=no, \"b" <sip:good@y;lr>;tag=yes'
    assert uri_of(tricky) == "sip:good@y;lr"
    assert tag_of(tricky) == "yes"
    assert display_of(tricky) == 'a <sip:evil@x>;tag=no, "b'
    assert uri_of("sip:plain@z;tag=t") == "sip:plain@z"
    assert tag_of("sip:plain@z;tag=t") == "t"
    assert split_commas(f'{tricky}, <sip:a,b@z>,"x,y" <sip:q@q>') == [tricky, "<sip:a,b@z>", '"x,y" <sip:q@q>']


def test_no_line_can_be_smuggled_in_by_a_display_name() -> None:
    value = name_addr("sip:a@b", 'Phòng "họp"\r\nBYE: x\\', "t")
    assert "\r" not in value
    assert "\n" not in value
    assert display_of(value) == 'Phòng "họp"BYE: x\\'
    assert tag_of(value) == "t"


@pytest.mark.rfc("3261", "8.1.1", "8.2.6.2")
def test_what_we_write_a_strict_parser_reads() -> None:
    dialog = Dialog(
        "id.1", '"Xã A" <sip:dc7f3a-1-1-1@127.0.0.1:5070>', "ft", "<sip:room@127.0.0.2>", "sip:room@127.0.0.2"
    )
    invite = dialog.request("INVITE", "z9hG4bK1")
    invite.headers["via"] = ["SIP/2.0/UDP 127.0.0.1:5070;branch=z9hG4bK1;rport"]
    invite.headers["contact"] = ["<sip:dc7f3a-1-1-1@127.0.0.1:5070>"]
    invite.body = b"v=0\r\n"
    strict = sipmessage.Request.parse(invite.to_bytes())
    assert strict.method == "INVITE"
    assert strict.from_address.name == "Xã A"
    assert strict.from_address.parameters["tag"] == "ft"
    assert strict.body == b"v=0\r\n"
    answer = response_to(invite, 200, to_tag="tt", headers=[("Contact", "<sip:room@127.0.0.2>")], body=b"v=1\r\n")
    read = sipmessage.Response.parse(answer.to_bytes())
    assert (read.code, read.phrase, read.to_address.parameters["tag"]) == (200, "OK", "tt")
    assert read.cseq.sequence == 1


@given(st.binary(max_size=600))
@settings(max_examples=300)
def test_no_bytes_raise_anything_but_malformed(noise: bytes) -> None:
    with pytest.raises(Malformed):
        parse(noise)


@given(st.integers(0, len(HEAD.encode()) + 40), st.binary(min_size=1, max_size=12), st.booleans())
@settings(max_examples=500)
def test_no_damage_raises_anything_but_malformed(at: int, noise: bytes, insert: bool) -> None:
    raw = whole(HEAD, b"v=0\r\n")
    damaged = raw[:at] + noise + raw[at if insert else at + len(noise) :]
    try:
        message = parse(damaged)
    except Malformed:
        return
    assert message.call_id
    assert 0 <= message.cseq < 2**31


_WORD = st.text(
    st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Zl", "Zp", "Zs")), min_size=1, max_size=20
)
_NAME = st.from_regex(r"X-[A-Za-z]{1,10}", fullmatch=True)


@given(
    st.dictionaries(_NAME.map(str.lower), st.lists(_WORD, min_size=1, max_size=3), max_size=5), st.binary(max_size=200)
)
def test_what_was_written_is_read_again(extra: dict[str, list[str]], body: bytes) -> None:
    first = parse(whole())
    first.headers.update(extra)
    first.body = body
    again = parse(first.to_bytes())
    assert isinstance(again, Request)
    assert again.headers == first.headers
    assert again.body == body
    assert again.to_bytes() == first.to_bytes()


@pytest.mark.rfc("3261", "7.2")
def test_a_response_is_read_with_its_words() -> None:
    raw = whole().replace(b"INVITE sip:room@192.0.2.1 SIP/2.0", "SIP/2.0 486 Đang bận".encode())
    message = parse(raw)
    assert isinstance(message, Response)
    assert (message.status, message.reason) == (486, "Đang bận")
    with pytest.raises(Malformed):
        parse(raw.replace(b"486", b"4861"))

"""Packets on the wire: captured ones, made-up ones, and text that tries to break out of its line."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.bridges.asterisk import grammar
from adapters.bridges.asterisk.grammar import Decoder, GrammarError, Kind, Packet, encode
from adapters.bridges.asterisk.meaning import WANTED, Originated, read

from .transcript import NAMES, client_blocks, server_blocks, server_bytes

NAME = st.from_regex(r"[A-Za-z][A-Za-z0-9-]{0,12}", fullmatch=True)
VALUE = st.text(st.characters(exclude_characters="\r\n\x00", codec="utf-8"), max_size=60).map(lambda t: t.lstrip(" "))
FIELDS = st.lists(st.tuples(NAME, VALUE), min_size=1, max_size=12)


def decoded(decoder: Decoder, pieces: list[bytes]) -> list[tuple[tuple[str, str], ...]]:
    return [packet.fields for piece in pieces for packet in decoder.feed(piece)]


def cut(data: bytes, at: list[int]) -> list[bytes]:
    places = [0, *sorted(place % (len(data) + 1) for place in at), len(data)]
    return [data[a:b] for a, b in itertools.pairwise(places)]


@pytest.mark.parametrize("name", NAMES)
def test_every_captured_packet_is_read_without_loss(name: str) -> None:
    _, blocks = server_blocks(name)
    assert blocks
    for block in blocks:
        packet = grammar.parse(block.strip(b"\r\n"))
        assert packet.kind in (Kind.RESPONSE, Kind.EVENT)
        assert encode(packet.fields) == block.lstrip(b"\r\n")


@pytest.mark.parametrize("name", NAMES)
def test_a_captured_session_reads_the_same_byte_by_byte(name: str) -> None:
    data = server_bytes(name)
    whole, slow = Decoder(), Decoder()
    expected = decoded(whole, [data])
    assert expected == [grammar.parse(block.strip(b"\r\n")).fields for block in server_blocks(name)[1]]
    assert decoded(slow, [data[i : i + 1] for i in range(len(data))]) == expected
    assert slow.greeting == whole.greeting
    assert whole.greeting.startswith(grammar.GREETING)


@pytest.mark.parametrize("name", [n for n in NAMES if n != "empty_lines"])
def test_a_captured_session_reads_the_same_cut_in_two_anywhere(name: str) -> None:
    data = server_bytes(name)[:2500]
    expected = decoded(Decoder(), [data])
    for place in range(len(data)):
        assert decoded(Decoder(), [data[:place], data[place:]]) == expected


@given(st.lists(FIELDS, max_size=6), st.lists(st.integers(0, 10_000), max_size=8))
def test_what_is_encoded_is_decoded_however_it_is_cut(packets: list[list[tuple[str, str]]], at: list[int]) -> None:
    data = b"".join(map(encode, packets))
    assert decoded(Decoder(greets=False), cut(data, at)) == [tuple(fields) for fields in packets]


@given(st.binary(max_size=400), st.lists(st.integers(0, 400), max_size=4))
def test_any_bytes_are_packets_or_nothing_and_cuts_do_not_matter(data: bytes, at: list[int]) -> None:
    assert decoded(Decoder(greets=False), cut(data, at)) == decoded(Decoder(greets=False), [data])


def test_an_event_with_a_response_inside_is_an_event() -> None:
    verdicts = [
        packet
        for block in server_blocks("refused")[1]
        if (packet := grammar.parse(block.strip(b"\r\n"))).name == "OriginateResponse"
    ]
    assert len(verdicts) == 12
    assert all(packet.kind is Kind.EVENT and packet.get("Response") == "Failure" for packet in verdicts)
    assert read(verdicts[0]) == Originated(action_id="f0", uniqueid="dc0a1b-2-0-1", success=False, reason=0)


def test_an_empty_line_too_many_is_nothing() -> None:
    _, blocks = server_blocks("empty_lines")
    assert any(block.startswith(b"\r\n") for block in blocks)
    assert len(decoded(Decoder(), [server_bytes("empty_lines")])) == len(blocks)


def test_unwanted_events_are_counted_and_not_read() -> None:
    all_of_them, some = Decoder(), Decoder(wanted=WANTED)
    everything = all_of_them.feed(server_bytes("answered"))
    wanted = some.feed(server_bytes("answered"))
    assert some.skipped == len(everything) - len(wanted) > 0
    assert all_of_them.skipped == 0
    assert [p.fields for p in wanted] == [p.fields for p in everything if p.kind is not Kind.EVENT or p.name in WANTED]


def test_a_packet_beyond_the_bound_ends_the_stream() -> None:
    decoder = Decoder(greets=False, max_packet=1000)
    assert decoder.feed(b"A: b\r\n\r\n" * 500)
    with pytest.raises(GrammarError, match="at most 1000"):
        decoder.feed(b"A: " + b"x" * 1000)


def test_a_line_without_end_is_no_greeting() -> None:
    with pytest.raises(GrammarError, match="no greeting"):
        Decoder().feed(b"x" * 1001)


@pytest.mark.parametrize("bad", ["a\rb", "a\nb", "a\r\n\r\nAction: Command", "a\x00b"])
@pytest.mark.parametrize("where", ["leg", "channel", "conference", "profile", "codecs", "member", "user", "secret"])
def test_a_line_break_gets_into_no_action(bad: str, where: str) -> None:
    good = {"channel_id": "leg-1", "channel": "PJSIP/a/sip:b@c", "conference": "8001", "profiles": ["main"]}
    with pytest.raises(GrammarError, match="line break"):
        match where:
            case "member":
                grammar.mute("8001", bad, True).encode("1")
            case "user":
                grammar.login_md5(bad, "key", "call").encode("1")
            case "secret":
                grammar.login_plain("user", bad, "call").encode("1")
            case _:
                change = {"leg": "channel_id", "profile": "profiles"}.get(where, where)
                given = {**good, "codecs": "", change: [bad] if where == "profile" else bad}
                grammar.originate(caller_name="x", ring_s=1, **given).encode("1")


@given(st.text(max_size=80))
def test_no_display_name_adds_a_header_or_ends_its_quotes(name: str) -> None:
    action = grammar.originate(
        channel_id="leg-1", channel="PJSIP/a/sip:b@c", conference="8001", profiles=[], caller_name=name, ring_s=1
    )
    (packet,) = Decoder(greets=False).feed(action.encode("7"))
    assert [key for key, _ in packet.fields] == [
        "Action", "ActionID", "ChannelId", "Channel", "Application", "Data", "CallerID", "Timeout", "Async"
    ]  # fmt: skip
    shown = packet.get("CallerID")
    assert shown.startswith('"')
    assert shown.endswith('" <8001>')
    assert not set('"<>\\') & set(shown[1 : -len('" <8001>')])


def test_a_vietnamese_name_stays_as_it_is() -> None:
    assert grammar.caller_id("Cầu tỉnh Quảng Trị", "8001") == '"Cầu tỉnh Quảng Trị" <8001>'


def test_a_comma_gets_into_no_application_argument() -> None:
    with pytest.raises(GrammarError, match="comma"):
        grammar.originate(
            channel_id="l", channel="PJSIP/a", conference="8001,admin", profiles=[], caller_name="", ring_s=1
        )


def test_originate_is_what_was_captured() -> None:
    captured = client_blocks("answered")[1]
    action = grammar.originate(
        channel_id="dc0a1b-1-1-1",
        channel="PJSIP/labudp/sip:ep1@127.0.11.21:5060",
        conference="8001",
        profiles=("main", "guest", "usermenu"),
        caller_name="Cầu tỉnh",
        ring_s=3,
    )
    assert action.encode("o1") == captured


def test_a_line_that_asterisk_would_cut_is_refused() -> None:
    with pytest.raises(GrammarError, match="at most 1000"):
        grammar.hang_up("x" * 1001).encode("1")


def test_a_server_reads_actions_in_any_order_and_case() -> None:
    (packet,) = Decoder(greets=False).feed(b"ActionID: 4\r\naction: Hangup\r\nCHANNEL: leg-1\r\n\r\n")
    assert (packet.kind, packet.name) == (Kind.ACTION, "Hangup")
    assert (packet.action_id, packet.get("Channel")) == ("4", "leg-1")


def test_responses_and_reports_of_a_server() -> None:
    (asked,) = Decoder(greets=False).feed(grammar.ping().encode("9"))
    decoder = Decoder()
    packets = decoder.feed(
        grammar.greet("11.0.0")
        + grammar.respond(asked, "Error", "No such channel")
        + grammar.report("Hangup", ("A", "b"))
    )
    assert decoder.greeting == "Asterisk Call Manager/11.0.0"
    assert packets[0].fields == (("Response", "Error"), ("ActionID", "9"), ("Message", "No such channel"))
    assert packets[1].fields == (("Event", "Hangup"), ("Privilege", "call,all"), ("A", "b"))


def test_values_that_say_nothing() -> None:
    packet = Packet([("Event", "x"), ("Num", "<unknown>"), ("Cause", "nan"), ("Big", "9" * 30), ("Muted", "perhaps")])
    assert packet.get("Num") == ""
    assert packet.number("Cause") is None
    assert packet.number("Big") is None
    assert packet.flag("Muted") is None


def test_the_key_of_a_challenge() -> None:
    # printf 840415273mysecret | md5sum
    assert grammar.challenge_key("840415273", "mysecret") == "72ee2809cbf69e9bdb27bdd924cda8e3"


def test_a_trace_shows_no_secret_and_no_digit() -> None:
    for action in (
        grammar.login_plain("lab", "hunter2", "call"),
        grammar.login_md5("lab", "hunter2", "call"),
        grammar.play_digit("leg-1", "7", 160),
    ):
        assert "hunter2" not in action.shown()
        assert "7" not in action.shown()

"""An MXP's words, the odd ones: numbers used again, feedback inside an answer, refusals, profiles."""

from datetime import UTC, datetime

import pytest

from adapters.cli.reply import Ask, Taken
from adapters.control.order import CallSeen, RoomSeen
from adapters.endpoints.tandberg.adapter import TandbergEndpoint
from adapters.endpoints.tandberg.grammar import TandbergGrammar, rate
from adapters.errors import Rejected
from adapters.registry import Surroundings
from adapters.values import Address, Control, DialOptions, Identity, LegState


def ask(order: object) -> Ask[object]:
    assert isinstance(order, Ask)
    return order


def read(order: object, *lines: str) -> object:
    reply = ask(order).reply
    taken = [reply.line(line.strip()) for line in lines]
    assert taken[-1] is Taken.DONE and set(taken[:-1]) <= {Taken.MORE, Taken.NOT_MINE}, taken
    return ask(order).read(tuple(reply.lines))


def hear(grammar: TandbergGrammar, *lines: str) -> list[object]:
    return [report for line in lines for report in grammar.heard(line.strip()) or ()]


SYNCED = "*s Call 1 (status=Synced, type=Vtlph, protocol=H323, direction=Outgoing, logTag=1, conferenceRef=1):"
GONE = "*s Call 1 (status=Disconnected, type=NA, protocol=NA, direction=NA):"


def test_the_list_is_all_blocks_up_to_ok() -> None:
    calls = read(
        TandbergGrammar().calls(),
        SYNCED,
        '    RemoteNumber: "5020020"',
        "    Channels 1 (type=Incoming):",
        "*s/end",
        "*s Call 2 (status=Alerting, type=Vtlph, protocol=H320, direction=Incoming):",
        "*s Conference (type=Idle): /",
        "*s/end",
        '    RemoteNumber: "77"',
        "*s/end",
        "*s Call 3 (status=CallIDLE, type=NA, protocol=NA, direction=NA): /",
        "*s/end",
        "OK",
    )
    assert calls == [
        CallSeen("1", LegState.CONNECTED, "5020020", True),
        CallSeen("2", LegState.RINGING, "77", False),
        CallSeen("3", LegState.CLEARED),
    ]
    assert read(TandbergGrammar().calls(), "OK") == []


def test_a_number_that_is_used_again_has_nothing_of_the_call_before() -> None:
    grammar = TandbergGrammar()
    first = hear(grammar, SYNCED, '    RemoteNumber: "5020020"', "*s/end", GONE, "*s/end")
    assert first[1:] == [
        CallSeen("1", LegState.CONNECTED, "5020020", True),
        CallSeen("1", LegState.CLEARED, "5020020", True),
    ]
    again = "*s Call 1 (status=Proceeding, type=Vtlph, protocol=NA, direction=NA):"
    assert hear(grammar, again) == [CallSeen("1", LegState.DIALING)]


def test_states_that_say_nothing_move_nothing() -> None:
    for status in ("Syncing", "Capex", "Unframed", "SomethingNew"):
        assert hear(TandbergGrammar(), f"*s Call 1 (status={status}, type=Vtlph):") == [CallSeen("1", None)]


def test_the_call_is_named_though_feedback_stands_inside_the_answer() -> None:
    order = TandbergGrammar().dial(Address.parse("h323:10.47.15.127"), DialOptions())
    lines = (
        "*r Result (status=OK):",
        SYNCED,
        "    CallRate: 768",
        "*s/end",
        "    CallRef: 1",
        "    LogTag: 5",
        "*r/end",
    )
    assert read(order, *lines, "OK") == "1"


@pytest.mark.parametrize("last", ["OK", "ERROR", "ERROR: 5"])
def test_a_refusal_is_one_whatever_word_follows(last: str) -> None:
    reply = ask(TandbergGrammar().hang_up("9")).reply
    lines = ("*r Result (status=Error):", "Cause: 5", 'Description: "No such call"', "*r/end", last)
    assert [reply.line(line) for line in lines][-1] is Taken.REFUSED
    assert "No such call" in reply.why
    assert ask(TandbergGrammar().wake()).reply.line("Command not recognized.") is Taken.UNKNOWN


def test_the_profile_chooses_between_sip_and_h323() -> None:
    sip, h323 = Address.parse("sip:a@b.example"), Address.parse("h323:10.0.0.5")
    grammar = TandbergGrammar(6, 5)
    assert ask(grammar.dial(sip, DialOptions())).text == 'xcommand dial number:"a@b.example" callrate:Auto netprofile:6'
    text = ask(grammar.dial(h323, DialOptions(max_kbps=1024))).text
    assert text == 'xcommand dial number:"10.0.0.5" callrate:768 netprofile:5'
    assert ask(TandbergGrammar().dial(h323, DialOptions())).text.endswith("callrate:Auto")
    with pytest.raises(ValueError, match="sip_profile"):
        TandbergGrammar().dial(sip, DialOptions())
    with pytest.raises(ValueError, match="cannot be dialed"):
        grammar.dial(Address("h323", "x" * 61, "b"), DialOptions())
    assert [rate(kbps) for kbps in (1, 64, 9000)] == ["64", "64", "4096"]


@pytest.mark.parametrize("given", [0, 8, "12", "six", ""])
def test_a_profile_is_a_number_from_1_to_7(given: object) -> None:
    control = Control("mxp", "127.0.0.1", settings={"sip_profile": given})
    surroundings = Surroundings(lambda event: None, None, lambda: datetime.now(UTC), None)  # type: ignore[arg-type]
    if given == "":
        TandbergEndpoint(control, surroundings)
        return
    with pytest.raises(Rejected, match="1 to 7"):
        TandbergEndpoint(control, surroundings)


def test_who_it_is_and_what_is_set() -> None:
    grammar = TandbergGrammar()
    (question,) = grammar.identity()
    lines = ("*s SystemUnit:", 'ProductId: "TANDBERG 3000 MXP"', "Software:", 'Version: "F8.2 NTSC"', "Hardware:")
    identity = read(question, *lines, 'SerialNumber: "25A1"', "*s/end", "OK")
    assert identity == Identity("TANDBERG", "3000 MXP", "F8.2 NTSC", "25A1")
    (room,) = grammar.room()
    assert read(room, "*c xConfiguration Audio Microphones Mode: Off", "OK") == RoomSeen(microphone_muted=True)
    (room,) = grammar.room()
    assert read(room, "OK") == RoomSeen()


def test_noise_is_known_and_nonsense_is_not() -> None:
    for line in ("", "OK", "CONNECT", "NO CARRIER", "*s/end", "*e X (y=z):", "*l History"):
        assert TandbergGrammar().heard(line) == (), line
    for line in ("!$%", "something else", "CallRate: 3"):
        assert TandbergGrammar().heard(line) is None, line


def test_digits_are_not_shown() -> None:
    orders = [ask(order) for order in TandbergGrammar().digits("1", "2#")]
    assert [order.text for order in orders] == ["xcommand dtmfsend value:2", "xcommand dtmfsend value:#"]
    assert {order.shown for order in orders} == {"xcommand dtmfsend value:*"}

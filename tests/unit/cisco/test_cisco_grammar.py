"""The xAPI's words, the odd ones: where `OK` stands, feedback in between, indented fields, tags, causes."""

import pytest

from adapters.causes import ClearCause, Side
from adapters.cli.reply import Ask, Taken
from adapters.control.order import CallSeen, LookAgain, RoomSeen
from adapters.endpoints.cisco.block import LINGER_S
from adapters.endpoints.cisco.feedback import cause
from adapters.endpoints.cisco.grammar import CiscoGrammar, dialect_of, number
from adapters.values import Address, AutoAnswer, AutoAnswerMode, DialOptions, LegState

TO = Address.parse("sip:alice@host")


def ask(order: object) -> Ask[object]:
    assert isinstance(order, Ask)
    return order


def given(grammar: CiscoGrammar, order: object, *lines: str) -> Taken:
    """What the last line is to the reply; lines that are not its own are heard, as in a session."""
    reply = ask(order).reply
    taken = Taken.NOT_MINE
    for count, line in enumerate(lines):
        assert taken in (Taken.NOT_MINE, Taken.MORE), (lines[count - 1], taken)
        taken = reply.line(line)
        if taken is Taken.NOT_MINE:
            assert grammar.heard(line) is not None, line
    return taken


def read(grammar: CiscoGrammar, order: object, *lines: str) -> object:
    assert given(grammar, order, *lines) is Taken.DONE
    return ask(order).read(tuple(ask(order).reply.lines))


def hear(grammar: CiscoGrammar, *lines: str) -> list[object]:
    return [report for line in lines for report in grammar.heard(line) or ()]


DIALED = ("*r DialResult (status=OK):", "*r DialResult CallId: 2", "*r DialResult ConferenceId: 1", "** end")


@pytest.mark.parametrize(
    "lines",
    [
        (*DIALED, "OK"),
        ("OK", *DIALED),
        ("OK", "*r DialResult (status=OK):", "CallId: 2", "ConferenceId: 1", "** end"),
        ("OK", "*r DialResult (status=OK):", "CallId: 2", "ConferenceId: 1", "*r/end"),
        ("*s Call 2 Status: Dialling", "** end", *DIALED, "OK"),
        ("** end", "OK", *DIALED),
        (*DIALED[:1], "*s Standby Active: Off", "** end", *DIALED[1:], "OK"),
    ],
)
def test_a_dialed_call_is_named_wherever_ok_stands(lines: tuple[str, ...]) -> None:
    grammar = CiscoGrammar("tc")
    assert read(grammar, grammar.dial(TO, DialOptions()), *lines) == "2"


def test_a_device_that_says_no_ok_is_waited_for_a_little() -> None:
    grammar = CiscoGrammar("tc")
    order = ask(grammar.dial(TO, DialOptions()))
    assert order.reply.quiet_s is None
    assert given(grammar, order, *DIALED) is Taken.MORE and order.reply.quiet_s == LINGER_S
    assert order.read(tuple(order.reply.lines)) == "2"


def test_feedback_in_front_of_the_list_is_not_the_list() -> None:
    grammar = CiscoGrammar("tc")
    calls = read(
        grammar,
        grammar.calls(),
        "*s Call 3 Status: Connected",
        "** end",
        "*s Call 2 Direction: Outgoing",
        "*e CallDisconnect CallId: 3",
        "** end",
        '*s Call 2 RemoteNumber: "alice@host"',
        "*s Call 2 Status: OnHold",
        "** end",
        "OK",
    )
    assert calls == [CallSeen("2", LegState.CONNECTED, "alice@host", True)]


def test_an_event_that_ends_behind_our_question_is_heard_and_no_answer() -> None:
    grammar = CiscoGrammar("tc")
    assert hear(grammar, "*e CallDisconnect CallId: 3", '*e CallDisconnect CauseType: "RemoteBusy"') == []
    reply = ask(grammar.calls()).reply
    assert reply.line("** end") is Taken.NOT_MINE
    (seen,) = hear(grammar, "** end")
    assert isinstance(seen, CallSeen) and seen.cleared is not None and seen.cleared.cause is ClearCause.BUSY
    assert [reply.line(line) for line in ("** end", "", "OK")] == [Taken.MORE, Taken.NOT_MINE, Taken.DONE]


def test_a_late_ok_of_the_order_before_ends_nothing() -> None:
    grammar = CiscoGrammar("tc")
    assert read(grammar, grammar.calls(), "OK", "** end", "OK") == []


def test_a_tag_tells_the_answer_and_feedback_is_none_from_then_on() -> None:
    grammar = CiscoGrammar("ce")
    first = ask(grammar.calls())
    assert first.text == 'xStatus Call | resultId="1"'
    assert read(grammar, first, '** resultId: "1"', "** end") == []
    second = ask(grammar.calls())
    lines = ("OK", "*s Call 2 Status: Ringing", "** end", "OK", '** resultId: "1"', "** end")
    assert {second.reply.line(line) for line in lines} == {Taken.NOT_MINE, Taken.MORE}
    assert second.reply.quiet_s is None
    assert read(grammar, second, "*s Call 3 Status: Connected", '** resultId: "2"', "** end") == [
        CallSeen("3", LegState.CONNECTED)
    ]


def test_a_ce_device_that_repeats_no_tags_is_understood_too() -> None:
    grammar = CiscoGrammar("ce")
    assert read(grammar, grammar.calls(), "*s Call 3 Status: Connected", "** end", "OK") == [
        CallSeen("3", LegState.CONNECTED)
    ]


@pytest.mark.parametrize(
    ("lines", "taken", "why"),
    [
        (("Command not recognized.",), Taken.UNKNOWN, "not recognized"),
        (("*r Result (status=Error):", '*r Result Reason: "Unknown command"', "** end"), Taken.UNKNOWN, "Unknown"),
        (("ERROR", "*r DialResult (status=Error):", "Cause: 17", "** end"), Taken.REFUSED, "Cause: 17"),
        (("*r DialResult (status=ParameterError):", "** end"), Taken.REFUSED, "ParameterError"),
    ],
)
def test_refusals_are_told_apart(lines: tuple[str, ...], taken: Taken, why: str) -> None:
    grammar = CiscoGrammar("tc")
    order = ask(grammar.dial(TO, DialOptions()))
    assert given(grammar, order, *lines) is taken
    assert why in order.reply.why


def test_a_setting_that_is_refused_says_so() -> None:
    grammar = CiscoGrammar("tc")
    lines = ("*r Configuration (status=Error):", '*r Configuration XPath: "Configuration/Audio/Volume"', "** end")
    assert given(grammar, grammar.volume(40), *lines) is Taken.REFUSED
    assert given(grammar, grammar.volume(40), "** end", "OK") is Taken.DONE


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ("Dialling", LegState.DIALING),
        ("Connecting", LegState.DIALING),
        ("Ringing", LegState.RINGING),
        ("EarlyMedia", LegState.RINGING),
        ("Early Media", LegState.RINGING),
        ("Connected", LegState.CONNECTED),
        ("OnHold", LegState.CONNECTED),
        ("RemotePreserved", LegState.CONNECTED),
        ("Disconnecting", LegState.CLEARING),
        ("Idle", None),
    ],
)
def test_states_of_a_call(status: str, state: LegState | None) -> None:
    assert hear(CiscoGrammar(), f"*s Call 7 Status: {status}") == [CallSeen("7", state)]


def test_a_call_that_is_gone_without_a_word_is_looked_for() -> None:
    grammar = CiscoGrammar()
    assert hear(grammar, "*s Call 2 (ghost=True):") == [CallSeen("2", LegState.CLEARING), LookAgain()]
    hear(grammar, '*e CallDisconnect CauseType: "RemoteDisconnect"', "*e CallDisconnect CallId: 3", "** end")
    assert hear(grammar, "*s Call 3 (ghost=True):", "** end") == [CallSeen("3", LegState.CLEARED)]
    assert hear(grammar, '*e CallDisconnect CauseType: "RemoteDisconnect"', "** end") == [LookAgain()]


@pytest.mark.parametrize(
    ("told", "means", "side"),
    [
        ({"CauseType": "LocalDisconnect", "CauseValue": "1"}, ClearCause.LOCAL, Side.DEVICE),
        ({"CauseType": "RemoteDisconnect", "CauseCode": "16"}, ClearCause.FAR_END, Side.FAR_END),
        ({"CauseType": "RemoteRejected"}, ClearCause.DECLINED, Side.FAR_END),
        ({"CauseType": "RemoteNoAnswer"}, ClearCause.NO_ANSWER, Side.FAR_END),
        (
            {"CauseType": "NetworkRejected", "CauseCode": "404", "CauseOrigin": "SIP"},
            ClearCause.NOT_FOUND,
            Side.NETWORK,
        ),
        ({"CauseType": "OtherRemote", "CauseCode": "17", "CauseOrigin": "Q.850"}, ClearCause.BUSY, Side.FAR_END),
        ({"CauseType": "OtherRemote", "CauseCode": "17", "CauseOrigin": "Q850"}, ClearCause.BUSY, Side.FAR_END),
        ({"CauseType": "OtherLocal", "CauseCode": "0"}, ClearCause.UNKNOWN, Side.DEVICE),
        ({"CauseValue": "17"}, ClearCause.UNKNOWN, Side.UNKNOWN),
        ({"CauseType": "SomethingNew", "CauseCode": "x"}, ClearCause.UNKNOWN, Side.UNKNOWN),
    ],
)
def test_causes(told: dict[str, str], means: ClearCause, side: Side) -> None:
    cleared = cause(told)
    assert (cleared.cause, cleared.side) == (means, side)


def test_noise_is_known_and_nonsense_is_not() -> None:
    for line in ("", "OK", "** end", "*r X (status=OK):", "*s Audio Volume: 50", "*e Standby Active: On", "*c xConf"):
        assert CiscoGrammar().heard(line) == (), line
    for line in ("!$%", "something else", "CallId: 3"):
        assert CiscoGrammar().heard(line) is None, line


def test_whom_it_dials_and_how_fast() -> None:
    grammar = CiscoGrammar("tc")
    options = DialOptions(max_kbps=9000, video=False)
    assert ask(grammar.dial(Address.parse("h323:9001@10.0.0.5"), options)).text == (
        'xCommand Dial Number: "9001@10.0.0.5" Protocol: H323 CallRate: 6000 CallType: Audio'
    )
    assert number(Address.parse("sip:a@b.example:5061;transport=tls")) == "a@b.example:5061;transport=tls"
    with pytest.raises(ValueError, match="cannot be dialed"):
        number(Address("sip", 'a" CallRate: 64', "b"))


def test_the_version_says_which_words_are_right() -> None:
    grammar = CiscoGrammar()
    assert ask(grammar.volume(50)).text == "xConfiguration Audio Volume: 50"
    (question,) = grammar.identity()
    identity = read(
        grammar,
        question,
        '*s SystemUnit Hardware Module SerialNumber: "FOC1"',
        '*s SystemUnit ProductId: "Cisco Webex Room Kit"',
        '*s SystemUnit Software Version: "ce9.15.0"',
        "** end",
        "OK",
    )
    assert (identity.model, identity.serial) == ("Webex Room Kit", "FOC1")  # type: ignore[attr-defined]
    assert ask(grammar.volume(50)).text == 'xCommand Audio Volume Set Level: 50 | resultId="1"'
    tc, ce = dialect_of("TC7.3.3"), dialect_of("RoomOS 11.1.2.4")
    assert (tc.has_tags, ce.has_tags, dialect_of("TE4.1.3"), dialect_of("10.19.5")) == (False, True, tc, ce)


def test_what_is_set_in_the_room() -> None:
    grammar = CiscoGrammar("ce")
    _, _, standby, auto = grammar.room()
    assert read(grammar, standby, "*s Standby State: Halfwake", "** end", "OK") == RoomSeen(asleep=False)
    lines = [f"*c xConfiguration Conference AutoAnswer {what}" for what in ("Delay: 0", "Mode: On", "Mute: Off")]
    assert read(grammar, auto, *lines, "** end", "OK") == RoomSeen(auto_answer=AutoAnswer(AutoAnswerMode.ON, False))
    muted = grammar.room()[0]
    assert read(grammar, muted, "** end", "OK") == RoomSeen()


def test_answering_by_itself_never_has_the_microphone_on_in_between() -> None:
    grammar = CiscoGrammar("tc")
    on = [ask(order).text for order in grammar.set_auto_answer(AutoAnswer(AutoAnswerMode.ON, True))]
    off = [ask(order).text for order in grammar.set_auto_answer(AutoAnswer(AutoAnswerMode.OFF, False))]
    assert [text.rpartition("AutoAnswer ")[2] for text in on + off] == [
        "Mute: On",
        "Mode: On",
        "Mode: Off",
        "Mute: Off",
    ]
    with pytest.raises(ValueError, match="Do-Not-Disturb"):
        grammar.set_auto_answer(AutoAnswer(AutoAnswerMode.DO_NOT_DISTURB))


def test_digits_are_not_shown_and_go_thirty_two_at_once() -> None:
    orders = [ask(order) for order in CiscoGrammar("tc").digits("3", "2" * 40)]
    assert [order.text.count("2") for order in orders] == [32, 8]
    assert [order.shown for order in orders] == [
        f'xCommand DTMFSend CallId: 3 DTMFString: "{"*" * n}"' for n in (32, 8)
    ]


def test_no_quote_breaks_out_of_a_text() -> None:
    order = ask(CiscoGrammar("tc").text('"a" Duration: 0\r\nxCommand Boot', 0.2))
    assert order.text == "xCommand Message Alert Display Text: \"'a' Duration: 0 xCommand Boot\" Duration: 1"
    with pytest.raises(ValueError, match="expected 1 to 255"):
        CiscoGrammar("tc").text(" ", 1)


def test_presets_have_their_range() -> None:
    assert ask(CiscoGrammar("ce").preset(35)).text.startswith("xCommand Camera Preset Activate PresetId: 35")
    with pytest.raises(ValueError, match="expected 1 to 15"):
        CiscoGrammar("tc").preset(16)

"""Polycom's words, the odd ones: missing names, colons in numbers, older spellings, causes."""

import pytest

from adapters.causes import ClearCause
from adapters.cli.reply import Ask, Taken
from adapters.control.order import CallSeen, LookAgain
from adapters.endpoints.polycom.grammar import PolycomGrammar, number, rate
from adapters.values import Address, AutoAnswer, AutoAnswerMode, DialOptions, LegState


def ask(order: object) -> Ask[object]:
    assert isinstance(order, Ask)
    return order


def read(order: object, *lines: str) -> object:
    """What a reply means; every line must be taken, the last one ends it."""
    command = ask(order)
    taken = [command.reply.line(line) for line in lines]
    assert taken[-1] is Taken.DONE and set(taken[:-1]) <= {Taken.MORE, Taken.NOT_MINE}, taken
    return command.read(tuple(command.reply.lines))


def test_the_call_list_is_read_from_the_right() -> None:
    calls = read(
        PolycomGrammar().calls(),
        "callinfo begin",
        "callinfo:43:Polycom HDX Demo:192.168.1.101:384:connected:notmuted:outgoing:videocall",
        "notification:mutestatus:near:near:near:near:muted",
        "callinfo:36:192.168.1.102:256:ringing:muted:incoming:videocall",
        "callinfo:4:Room: the big one:sip:conf@mcu.example:1024:connecting:muted:outgoing:videocall",
        "callinfo:5:conf:conf@10.0.0.1:5060:0:connected:notmuted:outgoing:videocall",
        "callinfo end",
    )
    assert calls == [
        CallSeen("43", LegState.CONNECTED, "192.168.1.101", True),
        CallSeen("36", LegState.RINGING, "192.168.1.102", False),
        CallSeen("4", LegState.RINGING, "sip:conf@mcu.example", True),
        CallSeen("5", LegState.CONNECTED, "conf@10.0.0.1:5060", True),
    ]
    assert read(PolycomGrammar().calls(), "system is not in a call") == []


@pytest.mark.parametrize(
    ("line", "call", "state", "far"),
    [
        ("notification:callstatus:outgoing:45:null 1::opened::0:videocall", "45", LegState.DIALING, ""),
        ("notification:callstatus:outgoing:41:::opened::0", "41", LegState.DIALING, ""),
        (
            "notification:callstatus:outgoing:45: Polycom Austin:192.168.1.101:connecting:384:0:videocall",
            "45",
            LegState.RINGING,
            "192.168.1.101",
        ),
        (
            "-> notification:callstatus:incoming:12:Rostov:10.1.0.84:ringing:384:0:videocall",
            "12",
            LegState.RINGING,
            "10.1.0.84",
        ),
        ("cs: call[34] chan[0] dialstr[10.0.0.3] state [RINGING]", "34", LegState.RINGING, "10.0.0.3"),
        ("cs: call[34] chan[0] dialstr[10.0.0.3] state[CONNECTED]", "34", LegState.RINGING, "10.0.0.3"),
        ("cs: call[34] chan[0] dialstr[10.0.0.3] state[COMPLETE]", "34", LegState.CONNECTED, "10.0.0.3"),
        ("active: call[34] speed [384]", "34", LegState.CONNECTED, ""),
        ("cleared: call[34]", "34", LegState.CLEARING, ""),
    ],
)
def test_a_line_tells_of_a_call(line: str, call: str, state: LegState, far: str) -> None:
    (seen,) = PolycomGrammar().heard(line) or ()
    assert isinstance(seen, CallSeen)
    assert (seen.id, seen.state, seen.far) == (call, state, far)


@pytest.mark.parametrize(
    ("cause", "means"),
    [(0, ClearCause.FAR_END), (16, ClearCause.FAR_END), (17, ClearCause.BUSY), (21, ClearCause.DECLINED)],
)
def test_the_cause_is_a_q850_number(cause: int, means: ClearCause) -> None:
    line = f"notification:callstatus:outgoing:34:x:1.2.3.4:disconnected:0:{cause}:videocall"
    (seen,) = PolycomGrammar().heard(line) or ()
    assert isinstance(seen, CallSeen) and seen.cleared is not None and seen.cleared.cause is means
    (old,) = PolycomGrammar().heard(f"cleared: call[0] line[0] bchan[0] cause[{cause}]") or ()
    assert isinstance(old, CallSeen) and old.cleared is not None and old.cleared.cause is means


def test_an_end_without_its_cause_is_looked_into() -> None:
    for line in ("ended: call[34]", "ended call[0]"):
        assert PolycomGrammar().heard(line) == (LookAgain(),)


def test_noise_is_known_and_nonsense_is_not() -> None:
    for line in ("", "->", "Hi, my name is : x", "SNMP Enabled: True", "Contact Number:", "listen video ringing"):
        assert PolycomGrammar().heard(line) == (), line
    for line in ("!$%", "something else", "volume 12"):
        assert PolycomGrammar().heard(line) is None, line


def test_whom_it_dials_and_how_fast() -> None:
    assert ask(PolycomGrammar().dial(Address.parse("sip:a@b.example:5061;transport=tls"), DialOptions())).text == (
        'dial manual auto "a@b.example:5061;transport=tls" sip'
    )
    assert number(Address.parse("h323:9001@10.0.0.5")) == "10.0.0.5##9001"
    assert [rate(kbps) for kbps in (None, 1, 700, 768, 1919, 10_000)] == ["auto", "64", "512", "768", "1536", "6144"]
    with pytest.raises(ValueError, match="cannot be dialed"):
        number(Address("sip", 'a"; reboot now', "b"))


def test_refusals_are_told_apart() -> None:
    reply = ask(PolycomGrammar().mute(True)).reply
    assert reply.line("error: command not found") is Taken.UNKNOWN
    assert reply.line("info: not in a call") is Taken.REFUSED and reply.why == "info: not in a call"
    assert reply.line("mute near off") is Taken.NOT_MINE


def test_its_auto_answer_has_three_words_and_no_microphone() -> None:
    grammar = PolycomGrammar()
    assert read(grammar.auto_answer(), "autoanswer donotdisturb") == AutoAnswer(AutoAnswerMode.DO_NOT_DISTURB)
    (order,) = grammar.set_auto_answer(AutoAnswer(AutoAnswerMode.OFF))
    assert ask(order).text == "autoanswer no"
    with pytest.raises(ValueError, match="microphone"):
        grammar.set_auto_answer(AutoAnswer(AutoAnswerMode.ON, True))


def test_digits_are_not_shown() -> None:
    orders = [ask(order) for order in PolycomGrammar().digits("3", "24#")]
    assert [order.text for order in orders] == ["gendial 2", "gendial 4", "gendial #"]
    assert {order.shown for order in orders} == {"gendial *"}

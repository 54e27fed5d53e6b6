"""Yealink's words, the odd ones: states with and without their prefix, several at once, ends that are told late."""

import pytest

from adapters.cli.reply import Ask, Taken
from adapters.control.order import CallSeen, LookAgain, RoomSeen
from adapters.endpoints.yealink.grammar import YealinkGrammar, number, rate, system
from adapters.values import Address, AutoAnswer, AutoAnswerMode, DialOptions, Identity, LegState

UP = (CallSeen("", LegState.CONNECTED),)
ENDED = (CallSeen("", LegState.CLEARED),)


def ask(order: object) -> Ask[object]:
    assert isinstance(order, Ask)
    return order


def read(order: object, line: str) -> object:
    """What a reply of one line means."""
    command = ask(order)
    assert command.reply.line(line) is Taken.DONE
    return command.read(tuple(command.reply.lines))


@pytest.mark.parametrize(
    ("line", "state"),
    [
        ("sysstatus get idle", None),
        ("sysstatus get sleeping", None),
        ("sysstatus get finished", None),
        ("sysstatus get outgoing", LegState.DIALING),
        ("sysstatus ringing", LegState.RINGING),
        ("talking", LegState.CONNECTED),
        ("sysstatus get talking max", LegState.CONNECTED),
        ('sysstatus get "talking" "ringing"', LegState.CONNECTED),
        ("sysstatus get ringing,outgoing", LegState.DIALING),
        ("sysstatus get finished idle", None),
    ],
)
def test_a_line_of_states_shows_one_call_at_most(line: str, state: LegState | None) -> None:
    assert system(line) is state


def test_another_line_shows_none() -> None:
    for line in ("sysstatus", "sysstatus get", "idle hands", "sysstatus get dreaming", "talkingidle"):
        with pytest.raises(ValueError, match="no line of states"):
            system(line)
        assert YealinkGrammar().heard(line) is None, line


def test_an_end_counts_when_a_call_was_up_and_is_looked_into_otherwise() -> None:
    grammar = YealinkGrammar()
    assert grammar.heard("sysstatus get finished") == (LookAgain(),), "of a call before"
    assert grammar.heard("sysstatus get talking") == UP
    assert grammar.heard("sysstatus get finished") == ENDED
    assert grammar.heard("sysstatus get idle") == (LookAgain(),)
    assert read(grammar.calls(), "sysstatus get outgoing") == (CallSeen("", LegState.DIALING, outgoing=True),)
    assert grammar.heard("finished") == ENDED
    assert read(grammar.calls(), "sysstatus get finished") == (), "the list is empty, and a new call may be on its way"


def test_a_second_call_that_rings_is_not_taken_for_the_first() -> None:
    grammar = YealinkGrammar()
    rings = 'incoming "num:alice@10.0.0.5" "name:Alice"'
    assert grammar.heard(rings) == (CallSeen("", LegState.RINGING, "alice@10.0.0.5", False, name="Alice"),)
    assert grammar.heard("sysstatus get talking") == UP
    assert grammar.heard(rings) == ()
    assert YealinkGrammar().heard("incoming") == (CallSeen("", LegState.RINGING, "", False),)


def test_silence_is_a_yes_to_an_order_and_says_nothing_to_a_question() -> None:
    grammar = YealinkGrammar()
    to = Address.parse("sip:a@b")
    for order in (grammar.dial(to, DialOptions()), grammar.hang_up(""), grammar.mute(True), grammar.content(True)):
        assert ask(order).reply.quiet_s is not None and ask(order).changes
    for question in grammar.room():
        assert ask(question).reply.quiet_s is not None and ask(question).read(()) == RoomSeen()
    assert ask(grammar.calls()).reply.quiet_s is None and ask(grammar.identity()[0]).reply.quiet_s is None


def test_refusals_are_told_apart_and_a_late_one_is_looked_into() -> None:
    reply = ask(YealinkGrammar().mute(True)).reply
    assert reply.line("error: command not found") is Taken.UNKNOWN
    assert reply.line("error: command has illegal parameters") is Taken.REFUSED
    assert reply.line("mute near get off") is Taken.NOT_MINE and reply.line("mute near get on") is Taken.DONE
    assert YealinkGrammar().heard("error: command has illegal parameters") == (LookAgain(),)


def test_whom_it_dials_and_how_fast() -> None:
    to = Address.parse("sip:alice@10.0.0.5:5061;transport=tls")
    assert ask(YealinkGrammar().dial(to, DialOptions(max_kbps=1100, video=False))).text == (
        'dial manual audio sip "1024" "alice@10.0.0.5:5061"'
    )
    assert number(Address.parse("h323:9001@10.0.0.5")) == "10.0.0.5##9001"
    assert [rate(kbps) for kbps in (None, 1, 768, 10_000)] == ["auto", "64", "768", "6144"]
    with pytest.raises(ValueError, match="cannot be dialed"):
        number(Address("sip", 'a"b', "h"))


def test_what_the_room_says_of_itself() -> None:
    mute, volume, disturb = YealinkGrammar().room()
    assert read(mute, "mute near get on") == RoomSeen(microphone_muted=True)
    assert read(volume, "volume get 7") == RoomSeen(volume=70)
    assert read(disturb, "donotdisturb global get on") == RoomSeen(
        auto_answer=AutoAnswer(AutoAnswerMode.DO_NOT_DISTURB)
    )
    assert read(YealinkGrammar().room()[2], "donotdisturb global get off") == RoomSeen(), "off says nothing more"
    line = 'version "model:VC800" "firmware:63.345.0.30" "hardware:63.1.0.0"'
    assert read(YealinkGrammar().identity()[0], line) == Identity("Yealink", "VC800", "63.345.0.30")


def test_digits_go_one_by_one_never_by_the_keys_and_are_not_shown() -> None:
    orders = [ask(order) for order in YealinkGrammar().digits("", "2*#")]
    assert [order.text for order in orders] == ["gendial 2", "gendial *", "gendial #"]
    assert {order.shown for order in orders} == {"gendial *"}
    with pytest.raises(ValueError, match="A to D"):
        YealinkGrammar().digits("", "1A")


def test_noise_is_known_and_nonsense_is_not() -> None:
    for line in ("", "storage get available", "layout near get equal", "all done!", 'version "model:x"'):
        assert YealinkGrammar().heard(line) == (), line
    for line in ("!$%", "something else"):
        assert YealinkGrammar().heard(line) is None, line


def test_presets_are_ten() -> None:
    assert ask(YealinkGrammar().preset(0)).text == "preset near go 0"
    for wrong in (-1, 10):
        with pytest.raises(ValueError, match="expected 0 to 9"):
            YealinkGrammar().preset(wrong)

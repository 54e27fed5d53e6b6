"""Sony's words, the odd ones: words that are echo and event, prompts of events, names that look like errors."""

from collections.abc import Sequence

import pytest

from adapters.causes import Side
from adapters.cli.reply import Ask, Taken
from adapters.control.order import CallSeen
from adapters.endpoints.sony.adapter import SonyEndpoint
from adapters.endpoints.sony.grammar import ERRORS, SonyGrammar, number
from adapters.endpoints.sony.line import Line
from adapters.endpoints.sony.profile import PROFILE
from adapters.errors import Rejected
from adapters.values import Address, Control, DialOptions, LegState

TO = Address.parse("sip:10.0.0.5")


def ask(order: object) -> Ask[object]:
    assert isinstance(order, Ask)
    return order


def seen(grammar: SonyGrammar, *lines: str) -> list[CallSeen]:
    found: list[CallSeen] = []
    for line in lines:
        reports = grammar.heard(line)
        assert reports is not None, line
        found += [report for report in reports if isinstance(report, CallSeen)]
    return found


@pytest.mark.parametrize("word", ERRORS)
def test_every_error_word_ends_a_command(word: str) -> None:
    for order in (ask(SonyGrammar(Line()).dial(TO, DialOptions())), ask(SonyGrammar(Line()).mute(True))):
        taken = order.reply.line(word)
        assert taken in (Taken.REFUSED, Taken.BUSY, Taken.UNKNOWN)
        assert order.reply.why == word
    assert ask(SonyGrammar(Line()).mute(True)).reply.line(f"{word} bees") is Taken.NOT_MINE


def test_a_prompt_counts_only_behind_our_own_words() -> None:
    reply = ask(SonyGrammar(Line()).mute(True)).reply
    assert reply.prompt("ready") is Taken.NOT_MINE  # that of an event
    assert reply.line("ring manual") is Taken.NOT_MINE
    assert reply.line("audio mic-off") is Taken.MORE and reply.quiet_s is not None
    assert reply.line("not power on") is Taken.REFUSED
    assert reply.prompt("ready") is Taken.DONE


def test_silence_is_a_yes_only_where_no_source_shows_the_reply() -> None:
    grammar = SonyGrammar(Line())
    for order in (grammar.volume(50), grammar.preset(3), grammar.content(True), grammar.wake(), grammar.answer("")):
        assert ask(order).reply.quiet_s is not None
    for order in (grammar.mute(True), grammar.hang_up(""), grammar.dial(TO, DialOptions()), grammar.calls()):
        assert ask(order).reply.quiet_s is None


def test_dialing_is_answered_by_its_event() -> None:
    line = Line()
    order = ask(SonyGrammar(line).dial(TO, DialOptions()))
    assert order.text == "dial /10.0.0.5/" and order.changes
    assert order.reply.line("3") is Taken.NOT_MINE
    assert order.reply.line("connect status") is Taken.MORE
    assert order.reply.line("2") is Taken.DONE
    order.read(order.reply.lines)
    assert line.seen == (CallSeen("", LegState.DIALING, "", True),)


def test_a_call_goes_its_way_by_what_is_told() -> None:
    grammar = SonyGrammar(Line())
    steps = seen(grammar, "connect status", "2", "connect status", "3", "connect complete", "disconnect")
    assert [step.state for step in steps] == [
        LegState.DIALING,
        LegState.DIALING,
        LegState.CONNECTED,
        LegState.CLEARED,
    ]
    assert ask(grammar.calls()).read(["status power power-on"]) == ()


def test_who_calls_stands_in_the_next_line_whatever_it_says() -> None:
    for name in ("Xa Ban Gioc", "busy", "disconnection", "2"):
        grammar = SonyGrammar(Line())
        first, second = seen(grammar, "ring manual", name)
        assert (first.state, first.outgoing, first.far) == (LegState.RINGING, False, "")
        assert second.far == name
        assert ask(grammar.calls()).read(["status power stand-by"]) == (second,)


def test_a_call_that_comes_in_beside_ours_is_not_ours() -> None:
    grammar = SonyGrammar(Line())
    seen(grammar, "connect status", "2", "connect complete")
    assert seen(grammar, "ring manual", "somebody") == []
    assert ask(grammar.calls()).read(["status power power-on"]) == (CallSeen("", LegState.CONNECTED, "", True),)


def test_what_was_told_outlives_a_session() -> None:
    line = Line()
    seen(SonyGrammar(line), "connect status", "2", "connect complete")
    assert ask(SonyGrammar(line).calls()).read(["status power power-on"]) == (
        CallSeen("", LegState.CONNECTED, "", True),
    )


def test_a_call_cancelled_in_the_room_is_said_to_be() -> None:
    (ended,) = seen(SonyGrammar(Line()), "dial cancel")
    assert ended.cleared is not None and (ended.cleared.side, ended.cleared.raw) == (Side.DEVICE, "dial cancel")


@pytest.mark.parametrize("word", ["not connect", "not communication", "status error", "execute error"])
def test_ending_what_is_not_there_is_done(word: str) -> None:
    line = Line(LegState.CONNECTED)
    order = ask(SonyGrammar(line).hang_up(""))
    assert order.reply.line(word) is Taken.DONE
    assert order.read(order.reply.lines) is True and line.seen == ()
    assert ask(SonyGrammar(line).hang_up("")).reply.line("busy") is Taken.BUSY


@pytest.mark.parametrize(("mutes", "word"), [(False, "audio mic-off"), (True, "audio mic-on")])
def test_which_word_mutes_is_a_setting(mutes: bool, word: str) -> None:
    grammar = SonyGrammar(Line(), mutes)
    assert ask(grammar.mute(True)).text == word
    assert ask(grammar.mute(False)).text != word


def test_a_setting_that_is_none_is_refused() -> None:
    control = Control("unit", "127.0.0.1", settings={"mic_on_mutes": "yes"})
    with pytest.raises(Rejected, match="expected true or false"):
        SonyEndpoint(control, None)  # type: ignore[arg-type]


def test_numbers_and_ranges() -> None:
    assert number(Address.parse("sip:room@mcu.example:5070")) == "room@mcu.example:5070"
    for wrong, why in ((Address("sip", "a/b", "mcu.example"), "slashes"), (Address.parse("sips:a@b"), "TLS")):
        with pytest.raises(ValueError, match=why):
            number(wrong)
    texts: Sequence[str] = [ask(SonyGrammar(Line()).volume(percent)).text for percent in (0, 50, 100)]
    assert texts == ["audio volume-0", "audio volume-12", "audio volume-23"]
    for preset in (0, 101):
        with pytest.raises(ValueError, match="1 to 100"):
            SonyGrammar(Line()).preset(preset)


@pytest.mark.parametrize(
    "line", ["CNTR>", "layout pinp-upleft", "not communication", "status macstatus", "list index 1"]
)
def test_noise_is_known(line: str) -> None:
    assert SonyGrammar(Line()).heard(line) == ()


def test_what_nobody_knows_is_counted() -> None:
    assert SonyGrammar(Line()).heard("%%% trap") is None


def test_the_prompt_of_the_log_in_may_stand_behind_a_host_name() -> None:
    user = PROFILE.login.prompts[0].pattern
    assert user.match(b"PCS-XG80 login: ") and user.match(b"login:")

"""LifeSize's words, the odd ones: stray status lines, wrapped echoes, states of both shells, three ways to say no."""

import pytest

from adapters.causes import ClearCause
from adapters.cli.reply import Ask, Taken
from adapters.control.order import CallSeen, LookAgain, RoomSeen
from adapters.endpoints.lifesize.calls import row
from adapters.endpoints.lifesize.framing import Answer, Entered, status
from adapters.endpoints.lifesize.grammar import IconGrammar, LaterIconGrammar, LifesizeGrammar, number
from adapters.values import Address, AutoAnswer, AutoAnswerMode, DialOptions, Identity, LegState

TO = Address.parse("sip:conf@mcu.example")


def ask(order: object) -> Ask[object]:
    assert isinstance(order, Ask)
    return order


def read(order: object, *lines: str) -> object:
    """What a reply means: the echo, these lines, a status line."""
    command = ask(order)
    taken = [command.reply.line(line) for line in (command.text, *lines, "", "ok,00")]
    assert taken[-1] is Taken.DONE and Taken.DONE not in taken[:-1], taken
    return command.read(tuple(command.reply.lines))


def test_what_comes_before_the_echo_is_not_the_reply() -> None:
    reply = Answer("get audio mute")
    for line in ("CS,12,1,Ringing,Video,,1", "", "ok,00", "off", "error,09", "Not In Call, 14"):
        assert reply.line(line) is Taken.NOT_MINE, line
    assert [reply.line(line) for line in ("get audio mute", "on", "", "ok,00")] == [
        Taken.MORE,
        Taken.MORE,
        Taken.NOT_MINE,
        Taken.DONE,
    ]
    assert reply.lines == ["on"] and reply.quiet_s is None


def test_the_status_line_behind_an_event_may_be_the_events() -> None:
    reply = Answer("get audio mute")
    lines = ("get audio mute", "MS,true", "", "ok,00", "on", "", "ok,00")
    assert [reply.line(line) for line in lines][-4:] == [Taken.MORE, Taken.MORE, Taken.NOT_MINE, Taken.DONE]
    assert reply.lines == ["on"]
    waits = Answer("set audio mute on")
    assert [waits.line(line) for line in ("set audio mute on", "MS,true", "ok,00")][-1] is Taken.MORE
    assert waits.quiet_s is not None, "it was ours when nothing more comes"


def test_an_echo_that_the_terminal_wrapped_is_still_the_echo() -> None:
    text = 'set system message "Cuộc họp giao ban bắt đầu lúc 08:00, mời các điểm cầu kiểm tra âm thanh" -t 30'
    assert Answer(text).line('âm thanh" -t 30') is Taken.MORE
    assert Answer("set audio mute on").line("on") is Taken.NOT_MINE


@pytest.mark.parametrize(
    ("line", "means"),
    [
        ("error,09", Taken.UNKNOWN),
        ("error,0A", Taken.UNKNOWN),
        ("error^12", Taken.UNKNOWN),
        ("error,0c", Taken.REFUSED),
        ("error,7f", Taken.REFUSED),
        ("Invalid Command, 9", Taken.UNKNOWN),
        ("NotSupported, 18", Taken.UNKNOWN),
        ("Not In Call, 14", Taken.REFUSED),
        ("ok^00", Taken.DONE),
        ("Success, 0", Taken.DONE),
    ],
)
def test_either_shell_says_yes_and_no_in_its_way(line: str, means: Taken) -> None:
    reply = Answer("x")
    reply.line("x")
    assert reply.line(line) is means
    assert means is Taken.DONE or reply.why == status(line)


def test_a_usage_line_says_that_there_is_no_call() -> None:
    for end in ("No Data, 13", "Success, 0", "error,0e"):
        order = ask(LaterIconGrammar().calls())
        lines = (order.text, "Usage: status call active", end)
        assert [order.reply.line(line) for line in lines][-1] is Taken.DONE
        assert order.read(tuple(order.reply.lines)) == []
    order = ask(LaterIconGrammar().calls())
    order.reply.line(order.text)
    order.reply.line("Usage: status call active")
    assert order.reply.quiet_s is not None, "no source shows what follows"


def test_the_shell_of_an_icon_is_entered_once() -> None:
    assert Entered().prompt("shell") is Taken.DONE
    for line in ("error,09", "Invalid Command, 9", "sh: clish: not found"):
        assert Entered().line(line) is Taken.REFUSED
    assert Entered().line("clish version 1.2") is Taken.NOT_MINE and IconGrammar().heard("clish version 1.2") == ()


@pytest.mark.parametrize(
    ("line", "seen"),
    [
        (
            "12,1,Connected,No,Video,10.1.1.5,Room B,1024,h323,1024,00:01:10",
            CallSeen("12", LegState.CONNECTED, "10.1.1.5", True, None, "Room B"),
        ),
        ("3,1,Ring Incoming,Yes,Unknown,,", CallSeen("3", LegState.RINGING, "", False)),
        ("4,1,validating,No,Video,a@b", CallSeen("4", LegState.DIALING, "a@b", True)),
        ('5,2,media-connected,No,Video,a@b,"Room, the big one",0,sip,0,00:00:01', None),
        (
            "6,1,brand new state,No,Video,a@b,n,0,sip,0,00:00:01",
            CallSeen("6", LegState.CONNECTED, "a@b", True, None, "n"),
        ),
        ("7,1,brand new state,No,Video,a@b,n,0,sip", CallSeen("7", None, "a@b", True, None, "n")),
        ("8,1,off-hook,No,Audio,", CallSeen("8", LegState.DIALING, "", True)),
    ],
)
def test_a_line_of_the_list(line: str, seen: CallSeen | None) -> None:
    assert row(line) == (seen or CallSeen("5", LegState.CONNECTED, "a@b", True, None, "Room, the big one"))


@pytest.mark.parametrize(
    "line", ["12,1,Connected", "x,1,Connected,No,Video,a@b", "Connected", "CS,12,1,Dialing,Video,,1"]
)
def test_what_is_no_line_of_the_list_is_refused(line: str) -> None:
    with pytest.raises(ValueError, match="no line of the calls"):
        row(line)


@pytest.mark.parametrize(
    ("state", "cause"),
    [
        ("error-busy", ClearCause.BUSY),
        ("error-no-answer", ClearCause.NO_ANSWER),
        ("error-bad-number", ClearCause.NOT_FOUND),
        ("error-unreachable", ClearCause.UNREACHABLE),
        ("error-comm-failure", ClearCause.UNREACHABLE),
        ("error-max-calls-exceeded", ClearCause.UNKNOWN),
    ],
)
def test_an_icon_shows_why_a_call_ended(state: str, cause: ClearCause) -> None:
    seen = row(f"5,1,{state},No,Video,a@b,n")
    assert seen.state is LegState.CLEARED and seen.cleared is not None
    assert (seen.cleared.cause, seen.cleared.raw) == (cause, state)


def test_events_have_the_number_in_columns_of_their_own() -> None:
    grammar = LifesizeGrammar()
    assert grammar.heard("$ IC,7,2,Ring Incoming,Video,10.1.1.5,Room B") == (
        CallSeen("7", LegState.RINGING, "10.1.1.5", False),
    )
    assert grammar.heard("CS,7,2,Ringback,Video,,10.1.1.5") == (CallSeen("7", LegState.RINGING, "10.1.1.5"),)
    assert grammar.heard("CS,7,2,Far End Hold,Video") == (CallSeen("7", LegState.CONNECTED),)
    assert grammar.heard("CS,7,2,Notify Info,Video,,10.1.1.5") == (CallSeen("7", None, "10.1.1.5"),)
    (busy,) = grammar.heard("CS,7,2,Busy,Video,,10.1.1.5") or ()
    assert isinstance(busy, CallSeen) and busy.state is LegState.CLEARING and busy.cleared is not None
    assert busy.cleared.cause is ClearCause.BUSY


def test_off_hook_may_be_a_beginning_and_is_looked_into() -> None:
    assert LifesizeGrammar().heard("CS,7,2,Off Hook,Video,,") == (LookAgain(),)
    assert IconGrammar().heard("EVENT incomingCallStateChanged 3") == (LookAgain(),)


def test_noise_is_known_and_nonsense_is_not() -> None:
    for line in ("$", "", "ok,00", "$ ok,00", "error,09", "Success, 0", "FC,1", "VC,1,2", "SS,true", "EVENT other"):
        assert LifesizeGrammar().heard(line) == (), line
    for line in ("CS,x,1,Dialing", "CS,1", "something else", "42"):
        assert LifesizeGrammar().heard(line) is None, line


def test_whom_it_dials_and_what_it_cannot_be_given() -> None:
    to = Address.parse("sips:a@b.example:5061;transport=tls")
    assert ask(LifesizeGrammar().dial(to, DialOptions(max_kbps=768))).text == (
        "control call dial -p sip a@b.example:5061 -b 768"
    )
    assert ask(IconGrammar().dial(TO, DialOptions(max_kbps=768, video=False))).text == (
        "control call dial conf@mcu.example -t voice -p sip"
    )
    assert number(Address.parse("h323:9001@10.0.0.5")) == "10.0.0.5##9001"
    for user in ('a"b', "a b", "a,b", "a;reboot", "a\\b"):
        with pytest.raises(ValueError, match="cannot be dialed"):
            number(Address("sip", user, "h"))


def test_an_icon_hangs_up_by_the_number_it_showed() -> None:
    grammar = IconGrammar()
    read(
        grammar.calls(),
        "12,1,media-connected,No,Video,conf@mcu.example,Conf,1,sip,1,00:00:01",
        "13,1,ringing,No,Video,",
    )
    assert ask(grammar.hang_up("12")).text == "control call hangup conf@mcu.example"
    assert ask(grammar.hang_up("13")).text == "control call hangup 13"
    assert ask(LifesizeGrammar().hang_up("12")).text == "control call hangup 12"


def test_digits_go_one_by_one_and_are_not_shown() -> None:
    texts = {
        LifesizeGrammar: "control call dtmf 3 #",
        IconGrammar: "control call dtmf #",
        LaterIconGrammar: 'control call dtmf "#"',
    }
    for grammar, text in texts.items():
        orders = [ask(order) for order in grammar().digits("3", "24#")]
        assert len(orders) == 3 and orders[-1].text == text
        assert all("*" in order.shown and order.shown != order.text for order in orders)


def test_do_not_disturb_is_a_switch_of_its_own() -> None:
    grammar = LifesizeGrammar()
    answers, disturb = grammar.auto_answer()
    assert read(answers, "on") == AutoAnswer(AutoAnswerMode.ON)
    assert read(disturb, "disabled") is None
    assert read(grammar.auto_answer()[1], "enabled") == AutoAnswer(AutoAnswerMode.DO_NOT_DISTURB)
    texts = {mode: [ask(order).text for order in grammar.set_auto_answer(AutoAnswer(mode))] for mode in AutoAnswerMode}
    assert texts == {
        AutoAnswerMode.OFF: ["set call auto-answer off", "set system do-not-disturb disabled"],
        AutoAnswerMode.ON: ["set system do-not-disturb disabled", "set call auto-answer on"],
        AutoAnswerMode.DO_NOT_DISTURB: ["set call auto-answer off", "set system do-not-disturb enabled"],
    }
    later = LaterIconGrammar().set_auto_answer(AutoAnswer(AutoAnswerMode.DO_NOT_DISTURB))
    assert ask(later[-1]).text == "set system do-not-disturb true"
    with pytest.raises(ValueError, match="microphone"):
        grammar.set_auto_answer(AutoAnswer(AutoAnswerMode.ON, True))


def test_a_text_is_one_line_in_quotes() -> None:
    order = ask(LifesizeGrammar().text('Mời "xã B"\nvào phòng \\ 1', 0.2))
    assert order.text == "set system message \"Mời 'xã B'\\nvào phòng / 1\" -t 1"
    for text in ("x" * 401, "a\tb"):
        with pytest.raises(ValueError, match="expected"):
            LifesizeGrammar().text(text, 1)


def test_presets_have_the_range_of_the_model() -> None:
    assert ask(LifesizeGrammar().preset(19)).text == "set camera position -P 19"
    assert ask(LaterIconGrammar().preset(0)).text == "get camera preset Gems-Camera 0"
    for grammar, wrong in ((LifesizeGrammar(), 0), (LifesizeGrammar(), 20), (LaterIconGrammar(), 10)):
        with pytest.raises(ValueError, match="expected"):
            grammar.preset(wrong)


def test_who_it_is_in_the_shapes_firmware_has() -> None:
    model, version, serial = LifesizeGrammar().identity()
    assert read(model, "LifeSize,Room 220") == Identity("LifeSize", "Room 220")
    assert read(version, "LifeSize,LS_RM3_4.11.13 (2)") == Identity(firmware="LS_RM3_4.11.13 (2)")
    assert read(serial, "00A0F8C1,SB0012") == Identity(serial="00A0F8C1")
    assert read(LifesizeGrammar().identity()[0], "Icon 600") == Identity("LifeSize", "Icon 600")
    with pytest.raises(ValueError, match="too many"):
        read(LifesizeGrammar().identity()[0], "a", "b")


def test_the_switches_of_a_later_icon_have_other_words() -> None:
    mute, _, _, _, asleep, shares = LaterIconGrammar().room()
    assert read(mute, "muted") == RoomSeen(microphone_muted=True)
    assert read(asleep, "awake") == RoomSeen(asleep=False)
    assert read(shares, "not presenting") == RoomSeen(sharing=False)
    assert read(IconGrammar().room()[-1]) == RoomSeen(sharing=False)
    assert read(IconGrammar().room()[-1], "rx.started") == RoomSeen(sharing=False)
    assert read(IconGrammar().room()[-1], "something new") == RoomSeen()
    with pytest.raises(ValueError, match="neither"):
        read(IconGrammar().room()[0], "perhaps")

"""Huawei's words, the odd ones: data in a text, numbers in texts, states that drivers disagree on."""

import json
from typing import Any

import pytest

from adapters.control.order import CallSeen
from adapters.endpoints.huawei.grammar import HuaweiGrammar, call_in, number, said
from adapters.errors import Rejected
from adapters.http.order import Action, Answer, Refused, Talk
from adapters.values import Address, Identity, LegState


def answer(outer: object) -> Answer:
    return Answer(200, (), json.dumps(outer).encode())


def test_data_may_be_an_object_or_one_written_as_a_text() -> None:
    assert said(answer({"success": 1, "data": {"a": 1}})) == {"a": 1}
    assert said(answer({"success": "1", "data": '{"a":"x\\\\y"}'})) == {"a": "x\\y"}
    assert said(answer({"success": 1})) == {} == said(answer({"success": 1, "data": ""}))


@pytest.mark.parametrize(
    "outer", [{}, {"success": 4}, {"success": True}, [], "x", {"success": 1, "data": 3}, {"success": 1, "data": "{"}]
)
def test_what_is_no_answer_is_no_refusal_and_no_success(outer: object) -> None:
    with pytest.raises(ValueError):
        said(answer(outer))


def test_a_refusal_has_the_devices_words_if_any() -> None:
    for outer, words in (
        ({"success": 0}, ""),
        ({"success": "0", "error": "no such site"}, "no such site"),
        ({"success": 0, "exception": {"code": 7}}, '{"code": 7}'),
    ):
        with pytest.raises(Refused) as refused:
            said(answer(outer))
        assert str(refused.value) == words


@pytest.mark.parametrize(
    ("state", "seen"),
    [
        ({"callstate": 0, "confstate": 0, "conftype": 0}, None),
        ({"callstate": 1, "calltype": 8, "confstate": 1, "conftype": 0}, LegState.DIALING),
        ({"callstate": "1", "conftype": "0"}, LegState.DIALING),
        ({"confstate": 1}, LegState.DIALING),
        ({"confstate": 2, "conftype": 0}, LegState.RINGING),
        ({"callstate": 2, "conftype": 1}, LegState.CONNECTED),
        ({"callstate": 2, "IsInConf": 1}, LegState.CONNECTED),
        ({"callstate": 2, "IsInConf": 0}, None),  # "disconnected", as two drivers have it
        ({"callstate": 1, "conftype": 3}, LegState.CONNECTED),
        ({"callstate": 0, "IsInConf": 0, "confState": "idle", "joinSum": 0}, None),
        (json.dumps({"callstate": 1, "conftype": 0}), LegState.DIALING),
    ],
)
def test_the_state_of_the_one_call(state: object, seen: LegState | None) -> None:
    assert call_in({"state": state}) is seen


@pytest.mark.parametrize(
    "data",
    [{}, {"state": None}, {"state": {}}, {"state": ""}, {"state": {"callstate": 0}}, {"state": {"conftype": [1]}},
     {"state": {"conftype": True}}, {"state": {"conftype": "x"}}],
)  # fmt: skip
def test_what_says_nothing_of_a_call_does_not_say_that_there_is_none(data: Any) -> None:
    with pytest.raises(ValueError):
        call_in(data)


def test_calls_have_no_names_and_only_ringing_ones_come_in() -> None:
    read = action(HuaweiGrammar().calls()).read
    assert read({"state": {"conftype": 1}}) == (CallSeen("", LegState.CONNECTED, outgoing=None),)
    assert read({"state": {"confstate": 2, "conftype": 0}}) == (CallSeen("", LegState.RINGING, outgoing=False),)
    assert read({"state": {"callstate": 1, "conftype": 0}}) == (CallSeen("", LegState.DIALING, outgoing=True),)
    assert read({"state": {"callstate": 0, "conftype": 0}}) == ()


def action(order: object) -> Action[Any]:
    assert isinstance(order, Action)
    return order


def test_numbers() -> None:
    assert number(Address.parse("sip:10.0.0.5")) == "10.0.0.5"
    assert number(Address.parse("sip:room@mcu.example:5070")) == "room@mcu.example:5070"
    with pytest.raises(ValueError, match="TLS"):
        number(Address.parse("sips:room@mcu.example"))
    with pytest.raises(ValueError, match="250"):
        number(Address("sip", "x" * 260, "mcu.example"))


@pytest.mark.parametrize(
    ("states", "sent", "was_there"),
    [
        ([LegState.CONNECTED, None], ["WEB_HangupCallAPI"], True),
        ([LegState.DIALING, None], ["WEB_CancelCallAPI"], True),
        ([LegState.RINGING, None], ["WEB_IncomingCallProcAPI"], True),
        ([None, None], ["WEB_CancelCallAPI"], False),  # dialed a moment ago, and not shown yet
        ([None, LegState.DIALING, None], ["WEB_CancelCallAPI", "WEB_CancelCallAPI"], True),
        ([LegState.DIALING, LegState.CONNECTED, None], ["WEB_CancelCallAPI", "WEB_HangupCallAPI"], True),
        ([LegState.CONNECTED, LegState.CONNECTED], ["WEB_HangupCallAPI"], True),  # it takes its time
    ],
)
def test_a_call_is_ended_in_the_way_of_its_state(
    states: list[LegState | None], sent: list[str], was_there: bool
) -> None:
    talk = HuaweiGrammar().hang_up("")
    assert isinstance(talk, Talk) and talk.changes
    steps, seen, asked = talk.steps(), iter(states), []
    step = next(steps)
    while True:
        try:
            if step.name == "WEB_GetMailboxDataAPI":
                step = steps.send(next(seen))
            else:
                asked.append(step.name)
                assert step.changes
                step = steps.send(None)
        except StopIteration as end:
            assert end.value is was_there
            break
    assert asked == sent


def test_a_hang_up_that_is_refused_counts_only_when_the_call_stays() -> None:
    for after, is_refused in ((None, False), (LegState.CONNECTED, True)):
        steps = HuaweiGrammar().hang_up("").steps()  # type: ignore[attr-defined]
        next(steps)
        steps.send(LegState.CONNECTED)
        steps.throw(Rejected("unit", "hang_up", "no"))
        with pytest.raises(Rejected if is_refused else StopIteration):
            steps.send(after)


def test_identity_and_room() -> None:
    (version,) = HuaweiGrammar().identity()
    read = action(version).read
    assert read({"model": "TE20 ", "softVersion": "V5", "lisence": 21}) == Identity("Huawei", "TE20", "V5", "21")
    with pytest.raises(ValueError):
        read({})
    audio, asleep, sharing = (action(question).read for question in HuaweiGrammar().room())
    assert (audio({"MicSwitch": 0, "speakerValue": "15"}).microphone_muted, audio({"speakerValue": "15"}).volume) == (
        True,
        100,
    )
    assert audio({"SpeakerSwitch": 0}).microphone_muted is None
    with pytest.raises(ValueError, match="0 to 15"):
        audio({"speakerValue": 40})
    assert asleep({"isSystemSleep": "unsleep"}).asleep is False
    assert sharing({"isSendAux": "auxOpen"}).sharing is True
    with pytest.raises(ValueError):
        sharing({"isSendAux": ""})

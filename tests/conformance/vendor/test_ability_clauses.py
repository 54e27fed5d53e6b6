"""A declared ability works, an undeclared one is refused in silence; nothing is skipped."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from adapters.capabilities import Capability
from adapters.errors import AdapterError, NotSupported, Rejected
from adapters.events import LegCleared, LegConnected
from adapters.values import Address, AutoAnswer, AutoAnswerMode, DialOptions, LegState
from tests.conformance.vendor.rig import Rig
from tests.unit.sip.stage import until

LEG = "dc0a1b-1-2-1"
OPTIONS = DialOptions(display="Giao ban", ring_s=30)
Works = Callable[[Rig, Any], Awaitable[None]]


async def connect(rig: Rig, endpoint: Any, to: Address | None = None, **options: Any) -> None:
    await endpoint.dial(LEG, to or rig.to, DialOptions(ring_s=30, **options))
    await rig.heard.event(LegConnected, LEG)
    await until(lambda: rig.far.calls_up)


async def dials(rig: Rig, endpoint: Any) -> None:
    await connect(rig, endpoint)
    assert rig.far.tally.answers == 1


async def dials_sip(rig: Rig, endpoint: Any) -> None:
    await connect(rig, endpoint, rig.far.addresses[0])
    assert [call.protocol for call in rig.codec.call_table.values()] == ["sip"]


async def dials_h323(rig: Rig, endpoint: Any) -> None:
    await connect(rig, endpoint, rig.h323)
    assert [call.protocol for call in rig.codec.call_table.values()] == ["h323"]


async def chooses_the_rate(rig: Rig, endpoint: Any) -> None:
    await connect(rig, endpoint, max_kbps=768)
    assert [call.kbps for call in rig.codec.call_table.values()] == [768]


async def calls_with_picture(rig: Rig, endpoint: Any) -> None:
    await connect(rig, endpoint, video=True)


async def adopts(rig: Rig, endpoint: Any) -> None:
    await connect(rig, endpoint)
    await until(lambda: rig.memories[LEG].get("call") is not None)


async def shows_all(rig: Rig, endpoint: Any) -> None:
    rig.codec.is_muted = True
    status = await endpoint.status()
    assert status.calls == () and status.microphone_muted in (True, None)
    await connect(rig, endpoint)
    (call,) = (await endpoint.status()).calls
    assert (call.leg, call.state) == (LEG, LegState.CONNECTED)


async def answers(rig: Rig, endpoint: Any) -> None:
    with pytest.raises(Rejected):
        await endpoint.answer(LEG)
    rig.call_in()
    await until(lambda: any(call.state is LegState.RINGING for call in rig.codec.call_table.values()))
    await endpoint.answer(LEG)
    await rig.heard.event(LegConnected, LEG)
    await until(lambda: rig.codec.calls_up)
    await endpoint.hang_up(LEG)
    await rig.heard.cleared(LEG)
    await until(lambda: not rig.codec.calls)


async def reads_and_sets_auto_answer(rig: Rig, endpoint: Any) -> None:
    before = await endpoint.auto_answer()
    assert before.mode is AutoAnswerMode.OFF
    await endpoint.set_auto_answer(AutoAnswer(AutoAnswerMode.ON, before.muted))
    assert rig.codec.auto_answer is AutoAnswerMode.ON
    assert (await endpoint.auto_answer()).mode is AutoAnswerMode.ON
    await endpoint.set_auto_answer(before)
    assert await endpoint.auto_answer() == before and rig.codec.auto_answer is AutoAnswerMode.OFF


async def mutes(rig: Rig, endpoint: Any) -> None:
    for on in (True, True, False):
        await endpoint.mute(on)
        await until(lambda on=on: rig.codec.is_muted is on)  # type: ignore[misc]
        assert (await endpoint.status()).microphone_muted in (on, None)


async def sets_the_volume(rig: Rig, endpoint: Any) -> None:
    for percent in (40, 0, 100):
        await endpoint.set_volume(percent)
        await until(lambda percent=percent: abs(rig.codec.volume - percent) <= 5)  # type: ignore[misc]
    heard = rig.twin.heard_bytes
    with pytest.raises(Rejected, match="0 to 100"):
        await endpoint.set_volume(101)
    assert rig.twin.heard_bytes == heard


async def sends_digits(rig: Rig, endpoint: Any) -> None:
    with pytest.raises(Rejected):
        await endpoint.send_digits(LEG, "1")
    await connect(rig, endpoint, digits="24#", digits_delay_s=0.0)
    await until(lambda: rig.far.digits == "24#")
    await endpoint.send_digits(LEG, "*0")
    await until(lambda: rig.far.digits == "24#*0")
    with pytest.raises(Rejected):
        await endpoint.send_digits(LEG, "24x")
    try:
        await endpoint.send_digits(LEG, "D")
        await until(lambda: rig.far.digits == "24#*0D")
    except Rejected as no:
        assert "A to D" in str(no)


async def recalls_a_preset(rig: Rig, endpoint: Any) -> None:
    await endpoint.recall_preset(2)
    await until(lambda: rig.codec.preset == 2)
    with pytest.raises(Rejected, match="expected"):
        await endpoint.recall_preset(100_000)


async def shares(rig: Rig, endpoint: Any) -> None:
    if not rig.vendor.shares_outside_calls:
        with pytest.raises(Rejected):
            await endpoint.share_content(True)
        await connect(rig, endpoint)
    for on in (True, False):
        await endpoint.share_content(on)
        await until(lambda on=on: rig.codec.is_sharing is on)  # type: ignore[misc]


async def wakes(rig: Rig, endpoint: Any) -> None:
    rig.codec.is_asleep = True
    await endpoint.wake()
    await until(lambda: not rig.codec.is_asleep)
    await endpoint.wake()


async def shows_text(rig: Rig, endpoint: Any) -> None:
    await endpoint.show_text("Giao ban bat dau 08:00", 10)
    await until(lambda: rig.codec.screen == "Giao ban bat dau 08:00")


WORKS: dict[Capability, tuple[Works, Works]] = {
    Capability.DIAL: (dials, lambda rig, e: e.dial(LEG, rig.to, OPTIONS)),
    Capability.SIP: (dials_sip, lambda rig, e: e.dial(LEG, rig.far.addresses[0], OPTIONS)),
    Capability.H323: (dials_h323, lambda rig, e: e.dial(LEG, rig.h323, OPTIONS)),
    Capability.ADOPT: (adopts, lambda rig, e: e.adopt(LEG, {})),
    Capability.STATUS: (shows_all, lambda rig, e: e.status()),
    Capability.ANSWER: (answers, lambda rig, e: e.answer(LEG)),
    Capability.AUTO_ANSWER: (reads_and_sets_auto_answer, lambda rig, e: e.auto_answer()),
    Capability.MUTE: (mutes, lambda rig, e: e.mute(True)),
    Capability.VOLUME: (sets_the_volume, lambda rig, e: e.set_volume(10)),
    Capability.DTMF: (sends_digits, lambda rig, e: e.send_digits(LEG, "1")),
    Capability.PRESET: (recalls_a_preset, lambda rig, e: e.recall_preset(1)),
    Capability.CONTENT: (shares, lambda rig, e: e.share_content(True)),
    Capability.WAKE: (wakes, lambda rig, e: e.wake()),
    Capability.TEXT: (shows_text, lambda rig, e: e.show_text("x", 1)),
}
WISHES = {Capability.RATE: chooses_the_rate, Capability.VIDEO: calls_with_picture}
"""What a family lacks of these it passes over: a call without the wish is better than none."""
OTHERS = {  # of bridges, and of endpoints that only speak SIP
    Capability.REFER,
    Capability.INVITE,
    Capability.ROSTER,
    Capability.DROP,
    Capability.LOCK,
    Capability.LAYOUT,
    Capability.RECORD,
}


def test_every_ability_has_its_clause() -> None:
    assert set(WORKS) | set(WISHES) | OTHERS == set(Capability)


@pytest.mark.parametrize("ability", WORKS, ids=str)
async def test_a_declared_ability_works_and_an_undeclared_one_is_refused_in_silence(
    rig: Rig, endpoint: Any, ability: Capability
) -> None:
    works, refused = WORKS[ability]
    if ability in rig.vendor.capabilities:
        await works(rig, endpoint)
        return
    commands = list(rig.twin.commands)
    with pytest.raises(NotSupported) as no:
        await refused(rig, endpoint)
    assert no.value.device in str(no.value) and "family" in str(no.value)
    assert [c for c in rig.twin.commands[len(commands) :] if not c.startswith(rig.vendor.wire["calls"])] == []
    assert rig.heard.events == [] and await endpoint.snapshot() == ()


@pytest.mark.parametrize("ability", WISHES, ids=str)
async def test_a_wish_is_met_or_passed_over(rig: Rig, endpoint: Any, ability: Capability) -> None:
    if ability in rig.vendor.capabilities:
        await WISHES[ability](rig, endpoint)
    else:
        await connect(rig, endpoint, max_kbps=768, video=True)


async def test_answering_with_the_microphone_off_is_set_or_refused_in_silence(rig: Rig, endpoint: Any) -> None:
    wanted = AutoAnswer(AutoAnswerMode.ON, True)
    commands = len(rig.twin.commands)
    try:
        await endpoint.set_auto_answer(wanted)
    except NotSupported:
        polls = rig.vendor.wire["calls"]
        assert [command for command in rig.twin.commands[commands:] if not command.startswith(polls)] == []
        assert rig.codec.auto_answer is AutoAnswerMode.OFF
    else:
        assert await endpoint.auto_answer() == wanted


@pytest.mark.parametrize("fault", ["silent", "drop", "reset"])
async def test_an_order_without_a_reply_is_unknown_or_lost_and_never_taken_for_done(
    rig: Rig, endpoint: Any, fault: str
) -> None:
    rig.twin.faults.script(f"{fault} at {rig.vendor.wire['mute']}")
    try:
        await endpoint.mute(True)
    except AdapterError as error:
        assert error.advice in ("look", "later")
    else:  # a device whose silence means yes: then it must have done it
        assert rig.codec.is_muted
    assert not rig.heard.of(LegCleared)

"""Calls: events in order and once, the right cause, hang-ups that end ours and nobody else's."""

import asyncio
from typing import Any

import pytest

from adapters.capabilities import Capability
from adapters.causes import ClearCause, Side
from adapters.errors import Busy, NotSupported, Rejected
from adapters.events import LegCleared, LegConnected, LegRinging
from adapters.values import Address, DialOptions, LegState
from tests.conformance.vendor.rig import TELLS, Rig
from tests.support.heard import Heard
from tests.unit.sip.stage import until

LEG = "dc0a1b-1-2-1"
OPTIONS = DialOptions(display="Giao ban", ring_s=30)


def told(rig: Rig, leg: str = LEG) -> list[type]:
    return [type(event) for event in rig.heard.about(leg)]


async def test_dialing_returns_before_the_answer_and_events_come_in_order(rig: Rig, endpoint: Any) -> None:
    rig.behave("ring 600; answer")
    await endpoint.dial(LEG, rig.to, OPTIONS)
    assert LegConnected not in told(rig)
    await endpoint.dial(LEG, rig.to, OPTIONS)  # the same order
    if rig.vendor.tells_ringing:
        await rig.heard.event(LegRinging, LEG)
    await rig.answer_far()
    await rig.heard.event(LegConnected, LEG)
    await until(lambda: rig.far.calls_up)
    rings = rig.vendor.tells_ringing
    assert told(rig) in [[LegRinging, LegConnected]] * (rings is not False) + [[LegConnected]] * (rings is not True)
    assert [(seen.leg, seen.state) for seen in await endpoint.snapshot()] == [(LEG, LegState.CONNECTED)]
    assert rig.far.tally.rings == 1


async def test_hanging_up_may_be_repeated_and_clears_once(rig: Rig, endpoint: Any) -> None:
    await endpoint.hang_up("dc0a1b-9-9-9")
    await endpoint.dial(LEG, rig.to, OPTIONS)
    await rig.heard.event(LegConnected, LEG)
    await endpoint.hang_up(LEG)
    await endpoint.hang_up(LEG)
    cleared = (await rig.heard.cleared(LEG)).cleared
    assert (cleared.cause, cleared.side) == (ClearCause.LOCAL, Side.OURS)
    await endpoint.hang_up(LEG)
    await until(lambda: not rig.far.calls and not rig.codec.calls)
    assert await endpoint.snapshot() == ()
    await endpoint.status()
    assert told(rig)[-1] is LegCleared and told(rig).count(LegCleared) == 1


async def test_a_call_that_only_rings_can_be_hung_up(rig: Rig, endpoint: Any) -> None:
    rig.behave("never answers")
    await endpoint.dial(LEG, rig.to, OPTIONS)
    await endpoint.hang_up(LEG)
    assert (await rig.heard.cleared(LEG)).cleared.cause is ClearCause.LOCAL
    await until(lambda: not rig.far.calls)
    assert LegConnected not in told(rig)


@pytest.mark.parametrize("script", TELLS)
async def test_a_call_that_fails_ends_with_the_cause_the_device_tells(rig: Rig, endpoint: Any, script: str) -> None:
    rig.behave(script)
    await endpoint.dial(LEG, rig.to, OPTIONS)
    assert (await rig.heard.cleared(LEG)).cleared.cause is rig.vendor.causes[script]
    assert LegConnected not in told(rig) and told(rig).count(LegCleared) == 1
    assert await endpoint.snapshot() == ()


async def test_a_number_that_nobody_has_is_a_call_that_fails(rig: Rig, endpoint: Any) -> None:
    to = Address(rig.to.scheme, "nobody", rig.to.host, rig.to.port)
    await endpoint.dial(LEG, to, OPTIONS)
    assert (await rig.heard.cleared(LEG)).cleared.cause is rig.vendor.causes["not found"]


async def test_the_ring_time_is_kept(rig: Rig, endpoint: Any) -> None:
    rig.behave("never answers")
    await endpoint.dial(LEG, rig.to, DialOptions(ring_s=0.3))
    assert (await rig.heard.cleared(LEG)).cleared.cause is ClearCause.NO_ANSWER
    await until(lambda: not rig.far.calls)


async def test_busy_twice_and_then_an_answer(rig: Rig, endpoint: Any) -> None:
    rig.behave("busy twice; answer")
    for number in (1, 2):
        await endpoint.dial(f"dc0a1b-1-2-{number}", rig.to, OPTIONS)
        cleared = (await rig.heard.cleared(f"dc0a1b-1-2-{number}")).cleared
        assert cleared.cause is rig.vendor.causes["busy"]
    await endpoint.dial("dc0a1b-1-2-3", rig.to, OPTIONS)
    await rig.heard.event(LegConnected, "dc0a1b-1-2-3")


async def test_a_far_end_that_hangs_up_is_seen_within_the_declared_lag(rig: Rig, endpoint: Any) -> None:
    await endpoint.dial(LEG, rig.to, OPTIONS)
    await rig.heard.event(LegConnected, LEG)
    await until(lambda: rig.far.calls_up)
    rig.far.hang_up()
    async with asyncio.timeout(endpoint.lag_s + 5):
        assert (await rig.heard.cleared(LEG)).cleared.cause is rig.vendor.far_hang_up
    assert told(rig)[-1] is LegCleared and await endpoint.snapshot() == ()


async def test_a_drop_after_a_while_is_seen_too(rig: Rig, endpoint: Any) -> None:
    rig.behave("answer; drop after 0.2")
    await endpoint.dial(LEG, rig.to, OPTIONS)
    await rig.heard.event(LegConnected, LEG)
    assert (await rig.heard.cleared(LEG)).cleared.cause is rig.vendor.far_hang_up


async def test_once_it_is_quiet_the_snapshot_agrees_with_the_events(rig: Rig, endpoint: Any) -> None:
    for number, script in enumerate(("busy", "answer; drop after 0.05", "answer")):
        rig.behave(script)
        await endpoint.dial(f"leg-{number}", rig.to, OPTIONS)
        await rig.heard.event(LegCleared if number < 2 else LegConnected, f"leg-{number}")
        if number < 2:
            await until(lambda: not rig.codec.calls)
    seen = {seen.leg: seen.state for seen in await endpoint.snapshot()}
    last = {event.leg: type(event) for event in rig.heard.of(LegRinging, LegConnected, LegCleared)}
    assert (
        seen
        == {leg: LegState.CONNECTED for leg, kind in last.items() if kind is LegConnected}
        == {"leg-2": LegState.CONNECTED}
    )


async def test_a_call_made_by_hand_is_shown_and_never_touched(rig: Rig, endpoint: Any) -> None:
    rig.call_by_hand()
    await until(lambda: rig.codec.calls_up)
    await until_shown(endpoint, 1)
    status = await endpoint.status()
    assert [(call.leg, call.state) for call in status.calls] == [("", LegState.CONNECTED)]
    assert await endpoint.snapshot() == ()
    if not rig.vendor.has_other_calls:
        with pytest.raises(Busy):
            await endpoint.dial(LEG, rig.to, OPTIONS)
    await endpoint.hang_up(LEG)
    await endpoint.close()
    assert rig.codec.calls_up == 1 and rig.heard.events == []


async def until_shown(endpoint: Any, calls: int) -> None:
    async with asyncio.timeout(10):
        while len((await endpoint.status()).calls) != calls:  # noqa: ASYNC110 - each turn asks the device
            await asyncio.sleep(0)


async def test_a_leg_is_picked_up_by_a_later_process(rig: Rig, endpoint: Any) -> None:
    if Capability.ADOPT not in rig.vendor.capabilities:
        with pytest.raises(NotSupported):
            await endpoint.adopt(LEG, {})
        return
    await endpoint.dial(LEG, rig.to, OPTIONS)
    await rig.heard.event(LegConnected, LEG)
    await until(lambda: LEG in rig.memories and rig.memories[LEG].get("call") is not None)
    await endpoint.close()
    later = Heard()
    next_process = rig.adapter(later)
    await next_process.open()
    for _ in range(2):
        assert (await next_process.adopt(LEG, rig.memories[LEG])).state is LegState.CONNECTED
    assert (await next_process.adopt("leg-x", {"to": str(rig.to), "call": "999"})).state is LegState.CLEARED
    await next_process.hang_up(LEG)
    assert (await later.cleared(LEG)).cleared.cause is ClearCause.LOCAL
    assert LegCleared not in told(rig), "who has given the session up tells nothing more"
    with pytest.raises(Rejected):
        await next_process.adopt(LEG, {"who": "knows"})


@pytest.mark.parametrize("steps", [0, 1, 2, 3, 4, 6, 8, 12, 20, 40])
async def test_cancelled_at_any_await_a_call_is_up_or_down_and_never_confused(
    rig: Rig, endpoint: Any, steps: int
) -> None:
    order = asyncio.ensure_future(endpoint.dial(LEG, rig.to, OPTIONS))
    for _ in range(steps):
        await asyncio.sleep(0)
    order.cancel()
    await asyncio.wait({order})
    await endpoint.hang_up(LEG)
    await until(lambda: not rig.far.calls and not rig.codec.calls)
    async with asyncio.timeout(10):
        while await endpoint.snapshot():  # noqa: ASYNC110 - each turn asks the device
            await asyncio.sleep(0)
    await until(lambda: not rig.far.calls and not rig.codec.calls)
    assert told(rig).count(LegCleared) <= 1
    await endpoint.dial("dc0a1b-1-2-2", rig.to, OPTIONS)
    await rig.heard.event(LegConnected, "dc0a1b-1-2-2")
    assert rig.far.tally.doubles == 0


async def test_an_order_cancelled_before_its_turn_is_never_sent(rig: Rig, endpoint: Any) -> None:
    asking = [asyncio.ensure_future(endpoint.status()) for _ in range(3)]
    dialing = asyncio.ensure_future(endpoint.dial(LEG, rig.to, OPTIONS))
    for _ in range(3):
        await asyncio.sleep(0)
    assert not dialing.done() and not any(one.done() for one in asking), "it waits behind the questions"
    dialing.cancel()
    await asyncio.wait([*asking, dialing])
    await endpoint.status()
    assert not any(command.startswith(rig.vendor.wire["dial"]) for command in rig.twin.commands)
    assert await endpoint.snapshot() == () and rig.far.tally.rings == 0 and told(rig) == []


async def test_an_order_cancelled_in_the_middle_confuses_no_later_one(rig: Rig, endpoint: Any) -> None:
    for steps in range(6):
        order = asyncio.ensure_future(endpoint.status())
        for _ in range(steps):
            await asyncio.sleep(0)
        order.cancel()
        await asyncio.wait({order})
        assert (await endpoint.status()).calls == ()
    assert rig.heard.events == []

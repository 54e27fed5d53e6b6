"""A pair that is up outlives the process: the next one finds it, hears of it and can end it."""

import asyncio
from typing import Any

import pytest

from adapters.causes import ClearCause
from adapters.errors import OutcomeUnknown, Rejected
from adapters.events import LegConnected
from adapters.sip.listener import Ending
from adapters.values import LegState
from tests.unit.sip.stage import FAR_SDP, LEG, NEAR_SDP, Mind, Stage, stage, until


async def up(s: Stage) -> Mind:
    mind = await s.mind()
    await mind.dial(s.far)
    await mind.heard.event(LegConnected, LEG)
    await until(lambda: s.near.up and s.far.up)
    return mind


async def deaf(s: Stage, first: Mind, *, same_port: bool = True) -> Mind:
    port = await first.die()
    return await s.mind(port=port if same_port else 0)


async def test_an_adopted_pair_is_connected_and_tells_nothing_new() -> None:
    async with stage() as s:
        mind = await deaf(s, await up(s))
        seen = await mind.adopt()
        assert (seen.leg, seen.state) == (LEG, LegState.CONNECTED)
        assert (await mind.adopt()).state is LegState.CONNECTED
        [seen] = await mind.endpoint.snapshot()
        assert seen.state is LegState.CONNECTED and mind.told == []
        await mind.hang_up()
        assert (await mind.heard.cleared(LEG)).cleared.cause is ClearCause.LOCAL
        assert s.near.endings == s.far.endings == [Ending.BYE]
        await s.drained(mind)


async def test_it_is_ended_from_another_port_as_well() -> None:
    async with stage() as s:
        mind = await deaf(s, await up(s), same_port=False)
        await mind.adopt()
        await mind.hang_up()
        await mind.heard.cleared(LEG)
        assert s.near.endings == s.far.endings == [Ending.BYE]
        await s.drained(mind)


@pytest.mark.rfc("3261", "15.1.2")
@pytest.mark.parametrize(("who", "cause"), [("near", ClearCause.FAR_END), ("far", ClearCause.BRIDGE_ENDED)])
async def test_a_later_bye_of_either_side_is_noticed(who: str, cause: ClearCause) -> None:
    async with stage() as s:
        mind = await deaf(s, await up(s))
        await mind.adopt()
        leaves, stays = (s.near, s.far) if who == "near" else (s.far, s.near)
        leaves.call.hang_up()
        assert (await mind.heard.cleared(LEG)).cleared.cause is cause
        assert stays.endings == [Ending.BYE] and mind.told == ["LegCleared"]
        await s.drained(mind)


@pytest.mark.rfc("3261", "13.2.2.4")
async def test_acks_that_never_went_out_go_out_with_the_remembered_answer() -> None:
    async with stage() as s:
        first = await s.mind()
        stored = asyncio.Event()

        async def hang() -> None:
            stored.set()
            await asyncio.Event().wait()

        first.stored = hang
        await first.dial(s.far)
        await stored.wait()
        assert s.near.acks == s.far.acks == []
        mind = await deaf(s, first)
        assert (await mind.adopt()).state is LegState.CONNECTED
        await until(lambda: s.near.up and s.far.up)
        assert s.near.acks == [FAR_SDP] and s.far.acks == [b""]
        await mind.hang_up()
        await mind.heard.cleared(LEG)
        await s.drained(mind)


@pytest.mark.parametrize("who", ["near", "far"])
async def test_one_side_denies_it_and_the_other_is_released(who: str) -> None:
    async with stage() as s:
        first = await up(s)
        denies, knows = (s.near, s.far) if who == "near" else (s.far, s.near)
        denies.agent.forget(denies.call)
        mind = await deaf(s, first)
        assert (await mind.adopt()).state is LegState.CLEARED
        cleared = (await mind.heard.cleared(LEG)).cleared
        assert cleared.cause is ClearCause.LOST and "481" in cleared.raw
        assert knows.endings == [Ending.BYE]
        await s.drained(mind)
        assert mind.told == ["LegCleared"]


async def test_both_sides_deny_it_and_nothing_is_left() -> None:
    async with stage() as s:
        first = await up(s)
        for device in (s.near, s.far):
            device.agent.forget(device.call)
        mind = await deaf(s, first)
        assert (await mind.adopt()).state is LegState.CLEARED
        assert (await mind.heard.cleared(LEG)).cleared.cause is ClearCause.LOST
        await s.drained(mind)


async def test_silence_of_both_is_no_answer_and_may_be_asked_again() -> None:
    async with stage() as s:
        first = await up(s)
        for device in (s.near, s.far):
            device.agent.hears = lambda request: False
        mind = await deaf(s, first)
        for _ in range(2):
            with pytest.raises(OutcomeUnknown):
                await mind.adopt()
        assert await mind.endpoint.snapshot() == () and mind.told == []
        for device in (s.near, s.far):
            device.agent.hears = None
        assert (await mind.adopt()).state is LegState.CONNECTED
        s.near.call.hang_up()
        assert (await mind.heard.cleared(LEG)).cleared.cause is ClearCause.FAR_END
        await s.drained(mind)


async def test_one_silent_side_does_not_make_the_pair_unknown() -> None:
    async with stage() as s:
        first = await up(s)
        s.far.agent.hears = lambda request: False
        mind = await deaf(s, first)
        assert (await mind.adopt()).state is LegState.CONNECTED


async def test_an_end_while_both_are_being_asked_is_an_answer() -> None:
    async with stage() as s:
        first = await up(s)
        for device in (s.near, s.far):
            device.agent.hears = lambda request: request.method == "BYE"
        mind = await deaf(s, first)
        asked = asyncio.create_task(mind.adopt())
        await until(lambda: len(mind.agent) == 2)
        s.near.call.hang_up()
        assert (await asked).state is LegState.CLEARED
        assert mind.told in ([], ["LegCleared"])
        assert (await mind.heard.cleared(LEG)).cleared.cause is ClearCause.FAR_END
        await s.drained(mind)


async def test_hanging_up_while_both_are_being_asked() -> None:
    async with stage() as s:
        first = await up(s)
        for device in (s.near, s.far):
            device.agent.hears = lambda request: request.method == "BYE"
        mind = await deaf(s, first)
        asked = asyncio.create_task(mind.adopt())
        await until(lambda: len(mind.agent) == 2)
        await mind.hang_up()
        assert (await asked).state is LegState.CLEARED
        assert (await mind.heard.cleared(LEG)).cleared.cause is ClearCause.LOCAL
        assert s.near.endings == s.far.endings == [Ending.BYE]
        await s.drained(mind)


BAD: list[Any] = [
    {},
    {"near": None},
    {"near": {}, "far": {}, "whole": True, "origin": 0, "near_ack": "", "far_ack": ""},
    {"near": "x", "far": [], "whole": True, "origin": "y", "near_ack": "", "far_ack": ""},
]


@pytest.mark.parametrize("memory", BAD)
async def test_a_memory_that_is_none_is_refused_and_leaves_nothing(memory: Any) -> None:
    async with stage() as s:
        mind = await s.mind()
        with pytest.raises(Rejected, match="memory"):
            await mind.endpoint.adopt(LEG, memory)
        assert len(mind.agent) == 0 and await mind.endpoint.snapshot() == ()


async def test_half_a_good_memory_leaves_nothing_either() -> None:
    async with stage() as s:
        first = await up(s)
        mind = await deaf(s, first)
        with pytest.raises(Rejected, match="memory"):
            await mind.endpoint.adopt(LEG, {**s.memories[LEG], "far": {"at": s.memories[LEG]["near"]["at"]}})
        assert len(mind.agent) == 0
        assert (await mind.adopt()).state is LegState.CONNECTED


async def test_the_memory_holds_no_secret_and_no_digits() -> None:
    async with stage() as s:
        mind = await s.mind()
        mind.agent.credentials = lambda realm, host: ("site", "hidden-word")
        await mind.dial(s.far, digits="918273#", digits_delay_s=0.01)
        await mind.heard.event(LegConnected, LEG)
        await until(lambda: len(s.far.infos) == 7)
        said = repr((mind.memories, mind.heard.events, mind.endpoint._legs, await mind.endpoint.snapshot()))
        assert "918273" not in said and "hidden-word" not in said


async def test_requests_inside_a_call_not_yet_adopted_are_not_denied() -> None:
    async with stage() as s:
        first = await up(s)
        mind = await deaf(s, first)
        answered: list[int] = []
        s.near.call.update(NEAR_SDP, lambda r: answered.append(r.status if r else 0))
        s.far.on_offer = lambda offer: offer.answer(FAR_SDP)
        await asyncio.sleep(0.2)  # the first of them have come by now
        assert answered == [] and (await mind.adopt()).state is LegState.CONNECTED
        await until(lambda: answered)
        assert answered == [200] and s.far.offers == [NEAR_SDP]

"""Hanging up at every moment: both devices hear of it, nothing half-dead stays."""

import asyncio
from collections.abc import Callable

import pytest

from adapters.causes import ClearCause, Side
from adapters.endpoints.sip.profile import Profile
from adapters.events import LegConnected, LegRinging
from adapters.sip.call import Call
from adapters.sip.listener import Ending
from adapters.sip.pair import Patience
from adapters.sip.sdp import medias
from adapters.values import Address, DialOptions
from tests.unit.sip.conftest import MakeWire
from tests.unit.sip.stage import FAR_SDP, LEG, NEAR_SDP, Mind, Stage, answers, rings, silent, stage, until


async def hung_up(s: Stage, mind: Mind) -> None:
    """Ordered three times, told once, and everybody is free."""
    await mind.hang_up()
    await mind.hang_up()
    cleared = (await mind.heard.cleared(LEG)).cleared
    assert (cleared.cause, cleared.side) == (ClearCause.LOCAL, Side.OURS)
    await mind.hang_up()
    await s.drained(mind)
    assert mind.told.count("LegCleared") == 1 and mind.told[-1] == "LegCleared"


@pytest.mark.rfc("3261", "9.1")
async def test_before_any_response() -> None:
    async with stage() as s:
        s.near.agent.hears = lambda request: False
        mind = await s.mind()
        await mind.dial(s.far)
        await hung_up(s, mind)
        assert s.near.calls == s.far.calls == []


async def test_before_any_response_when_the_invite_comes_through_late() -> None:
    async with stage(near=silent) as s:
        heard: list[str] = []

        def hears(request: object) -> bool:
            heard.append(request.method)  # type: ignore[attr-defined]
            return len(heard) > 1  # the first INVITE is lost on its way

        s.near.agent.hears = hears
        mind = await s.mind()
        await mind.dial(s.far)
        await until(lambda: heard)
        await mind.hang_up()
        await mind.heard.cleared(LEG)
        await s.drained(mind)
        assert set(s.near.endings) <= {Ending.CANCEL}


async def test_while_the_near_side_only_tries() -> None:
    async with stage(near=silent) as s:
        mind = await s.mind()
        await mind.dial(s.far)
        await until(lambda: s.near.calls)
        await hung_up(s, mind)
        assert s.near.endings == [Ending.CANCEL] and s.far.calls == []


@pytest.mark.rfc("3261", "9.1")
async def test_while_the_near_side_rings() -> None:
    async with stage(near=rings) as s:
        mind = await s.mind()
        await mind.dial(s.far)
        await mind.heard.event(LegRinging, LEG)
        await hung_up(s, mind)
        assert s.near.endings == [Ending.CANCEL] and s.far.calls == []


async def test_while_the_far_side_is_asked_and_says_nothing() -> None:
    async with stage() as s:
        s.far.agent.hears = lambda request: False
        mind = await s.mind()
        await mind.dial(s.far)
        await until(lambda: s.near.calls and len(mind.agent) == 2)
        await hung_up(s, mind)
        assert s.near.endings == [Ending.BYE]


async def test_while_the_far_side_rings() -> None:
    async with stage(far=rings) as s:
        mind = await s.mind()
        await mind.dial(s.far)
        await until(lambda: s.far.calls)
        await hung_up(s, mind)
        assert s.near.endings == [Ending.BYE] and s.far.endings == [Ending.CANCEL]
        assert all(m.port == 0 for m in medias(s.near.acks[0])), "its offer was answered with a refusal"


@pytest.mark.parametrize("flow", ["I", "III"])
async def test_while_the_pair_is_being_stored(flow: str) -> None:
    async with stage() as s:
        s.near.on_offer = lambda offer: offer.answer(NEAR_SDP)
        mind = await s.mind(flow=flow)
        asked, never = asyncio.Event(), asyncio.Event()

        async def gate() -> None:
            if flow == "I" or mind.memories:  # in flow III the second time: the far side has answered
                asked.set()
                await never.wait()

        mind.gate = gate
        await mind.dial(s.far)
        await asked.wait()
        await hung_up(s, mind)
        assert s.near.endings == s.far.endings == [Ending.BYE]
        never.set()
        await asyncio.sleep(0)
        assert mind.told[-1] == "LegCleared"


async def test_while_the_near_side_is_parked() -> None:
    async with stage(far=rings) as s:
        mind = await s.mind(profile=Profile(patience=Patience(ack_s=0.05)))
        await mind.dial(s.far)
        await until(lambda: s.near.up and s.far.calls)
        await hung_up(s, mind)
        assert s.near.endings == [Ending.BYE] and s.far.endings == [Ending.CANCEL]


async def test_while_the_near_side_thinks_about_the_far_sides_offer() -> None:
    async with stage() as s:
        s.near.on_offer = lambda offer: None
        mind = await s.mind(flow="III")
        await mind.dial(s.far)
        await until(lambda: s.near.offers)
        await hung_up(s, mind)
        assert s.near.endings == s.far.endings == [Ending.BYE]
        assert all(m.port == 0 for m in medias(s.far.acks[0]))
        await s.forgotten(mind)


@pytest.mark.rfc("3261", "14.1", "13.2.2.4")
async def test_an_answer_to_a_reinvite_that_comes_after_the_bye_gets_its_ack(make_wire: MakeWire) -> None:
    async with stage() as s:
        wire = await make_wire()
        mind = await s.mind(near=Address("sip", "x", *wire.address), flow="III")
        await mind.dial(s.far)
        wire.reply(await wire.next("INVITE"), 200, body=NEAR_SDP)
        await wire.next("ACK")
        again = await wire.next("INVITE")
        await mind.hang_up()
        wire.reply(await wire.next("BYE"), 200)
        await mind.heard.cleared(LEG)
        wire.reply(again, 200, body=NEAR_SDP)
        ack = await wire.next("ACK")
        assert (ack.cseq, ack.to_tag) == (again.cseq, "peer-tag")
        await s.drained(mind)


@pytest.mark.rfc("3261", "15.1.1")
async def test_when_it_is_up() -> None:
    async with stage() as s:
        mind = await s.mind()
        await mind.dial(s.far)
        await mind.heard.event(LegConnected, LEG)
        await until(lambda: s.near.up and s.far.up)
        await hung_up(s, mind)
        assert s.near.endings == s.far.endings == [Ending.BYE]
        await s.forgotten(mind)


async def test_a_leg_nobody_knows_is_over_already() -> None:
    async with stage() as s:
        mind = await s.mind()
        await mind.hang_up()
        assert mind.told == []


@pytest.mark.rfc("3261", "9.1", "15")
async def test_a_cancel_that_crosses_the_answer() -> None:
    """The near side answers, and our CANCEL reaches it afterwards: the call is taken and ended."""
    async with stage(near=rings) as s:
        mind = await s.mind()
        await mind.dial(s.far)
        await mind.heard.event(LegRinging, LEG)
        s.near.call.answer(NEAR_SDP)
        await mind.hang_up()  # before the loop has read the answer
        cleared = (await mind.heard.cleared(LEG)).cleared
        assert cleared.cause is ClearCause.LOCAL
        assert s.near.endings == [Ending.BYE] and s.far.calls == []
        await s.drained(mind)


async def test_an_answer_that_crosses_the_end_of_the_ring_time_is_no_far_end() -> None:
    async with stage(near=rings) as s:
        mind = await s.mind()
        await mind.dial(s.far, ring_s=600.0)
        await mind.heard.event(LegRinging, LEG)
        near = mind.endpoint._legs[LEG].pair.near
        assert near is not None
        s.near.call.answer(NEAR_SDP)
        near.hang_up()  # what the ring alarm does
        cleared = (await mind.heard.cleared(LEG)).cleared
        assert cleared.cause is ClearCause.NO_ANSWER
        await s.drained(mind)


@pytest.mark.parametrize("script", [answers(NEAR_SDP), rings, silent])
async def test_at_many_moments(script: Callable[[Call], None]) -> None:
    """Whatever the moment is, nothing stays behind."""
    async with stage(near=script, far=answers(FAR_SDP)) as s:
        mind = await s.mind()
        ends = []
        for number in range(70):
            leg = f"dc7f3a-1-{number}-1"
            await mind.endpoint.dial(leg, s.far.address, DialOptions(ring_s=30.0))
            for _ in range(number % 14):
                await asyncio.sleep(0)
            await mind.endpoint.hang_up(leg)
            ends.append(mind.heard.cleared(leg))
        await asyncio.gather(*ends)
        await s.drained(mind)
        assert mind.told.count("LegCleared") == 70

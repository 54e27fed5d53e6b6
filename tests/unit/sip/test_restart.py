"""A process that takes over dials the same leg again, and goes on with the call that is there."""

import asyncio
from collections.abc import Callable

import pytest

from adapters.endpoints.sip.profile import Profile
from adapters.events import LegConnected, LegRinging
from adapters.sip.call import Call
from adapters.sip.digest import Challenge
from adapters.sip.exchange import Identity
from adapters.sip.pair import Patience
from tests.unit.sip.stage import FAR_SDP, LEG, NEAR_SDP, SEED, Mind, Stage, answers, rings, silent, stage, until

CHALLENGE = 'Digest realm="codec", nonce="n0", qop="auth", algorithm=SHA-256'


@pytest.mark.rfc("3261", "19.3")
def test_an_identity_is_the_same_each_time_and_not_to_be_guessed() -> None:
    one = Identity.derive(LEG + ".n", SEED)
    assert one == Identity.derive(LEG + ".n", SEED)
    others = [Identity.derive(LEG + ".f", SEED), Identity.derive(LEG + ".n", b"another house"), one.again()]
    for part in ("call_id", "branch"):
        assert len({getattr(identity, part) for identity in (one, *others)}) == 4
    assert one.branch.startswith("z9hG4bK")
    assert one.again() == one.again()


async def take_over(s: Stage, first: Mind) -> Mind:
    """The same leg dialed by a new process on the same address."""
    second = await s.mind(port=await first.die())
    await second.dial(s.far)
    return second


async def all_well(s: Stage, mind: Mind) -> None:
    """One call at each device, and it can be ended."""
    await mind.heard.event(LegConnected, LEG)
    await until(lambda: s.near.up and s.far.up)
    assert len(s.near.calls) == len(s.far.calls) == 1
    assert s.near.acks == [FAR_SDP] and s.far.requests[0].body == NEAR_SDP
    await mind.hang_up()
    await mind.heard.cleared(LEG)
    await s.drained(mind)


@pytest.mark.rfc("3261", "17.2.3")
async def test_a_ringing_near_side_is_not_rung_again() -> None:
    async with stage(near=rings) as s:
        first = await s.mind()
        await first.dial(s.far)
        await first.heard.event(LegRinging, LEG)
        second = await take_over(s, first)
        await second.heard.event(LegRinging, LEG)
        s.near.call.answer(NEAR_SDP)
        await all_well(s, second)


async def test_a_near_side_that_answered_in_between_is_heard() -> None:
    async with stage(near=rings) as s:
        first = await s.mind()
        await first.dial(s.far)
        await first.heard.event(LegRinging, LEG)
        port = await first.die()
        s.near.call.answer(NEAR_SDP)  # nobody listens
        second = await s.mind(port=port)
        await second.dial(s.far)
        await all_well(s, second)


async def test_a_ringing_far_side_is_not_rung_again() -> None:
    async with stage(far=rings) as s:
        first = await s.mind()
        await first.dial(s.far)
        await until(lambda: s.far.calls)
        second = await take_over(s, first)
        await until(lambda: second.agent.transactions >= 2)
        s.far.call.answer(FAR_SDP)
        await all_well(s, second)


async def test_answers_of_both_sides_that_wait_for_their_ack_are_taken_up() -> None:
    async with stage() as s:
        first = await s.mind()
        stuck = asyncio.Event()

        async def gate() -> None:
            stuck.set()
            await asyncio.Event().wait()

        first.gate = gate
        await first.dial(s.far)
        await stuck.wait()
        await all_well(s, await take_over(s, first))


async def test_a_large_offer_that_waits_on_a_lost_connection_is_answered_on_the_new_one() -> None:
    large = NEAR_SDP + b"a=x-large:" + b"v" * 3000 + b"\r\n"
    async with stage(near=answers(large), far=rings) as s:
        first = await s.mind()
        await first.dial(s.far)
        await until(lambda: s.far.calls)
        second = await take_over(s, first)
        await until(lambda: second.agent.transactions >= 2)
        s.far.call.answer(FAR_SDP)
        await second.heard.event(LegConnected, LEG)
        await until(lambda: s.near.up and s.far.up)
        assert len(s.near.calls) == len(s.far.calls) == 1 and s.far.requests[0].body == large


async def test_a_challenged_call_is_not_placed_twice() -> None:
    seen: list[str] = []

    def wants_a_password(then: Callable[[Call], None]) -> Callable[[Call], None]:
        def script(call: Call) -> None:
            assert call.request is not None
            signed = call.request.get("authorization")
            seen.append(signed)
            if signed:
                then(call)
            else:
                call.refuse(401, headers=[("WWW-Authenticate", CHALLENGE)])

        return script

    async with stage(near=wants_a_password(rings)) as s:
        first = await s.mind()
        first.agent.credentials = lambda realm, host: ("site", "a secret")
        await first.dial(s.far)
        await first.heard.event(LegRinging, LEG)
        port = await first.die()
        second = await s.mind(port=port)
        second.agent.credentials = lambda realm, host: ("site", "a secret")
        await second.dial(s.far)
        await second.heard.event(LegRinging, LEG)
        signed = [call for call, said in zip(s.near.calls, seen, strict=True) if said]
        assert len(signed) == 1, "the call that rings was repeated, not placed once more"
        signed[0].answer(NEAR_SDP)
        await second.heard.event(LegConnected, LEG)
        assert Challenge.parse(CHALLENGE) is not None and 'realm="codec"' in seen[1]
        await second.hang_up()
        await second.heard.cleared(LEG)
        await s.drained(second)


@pytest.mark.parametrize("flow", ["I", "III"])
async def test_a_near_side_on_hold_is_found_and_let_go(flow: str) -> None:
    """Its dialog was confirmed, so no repeated INVITE would reach it: it is in the memory."""
    async with stage(far=rings) as s:
        first = await s.mind(flow=flow, profile=Profile(patience=Patience(ack_s=0.05)))
        await first.dial(s.far)
        await until(lambda: s.near.up and s.far.calls)
        second = await s.mind(port=await first.die())
        seen = await second.adopt()
        assert seen.state == "cleared"
        cleared = (await second.heard.cleared(LEG)).cleared
        assert cleared.cause == "lost"
        await until(lambda: s.near.free and len(second.agent) == 0)
        assert second.told == ["LegCleared"]


async def test_an_orderly_stop_leaves_a_pair_in_the_making_to_the_next_process() -> None:
    async with stage(near=rings) as s:
        first = await s.mind()

        async def gate() -> None:
            raise AssertionError("a stopped process stores nothing")

        first.gate = gate
        await first.dial(s.far)
        await first.heard.event(LegRinging, LEG)
        await first.endpoint.close()
        s.near.call.answer(NEAR_SDP)
        await asyncio.sleep(0.3)  # the answer comes to the process that no longer cares
        assert s.near.acks == [] and s.near.endings == [] and s.far.calls == []
        await all_well(s, await take_over(s, first))
        assert first.told == ["LegRinging"]


async def test_closing_while_a_connection_is_open_tells_nothing() -> None:
    async with stage(near=silent) as s:
        near = s.near.address.parse(f"{s.near.address};transport=tcp")
        mind = await s.mind(near=near)
        await mind.dial(s.far)
        await until(lambda: s.near.calls)
        await mind.die()
        await asyncio.sleep(0.1)
        assert mind.told == []


@pytest.mark.parametrize("turns", range(0, 40, 2))
async def test_a_death_at_any_moment_of_the_set_up(turns: int) -> None:
    """What the mind does after a restart: adopt what is remembered, dial again what is not."""
    async with stage() as s:
        first = await s.mind()
        await first.dial(s.far)
        for _ in range(turns):
            await asyncio.sleep(0)
        second = await s.mind(port=await first.die())
        if LEG in s.memories:
            assert (await second.adopt()).state == "connected"
        else:
            await second.dial(s.far)
            await second.heard.event(LegConnected, LEG)
        await until(lambda: s.near.up and s.far.up)
        assert len(s.near.calls) == len(s.far.calls) == 1
        assert s.near.acks == [FAR_SDP] and s.far.acks == [b""]
        await second.hang_up()
        await second.heard.cleared(LEG)
        await s.drained(second)

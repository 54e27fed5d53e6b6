"""Two calls become one: what goes over the wire in flows I and III, and how such a pair ends."""

import asyncio

import pytest

from adapters.causes import ClearCause, Side
from adapters.endpoints.sip.profile import Profile
from adapters.events import LegCleared, LegConnected, LegRinging
from adapters.sip.listener import CallState, Ending
from adapters.sip.message import uri_of
from adapters.sip.pair import Patience
from adapters.sip.sdp import medias
from adapters.values import LegState
from tests.unit.sip.stage import FAR_SDP, LEG, NEAR_SDP, answers, rings, stage, until

UP = ["LegRinging", "LegConnected"]


@pytest.mark.rfc("3725", "4.1")
async def test_flow_one_relays_both_descriptions_byte_for_byte() -> None:
    async with stage() as s:
        mind = await s.mind()
        await mind.dial(s.far, display="Hội nghị giao ban")
        await mind.heard.event(LegConnected, LEG)
        await until(lambda: s.near.up and s.far.up)
        assert mind.told == UP
        assert s.near.requests[0].body == b""
        assert s.far.requests[0].body == NEAR_SDP
        assert s.near.acks == [FAR_SDP] and s.far.acks == [b""]
        assert s.far.call.from_user == LEG and s.far.call.from_display == "Hội nghị giao ban"
        assert s.near.call.from_user == "room"
        [seen] = await mind.endpoint.snapshot()
        assert (seen.leg, seen.state) == (LEG, LegState.CONNECTED)
        await mind.hang_up()
        cleared = (await mind.heard.cleared(LEG)).cleared
        assert (cleared.cause, cleared.side) == (ClearCause.LOCAL, Side.OURS)
        assert s.near.endings == s.far.endings == [Ending.BYE]
        await s.forgotten(mind)


@pytest.mark.rfc("3725", "4.3")
async def test_flow_three_holds_the_near_side_while_the_far_side_is_asked() -> None:
    near_answer = NEAR_SDP.replace(b"13928", b"13940")
    async with stage() as s:
        s.near.on_offer = lambda offer: offer.answer(near_answer)
        mind = await s.mind(flow="III")
        await mind.dial(s.far)
        await mind.heard.event(LegConnected, LEG)
        await until(lambda: len(s.near.acks) == 2 and s.far.acks)
        hold, last = s.near.acks
        assert b"c=IN IP4 0.0.0.0" in hold and [m.port for m in medias(hold)] == [9, 0, 0]
        assert last == b""
        assert s.far.requests[0].body == b"" and s.far.acks == [near_answer]
        [offer] = s.near.offers
        assert offer.split(b"\n", 2)[2] == FAR_SDP.split(b"\n", 2)[2]
        assert offer.splitlines()[1].split() == [b"o=diemcau", b"1", b"2", b"IN", b"IP4", b"127.0.0.1"]
        await mind.hang_up()
        await mind.heard.cleared(LEG)
        await s.drained(mind)


@pytest.mark.rfc("3725", "6")
async def test_a_far_side_that_rings_long_gets_the_near_side_parked_and_back() -> None:
    profile = Profile(patience=Patience(ack_s=0.05))
    async with stage(far=rings) as s:
        s.near.on_offer = lambda offer: offer.answer(NEAR_SDP)
        mind = await s.mind(profile=profile)
        await mind.dial(s.far)
        await until(lambda: s.near.acks and s.far.calls)
        assert [m.port for m in medias(s.near.acks[0])] == [9, 0, 0]
        assert mind.memories[LEG]["whole"] is False, "the near side is known to a later process before its ACK"
        assert mind.told == ["LegRinging"]
        s.far.call.answer(FAR_SDP)
        await mind.heard.event(LegConnected, LEG)
        await until(lambda: len(s.near.acks) == 2 and s.far.up)
        assert s.far.requests[0].body == NEAR_SDP and s.near.acks[1] == s.far.acks[0] == b""
        assert s.near.offers[0].splitlines()[2:] == FAR_SDP.splitlines()[2:]
        assert mind.memories[LEG]["whole"] is True
        await mind.hang_up()
        await mind.heard.cleared(LEG)
        await s.drained(mind)


@pytest.mark.rfc("3725", "7")
async def test_a_near_side_that_moved_its_media_while_parked_is_told_to_the_far_side() -> None:
    moved = NEAR_SDP.replace(b"13928", b"13950")
    async with stage(far=rings) as s:
        s.near.on_offer = lambda offer: offer.answer(moved)
        s.far.on_offer = lambda offer: offer.answer(FAR_SDP)
        mind = await s.mind(profile=Profile(patience=Patience(ack_s=0.05)))
        await mind.dial(s.far)
        await until(lambda: s.near.acks and s.far.calls)
        s.far.call.answer(FAR_SDP)
        await mind.heard.event(LegConnected, LEG)
        await until(lambda: len(s.far.acks) == 2)
        assert s.far.offers == [moved]
        await mind.hang_up()
        await mind.heard.cleared(LEG)
        await s.drained(mind)


async def test_the_acks_wait_until_the_pair_is_remembered() -> None:
    async with stage() as s:
        mind = await s.mind()
        asked, stored = asyncio.Event(), asyncio.Event()

        async def gate() -> None:
            asked.set()
            await stored.wait()

        mind.gate = gate
        await mind.dial(s.far)
        await asked.wait()
        await asyncio.sleep(0.2)  # time enough for an ACK to come too early
        assert s.near.acks == s.far.acks == [] and mind.told == ["LegRinging"]
        stored.set()
        await mind.heard.event(LegConnected, LEG)
        await until(lambda: s.near.up and s.far.up)


async def test_a_pair_that_cannot_be_remembered_is_taken_down_and_says_why() -> None:
    async with stage() as s:
        mind = await s.mind()

        async def gate() -> None:
            raise OSError("disk full")

        mind.gate = gate
        await mind.dial(s.far)
        cleared = (await mind.heard.cleared(LEG)).cleared
        assert cleared.side is Side.OURS and "OSError" in cleared.raw
        assert mind.told == ["LegRinging", "LegCleared"]
        assert all(m.port == 0 for m in medias(s.near.acks[0]))
        await s.drained(mind)


@pytest.mark.rfc("3725", "7")
@pytest.mark.parametrize(
    ("who", "cause", "side"),
    [("near", ClearCause.FAR_END, Side.FAR_END), ("far", ClearCause.BRIDGE_ENDED, Side.BRIDGE)],
)
async def test_one_side_hangs_up_and_the_other_is_released(who: str, cause: ClearCause, side: Side) -> None:
    async with stage() as s:
        mind = await s.mind()
        await mind.dial(s.far)
        await mind.heard.event(LegConnected, LEG)
        await until(lambda: s.near.up and s.far.up)
        leaves, stays = (s.near, s.far) if who == "near" else (s.far, s.near)
        leaves.call.hang_up()
        cleared = (await mind.heard.cleared(LEG)).cleared
        assert (cleared.cause, cleared.side) == (cause, side)
        assert stays.endings == [Ending.BYE]
        await s.drained(mind)
        assert mind.told == [*UP, "LegCleared"]


async def test_a_silent_other_side_does_not_keep_the_end_from_being_told() -> None:
    async with stage() as s:
        mind = await s.mind()
        await mind.dial(s.far)
        await mind.heard.event(LegConnected, LEG)
        await until(lambda: s.near.up and s.far.up)
        s.far.agent.hears = lambda request: False
        s.near.call.hang_up()
        cleared = (await mind.heard.cleared(LEG)).cleared
        assert cleared.cause is ClearCause.FAR_END
        await until(lambda: len(mind.agent) == 0)
        assert mind.told == [*UP, "LegCleared"]


async def test_a_side_that_is_silent_to_two_questions_is_lost() -> None:
    patience = Patience(probe_s=0.05, host_s=0.05, again_s=0.05, probe_limit_s=0.2, straggler_s=0.2)
    async with stage() as s:
        mind = await s.mind(profile=Profile(patience=patience))
        await mind.dial(s.far)
        await mind.heard.event(LegConnected, LEG)
        await until(lambda: s.near.up and s.far.up)
        asked = 0

        def hears(request: object) -> bool:
            nonlocal asked
            asked += 1
            return False

        s.far.agent.hears = hears
        cleared = (await mind.heard.cleared(LEG)).cleared
        assert (cleared.cause, cleared.side) == (ClearCause.LOST, Side.NETWORK)
        assert asked >= 2
        await until(lambda: s.near.endings == [Ending.BYE])


async def test_a_side_that_denies_the_call_is_lost_at_once() -> None:
    patience = Patience(probe_s=0.05, probe_limit_s=1.0, straggler_s=0.2)
    async with stage() as s:
        mind = await s.mind(profile=Profile(patience=patience))
        await mind.dial(s.far)
        await mind.heard.event(LegConnected, LEG)
        await until(lambda: s.near.up and s.far.up)
        s.near.agent.forget(s.near.call)
        cleared = (await mind.heard.cleared(LEG)).cleared
        assert (cleared.cause, cleared.side) == (ClearCause.LOST, Side.FAR_END) and "481" in cleared.raw
        await until(lambda: s.far.endings == [Ending.BYE])
        await until(lambda: len(mind.agent) == 0)


async def test_a_leg_that_is_dialed_twice_is_one_call() -> None:
    async with stage() as s:
        mind = await s.mind()
        await mind.dial(s.far)
        await mind.dial(s.far)
        await mind.heard.event(LegConnected, LEG)
        await mind.dial(s.far)
        await until(lambda: s.near.up and s.far.up)
        assert len(s.near.calls) == len(s.far.calls) == 1 and mind.told == UP


@pytest.mark.rfc("3261", "18.1.1")
async def test_large_offers_go_over_tcp_and_come_out_whole() -> None:
    large = NEAR_SDP + b"a=x-large:" + b"v" * 3000 + b"\r\n"
    async with stage(near=answers(large), far=answers(FAR_SDP + b"a=y:" + b"w" * 2000 + b"\n")) as s:
        mind = await s.mind()
        await mind.dial(s.far)
        await mind.heard.event(LegConnected, LEG)
        await until(lambda: s.near.up and s.far.up)
        assert s.far.requests[0].get("via").startswith("SIP/2.0/TCP ")
        assert uri_of(s.far.requests[0].get("contact")).endswith("transport=tcp")
        assert s.far.requests[0].body == large and len(s.near.acks[0]) > 2000
        await mind.hang_up()
        await mind.heard.cleared(LEG)
        await s.drained(mind)


async def test_pairs_over_tcp_end_to_end() -> None:
    async with stage() as s:
        near, far = (address.parse(f"{address};transport=tcp") for address in (s.near.address, s.far.address))
        mind = await s.mind(near=near)
        await mind.dial(far)
        await mind.heard.event(LegConnected, LEG)
        await until(lambda: s.near.up and s.far.up)
        assert all(d.requests[0].get("via").startswith("SIP/2.0/TCP ") for d in (s.near, s.far))
        s.near.call.hang_up()
        await mind.heard.cleared(LEG)
        assert s.far.endings == [Ending.BYE]
        await s.drained(mind)


@pytest.mark.rfc("3264", "8.2")
async def test_no_video_leaves_the_video_line_switched_off() -> None:
    async with stage() as s:
        mind = await s.mind()
        await mind.dial(s.far, video=False)
        await mind.heard.event(LegConnected, LEG)
        assert [(m.kind, bool(m.port)) for m in medias(s.far.requests[0].body)] == [
            ("audio", True),
            ("video", False),
            ("application", True),
        ]


async def test_ringing_is_told_once_and_not_after_the_answer() -> None:
    async with stage(near=rings) as s:
        mind = await s.mind()
        await mind.dial(s.far)
        await mind.heard.event(LegRinging, LEG)
        [seen] = await mind.endpoint.snapshot()
        assert seen.state is LegState.RINGING
        for _ in range(3):
            s.near.call.ring(183)
        s.near.call.answer(NEAR_SDP)
        await mind.heard.event(LegConnected, LEG)
        await until(lambda: s.near.call.state is CallState.CONFIRMED)
        assert mind.told == UP


async def test_nothing_is_told_after_the_end() -> None:
    async with stage() as s:
        mind = await s.mind()
        await mind.dial(s.far)
        await mind.heard.event(LegConnected, LEG)
        await until(lambda: s.near.up and s.far.up)
        s.near.call.hang_up()
        s.far.call.hang_up()
        await mind.hang_up()
        await mind.hang_up()
        await mind.heard.cleared(LEG)
        await s.drained(mind)
        assert mind.told.count("LegCleared") == 1 and isinstance(mind.heard.events[-1], LegCleared)

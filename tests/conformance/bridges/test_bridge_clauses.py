"""The promises of `adapters.contract.BridgeAdapter`, one clause a test, over a real control session."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from adapters.causes import ClearCause, Side
from adapters.contract import BridgeAdapter
from adapters.errors import LoginRefused, NoFreePorts, OutcomeUnknown, Rejected, SessionLost, Unreachable
from adapters.events import (
    ConferenceEnded,
    LegCleared,
    LegConnected,
    LegRinging,
    MemberChanged,
    MemberJoined,
    MemberLeft,
    SessionGone,
    SessionReady,
)
from adapters.values import ConferenceSpec, DialOptions, LegState, Member
from tests.support.heard import Heard

from .rig import NAME, RIGS, Rig

ROOM = "8001"
SPEC = ConferenceSpec(ROOM, "Giao ban", "dc0a1b-1")
LEG = "dc0a1b-1-2-1"
OPTIONS = DialOptions(display="Giao ban", ring_s=30)


@pytest.fixture(params=RIGS, ids=lambda kind: kind.__name__)
async def rig(request: pytest.FixtureRequest) -> AsyncIterator[Rig]:
    rig = request.param()
    await rig.start()
    yield rig
    await rig.stop()


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
async def bridge(rig: Rig, heard: Heard) -> AsyncIterator[BridgeAdapter]:
    bridge = rig.adapter(heard)
    await bridge.open()
    await bridge.open_conference(SPEC)
    yield bridge
    await bridge.close()


def marked(members: tuple[Member, ...], leg: str) -> list[Member]:
    return [member for member in members if leg in member.marks]


# ---- the session


async def test_it_keeps_the_contract_and_says_what_it_is(rig: Rig, heard: Heard) -> None:
    bridge = rig.adapter(heard)
    assert isinstance(bridge, BridgeAdapter)
    identity = await bridge.open()
    assert identity == await bridge.open()
    assert identity.make
    await bridge.close()
    await bridge.close()
    assert heard.events == []


async def test_a_wrong_secret_names_the_bridge_the_user_and_the_place(rig: Rig, heard: Heard) -> None:
    bridge = rig.adapter(heard, secret="not-the-secret")
    with pytest.raises(LoginRefused) as caught:
        await bridge.open()
    for part in (NAME, rig.username, rig.place):
        assert part in str(caught.value)
    for told in (str(caught.value), caught.value.trace):
        assert "not-the-secret" not in told
    await bridge.close()


async def test_a_bridge_that_is_down_is_unreachable_and_opens_when_it_is_up(rig: Rig, heard: Heard) -> None:
    bridge = rig.adapter(heard)
    await rig.control_down()
    with pytest.raises(Unreachable, match=rig.place.replace(".", r"\.")):
        await bridge.open()
    with pytest.raises(SessionLost):
        await bridge.snapshot(ROOM)
    await rig.control_up()
    await bridge.open()
    assert (await bridge.snapshot(ROOM)).known
    await bridge.close()


async def test_gone_is_told_once_and_back_once(rig: Rig, bridge: BridgeAdapter, heard: Heard) -> None:
    await rig.control_down()
    await heard.until(lambda: heard.of(SessionGone))
    for _ in range(3):
        with pytest.raises(SessionLost):
            await bridge.ports()
    await rig.control_up()
    await heard.until(lambda: heard.of(SessionReady))
    await bridge.ports()
    assert [(type(event), event.device) for event in heard.events] == [(SessionGone, NAME), (SessionReady, NAME)]


async def test_nothing_is_told_after_closing(rig: Rig, bridge: BridgeAdapter, heard: Heard) -> None:
    party = rig.party("answer")
    await bridge.invite(LEG, ROOM, party, OPTIONS)
    await heard.event(LegConnected, LEG)
    await bridge.close()
    before = list(heard.events)
    later = Heard()
    other = rig.adapter(later)
    await other.open()
    (seen,) = await other.adopt([LEG])
    assert seen.state is LegState.CONNECTED
    await other.drop(LEG)
    await later.cleared(LEG)
    await other.close()
    assert heard.events == before


# ---- calls


async def test_a_call_rings_is_in_and_is_in_the_roster(rig: Rig, bridge: BridgeAdapter, heard: Heard) -> None:
    party = rig.party("ring 0.05; answer")
    await bridge.invite(LEG, ROOM, party, OPTIONS)
    await heard.event(LegConnected, LEG)
    assert [type(event) for event in heard.about(LEG)] == [LegRinging, LegConnected]
    roster = await bridge.snapshot(ROOM)
    assert roster.known
    assert len(marked(roster.members, LEG)) == 1
    (came,) = heard.of(MemberJoined)
    assert (came.device, came.conference, marked((came.member,), LEG)) == (NAME, ROOM, [came.member])


@pytest.mark.parametrize(
    ("behavior", "cause"),
    [
        ("busy", ClearCause.BUSY),
        ("ring 0.05; decline", ClearCause.DECLINED),
        ("not found", ClearCause.NOT_FOUND),
    ],
)
async def test_a_refusal_is_an_event_with_its_cause(
    rig: Rig, bridge: BridgeAdapter, heard: Heard, behavior: str, cause: ClearCause
) -> None:
    await bridge.invite(LEG, ROOM, rig.party(behavior), OPTIONS)
    cleared = (await heard.cleared(LEG)).cleared
    assert (cleared.cause, cleared.side) == (cause, Side.FAR_END)
    assert cleared.raw
    assert heard.of(LegConnected) == []


async def test_nobody_answers(rig: Rig, bridge: BridgeAdapter, heard: Heard) -> None:
    await bridge.invite(LEG, ROOM, rig.party("never answers"), DialOptions(ring_s=0.1))
    assert (await heard.cleared(LEG)).cleared.cause is ClearCause.NO_ANSWER


async def test_nobody_is_there(rig: Rig, bridge: BridgeAdapter, heard: Heard) -> None:
    await bridge.invite(LEG, ROOM, rig.nobody(), OPTIONS)
    assert (await heard.cleared(LEG)).cleared.cause is ClearCause.NOT_FOUND


async def test_a_party_that_says_nothing_is_unreachable(rig: Rig, bridge: BridgeAdapter, heard: Heard) -> None:
    await bridge.invite(LEG, ROOM, rig.party("unreachable"), DialOptions(ring_s=0.1))
    cleared = (await heard.cleared(LEG)).cleared
    assert (cleared.cause, cleared.side) == (ClearCause.UNREACHABLE, Side.NETWORK)


async def test_the_far_end_hangs_up(rig: Rig, bridge: BridgeAdapter, heard: Heard) -> None:
    party = rig.party("answer")
    await bridge.invite(LEG, ROOM, party, OPTIONS)
    await heard.event(LegConnected, LEG)
    rig.hang_up(party)
    cleared = (await heard.cleared(LEG)).cleared
    assert (cleared.cause, cleared.side) == (ClearCause.FAR_END, Side.FAR_END)
    assert len(heard.of(MemberLeft)) == 1
    assert len(heard.of(ConferenceEnded)) == 1


@pytest.mark.parametrize("behavior", ["answer", "never answers"])
async def test_a_hang_up_may_be_repeated_and_clears_once_and_last(
    rig: Rig, bridge: BridgeAdapter, heard: Heard, behavior: str
) -> None:
    await bridge.invite(LEG, ROOM, rig.party(behavior), OPTIONS)
    await heard.event(LegConnected if behavior == "answer" else LegRinging, LEG)
    await asyncio.gather(bridge.drop(LEG), bridge.drop(LEG))
    cleared = (await heard.cleared(LEG)).cleared
    await bridge.drop(LEG)
    assert (cleared.cause, cleared.side) == (ClearCause.LOCAL, Side.OURS)
    assert (await bridge.snapshot(ROOM)).members == ()
    assert [type(event) for event in heard.about(LEG)].count(LegCleared) == 1
    assert isinstance(heard.about(LEG)[-1], LegCleared)


async def test_a_hang_up_right_behind_the_order_leaves_nobody_ringing(
    rig: Rig, bridge: BridgeAdapter, heard: Heard
) -> None:
    party = rig.party("never answers")
    await bridge.invite(LEG, ROOM, party, OPTIONS)
    await bridge.drop(LEG)
    assert (await heard.cleared(LEG)).cleared.cause is ClearCause.LOCAL
    (seen,) = await bridge.adopt([LEG])
    assert seen.state is LegState.CLEARED


async def test_the_same_name_is_the_same_order(rig: Rig, bridge: BridgeAdapter, heard: Heard) -> None:
    party = rig.party("answer")
    await asyncio.gather(*(bridge.invite(LEG, ROOM, party, OPTIONS) for _ in range(3)))
    await heard.event(LegConnected, LEG)
    await bridge.invite(LEG, ROOM, party, OPTIONS)
    assert rig.rings(party) == 1


async def test_a_name_that_is_over_is_not_used_again(rig: Rig, bridge: BridgeAdapter, heard: Heard) -> None:
    party = rig.party("busy")
    await bridge.invite(LEG, ROOM, party, OPTIONS)
    await heard.cleared(LEG)
    with pytest.raises(Rejected):
        await bridge.invite(LEG, ROOM, party, OPTIONS)
    assert len(heard.about(LEG)) == 1


async def test_forty_one_at_once(rig: Rig, bridge: BridgeAdapter, heard: Heard) -> None:
    legs = {f"dc0a1b-1-{number}-1": rig.party("ring 0.05; answer") for number in range(41)}
    await asyncio.gather(*(bridge.invite(leg, ROOM, to, OPTIONS) for leg, to in legs.items()))
    await heard.until(lambda: len(heard.of(LegConnected)) == 41)
    roster = await bridge.snapshot(ROOM)
    assert len(roster.members) == 41
    assert all(len(marked(roster.members, leg)) == 1 for leg in legs)
    assert (await bridge.ports()).used == 41
    assert [rig.rings(party) for party in legs.values()] == [1] * 41


async def test_digits_reach_the_party_in_order(rig: Rig, bridge: BridgeAdapter, heard: Heard) -> None:
    party = rig.party("answer")
    await bridge.invite(LEG, ROOM, party, DialOptions(digits="246810#", digits_delay_s=0))
    await heard.event(LegConnected, LEG)
    async with asyncio.timeout(10):
        while rig.digits(party) != "246810#":  # noqa: ASYNC110 - what is waited for is in another component
            await asyncio.sleep(0.01)
    await bridge.send_digits(LEG, "9")
    assert rig.digits(party) == "246810#9"


# ---- outages and restarts


async def test_calls_live_through_an_outage(rig: Rig, bridge: BridgeAdapter, heard: Heard) -> None:
    stays, goes = rig.party("answer"), rig.party("answer")
    for leg, party in (("stays", stays), ("goes", goes)):
        await bridge.invite(leg, ROOM, party, OPTIONS)
        await heard.event(LegConnected, leg)
    await rig.control_down()
    await heard.until(lambda: heard.of(SessionGone))
    rig.hang_up(goes)
    await rig.control_up()
    await heard.until(lambda: heard.of(SessionReady))
    assert (await heard.cleared("goes")).cleared.cause is ClearCause.LOST
    (seen,) = await bridge.adopt(["stays"])
    assert seen.state is LegState.CONNECTED
    rig.hang_up(stays)
    assert (await heard.cleared("stays")).cleared.cause is ClearCause.FAR_END
    assert rig.rings(stays) == 1


async def test_another_process_adopts_what_lives_and_is_told_what_does_not(
    rig: Rig, bridge: BridgeAdapter, heard: Heard
) -> None:
    inside, rings = rig.party("answer"), rig.party("never answers")
    await bridge.invite("in", ROOM, inside, OPTIONS)
    await bridge.invite("rings", ROOM, rings, OPTIONS)
    await heard.event(LegConnected, "in")
    await heard.event(LegRinging, "rings")
    await bridge.close()
    later = Heard()
    other = rig.adapter(later)
    await other.open()
    seen = await other.adopt(["in", "rings", "never-was"])
    assert [(leg.leg, leg.state) for leg in seen] == [
        ("in", LegState.CONNECTED),
        ("rings", LegState.RINGING),
        ("never-was", LegState.CLEARED),
    ]
    assert await other.adopt(["in"])
    rig.hang_up(inside)
    assert (await later.cleared("in")).cleared.cause is ClearCause.FAR_END
    await other.drop("rings")
    assert (await later.cleared("rings")).cleared.cause is ClearCause.LOCAL
    await other.close()
    assert later.about("never-was") == []
    assert (rig.rings(inside), rig.rings(rings)) == (1, 1)


async def test_an_order_into_an_outage_is_lost_or_unknown_never_taken(
    rig: Rig, bridge: BridgeAdapter, heard: Heard
) -> None:
    party = rig.party("answer")
    order = asyncio.create_task(bridge.invite(LEG, ROOM, party, OPTIONS))
    await asyncio.sleep(0)  # the order is on its way
    rig.cut()
    with pytest.raises((OutcomeUnknown, SessionLost)):
        await order
    await heard.until(lambda: heard.of(SessionReady))
    (seen,) = await bridge.adopt([LEG])
    assert (seen.state is LegState.CONNECTED) == (rig.rings(party) == 1)


async def test_cancelled_at_an_await_the_session_serves_on(rig: Rig, bridge: BridgeAdapter, heard: Heard) -> None:
    question = asyncio.create_task(bridge.snapshot(ROOM))
    await asyncio.sleep(0)
    question.cancel()
    with pytest.raises(asyncio.CancelledError):
        await question
    assert (await bridge.snapshot(ROOM)).members == ()
    assert heard.of(SessionGone) == []


# ---- rosters


async def test_an_empty_conference_is_known_to_be_empty(bridge: BridgeAdapter) -> None:
    roster = await bridge.snapshot("8999")
    assert (roster.conference, roster.members, roster.known) == ("8999", (), True)


async def test_muting_is_told_by_the_bridge(rig: Rig, bridge: BridgeAdapter, heard: Heard) -> None:
    await bridge.invite(LEG, ROOM, rig.party("answer"), OPTIONS)
    await heard.until(lambda: heard.of(MemberJoined))
    member = heard.of(MemberJoined)[0].member
    for on in (True, False):
        await bridge.mute(ROOM, member.id, on)
        await heard.until(lambda on=on: [e for e in heard.of(MemberChanged) if e.member.muted is on])
        assert [m.muted for m in (await bridge.snapshot(ROOM)).members] == [on]
    with pytest.raises(Rejected):
        await bridge.mute(ROOM, "PJSIP/nobody-00000001", True)


async def test_strangers_are_seen_and_stay(rig: Rig, bridge: BridgeAdapter, heard: Heard) -> None:
    rig.dial_in(ROOM)
    await heard.until(lambda: heard.of(MemberJoined))
    await bridge.invite(LEG, ROOM, rig.party("answer"), OPTIONS)
    await heard.event(LegConnected, LEG)
    await bridge.drop(LEG)
    await heard.cleared(LEG)
    await bridge.end_conference(ROOM)
    await bridge.end_conference(ROOM)
    (stranger,) = (await bridge.snapshot(ROOM)).members
    assert stranger.caller == "stranger"


async def test_a_member_that_is_nobodys_leg_can_be_put_out(rig: Rig, bridge: BridgeAdapter, heard: Heard) -> None:
    rig.dial_in(ROOM)
    await heard.until(lambda: heard.of(MemberJoined))
    member = heard.of(MemberJoined)[0].member
    await bridge.drop(member.id)
    await heard.until(lambda: heard.of(MemberLeft))
    await bridge.drop(member.id)
    assert heard.of(MemberLeft)[0].member.id == member.id
    assert heard.of(LegCleared) == []


async def test_other_peoples_conferences_are_not_told(rig: Rig, bridge: BridgeAdapter, heard: Heard) -> None:
    rig.dial_in("8002")
    rig.dial_in(ROOM)
    await heard.until(lambda: heard.of(MemberJoined))
    assert (await bridge.ports()).used == 2
    assert {event.conference for event in heard.events} == {ROOM}


# ---- ports and addresses


async def test_a_full_bridge_says_so_before_it_dials(rig: Rig, heard: Heard) -> None:
    bridge = rig.adapter(heard, ports=1)
    await bridge.open()
    await bridge.open_conference(SPEC)
    first, second = rig.party("answer"), rig.party("answer")
    await bridge.invite(LEG, ROOM, first, OPTIONS)
    with pytest.raises(NoFreePorts):
        await bridge.invite("dc0a1b-1-3-1", ROOM, second, OPTIONS)
    await heard.event(LegConnected, LEG)
    assert (await bridge.ports()).total == 1
    assert rig.rings(second) == 0
    await bridge.drop(LEG)
    await heard.cleared(LEG)
    await bridge.invite("dc0a1b-1-3-1", ROOM, second, OPTIONS)
    await heard.event(LegConnected, "dc0a1b-1-3-1")
    await bridge.close()


async def test_the_address_of_a_conference_holds_its_number(bridge: BridgeAdapter) -> None:
    assert bridge.expect(ROOM).user == ROOM
    with pytest.raises(Rejected):
        bridge.expect("80 01")


async def test_opening_a_conference_again_is_fine(bridge: BridgeAdapter, heard: Heard) -> None:
    await bridge.open_conference(SPEC)
    await bridge.open_conference(SPEC)
    assert heard.events == []

"""How a pair comes about with peers that are particular: no INVITE without SDP, no late offer, no media twice."""

import pytest

from adapters.causes import ClearCause
from adapters.endpoints.sip.profile import Profile
from adapters.errors import Rejected
from adapters.events import LegConnected
from adapters.sip.call import Call
from adapters.sip.habit import Habits
from adapters.sip.offer import Offer
from adapters.sip.pair import Patience
from adapters.sip.sdp import medias
from adapters.sip.third_party import WANTS_OFFER
from adapters.values import DialOptions
from tests.unit.sip.stage import FAR_SDP, LEG, NEAR_SDP, Mind, answers, refuses, stage, until

HOLD_ANSWER = (
    b"v=0\r\no=- 5 1 IN IP4 127.0.20.1\r\ns=-\r\nc=IN IP4 127.0.20.1\r\nt=0 0\r\n"
    b"m=audio 13928 RTP/AVP 0 8 101\r\na=rtpmap:0 PCMU/8000\r\na=inactive\r\n"
)
FREESWITCH_SDP = (
    b"v=0\r\no=FreeSWITCH 1732251000 1732251001 IN IP4 127.0.50.1\r\ns=FreeSWITCH\r\nc=IN IP4 127.0.50.1\r\nt=0 0\r\n"
    b"m=audio 30494 RTP/SAVP 102 9 0 8 103 101\r\na=rtpmap:102 opus/48000/2\r\na=rtpmap:101 telephone-event/8000\r\n"
    b"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:c2VjcmV0IG9mIHRoZSBjb25mZXJlbmNl\r\na=ptime:20\r\n"
    b"m=audio 30494 RTP/AVP 102 9 0 8 103 101\r\na=rtpmap:102 opus/48000/2\r\na=rtpmap:101 telephone-event/8000\r\n"
    b"a=ptime:20\r\n"
)
"""As FreeSWITCH 1.10 offers: one audio twice on one port."""


def needs_offer(status: int) -> "type[_NeedsOffer]":
    return type("Needs", (_NeedsOffer,), {"status": status})


class _NeedsOffer:
    """A device that refuses an INVITE without SDP, and answers one with."""

    status = 488

    def __init__(self, call: Call) -> None:
        if call.offer_sdp:
            call.ring()
            call.answer(HOLD_ANSWER)
        else:
            call.refuse(self.status)


async def ended(mind: Mind) -> None:
    await mind.hang_up()
    assert (await mind.heard.cleared(LEG)).cleared.cause is ClearCause.LOCAL


@pytest.mark.rfc("3725", "4.4")
@pytest.mark.parametrize("flow", ["I", "III"])
@pytest.mark.parametrize("status", sorted(WANTS_OFFER))
async def test_a_near_side_that_wants_an_offer_gets_one_into_a_black_hole(status: int, flow: str) -> None:
    async with stage(near=needs_offer(status)) as s:
        s.near.on_offer = lambda offer: offer.answer(NEAR_SDP)
        mind = await s.mind(flow=flow)
        await mind.dial(s.far)
        await mind.heard.event(LegConnected, LEG)
        await until(lambda: s.near.up and s.far.up)
        bare, hole = s.near.requests
        assert bare.body == b"" and bare.call_id != hole.call_id
        assert b"c=IN IP4 0.0.0.0" in hole.body and [media.port for media in medias(hole.body)] == [9]
        assert s.far.requests[0].body == b"", "the far side makes the real offer"
        [offer] = s.near.offers
        assert offer.splitlines()[2:] == FAR_SDP.splitlines()[2:]
        assert offer.splitlines()[1].split()[:3] == [b"o=diemcau", b"1", b"2"], "the version after that of the hole"
        assert s.near.acks == [b"", b""] and s.far.acks == [NEAR_SDP]
        assert mind.told == ["LegRinging", "LegConnected"] and mind.memories[LEG]["whole"] is True
        await ended(mind)
        await s.drained(mind)


async def test_it_is_remembered_and_the_next_call_begins_right() -> None:
    async with stage(near=needs_offer(415)) as s:
        s.near.on_offer = lambda offer: offer.answer(NEAR_SDP)
        mind = await s.mind()
        for leg in (LEG, LEG + "2"):
            await mind.endpoint.dial(leg, s.far.address, DialOptions(ring_s=30.0))
            await mind.heard.event(LegConnected, leg)
            await until(lambda: s.near.up)
            await mind.endpoint.hang_up(leg)
            await mind.heard.cleared(leg)
            await s.drained(mind)
        assert [bool(request.body) for request in s.near.requests] == [False, True, True]


async def test_it_may_be_set() -> None:
    async with stage(near=answers(HOLD_ANSWER)) as s:
        s.near.on_offer = lambda offer: offer.answer(NEAR_SDP)
        mind = await s.mind(flow="IV")
        await mind.dial(s.far)
        await mind.heard.event(LegConnected, LEG)
        assert len(s.near.requests) == 1 and s.near.requests[0].body
        await ended(mind)


async def test_another_flow_is_refused() -> None:
    async with stage() as s:
        with pytest.raises(Rejected, match="'I', 'III' or 'IV'"):
            await s.mind(flow="II")


@pytest.mark.parametrize("status", [486, 404, 503, 603])
async def test_what_has_nothing_to_do_with_sdp_is_final(status: int) -> None:
    async with stage(near=refuses(status)) as s:
        mind = await s.mind()
        await mind.dial(s.far)
        await mind.heard.cleared(LEG)
        assert len(s.near.calls) == 1


async def test_who_rang_has_understood_the_invite() -> None:
    def rings_first(call: Call) -> None:
        call.ring()
        call.refuse(488)

    async with stage(near=rings_first) as s:
        mind = await s.mind()
        await mind.dial(s.far)
        assert (await mind.heard.cleared(LEG)).cleared.cause is ClearCause.NO_COMMON_MEDIA
        assert len(s.near.calls) == 1


async def test_who_refuses_both_is_told_once() -> None:
    async with stage(near=refuses(488)) as s:
        mind = await s.mind()
        await mind.dial(s.far)
        assert (await mind.heard.cleared(LEG)).cleared.cause is ClearCause.NO_COMMON_MEDIA
        assert len(s.near.calls) == 2 and mind.told == ["LegCleared"]
        await s.drained(mind)


@pytest.mark.rfc("3725", "4.3")
@pytest.mark.parametrize("status", [488, 400, 500])
async def test_a_far_side_that_refuses_a_late_offer_is_offered_what_the_near_side_said(status: int) -> None:
    def far(call: Call) -> None:
        if call.offer_sdp:
            call.answer(FAR_SDP)
        else:
            call.refuse(status)

    async with stage(far=far) as s:
        s.near.on_offer = lambda offer: offer.answer(NEAR_SDP)
        mind = await s.mind(flow="III")
        await mind.dial(s.far)
        await mind.heard.event(LegConnected, LEG)
        await until(lambda: s.near.up and s.far.up)
        assert [request.body for request in s.far.requests] == [b"", NEAR_SDP]
        assert len({request.call_id for request in s.far.requests}) == 2
        assert s.near.offers[0].splitlines()[2:] == FAR_SDP.splitlines()[2:]
        await ended(mind)
        await s.drained(mind)


async def test_neither_makes_an_offer() -> None:
    """Both want one: the near side's answer to the black hole, awake again, is the far side's offer."""

    def far(call: Call) -> None:
        if call.offer_sdp:
            call.answer(FAR_SDP)
        else:
            call.refuse(488)

    moved = HOLD_ANSWER.replace(b"a=inactive\r\n", b"").replace(b"13928", b"14000")
    async with stage(near=needs_offer(488), far=far) as s:
        s.near.on_offer = lambda offer: offer.answer(moved)
        s.far.on_offer = lambda offer: offer.answer(FAR_SDP)
        mind = await s.mind()
        await mind.dial(s.far)
        await mind.heard.event(LegConnected, LEG)
        await until(lambda: s.near.up and s.far.up)
        assert s.far.requests[1].body == HOLD_ANSWER.replace(b"a=inactive\r\n", b"")
        assert s.far.offers == [moved], "the near side answered with another port than before"
        await ended(mind)
        await s.drained(mind)


async def test_one_media_twice_as_freeswitch_offers_it_raw_first_and_then_once() -> None:
    plain = FREESWITCH_SDP.replace(b"m=audio 30494 RTP/SAVP", b"m=audio 0 RTP/SAVP")

    def picky(call: Call) -> None:
        if call.offer_sdp == plain:
            call.answer(FAR_SDP)
        else:
            call.refuse(488)

    async with stage(near=answers(FREESWITCH_SDP), far=picky) as s:
        mind = await s.mind()
        await mind.dial(s.far)
        await mind.heard.event(LegConnected, LEG)
        assert [request.body for request in s.far.requests] == [FREESWITCH_SDP, plain]
        await until(lambda: s.near.up and s.far.up)
        offers: list[Offer] = []
        s.far.on_offer = offers.append
        s.near.call.reinvite(FREESWITCH_SDP.replace(b"102 9 0", b"9 0"), lambda response: None)
        await until(lambda: offers)
        assert offers[0].sdp == plain.replace(b"102 9 0", b"9 0"), "what it refused once it is not offered again"


async def test_a_far_side_that_offers_one_media_twice_to_a_near_side_that_refuses_that() -> None:
    plain = FREESWITCH_SDP.replace(b"m=audio 30494 RTP/SAVP", b"m=audio 0 RTP/SAVP")

    def on_offer(offer: Offer) -> None:
        if b"m=audio 30494 RTP/SAVP" in offer.sdp:
            offer.refuse(488)
        else:
            offer.answer(NEAR_SDP)

    async with stage(far=answers(FREESWITCH_SDP)) as s:
        s.near.on_offer = on_offer
        mind = await s.mind(flow="III")
        await mind.dial(s.far)
        await mind.heard.event(LegConnected, LEG)
        assert [offer.splitlines()[2:] for offer in s.near.offers] == [
            FREESWITCH_SDP.splitlines()[2:],
            plain.splitlines()[2:],
        ]
        await ended(mind)


async def test_an_audio_leg_stays_one_when_a_side_offers_video_later() -> None:
    async with stage() as s:
        s.far.on_offer = lambda offer: offer.answer(FAR_SDP)
        mind = await s.mind()
        await mind.dial(s.far, video=False)
        await mind.heard.event(LegConnected, LEG)
        await until(lambda: s.near.up and s.far.up)
        s.near.call.reinvite(NEAR_SDP.replace(b"13928", b"15000"), lambda response: None)
        await until(lambda: s.far.offers)
        assert [media.port for media in medias(s.far.offers[0])] == [15000, 0, 3230]


async def test_the_half_made_with_a_black_hole_is_let_go_by_the_next_process() -> None:
    async with stage(near=needs_offer(488), far=lambda call: call.ring()) as s:
        first = await s.mind(profile=Profile(patience=Patience(ack_s=0.05)))
        await first.dial(s.far)
        await until(lambda: s.near.up and s.far.calls and first.memories[LEG]["ringing"])
        second = await s.mind(port=await first.die())
        assert (await second.adopt()).state == "cleared"
        await s.drained(second)
        assert second.told == ["LegCleared"]


def test_a_habit_is_forgotten_in_time_and_never_takes_more_room() -> None:
    habits = Habits()
    habits.note("sip:a@192.0.2.1", 10.0)
    assert habits.has("sip:a@192.0.2.1", 9.9) and not habits.has("sip:b@192.0.2.1", 0.0)
    assert not habits.has("sip:a@192.0.2.1", 10.0) and not habits.has("sip:a@192.0.2.1", 0.0)
    for number in range(10_001):
        habits.note(f"sip:{number}@192.0.2.1", 10.0)
    assert not habits.has("sip:0@192.0.2.1", 0.0) and habits.has("sip:10000@192.0.2.1", 0.0)
    assert len(habits._until) == 10_000

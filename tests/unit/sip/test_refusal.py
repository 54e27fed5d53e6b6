"""Calls that do not come about: whose fault it was, and that nobody is left hanging."""

import pytest

from adapters.causes import ClearCause, Side
from adapters.endpoints.sip.profile import Profile
from adapters.errors import NotSupported, Rejected
from adapters.events import LegConnected
from adapters.sip.call import Call
from adapters.sip.listener import Ending
from adapters.sip.message import response_to
from adapters.sip.pair import Patience
from adapters.sip.sdp import medias
from adapters.values import Address
from tests.support.port import free_port
from tests.unit.sip.conftest import MakeWire
from tests.unit.sip.stage import FAR_SDP, LEG, NEAR_SDP, answers, refuses, rings, silent, stage, until


@pytest.mark.parametrize(
    ("status", "cause"),
    [
        (486, ClearCause.BUSY),
        (600, ClearCause.BUSY),
        (603, ClearCause.DECLINED),
        (404, ClearCause.NOT_FOUND),
        (488, ClearCause.NO_COMMON_MEDIA),
        (403, ClearCause.NOT_ALLOWED),
        (401, ClearCause.NOT_ALLOWED),
        (480, ClearCause.UNREACHABLE),
        (503, ClearCause.UNREACHABLE),
        (499, ClearCause.UNKNOWN),
        (302, ClearCause.UNKNOWN),
    ],
)
async def test_the_near_side_refuses(status: int, cause: ClearCause) -> None:
    async with stage(near=refuses(status)) as s:
        mind = await s.mind()
        await mind.dial(s.far)
        cleared = (await mind.heard.cleared(LEG)).cleared
        assert (cleared.cause, cleared.side) == (cause, Side.FAR_END)
        assert cleared.raw.startswith(f"{status} ")
        assert s.far.calls == [] and mind.told == ["LegCleared"]
        await s.drained(mind)


@pytest.mark.rfc("3725", "6")
@pytest.mark.parametrize(
    ("status", "cause"),
    [
        (486, ClearCause.BUSY),
        (404, ClearCause.NOT_FOUND),
        (488, ClearCause.NO_COMMON_MEDIA),
        (480, ClearCause.NO_ANSWER),
        (503, ClearCause.UNREACHABLE),
    ],
)
@pytest.mark.parametrize("flow", ["I", "III"])
async def test_the_far_side_refuses_and_the_near_side_is_released(status: int, cause: ClearCause, flow: str) -> None:
    async with stage(far=refuses(status)) as s:
        mind = await s.mind(flow=flow)
        await mind.dial(s.far)
        cleared = (await mind.heard.cleared(LEG)).cleared
        assert (cleared.cause, cleared.side) == (cause, Side.BRIDGE)
        assert s.near.endings == [Ending.BYE]
        if flow == "I":
            assert all(m.port == 0 for m in medias(s.near.acks[0])), "its offer was answered with a refusal"
        await s.drained(mind)


@pytest.mark.rfc("3261", "9.1")
async def test_ringing_until_the_time_is_over_is_no_answer() -> None:
    async with stage(near=rings) as s:
        mind = await s.mind()
        await mind.dial(s.far, ring_s=0.2)
        cleared = (await mind.heard.cleared(LEG)).cleared
        assert (cleared.cause, cleared.side) == (ClearCause.NO_ANSWER, Side.FAR_END)
        assert s.near.endings == [Ending.CANCEL]
        await s.drained(mind)


async def test_a_device_that_dies_while_it_rings_did_not_answer() -> None:
    async with stage(near=rings) as s:
        mind = await s.mind()
        await mind.dial(s.far, ring_s=0.3)
        await mind.heard.until(lambda: mind.told == ["LegRinging"])
        s.near.agent.hears = lambda request: False
        cleared = (await mind.heard.cleared(LEG)).cleared
        assert cleared.cause is ClearCause.NO_ANSWER
        await until(lambda: len(mind.agent) == 0)


@pytest.mark.parametrize("ring_s", [0.2, 30.0])
async def test_no_sign_of_life_is_unreachable(ring_s: float) -> None:
    async with stage() as s:
        s.near.agent.hears = lambda request: False
        mind = await s.mind()
        await mind.dial(s.far, ring_s=ring_s)
        cleared = (await mind.heard.cleared(LEG)).cleared
        assert (cleared.cause, cleared.side) == (ClearCause.UNREACHABLE, Side.NETWORK)
        assert mind.told == ["LegCleared"]
        await s.drained(mind)


async def test_a_far_side_without_a_sign_of_life_is_unreachable() -> None:
    async with stage() as s:
        s.far.agent.hears = lambda request: False
        mind = await s.mind()
        await mind.dial(s.far, ring_s=0.2)
        cleared = (await mind.heard.cleared(LEG)).cleared
        assert (cleared.cause, cleared.side) == (ClearCause.UNREACHABLE, Side.NETWORK)
        assert s.near.endings == [Ending.BYE]
        await s.drained(mind)


async def test_a_far_side_that_rings_out_did_not_answer() -> None:
    async with stage(far=rings) as s:
        mind = await s.mind()
        await mind.dial(s.far, ring_s=0.3)
        cleared = (await mind.heard.cleared(LEG)).cleared
        assert (cleared.cause, cleared.side) == (ClearCause.NO_ANSWER, Side.BRIDGE)
        assert s.near.endings == [Ending.BYE] and s.far.endings == [Ending.CANCEL]
        await s.drained(mind)


@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_a_closed_port_is_known_at_once(transport: str) -> None:
    port = free_port("127.0.0.1")
    async with stage() as s:
        mind = await s.mind(near=Address("sip", "nobody", "127.0.0.1", port, transport))
        await mind.dial(s.far)
        cleared = (await mind.heard.cleared(LEG)).cleared
        assert (cleared.cause, cleared.side) == (ClearCause.UNREACHABLE, Side.NETWORK)
        assert "nobody listens" in cleared.raw


@pytest.mark.rfc("3261", "13.2.1")
async def test_an_answer_without_an_offer_is_ended() -> None:
    async with stage(near=answers(b"")) as s:
        mind = await s.mind()
        await mind.dial(s.far)
        cleared = (await mind.heard.cleared(LEG)).cleared
        assert cleared.cause is ClearCause.NO_COMMON_MEDIA and "no offer" in cleared.raw
        assert s.near.endings == [Ending.BYE] and s.far.calls == []
        await s.drained(mind)


async def test_one_audio_offered_twice_is_offered_once_more_each_media_once() -> None:
    doubled = NEAR_SDP.replace(b"m=audio", b"m=audio 13928 RTP/SAVP 0\r\na=crypto:1 x\r\nm=audio", 1)
    plain = doubled.replace(b"m=audio 13928 RTP/SAVP", b"m=audio 0 RTP/SAVP", 1)

    def picky(call: Call) -> None:
        if call.offer_sdp == plain:
            call.answer(FAR_SDP)
        else:
            call.refuse(488)

    async with stage(near=answers(doubled), far=picky) as s:
        mind = await s.mind()
        await mind.dial(s.far)
        await mind.heard.event(LegConnected, LEG)
        assert [request.body for request in s.far.requests] == [doubled, plain]
        assert len({request.call_id for request in s.far.requests}) == 2, "a new call, not the refused one again"
        await mind.hang_up()
        await mind.heard.cleared(LEG)
        await s.drained(mind)


async def test_it_is_not_offered_a_third_time() -> None:
    doubled = NEAR_SDP.replace(b"m=audio", b"m=audio 13928 RTP/SAVP 0\r\nm=audio", 1)
    async with stage(near=answers(doubled), far=refuses(488)) as s:
        mind = await s.mind()
        await mind.dial(s.far)
        assert (await mind.heard.cleared(LEG)).cleared.cause is ClearCause.NO_COMMON_MEDIA
        assert len(s.far.calls) == 2 and s.near.endings == [Ending.BYE]
        await s.drained(mind)


async def test_a_reason_in_bytes_that_are_no_text_can_be_stored(make_wire: MakeWire) -> None:
    async with stage() as s:
        wire = await make_wire()
        mind = await s.mind(near=Address("sip", "x", *wire.address))
        await mind.dial(s.far)
        invite = await wire.next("INVITE")
        refusal = response_to(invite, 486, to_tag="t").to_bytes()
        wire.send(refusal.replace(b"Busy Here", b"Occup\xe9 \x1b[31m" + b"x" * 5000))
        raw = (await mind.heard.cleared(LEG)).cleared.raw
        assert raw.startswith("486 Occup\ufffd [31mx") and len(raw) < 300
        raw.encode()


async def test_h323_addresses_and_wrong_digits_are_refused_before_anything_is_sent() -> None:
    async with stage(near=silent) as s:
        mind = await s.mind()
        with pytest.raises(NotSupported):
            await mind.dial(Address.parse("h323:9001@127.0.0.1"))
        with pytest.raises(Rejected) as refused:
            await mind.dial(s.far, digits="12x45")
        assert "12x45" not in str(refused.value)
        assert mind.agent.transactions == 0 and s.near.calls == []


async def test_a_near_side_that_refuses_the_far_sides_offer() -> None:
    async with stage(far=rings) as s:
        s.near.on_offer = lambda offer: offer.refuse(488)
        mind = await s.mind(profile=Profile(patience=Patience(ack_s=0.05)))
        await mind.dial(s.far)
        await until(lambda: s.near.up and s.far.calls)
        s.far.call.answer(FAR_SDP)
        cleared = (await mind.heard.cleared(LEG)).cleared
        assert (cleared.cause, cleared.side) == (ClearCause.NO_COMMON_MEDIA, Side.FAR_END)
        assert s.near.endings == s.far.endings == [Ending.BYE]
        await s.drained(mind)


@pytest.mark.rfc("3261", "14.1")
async def test_glare_while_the_pair_is_made_passes() -> None:
    async with stage() as s:
        times = 0

        def on_offer(offer: object) -> None:
            nonlocal times
            times += 1
            if times == 1:
                offer.refuse(491)  # type: ignore[attr-defined]
            else:
                offer.answer(NEAR_SDP)  # type: ignore[attr-defined]

        s.near.on_offer = on_offer
        mind = await s.mind(flow="III", profile=Profile(patience=Patience(glare_s=0.05)))
        await mind.dial(s.far)
        await mind.heard.event(LegConnected, LEG)
        assert times == 2

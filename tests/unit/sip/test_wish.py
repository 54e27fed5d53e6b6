"""What the two sides of a pair want of each other while it is up: other media, keys pressed, a sign of life."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from adapters.endpoints.sip.profile import Profile
from adapters.events import LegConnected
from adapters.sip.listener import Ending
from adapters.sip.message import Response
from adapters.sip.pair import Patience
from tests.unit.sip.stage import FAR_SDP, LEG, NEAR_SDP, Device, Mind, Stage, stage, until

HELD = NEAR_SDP.replace(b"m=audio 13928", b"m=audio 13999") + b"a=sendonly\r\n"
TAKEN = FAR_SDP + b"a=recvonly\n"


@pytest.fixture
async def s() -> AsyncIterator[Stage]:
    async with stage() as made:
        yield made


async def up(s: Stage, **options: object) -> Mind:
    mind = await s.mind()
    await mind.dial(s.far, **options)
    await mind.heard.event(LegConnected, LEG)
    await until(lambda: s.near.up and s.far.up)
    return mind


def sides(s: Stage, who: str) -> tuple[Device, Device]:
    return (s.near, s.far) if who == "near" else (s.far, s.near)


class Asked:
    """What became of a request of a device."""

    def __init__(self) -> None:
        self.done: asyncio.Future[Response | None] = asyncio.get_running_loop().create_future()

    def __call__(self, response: Response | None) -> None:
        self.done.set_result(response)

    async def status(self) -> int:
        response = await asyncio.wait_for(self.done, 10)
        return response.status if response is not None else 0

    async def sdp(self) -> bytes:
        response = await asyncio.wait_for(self.done, 10)
        assert response is not None and response.status == 200, response
        return response.sdp


@pytest.mark.rfc("3725", "7")
@pytest.mark.rfc("3311", "5.1")
@pytest.mark.rfc("3264", "8")
@pytest.mark.parametrize("method", ["INVITE", "UPDATE"])
@pytest.mark.parametrize("who", ["near", "far"])
async def test_other_media_are_passed_on_byte_for_byte(s: Stage, who: str, method: str) -> None:
    mind = await up(s)
    asks, answers = sides(s, who)
    answers.on_offer = lambda offer: offer.answer(TAKEN)
    asked = Asked()
    if method == "INVITE":
        asks.call.reinvite(HELD, asked)
    else:
        asks.call.update(HELD, asked)
    assert await asked.sdp() == TAKEN
    assert answers.offers == [HELD]
    if method == "INVITE":
        asks.call.ack()
        await until(lambda: len(answers.acks) == 2)
    await mind.hang_up()
    await mind.heard.cleared(LEG)
    await s.drained(mind)


@pytest.mark.rfc("3725", "7")
@pytest.mark.rfc("3261", "14.2")
@pytest.mark.parametrize("who", ["near", "far"])
async def test_a_wish_without_sdp_brings_an_offer_and_takes_an_answer(s: Stage, who: str) -> None:
    mind = await up(s)
    asks, answers = sides(s, who)
    answers.on_offer = lambda offer: offer.answer(TAKEN)
    asked = Asked()
    asks.call.reinvite(b"", asked)
    assert await asked.sdp() == TAKEN
    assert answers.offers == [b""]
    asks.call.ack(HELD)
    await until(lambda: len(answers.acks) == 2)
    assert answers.acks[1] == HELD
    assert not answers.call.busy
    await mind.hang_up()
    await mind.heard.cleared(LEG)
    await s.drained(mind)


@pytest.mark.rfc("3261", "14.1")
@pytest.mark.rfc("3311", "5.3")
@pytest.mark.parametrize(("theirs", "passed_on"), [(488, 488), (491, 491), (500, 500), (408, 500), (403, 403)])
async def test_a_refused_wish_leaves_the_pair_as_it_was(s: Stage, theirs: int, passed_on: int) -> None:
    mind = await up(s)
    s.far.on_offer = lambda offer: offer.refuse(theirs)
    asked = Asked()
    s.near.call.reinvite(HELD, asked)
    assert await asked.status() == passed_on
    s.far.on_offer = lambda offer: offer.answer(TAKEN)
    asked = Asked()
    s.near.call.reinvite(HELD, asked)
    assert await asked.sdp() == TAKEN
    s.near.call.ack()
    assert mind.told[-1] == "LegConnected"


@pytest.mark.rfc("3261", "14.2")
@pytest.mark.rfc("3311", "5.2")
async def test_wishes_that_meet_are_both_refused_with_glare_and_may_come_again(s: Stage) -> None:
    await up(s)
    waits: list[object] = []
    s.far.on_offer = waits.append
    first, second = Asked(), Asked()
    s.near.call.reinvite(HELD, first)
    await until(lambda: waits)
    # the far side has our INVITE and sends one of its own all the same
    s.far.call.update(HELD, second)
    assert await second.status() == 491
    waits[0].answer(TAKEN)  # type: ignore[attr-defined]
    assert await first.sdp() == TAKEN
    s.near.call.ack()
    third = Asked()
    s.near.on_offer = lambda offer: offer.answer(NEAR_SDP)
    await until(lambda: len(s.far.acks) == 2)
    s.far.call.reinvite(TAKEN + b"a=other:1\n", third)
    assert await third.sdp() == NEAR_SDP
    s.far.call.ack()


@pytest.mark.rfc("4028", "9")
@pytest.mark.rfc("3311", "5.2")
async def test_a_session_refresh_is_answered_here(s: Stage) -> None:
    await up(s)
    asked = Asked()
    s.near.call.update(b"", asked)
    assert await asked.status() == 200
    assert s.far.offers == []


async def test_a_side_that_leaves_while_its_wish_is_asked(s: Stage) -> None:
    mind = await up(s)
    waits: list[object] = []
    s.far.on_offer = waits.append
    s.near.call.reinvite(HELD, lambda response: None)
    await until(lambda: waits)
    s.near.call.hang_up()
    await mind.heard.cleared(LEG)
    assert s.far.endings == [Ending.BYE]
    await s.drained(mind)
    await s.forgotten(mind)


@pytest.mark.rfc("3264", "8")
async def test_what_a_parked_side_sees_later_keeps_our_origin() -> None:
    async with stage() as s:
        s.near.on_offer = lambda offer: offer.answer(NEAR_SDP)
        mind = await s.mind(flow="III")
        await mind.dial(s.far)
        await mind.heard.event(LegConnected, LEG)
        await until(lambda: s.near.up and s.far.up and not s.near.call.busy)
        asked = Asked()
        s.far.call.reinvite(TAKEN, asked)
        assert await asked.sdp() == NEAR_SDP
        origins = [offer.splitlines()[1].split() for offer in s.near.offers]
        assert [origin[:3] for origin in origins] == [[b"o=diemcau", b"1", b"2"], [b"o=diemcau", b"1", b"3"]]


@pytest.mark.rfc("2976", "2")
@pytest.mark.rfc("6086", "4.2.1")
async def test_digits_come_in_order_to_the_far_side_only(s: Stage) -> None:
    await up(s, digits="24*68A#", digits_delay_s=0.02)
    await until(lambda: len(s.far.infos) == 7)
    assert [body.split()[0].decode() for body in s.far.infos] == [f"Signal={key}" for key in "24*68A#"]
    assert s.near.infos == []


async def test_digits_stop_when_the_call_ends(s: Stage) -> None:
    mind = await s.mind(profile=Profile(digit_pace_s=0.05, patience=Patience(straggler_s=0.2)))
    await mind.dial(s.far, digits="123456789", digits_delay_s=0.0)
    await until(lambda: len(s.far.infos) == 2)
    s.near.call.hang_up()
    await mind.heard.cleared(LEG)
    pressed = len(s.far.infos)
    await asyncio.sleep(0.3)
    assert len(s.far.infos) == pressed < 9


@pytest.mark.rfc("6086", "4.2.1")
async def test_a_key_that_is_not_taken_ends_the_pressing(s: Stage, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    s.far.info_status = 415
    mind = await up(s, digits="808171#", digits_delay_s=0.0)
    await until(lambda: "not_taken" in caplog.text)
    await asyncio.sleep(0.1)
    assert len(s.far.infos) == 1
    said = caplog.text + repr(mind.heard.events) + repr(mind.endpoint._legs)
    assert "808171" not in said and "Signal" not in said


async def test_keys_pressed_at_a_side_are_not_passed_on(s: Stage) -> None:
    await up(s)
    asked = Asked()
    s.near.call.inform("application/dtmf-relay", b"Signal=1\r\nDuration=160\r\n", asked)
    assert await asked.status() == 200
    assert s.far.infos == []

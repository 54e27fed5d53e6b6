"""A pair and its session timers: one for each dialog; refreshes stay where they are, a restart goes on with them."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from adapters.causes import ClearCause
from adapters.endpoints.sip.profile import Profile
from adapters.events import LegConnected
from adapters.sip.call import Call
from adapters.sip.message import Request, Response
from adapters.sip.pair import Pair, Patience
from adapters.sip.session_timer import Policy
from adapters.sip.third_party import Came, Step
from tests.unit.sip.stage import FAR_SDP, LEG, NEAR_SDP, Mind, Stage, answers, stage, until

SHORT = Policy(expires_s=2, min_se_s=1)


@pytest.fixture
async def s() -> AsyncIterator[Stage]:
    async with stage() as made:
        yield made


async def up(s: Stage, **options: object) -> Mind:
    mind = await s.mind(**options)  # type: ignore[arg-type]
    await mind.dial(s.far)
    await mind.heard.event(LegConnected, LEG)
    await until(lambda: s.near.up and s.far.up)
    return mind


def pair_of(mind: Mind) -> Pair:
    return mind.endpoint._legs[LEG].pair


class Log:
    """The requests a device hears inside its calls."""

    def __init__(self, deaf_to: str = "") -> None:
        self.heard: list[Request] = []
        self.deaf_to = deaf_to

    def __call__(self, request: Request) -> bool:
        if request.to_tag:
            self.heard.append(request)
        return request.method != self.deaf_to

    @property
    def methods(self) -> list[str]:
        return [request.method for request in self.heard]


async def refreshed(call: Call, sdp: bytes) -> Response:
    """What a device gets for a re-INVITE."""
    told: asyncio.Future[Response | None] = asyncio.get_running_loop().create_future()
    call.reinvite(sdp, told.set_result)
    response = await asyncio.wait_for(told, 10)
    assert response is not None
    if response.status < 300:
        call.ack()
    return response


@pytest.mark.rfc("4028", "7.4")
async def test_each_side_has_a_timer_of_its_own(s: Stage) -> None:
    s.near.agent.session = s.far.agent.session = SHORT
    s.near.agent.hears, s.far.agent.hears = near, far = Log(), Log()
    mind = await up(s, session=SHORT)
    await until(lambda: near.methods.count("UPDATE") > 1 and far.methods.count("UPDATE") > 1)
    assert all(request.body == b"" for request in near.heard + far.heard if request.method == "UPDATE")
    assert s.near.offers == s.far.offers == [] and mind.told == ["LegRinging", "LegConnected"]


async def test_a_side_that_refuses_to_be_refreshed_ends_the_pair(s: Stage) -> None:
    s.far.agent.session = SHORT
    mind = await up(s, session=SHORT)
    s.far.agent.forget(s.far.call)  # it has no timer any more, and denies the call
    assert (await mind.heard.cleared(LEG)).cleared.cause is ClearCause.LOST
    await s.drained(mind)


@pytest.mark.rfc("4028", "9")
@pytest.mark.rfc("3264", "8")
@pytest.mark.parametrize("who", ["near", "far"])
@pytest.mark.parametrize("version", [b"1644075066", b"1644075067"])
async def test_a_reinvite_that_changes_nothing_is_answered_here(s: Stage, who: str, version: bytes) -> None:
    await up(s)
    asks, other, said, heard = (
        (s.near, s.far, NEAR_SDP, FAR_SDP) if who == "near" else (s.far, s.near, FAR_SDP, NEAR_SDP)
    )
    response = await refreshed(asks.call, said.replace(b"1644075066", version))
    assert response.sdp == heard and "session-expires" in response.headers
    assert other.offers == []


async def test_what_changed_since_is_compared_and_not_what_was_said_first(s: Stage) -> None:
    await up(s)
    moved, taken = NEAR_SDP.replace(b"13928", b"14000"), FAR_SDP + b"a=x:1\n"
    s.far.on_offer = lambda offer: offer.answer(taken)
    assert (await refreshed(s.near.call, moved)).sdp == taken
    await until(lambda: len(s.far.acks) == 2)
    assert (await refreshed(s.near.call, moved)).sdp == taken
    assert s.far.offers == [moved]
    assert (await refreshed(s.near.call, NEAR_SDP)).sdp == taken
    assert s.far.offers == [moved, NEAR_SDP]


async def test_a_refused_change_is_not_taken_for_what_stands(s: Stage) -> None:
    await up(s)
    moved = NEAR_SDP.replace(b"13928", b"14000")
    s.far.on_offer = lambda offer: offer.refuse(488)
    for _ in range(2):
        assert (await refreshed(s.near.call, moved)).status == 488
    assert s.far.offers == [moved, moved]
    assert (await refreshed(s.near.call, NEAR_SDP)).sdp == FAR_SDP


async def test_a_near_side_with_our_origin_keeps_its_version_when_it_refreshes() -> None:
    async with stage() as s:
        s.near.on_offer = lambda offer: offer.answer(NEAR_SDP)
        await up(s, flow="III")
        await until(lambda: not s.near.call.busy)
        response = await refreshed(s.near.call, NEAR_SDP)
        assert response.sdp == s.near.offers[0] and response.sdp.splitlines()[1].startswith(b"o=diemcau 1 2 ")
        assert s.far.offers == []


async def test_folded_away_it_is_still_known(s: Stage) -> None:
    async with stage(near=answers(NEAR_SDP + b"a=long:" + b"x" * 900 + b"\r\n")) as s:
        mind = await up(s)
        pair = pair_of(mind)
        assert pair.near is not None and pair.far is not None
        pair.near.fold()
        pair.far.fold()
        assert len(pair.far._said) < 600
        response = await refreshed(s.near.call, NEAR_SDP + b"a=long:" + b"x" * 900 + b"\r\n")
        assert response.sdp == FAR_SDP and s.far.offers == []


@pytest.mark.rfc("3261", "12.2.2")
async def test_a_side_that_moved_is_stored_anew(s: Stage) -> None:
    mind = await up(s)
    before = mind.memories[LEG]["far"]["target"]
    s.far.call.dialog.local = s.far.call.dialog.local.replace("room@", "elsewhere@")  # its Contact's user
    told: asyncio.Future[Response | None] = asyncio.get_running_loop().create_future()
    s.far.call.update(b"", told.set_result)
    assert (await told) is not None
    await until(lambda: mind.memories[LEG]["far"]["target"] != before)
    memory = mind.memories[LEG]
    assert "elsewhere@" in memory["far"]["target"] and memory["whole"] and memory["is_acked"]
    second = await s.mind(port=await mind.die())
    assert (await second.adopt()).state == "connected"
    await second.hang_up()
    await second.heard.cleared(LEG)
    await s.drained(second)


async def test_a_refresh_that_changes_nothing_is_not_stored(s: Stage) -> None:
    mind = await up(s)
    stored = mind.memories[LEG]
    await refreshed(s.near.call, NEAR_SDP)
    assert mind.memories[LEG] is stored


async def test_the_next_process_refreshes_what_the_one_before_did(s: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adapters.sip.refresh._TAKEN_UP_S", (0.05, 0.1))
    first = await up(s)
    assert first.memories[LEG]["near"]["session"] == first.memories[LEG]["far"]["session"]
    second = await s.mind(port=await first.die())
    s.near.agent.hears, s.far.agent.hears = near, far = Log(), Log()
    await second.adopt()
    await until(lambda: "UPDATE" in near.methods and "UPDATE" in far.methods)
    assert second.told == []


@pytest.mark.rfc("3261", "12.2.1.1")
async def test_a_process_at_another_address_says_where_it_is_now(s: Stage) -> None:
    first = await up(s)
    await first.die()
    second = await s.mind()
    await second.adopt()
    here = second.agent.address[1]
    await until(
        lambda: f":{here}>" in f"{s.near.call.dialog.target}>" and f":{here}>" in f"{s.far.call.dialog.target}>"
    )
    s.near.call.hang_up()
    assert (await second.heard.cleared(LEG)).cleared.cause is ClearCause.FAR_END
    await s.drained(second)


async def test_who_may_not_act_neither_refreshes_nor_ends(s: Stage) -> None:
    s.near.agent.session = SHORT
    mind = await up(s, session=SHORT)
    s.near.agent.hears = near = Log()
    asked = asyncio.Event()

    def may_act(leg: str) -> bool:
        asked.set()
        return False

    mind.endpoint._s = replace(mind.endpoint._s, may_act=may_act)
    await asked.wait()
    await until(lambda: not len(mind.agent))
    assert not {"UPDATE", "BYE"} & set(near.methods[1:]) and mind.told == ["LegRinging", "LegConnected"]


async def test_a_side_that_moves_its_media_with_a_refresh_is_passed_on(s: Stage) -> None:
    mind = await up(s)
    moved = NEAR_SDP.replace(b"13928", b"14000")
    s.near.on_offer = lambda offer: offer.answer(moved)
    s.far.on_offer = lambda offer: offer.answer(FAR_SDP)
    near = pair_of(mind).near
    assert near is not None
    near.peer_allows = "INVITE"
    near.refresh(lambda response: None)
    await until(lambda: len(s.far.acks) == 2)
    assert s.near.offers == [FAR_SDP] and s.far.offers == [moved]
    assert not s.far.call.busy


async def test_a_side_that_answers_a_refresh_as_before_is_not(s: Stage) -> None:
    mind = await up(s)
    s.near.on_offer = lambda offer: offer.answer(NEAR_SDP)
    near = pair_of(mind).near
    assert near is not None
    near.peer_allows = "INVITE"
    told = asyncio.Event()
    near.refresh(lambda response: told.set())
    await told.wait()
    await until(lambda: len(s.near.acks) == 2)
    assert s.far.offers == []


async def test_what_is_stored_last_is_what_was_so_last() -> None:
    """The far side answers while it is being stored that it rings."""
    async with stage(far=lambda call: call.ring()) as s:
        s.near.on_offer = lambda offer: offer.answer(NEAR_SDP)
        mind = await s.mind(profile=Profile(patience=Patience(ack_s=0.05)))
        writing, go_on = asyncio.Event(), asyncio.Event()
        writes = 0

        async def gate() -> None:
            nonlocal writes
            writes += 1
            if writes == 2:  # the first is the near half
                writing.set()
                await go_on.wait()

        mind.gate = gate
        await mind.dial(s.far, ring_s=30.0)
        await until(lambda: s.far.calls and s.near.up)
        if not writing.is_set():  # it rang before the near half was stored: it rings once more
            pair_of(mind).take(Came.FAR_RINGS)
        await writing.wait()
        s.far.call.answer(FAR_SDP)
        await until(lambda: pair_of(mind).step is Step.UNPARKING)
        go_on.set()
        await mind.heard.event(LegConnected, LEG)
        assert writes == 4 and mind.memories[LEG]["whole"] is True


async def test_a_change_that_cannot_be_stored_ends_nothing(s: Stage, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("WARNING")
    mind = await up(s)

    async def gate() -> None:
        raise OSError("disk full")

    mind.gate = gate
    s.far.call.dialog.local = s.far.call.dialog.local.replace("room@", "elsewhere@")
    s.far.call.update(b"", lambda response: None)
    await until(lambda: "change_not_stored" in caplog.text)
    assert mind.told == ["LegRinging", "LegConnected"] and not pair_of(mind)._is_storing

"""Who of the two sides of a pair is asked whether it lives, how often, and what comes of the answer."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from adapters.causes import ClearCause
from adapters.endpoints.sip.profile import Profile
from adapters.events import LegCleared, LegConnected
from adapters.sip.liveness import Pulse
from adapters.sip.message import Request
from adapters.sip.pair import Patience
from adapters.values import DialOptions
from tests.unit.sip.stage import LEG, Mind, Stage, stage, until

OFTEN = Patience(probe_s=0.1, host_s=0.1, again_s=0.05, probe_limit_s=0.3, straggler_s=0.2)
SELDOM = Patience(probe_s=600.0, host_s=600.0, probe_limit_s=0.3, again_s=0.05, straggler_s=0.2)


@pytest.fixture
async def s() -> AsyncIterator[Stage]:
    async with stage() as made:
        yield made


async def up(s: Stage, legs: int = 1, patience: Patience = OFTEN) -> Mind:
    mind = await s.mind(profile=Profile(patience=patience))
    for number in range(legs):
        leg = f"{LEG}{number}"
        await mind.endpoint.dial(leg, s.far.address, DialOptions(ring_s=30.0))
        await mind.heard.event(LegConnected, leg)
    await until(lambda: s.near.up and s.far.up)
    return mind


class Questions:
    """The OPTIONS a device hears, by the call they are about."""

    def __init__(self, deaf: bool = False) -> None:
        self.about: list[str] = []
        self.deaf = deaf

    def __call__(self, request: Request) -> bool:
        if request.method == "OPTIONS":
            self.about.append(request.call_id)
            return not self.deaf
        return True


def pulse(mind: Mind) -> Pulse:
    [one] = mind.agent.pulses.values()
    return one


async def test_the_calls_at_one_far_host_take_turns(s: Stage) -> None:
    s.far.agent.hears = asked = Questions()
    mind = await up(s, legs=3, patience=replace(OFTEN, probe_limit_s=5.0))  # no miss to be repeated
    asked.about.clear()  # those who were up first may have been asked already
    await until(lambda: len(asked.about) >= 6)
    assert set(asked.about[:3]) == set(asked.about[3:6]) and len(set(asked.about)) == 3
    assert len(pulse(mind)._vigils) == 3


@pytest.mark.rfc("3261", "11.2")
async def test_every_near_side_is_asked_itself(s: Stage) -> None:
    s.near.agent.hears = asked = Questions()
    await up(s, legs=3)
    await until(lambda: len(set(asked.about)) == 3)


async def test_who_has_just_shown_that_it_lives_is_not_asked(s: Stage) -> None:
    s.near.agent.hears = near = Questions()
    s.far.agent.hears = far = Questions()
    patience = Patience(probe_s=1.6, host_s=1.6, again_s=0.05, probe_limit_s=0.3)
    await up(s, patience=patience)
    for _ in range(16):  # sooner and sooner than half of what each waits
        for device in (s.near, s.far):
            told = asyncio.Event()
            device.call.inform("text/plain", b"", lambda _, told=told: told.set())
            await told.wait()
        await asyncio.sleep(0.15)  # so long is nothing said; what is tested is that nobody asks
    assert near.about == far.about == []


async def test_a_bridge_that_forgot_its_calls_is_found_out_call_by_call(s: Stage) -> None:
    mind = await up(s, legs=20, patience=SELDOM)
    for call in list(s.far.calls):
        s.far.agent.forget(call)
    pulse(mind).told(False)  # somebody has answered badly
    await until(lambda: sum(isinstance(event, LegCleared) for event in mind.heard.events) == 20)
    causes = {event.cleared.cause for event in mind.heard.events if isinstance(event, LegCleared)}
    assert causes == {ClearCause.LOST} and mind.agent.pulses == {}
    await until(lambda: s.near.free)


async def test_a_bridge_that_fell_silent_is_found_out_call_by_call(s: Stage) -> None:
    mind = await up(s, legs=10, patience=SELDOM)
    s.far.agent.hears = lambda request: False
    pulse(mind).told(False)
    await until(lambda: sum(isinstance(event, LegCleared) for event in mind.heard.events) == 10)


async def test_one_call_that_is_gone_is_not_the_bridges_end(s: Stage) -> None:
    mind = await up(s, legs=12, patience=SELDOM)
    s.far.agent.hears = asked = Questions()
    s.far.agent.forget(s.far.calls[0])
    pulse(mind).told(False)
    await until(lambda: len(asked.about) >= 12 and not pulse(mind)._suspects)
    assert len(asked.about) <= 16
    assert sum(isinstance(event, LegCleared) for event in mind.heard.events) == 1
    assert len(pulse(mind)._vigils) == 11


async def test_pairs_leave_in_any_order(s: Stage) -> None:
    mind = await up(s, legs=6, patience=SELDOM)
    for number in (2, 5, 0, 4, 1, 3):
        await mind.endpoint.hang_up(f"{LEG}{number}")
        await mind.heard.cleared(f"{LEG}{number}")
        pairs = pulse(mind)._vigils if mind.agent.pulses else []
        assert [pair.place for pair in pairs] == list(range(len(pairs)))
    assert mind.agent.pulses == {}


async def test_one_lost_answer_is_no_end(s: Stage) -> None:
    s.near.agent.hears = asked = Questions(deaf=True)
    mind = await up(s)
    await until(lambda: asked.about)
    asked.deaf = False
    before = len(asked.about)
    await until(lambda: len(asked.about) > before + 4)
    assert mind.told == ["LegRinging", "LegConnected"]


async def test_a_pair_that_stands_takes_less_room(s: Stage) -> None:
    s.near.agent.hears = asked = Questions()
    mind = await up(s)
    await until(lambda: asked.about)
    pair = mind.endpoint._legs[LEG + "0"].pair
    assert pair.near is not None and pair.far is not None
    assert pair.near._ack_body == pair.far.local_sdp == b"" and pair.far.said

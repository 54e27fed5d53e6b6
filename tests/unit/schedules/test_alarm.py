"""The bell: in a real event loop, each test waits for the ring itself."""

import asyncio
import logging
from datetime import UTC, datetime, timedelta

import pytest

from schedules.alarm import Alarm
from schedules.clock import SystemClock, TurnableClock

PATIENCE_S = 20  # a bell that does not ring fails the test; how late it may be is bench's business


class Rings:
    """Takes rings down, and lets a test wait for a number of them."""

    def __init__(self):
        self.heard = []
        self._more = asyncio.Condition()

    async def __call__(self, key):
        async with self._more:
            self.heard.append((key, datetime.now(UTC)))
            self._more.notify_all()

    @property
    def keys(self):
        return [key for key, _ in self.heard]

    async def wait(self, number):
        async with asyncio.timeout(PATIENCE_S), self._more:
            await self._more.wait_for(lambda: len(self.heard) >= number)
        return self.keys


def soon(ms):
    return datetime.now(UTC) + timedelta(milliseconds=ms)


@pytest.fixture
async def alarm():
    alarm = Alarm(SystemClock())
    alarm.start()
    yield alarm
    alarm.stop()


async def test_bells_ring_once_each_in_order_and_never_early(alarm):
    rings = Rings()
    due = {"third": soon(90), "first": soon(30), "second": soon(60)}
    for key, at in due.items():
        alarm.arm(key, at, rings)
    assert list(alarm.armed().items()) == sorted(due.items(), key=lambda item: item[1])
    assert await rings.wait(3) == ["first", "second", "third"]
    assert all(heard >= due[key] for key, heard in rings.heard)
    assert alarm.armed() == {}


async def test_a_time_in_the_past_rings_at_once(alarm):
    rings = Rings()
    alarm.arm("missed", datetime(2020, 1, 1, tzinfo=UTC), rings)
    assert await rings.wait(1) == ["missed"]


async def test_arming_again_moves_the_bell(alarm):
    rings = Rings()
    moved = soon(50)
    alarm.arm("a", soon(20), rings)
    alarm.arm("a", moved, rings)
    alarm.arm("after", moved + timedelta(milliseconds=50), rings)
    assert await rings.wait(2) == ["a", "after"]
    assert rings.heard[0][1] >= moved


async def test_arming_a_bell_as_it_hangs_rings_it_once(alarm):
    rings = Rings()
    at = soon(30)
    alarm.arm("a", at, rings)
    alarm.arm("a", at, rings)
    alarm.arm("after", soon(80), rings)
    assert await rings.wait(2) == ["a", "after"]
    alarm.arm("a", at, rings)  # it has rung: this is a new bell, and late
    assert await rings.wait(3) == ["a", "after", "a"]


async def test_a_bell_that_is_moved_at_the_last_moment_rings_only_when_it_was_moved_to(alarm):
    early, rings = Rings(), Rings()
    alarm.arm("a", datetime(2020, 1, 1, tzinfo=UTC), early)
    await asyncio.sleep(0)  # the scheduler has handed it to the loop, which has not begun it
    moved = soon(50)
    alarm.arm("a", moved, rings)
    assert await rings.wait(1) == ["a"]
    assert rings.heard[0][1] >= moved
    assert early.heard == []


async def test_a_bell_that_was_disarmed_stays_silent(alarm):
    rings = Rings()
    alarm.arm("off", soon(20), rings)
    alarm.arm("due", datetime(2020, 1, 1, tzinfo=UTC), rings)
    alarm.arm("last", soon(60), rings)
    alarm.disarm("off")
    await asyncio.sleep(0)  # now the scheduler has handed it to the loop, which has not begun it
    alarm.disarm("due")
    alarm.disarm("off")
    alarm.disarm("never armed")
    assert await rings.wait(1) == ["last"]


async def test_a_ring_that_raises_is_logged_with_its_key_and_the_bell_goes_on(alarm, caplog):
    rings = Rings()

    async def fail(key):
        await rings(key)
        raise RuntimeError("the conductor tripped")

    with caplog.at_level(logging.ERROR, logger="schedules.alarm"):
        alarm.arm("bad", soon(10), fail)
        alarm.arm("good", soon(40), rings)
        assert await rings.wait(2) == ["bad", "good"]
    assert "'bad'" in caplog.text
    assert "the conductor tripped" in caplog.text


async def test_a_ring_may_arm_its_own_key_again_while_it_runs(alarm):
    rings = Rings()
    release = asyncio.Event()

    async def first(key):
        alarm.arm(key, soon(5), rings)
        await release.wait()  # still busy when the next bell of this key rings

    alarm.arm("a", soon(5), first)
    try:
        assert await rings.wait(1) == ["a"]
    finally:
        release.set()


async def test_a_slow_ring_holds_nobody_up(alarm):
    rings = Rings()
    release = asyncio.Event()

    async def slow(key):
        await release.wait()
        await rings(key)

    alarm.arm("slow", soon(5), slow)
    alarm.arm("quick", soon(30), rings)
    assert await rings.wait(1) == ["quick"]
    release.set()
    assert await rings.wait(2) == ["quick", "slow"]


async def test_bells_armed_before_the_start_ring_after_it():
    rings = Rings()
    alarm = Alarm(SystemClock())
    alarm.arm("early bird", soon(-1000), rings)
    alarm.start()
    try:
        assert await rings.wait(1) == ["early bird"]
    finally:
        alarm.stop()


async def test_stopping_forgets_all_bells_and_may_be_repeated():
    rings = Rings()
    alarm, other = Alarm(SystemClock()), Alarm(SystemClock())
    alarm.stop()
    alarm.start()
    alarm.start()
    other.start()
    alarm.arm("a", soon(10), rings)
    alarm.stop()
    alarm.stop()
    assert alarm.armed() == {}
    other.arm("b", soon(60), rings)
    assert await rings.wait(1) == ["b"]
    other.stop()


async def test_a_thousand_bells_at_one_instant_all_ring(alarm):
    rings = Rings()
    at = soon(100)
    for number in range(1_000):
        alarm.arm(f"meeting {number}", at, rings)
    assert len(set(await rings.wait(1_000))) == 1_000


async def test_a_clock_that_is_turned_rings_what_became_due():
    clock = TurnableClock(datetime(2026, 12, 1, 1, 0, tzinfo=UTC))
    alarm = Alarm(clock)
    alarm.start()
    rings = Rings()
    try:
        alarm.arm("in an hour", clock.now() + timedelta(hours=1), rings)
        alarm.arm("tomorrow", clock.now() + timedelta(days=1), rings)
        alarm.arm("in ten minutes", clock.now() + timedelta(minutes=10), rings)
        clock.turn(timedelta(minutes=10))
        assert await rings.wait(1) == ["in ten minutes"]
        clock.turn(timedelta(minutes=50))
        assert await rings.wait(2) == ["in ten minutes", "in an hour"]
        assert list(alarm.armed()) == ["tomorrow"]
    finally:
        alarm.stop()


async def test_a_clock_that_stands_still_never_rings_early():
    clock = TurnableClock(datetime(2026, 12, 1, 1, 0, tzinfo=UTC))
    alarm, real = Alarm(clock), Alarm(SystemClock())
    alarm.start()
    real.start()
    rings = Rings()
    try:
        alarm.arm("soon", clock.now() + timedelta(milliseconds=10), rings)
        real.arm("later", soon(80), rings)
        assert await rings.wait(1) == ["later"]
        assert list(alarm.armed()) == ["soon"]
    finally:
        alarm.stop()
        real.stop()


async def test_an_instant_without_a_zone_is_refused(alarm):
    with pytest.raises(ValueError, match="no zone"):
        alarm.arm("a", datetime(2026, 12, 1), Rings())

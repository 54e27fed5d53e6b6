"""The system's clock runs in UTC; the turnable one stands until it is turned."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from schedules.clock import SystemClock, TurnableClock

EIGHT = datetime(2026, 12, 1, 1, 0, tzinfo=UTC)


def test_the_system_clock_is_aware_utc_and_goes_on():
    clock = SystemClock()
    first, second = clock.now(), clock.now()
    assert first.tzinfo is UTC
    assert second >= first


def test_a_turnable_clock_stands_still_and_tells_when_it_is_turned():
    clock = TurnableClock(EIGHT.astimezone(timezone(timedelta(hours=7))))
    told = []
    clock.on_turn(lambda: told.append(clock.now()))
    assert clock.now() == EIGHT and clock.now().tzinfo is UTC
    assert told == []
    clock.turn(timedelta(minutes=10))
    clock.turn_to(EIGHT)
    assert told == [EIGHT + timedelta(minutes=10), EIGHT]


def test_a_clock_refuses_an_instant_without_a_zone():
    with pytest.raises(ValueError, match="no zone"):
        TurnableClock(datetime(2026, 12, 1))
    with pytest.raises(ValueError, match="no zone"):
        TurnableClock(EIGHT).turn_to(datetime(2026, 12, 1))

"""Pace: never more than the rate in any stretch of time, and never less than it in the long run."""

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.pace import Pace


@given(st.floats(0.5, 200), st.lists(st.floats(0.0, 2.0), min_size=1, max_size=200))
def test_a_stretch_of_time_never_gets_more_than_its_rate_and_one_burst(per_s: float, steps: list[float]) -> None:
    pace, now, granted = Pace(per_s), 1_000.0, 0
    for step in steps:
        now += step
        granted += pace.take(50, now)
    assert granted <= per_s * sum(steps) + max(1.0, per_s / 5) + 1e-3


def test_in_the_long_run_the_rate_is_reached() -> None:
    pace, granted = Pace(5), 0
    for tick in range(1_000):
        granted += pace.take(50, tick / 100)
    assert 49 <= granted <= 51


def test_waiting_as_long_as_told_is_enough() -> None:
    pace, now = Pace(5), 0.0
    assert pace.take(10, now) == 1
    assert pace.take(10, now) == 0
    assert pace.take(10, now + pace.wait_s(now)) == 1


def test_no_rate_is_no_limit() -> None:
    assert Pace(None).take(10_000, 0.0) == 10_000
    assert Pace(None).wait_s(0.0) == 0.0

"""Redial by cause: the product's figures, one test for each rule."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters import ClearCause
from orchestrator.rules.redial import Attempt, NextTry, RedialRules, Stop, next_try

START = datetime(2026, 12, 1, 1, 0, tzinfo=UTC)
RULES = RedialRules()


def _waits(cause: ClearCause, times: int, *, rungs: int = 1, was_in: bool = False) -> list[float]:
    """The waits between tries when every try ends the same way at once."""
    attempts: list[Attempt] = []
    at, rung, waits = START, 0, []
    for _ in range(times):
        attempts.append(Attempt(rung, cause, at, was_in))
        step = next_try(rungs, attempts, RULES, 0.0)
        assert isinstance(step, NextTry), step
        waits.append((step.at - at).total_seconds())
        at, rung = step.at, step.rung
    return waits


def test_tries_come_at_0_30s_60s_2_4_8_min_then_every_5_min() -> None:
    tries, at = [], 0.0
    for wait in _waits(ClearCause.BUSY, 8):
        at += wait
        tries.append(at)
    assert tries == [30, 60, 120, 240, 480, 780, 1080, 1380]


def test_a_busy_site_is_tried_the_same_way_again() -> None:
    step = next_try(3, [Attempt(1, ClearCause.BUSY, START)], RULES, 0.0)
    assert step == NextTry(START + timedelta(seconds=30), 1)


@pytest.mark.parametrize(
    "cause",
    [ClearCause.UNREACHABLE, ClearCause.NOT_FOUND, ClearCause.NO_COMMON_MEDIA, ClearCause.NOT_ALLOWED, ClearCause.LOST],
)
def test_what_another_way_may_mend_is_tried_another_way_at_once(cause: ClearCause) -> None:
    step = next_try(3, [Attempt(0, cause, START)], RULES, 0.0)
    assert step == NextTry(START + timedelta(seconds=RULES.climb_now_s), 1)


def test_after_the_last_rung_it_waits_and_begins_at_the_foot() -> None:
    attempts = [Attempt(0, ClearCause.UNREACHABLE, START), Attempt(1, ClearCause.UNREACHABLE, START)]
    assert next_try(2, attempts, RULES, 0.0) == NextTry(START + timedelta(seconds=30), 0)


def test_climbing_at_once_uses_up_no_wait_of_the_schedule() -> None:
    assert _waits(ClearCause.UNREACHABLE, 6, rungs=2) == [0.5, 30, 0.5, 30, 0.5, 60]


def test_nobody_answered_climbs_after_the_wait() -> None:
    step = next_try(2, [Attempt(0, ClearCause.NO_ANSWER, START)], RULES, 0.0)
    assert step == NextTry(START + timedelta(seconds=30), 1)


def test_a_dropped_call_comes_back_after_3_10_30_seconds_the_same_way() -> None:
    assert _waits(ClearCause.LOST, 4, rungs=2, was_in=True) == [3, 10, 30, 300]


def test_a_deliberate_hang_up_is_redialed_once_then_the_operator_is_asked() -> None:
    once = [Attempt(0, ClearCause.FAR_END, START, was_in=True)]
    assert next_try(2, once, RULES, 0.0) == NextTry(START + timedelta(seconds=30), 0)
    again = [*once, Attempt(0, ClearCause.FAR_END, START + timedelta(seconds=50), was_in=True)]
    assert isinstance(next_try(2, again, RULES, 0.0), Stop)


def test_a_site_that_declines_twice_is_left_in_peace() -> None:
    once = [Attempt(0, ClearCause.DECLINED, START)]
    assert isinstance(next_try(1, once, RULES, 0.0), NextTry)
    assert isinstance(next_try(1, [*once, Attempt(0, ClearCause.DECLINED, START)], RULES, 0.0), Stop)


def test_a_call_that_held_long_starts_the_schedule_anew() -> None:
    worn = [Attempt(0, ClearCause.BUSY, START) for _ in range(8)]
    held = Attempt(0, ClearCause.LOST, START, was_in=True, held_s=600)
    assert next_try(1, [*worn, held], RULES, 0.0) == NextTry(START + timedelta(seconds=3), 0)
    after = [*worn, held, Attempt(0, ClearCause.BUSY, START)]
    step = next_try(1, after, RULES, 0.0)
    assert isinstance(step, NextTry)
    assert step.at - START <= timedelta(seconds=60)


def test_a_refused_log_in_bars_the_way_and_the_last_way_stops() -> None:
    barred = Attempt(0, ClearCause.NOT_ALLOWED, START, barred=True)
    step = next_try(2, [barred], RULES, 0.0)
    assert isinstance(step, NextTry)
    assert step.rung == 1
    assert isinstance(next_try(2, [barred, Attempt(1, ClearCause.NOT_ALLOWED, START, barred=True)], RULES, 0.0), Stop)


_attempts = st.lists(
    st.builds(
        Attempt,
        st.integers(0, 4),
        st.sampled_from(ClearCause),
        st.just(START),
        st.booleans(),
        st.floats(0, 10_000),
        st.booleans(),
    ),
    min_size=1,
    max_size=30,
)


@given(_attempts, st.integers(5, 8), st.floats(0, 1))
def test_the_next_try_is_never_in_the_past_never_barred_and_never_too_far(
    attempts: list[Attempt], rungs: int, jitter: float
) -> None:
    step = next_try(rungs, attempts, RULES, jitter)
    if isinstance(step, NextTry):
        wait_s = (step.at - START).total_seconds()
        assert 0 < wait_s <= RULES.steady_s * (1 + RULES.jitter)
        assert 0 <= step.rung < rungs
        assert step.rung not in {a.rung for a in attempts if a.barred}
    else:
        assert step.why


def test_drops_of_changing_kinds_wear_the_schedule_out_like_drops_of_one() -> None:
    attempts: list[Attempt] = []
    at, waits = START, []
    for cause in [ClearCause.LOST, ClearCause.BRIDGE_ENDED, ClearCause.LOST, ClearCause.UNKNOWN]:
        attempts.append(Attempt(0, cause, at, was_in=True))
        step = next_try(1, attempts, RULES, 0.0)
        assert isinstance(step, NextTry)
        waits.append((step.at - at).total_seconds())
        at = step.at
    assert waits == [3, 10, 30, 300]


_ends = st.tuples(st.sampled_from(ClearCause), st.booleans(), st.sampled_from((0.0, 30.0, 59.0)))


@given(st.lists(_ends, min_size=20, max_size=60), st.integers(1, 4))
def test_whatever_devices_answer_nobody_is_dialed_all_the_time(
    ends: list[tuple[ClearCause, bool, float]], rungs: int
) -> None:
    attempts: list[Attempt] = []
    dialed, rung = [START], 0
    for cause, was_in, held_s in ends:
        ended = dialed[-1] + timedelta(seconds=held_s if was_in else 0)
        attempts.append(Attempt(rung, cause, ended, was_in, held_s))
        step = next_try(rungs, attempts, RULES, 0.0)
        if isinstance(step, Stop):
            break
        dialed.append(step.at)
        rung = step.rung
    most = 4 * rungs + 6  # rounds at 0, 30 and 60 s, and the quick tries after drops
    for first in dialed:
        within = [at for at in dialed if first <= at < first + timedelta(seconds=60)]
        assert len(within) <= most

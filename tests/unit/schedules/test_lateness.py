"""Early, on time, late, missed: each bound belongs to the state that begins there."""

from datetime import UTC, datetime, timedelta

import pytest

from schedules.lateness import Lateness, late_by, lateness

START = datetime(2026, 12, 1, 1, 0, tzinfo=UTC)
SLOT = {"opens_at": START - timedelta(minutes=10), "starts_at": START, "ends_at": START + timedelta(hours=1)}
SECOND = timedelta(seconds=1)


@pytest.mark.parametrize(
    ("now", "state", "may_start"),
    [
        (SLOT["opens_at"] - SECOND, Lateness.EARLY, False),
        (SLOT["opens_at"], Lateness.ON_TIME, True),
        (START, Lateness.ON_TIME, True),
        (START + SECOND, Lateness.LATE, True),
        (SLOT["ends_at"] - SECOND, Lateness.LATE, True),
        (SLOT["ends_at"], Lateness.MISSED, False),
        (SLOT["ends_at"] + timedelta(days=3), Lateness.MISSED, False),
    ],
)
def test_how_a_moment_lies_in_the_slot(now, state, may_start):
    assert lateness(**SLOT, now=now) is state
    assert state.may_start is may_start


def test_a_lead_of_nothing_opens_at_the_start():
    slot = SLOT | {"opens_at": START}
    assert lateness(**slot, now=START - SECOND) is Lateness.EARLY
    assert lateness(**slot, now=START) is Lateness.ON_TIME


@pytest.mark.parametrize(
    "wrong",
    [
        {"opens_at": START + SECOND},
        {"ends_at": START},
        {"ends_at": START - SECOND},
        {"now": datetime(2026, 12, 1)},
    ],
)
def test_bounds_out_of_order_or_without_a_zone_are_refused(wrong):
    with pytest.raises(ValueError, match=r"in this order|no zone"):
        lateness(**(SLOT | {"now": START} | wrong))


def test_late_by_is_never_negative():
    assert late_by(starts_at=START, now=START - SECOND) == timedelta(0)
    assert late_by(starts_at=START, now=START + 5 * SECOND) == 5 * SECOND

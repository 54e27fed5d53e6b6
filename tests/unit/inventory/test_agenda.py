"""What a booking's times mean: when it is over, and what cannot be."""

from datetime import UTC, datetime, timedelta

import pytest

from orchestrator.agenda import check_times, slots
from orchestrator.store.meetings import Meeting
from schedules.recurrence import RecurrenceError

NOW = datetime(2026, 12, 1, 1, tzinfo=UTC)
HCM = "Asia/Ho_Chi_Minh"


def meeting(start: str = "2026-12-01T08:00", recurrence: str | None = None, zone: str = HCM, *without: str) -> Meeting:
    return Meeting(
        title="x", start=start, time_zone=zone, duration_min=60, recurrence=recurrence, exdates=list(without),
        bridge_id=1, created_at=NOW,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("booked", "over_at"),
    [
        (meeting(), "2026-12-01T02:00Z"),
        (meeting(recurrence="FREQ=WEEKLY"), None),
        (meeting(recurrence="FREQ=WEEKLY;COUNT=3"), "2026-12-15T02:00Z"),
        (meeting("2026-12-01T08:00", "FREQ=DAILY;COUNT=3", HCM, "2026-12-03"), "2026-12-02T02:00Z"),
        (meeting(recurrence="FREQ=WEEKLY;UNTIL=20261209T010000Z"), "2026-12-09T02:00Z"),
        (meeting(recurrence="FREQ=WEEKLY;UNTIL=20261208T080000"), "2026-12-08T02:00Z"),
        (meeting(recurrence="freq=daily;until=20261203"), "2026-12-03T17:59:59Z"),  # midnight there and an hour
    ],
    ids=lambda value: str(value.recurrence) if isinstance(value, Meeting) else str(value),
)
def test_a_meeting_is_over_after_its_last_date(booked: Meeting, over_at: str | None) -> None:
    check_times(booked, NOW)
    assert booked.over_at == (over_at and datetime.fromisoformat(over_at))
    if booked.over_at is not None:
        ends = [slot.ends_at for slot in slots(booked, NOW, NOW + timedelta(days=400))]
        assert ends[-1] <= booked.over_at


def test_a_dense_rule_far_into_the_future_is_not_counted_out() -> None:
    hours = ",".join(map(str, range(24)))
    booked = meeting(recurrence=f"FREQ=DAILY;BYHOUR={hours};UNTIL=21991231T000000Z")
    check_times(booked, NOW)
    assert booked.over_at == datetime(2199, 12, 31, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("booked", "field", "problem"),
    [
        (meeting("2026-12-01T06:59"), "start", "over"),
        (meeting("2026-11-01T08:00", "FREQ=WEEKLY;COUNT=2"), "start", "over"),
        (meeting("2026-11-01T08:00", "FREQ=WEEKLY;UNTIL=20261130"), "start", "over"),
        (meeting("2020-01-01T08:00", "FREQ=WEEKLY"), "start", "long past"),
        (meeting("2027-03-28T02:30", None, "Europe/Berlin"), "start", "does not exist in Europe/Berlin"),
        (meeting("2026-12-01T08:00", None, HCM, "2026-12-01"), "exdates", "every date"),
        (meeting(recurrence="FREQ=HOURLY"), "recurrence", "HOURLY"),
    ],
    ids=lambda value: "" if isinstance(value, Meeting) else value,
)
def test_times_that_cannot_be_are_refused(booked: Meeting, field: str, problem: str) -> None:
    with pytest.raises(RecurrenceError, match=problem) as caught:
        check_times(booked, NOW)
    assert caught.value.field == field
    assert caught.value.expected


def test_a_meeting_under_way_may_be_booked_and_an_old_one_changed() -> None:
    check_times(meeting("2026-12-01T07:30"), NOW)
    old = meeting("2020-01-06T08:00", "FREQ=WEEKLY")
    check_times(old, NOW, since=datetime(2020, 1, 1, tzinfo=UTC))
    assert old.over_at is None


def test_an_hour_that_a_rule_meets_twice_or_not_at_all_is_no_reason_to_refuse() -> None:
    weekly = meeting("2027-03-21T02:30", "FREQ=WEEKLY;COUNT=3", "Europe/Berlin")
    check_times(weekly, NOW)
    walls = [f"{slot.wall:%d %H:%M}" for slot in slots(weekly, NOW, NOW + timedelta(days=400))]
    assert walls == ["21 02:30", "28 03:30", "04 02:30"]
    check_times(meeting("2027-10-31T02:30", None, "Europe/Berlin"), NOW)


def test_dialing_opens_before_the_start() -> None:
    booked = meeting()
    booked.lead_min = 15
    [slot] = slots(booked, NOW, NOW + timedelta(days=1))
    assert (slot.opens_at, slot.starts_at, slot.ends_at) == (
        NOW - timedelta(minutes=15),
        NOW,
        NOW + timedelta(hours=1),
    )

"""Pure: how an occurrence stands at a moment: early, on time, late or missed.

Dialing opens at `opens_at` (the start less the lead). A start that was slept through is
caught up until the slot ends; after that it is missed and nobody is dialed.
"""

from datetime import datetime, timedelta
from enum import StrEnum


class Lateness(StrEnum):
    """Where a moment lies in the slot of an occurrence."""

    EARLY = "early"  # dialing has not opened
    ON_TIME = "on-time"  # between opening and the start
    LATE = "late"  # the meeting has begun; still worth starting
    MISSED = "missed"  # the slot is over

    @property
    def may_start(self) -> bool:
        """Whether a run may begin at such a moment."""
        return self in (Lateness.ON_TIME, Lateness.LATE)


def lateness(*, opens_at: datetime, starts_at: datetime, ends_at: datetime, now: datetime) -> Lateness:
    """How late it is; each bound belongs to the state that begins there.

    Raises ValueError when the bounds are not in order, or an instant has no zone.
    """
    if any(at.tzinfo is None for at in (opens_at, starts_at, ends_at, now)):
        raise ValueError("lateness compares aware instants; one of these has no zone")
    if not opens_at <= starts_at < ends_at:
        raise ValueError(f"a slot opens, starts and ends in this order; got {opens_at}, {starts_at}, {ends_at}")
    if now < opens_at:
        return Lateness.EARLY
    if now >= ends_at:
        return Lateness.MISSED
    return Lateness.ON_TIME if now <= starts_at else Lateness.LATE


def late_by(*, starts_at: datetime, now: datetime) -> timedelta:
    """How much after the start it is; zero before it."""
    return max(now - starts_at, timedelta(0))

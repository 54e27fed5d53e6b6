"""What stands on the first page: runs under way, meetings to come, runs that are over."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from heapq import nsmallest
from typing import Any

from sqlmodel.ext.asyncio.session import AsyncSession

from orchestrator.board import run_list
from orchestrator.rules.states import RUN_OVER, RunState
from orchestrator.store.meetings import bookings_of, open_meetings
from orchestrator.store.runs import claimed_occurrences
from schedules.recurrence import RecurrenceError, occurrences

AHEAD = timedelta(days=14)
_MOST = 50
_MOST_A_MEETING = 30


@dataclass(frozen=True, slots=True)
class Next:
    """An occurrence that is still to come; `sites` is None for all of them."""

    title: str
    time_zone: str
    opens_at: datetime
    starts_at: datetime
    ends_at: datetime
    sites: int | None


@dataclass(frozen=True, slots=True)
class Agenda:
    """The lists of the first page."""

    under_way: Sequence[dict[str, Any]]
    to_come: Sequence[Next]
    over: Sequence[dict[str, Any]]


async def agenda(session: AsyncSession, now: datetime) -> Agenda:
    """Everything the first page shows, at `now`."""
    going = sorted(state.value for state in RunState if state not in RUN_OVER)
    under_way = await run_list(session, states=going, limit=_MOST)
    over = await run_list(session, states=sorted(RUN_OVER), limit=20)
    return Agenda(under_way, await _to_come(session, now), over)


async def _to_come(session: AsyncSession, now: datetime) -> list[Next]:
    meetings = await open_meetings(session, now)
    sites = await bookings_of(session, meetings)
    claimed = await claimed_occurrences(session, [meeting.id for meeting in meetings if meeting.id is not None], now)
    found: list[Next] = []
    for meeting in meetings:
        assert meeting.id is not None
        try:
            coming = occurrences(
                meeting.start, meeting.time_zone, meeting.recurrence, meeting.exdates,
                after=now, before=now + AHEAD, limit=_MOST_A_MEETING,
            )  # fmt: skip
        except RecurrenceError:  # kept by an older version with other rules; its own page says what is wrong
            continue
        invited = sites[meeting.id]
        found += [
            Next(
                meeting.title,
                meeting.time_zone,
                one.starts_at - timedelta(minutes=meeting.lead_min),
                one.starts_at,
                one.starts_at + timedelta(minutes=meeting.duration_min),
                None if invited is None else len(invited),
            )
            for one in coming
            if (meeting.id, one.starts_at) not in claimed
        ]
    return nsmallest(_MOST, found, key=lambda one: one.starts_at)

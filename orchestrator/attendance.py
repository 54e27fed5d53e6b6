"""The attendance of a run, loaded from its rows and told by `rules.attendance`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlmodel.ext.asyncio.session import AsyncSession

from orchestrator.rules.attendance import Attendance, attendance
from orchestrator.rules.states import RUN_OVER
from orchestrator.store.journal import JournalEntry
from orchestrator.store.runs import Participant, Run

_PEOPLE: Any = Participant.__table__  # type: ignore[attr-defined]
_JOURNAL: Any = JournalEntry.__table__  # type: ignore[attr-defined]
_TOLD_BY = ("run-state", "leg-dialed", "leg-cleared", "site-in", "site-out", "site-absent", "note")


@dataclass(frozen=True, slots=True)
class Record:
    """Who was there: the run and one entry per participant, sites first, by priority and code."""

    run: Run
    over: bool
    participants: Sequence[Attendance]


@dataclass(frozen=True, slots=True)
class _Entry:
    at: datetime
    event: str
    participant: str
    facts: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class _Expected:
    kind: str
    code: str
    name: str


async def record_of(session: AsyncSession, run_id: int, now: datetime) -> Record | None:
    """The run's attendance so far, or None where there is no such run."""
    run = await session.get(Run, run_id)
    if run is None:
        return None
    connection = await session.connection()
    people = await connection.execute(
        select(_PEOPLE.c.kind, _PEOPLE.c.code, _PEOPLE.c.name)
        .where(_PEOPLE.c.run_id == run_id)
        .order_by(_PEOPLE.c.kind.desc(), _PEOPLE.c.priority, _PEOPLE.c.code)  # "site" before "room"
    )
    journal = await connection.execute(
        select(_JOURNAL.c.at, _JOURNAL.c.event, _JOURNAL.c.participant, _JOURNAL.c.facts)
        .where(_JOURNAL.c.run_id == run_id, _JOURNAL.c.event.in_(_TOLD_BY))
        .order_by(_JOURNAL.c.id)
    )
    over = run.state in RUN_OVER
    until = run.closed_at if over and run.closed_at is not None else now
    lines = attendance(
        (_Expected(*row) for row in people),
        (_Entry(*row) for row in journal),
        until,
        over=over,
        ends_at=run.ends_at,
    )
    return Record(run, over, lines)

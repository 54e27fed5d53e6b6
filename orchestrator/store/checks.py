"""Line checks: what was asked, and what was found. Of each target the newest ones are kept."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import JSON, Column, Index, delete, func, text, update
from sqlmodel import Field, SQLModel, col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from orchestrator.rules.states import RUN_OVER
from orchestrator.store.database import Instant
from orchestrator.store.runs import Participant, Run

KEPT = 50
"""Checks of one target that stay on record."""

_MOST_NAMED = 1000


class LineCheckRow(SQLModel, table=True):
    """One check of a line. A target has at most one that is under way (`ended_at` is None)."""

    __tablename__ = "line_check"
    __table_args__ = (
        Index(
            "ux_line_check_open",
            "target",
            unique=True,
            sqlite_where=text("ended_at IS NULL"),
            postgresql_where=text("ended_at IS NULL"),
        ),
    )

    id: int | None = Field(default=None, primary_key=True)
    target: str = Field(index=True)  # kind:code
    kind: str  # site | bridge
    code: str  # site code | bridge name/number
    endpoint: str = ""
    address: str = ""
    asked_at: datetime = Field(sa_column=Column(Instant, nullable=False))
    deadline_at: datetime = Field(sa_column=Column(Instant, nullable=False))  # later its process must be dead
    ended_at: datetime | None = Field(default=None, sa_column=Column(Instant, nullable=True))
    verdict: str = ""  # rules.line.LineVerdict, empty while it is under way
    reasons: list[dict[str, Any]] = Field(default_factory=list, sa_column=Column(JSON, nullable=False))
    figures: dict[str, Any] = Field(default_factory=dict, sa_column=Column(JSON, nullable=False))
    r: float | None = None


async def open_targets(session: AsyncSession) -> set[str]:
    """The targets that are being checked."""
    return set(await session.exec(select(LineCheckRow.target).where(col(LineCheckRow.ended_at).is_(None))))


async def forget_old(session: AsyncSession, targets: Collection[str]) -> None:
    """Keep the newest checks of each of these targets only."""
    names = sorted(set(targets))
    for at in range(0, len(names), _MOST_NAMED):
        await _forget(session, names[at : at + _MOST_NAMED])


async def _forget(session: AsyncSession, targets: Collection[str]) -> None:
    number = func.row_number().over(partition_by=col(LineCheckRow.target), order_by=col(LineCheckRow.id).desc())
    ranked: Any = select(col(LineCheckRow.id).label("id"), number.label("number"))
    numbered = ranked.where(col(LineCheckRow.target).in_(targets)).subquery()
    old = select(numbered.c.id).where(numbered.c.number > KEPT)
    await session.exec(delete(LineCheckRow).where(col(LineCheckRow.id).in_(old)))


async def end_check(session: AsyncSession, check_id: int, **found: Any) -> None:
    """Write down what a check found, once: a later word about it changes nothing."""
    await session.exec(
        update(LineCheckRow).where(col(LineCheckRow.id) == check_id, col(LineCheckRow.ended_at).is_(None)).values(found)
    )


async def end_overdue(session: AsyncSession, now: datetime, **found: Any) -> None:
    """End what is under way by the rows, and by the clock cannot be any more."""
    overdue = col(LineCheckRow.ended_at).is_(None), col(LineCheckRow.deadline_at) < now
    await session.exec(update(LineCheckRow).where(*overdue).values(ended_at=now, **found))


async def checks_by_ids(session: AsyncSession, ids: Collection[int]) -> list[LineCheckRow]:
    """These checks, oldest first."""
    rows = await session.exec(select(LineCheckRow).where(col(LineCheckRow.id).in_(ids)).order_by(col(LineCheckRow.id)))
    return list(rows)


async def page_of_checks(
    session: AsyncSession, *, target: str | None = None, below: int | None = None, limit: int = 100
) -> list[LineCheckRow]:
    """Checks, newest first."""
    query = select(LineCheckRow).order_by(col(LineCheckRow.id).desc()).limit(limit)
    if target is not None:
        query = query.where(LineCheckRow.target == target)
    if below is not None:
        query = query.where(col(LineCheckRow.id) < below)
    return list(await session.exec(query))


async def latest_checks(session: AsyncSession, targets: Collection[str]) -> dict[str, LineCheckRow]:
    """The newest check of each of these targets that has one."""
    newest = (
        select(func.max(LineCheckRow.id))
        .where(col(LineCheckRow.target).in_(list(targets)[:_MOST_NAMED]))
        .group_by(col(LineCheckRow.target))
    )
    return {row.target: row for row in await session.exec(select(LineCheckRow).where(col(LineCheckRow.id).in_(newest)))}


async def taking_part(session: AsyncSession, codes: Sequence[str]) -> list[tuple[Participant, int]]:
    """Where these sites take part in runs that are under way, with the run's id."""
    rows = await session.exec(
        select(Participant, Run.id)
        .join(Run, col(Participant.run_id) == col(Run.id))
        .where(
            Participant.kind == "site",
            col(Participant.code).in_(list(codes)[:_MOST_NAMED]),
            col(Run.state).not_in([state.value for state in RUN_OVER]),
        )
    )
    return [(participant, run_id or 0) for participant, run_id in rows]

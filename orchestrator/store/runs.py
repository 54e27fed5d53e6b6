"""What is being done: runs, their participants and legs, leases and operator commands."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, Column, Index, UniqueConstraint, bindparam, insert, text, update
from sqlalchemy.exc import IntegrityError
from sqlmodel import Field, SQLModel, col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from orchestrator.store.database import Instant


def _instant(*, nullable: bool = False) -> Column[datetime]:
    return Column(Instant, nullable=nullable)


class Installation(SQLModel, table=True):
    """Which installation this database is: its mark stands in every leg name (one row)."""

    id: int = Field(default=1, primary_key=True)
    mark: str


class Run(SQLModel, table=True):
    """One live execution of an occurrence; (meeting, occurrence) is claimed once."""

    __table_args__ = (
        UniqueConstraint("meeting_id", "occurrence_at"),
        # two runs that are under way never share a conference
        Index(
            "ux_run_number_open",
            "bridge_id",
            "number",
            unique=True,
            sqlite_where=text("closed_at IS NULL"),
            postgresql_where=text("closed_at IS NULL"),
        ),
    )

    id: int | None = Field(default=None, primary_key=True)
    meeting_id: int = Field(foreign_key="meeting.id", index=True)
    occurrence_at: datetime = Field(sa_column=_instant())
    title: str
    time_zone: str
    bridge_id: int = Field(foreign_key="bridge.id")
    number: str  # the conference on the bridge
    tag: str
    state: str = Field(index=True)
    opens_at: datetime = Field(sa_column=_instant())
    starts_at: datetime = Field(sa_column=_instant())
    ends_at: datetime = Field(sa_column=_instant())
    closed_at: datetime | None = Field(default=None, sa_column=_instant(nullable=True))
    end_reason: str = ""


class Participant(SQLModel, table=True):
    """Who should be there: a site, or a linked room. The intent; legs are the facts."""

    __table_args__ = (UniqueConstraint("run_id", "kind", "code"),)

    id: int | None = Field(default=None, primary_key=True)
    run_id: int = Field(foreign_key="run.id", index=True)
    kind: str  # site | room
    code: str  # site code | room name
    name: str
    priority: int = 5
    plan: dict[str, object] = Field(default_factory=dict, sa_column=Column(JSON, nullable=False))
    state: str = "waiting"  # rules.states.ParticipantState
    way: str = ""  # how it is, or was last tried to be, reached; by-hand: somebody else called
    address: str = ""
    seen_by_endpoint: str = "unknown"  # connected | not-connected | unknown
    seen_by_bridge: str = "unknown"  # in | not-in | unknown
    muted: bool | None = None
    attempts: int = 0
    redials: int = 0  # attempts after it had been in once
    cause: str = ""  # why the last attempt or call ended (adapters.ClearCause, or the error's name)
    side: str = ""
    raw: str = ""  # the device's own words for it
    in_since: datetime | None = Field(default=None, sa_column=_instant(nullable=True))
    next_try_at: datetime | None = Field(default=None, sa_column=_instant(nullable=True))
    stopped_why: str = ""  # why it is not dialed again
    forgotten: int = 0  # how many of its first legs no longer count for redialing


class Leg(SQLModel, table=True):
    """One call of a participant; a redial makes a new leg."""

    id: int | None = Field(default=None, primary_key=True)
    run_id: int = Field(foreign_key="run.id", index=True)
    shard_id: str = Field(foreign_key="shard.id", index=True)
    participant_id: int = Field(foreign_key="participant.id", index=True)
    attempt: int
    rung: int
    way: str
    endpoint: str = ""  # the device that was ordered to call, by inventory name
    address: str
    name: str = Field(unique=True)  # tag, leg and epoch: what devices know it by
    state: str
    cause: str = ""
    side: str = ""
    raw: str = ""
    coming_down: str = ""  # why we bring it down (rules.reconcile.Why)
    barred: bool = False  # this way is not to be tried again in this run
    planned_at: datetime = Field(sa_column=_instant())
    dialed_at: datetime | None = Field(default=None, sa_column=_instant(nullable=True))
    connected_at: datetime | None = Field(default=None, sa_column=_instant(nullable=True))
    admitted_at: datetime | None = Field(default=None, sa_column=_instant(nullable=True))
    cleared_at: datetime | None = Field(default=None, sa_column=_instant(nullable=True))
    memory: dict[str, object] | None = Field(default=None, sa_column=Column(JSON))
    member: str = ""  # by refer: the bridge's name of the call that came in for it
    epoch: int = Field(sa_column=Column(BigInteger, nullable=False))


class Shard(SQLModel, table=True):
    """A part of a run that one process conducts; by default a run is one shard."""

    id: str = Field(primary_key=True)
    run_id: int = Field(foreign_key="run.id", index=True)
    state: str = "new"  # new | running | done


class ShardLease(SQLModel, table=True):
    """Who may act on a shard's legs, until when; every change of owner raises the epoch."""

    __tablename__ = "shard_lease"
    __table_args__ = (UniqueConstraint("shard_id", "epoch"),)

    shard_id: str = Field(foreign_key="shard.id", primary_key=True)
    epoch: int = Field(default=0, sa_column=Column(BigInteger, nullable=False))
    owner: str | None = None
    until: datetime | None = Field(default=None, sa_column=_instant(nullable=True))


class ShardCommand(SQLModel, table=True):
    """An operator's order, durable from the moment it is accepted."""

    __tablename__ = "shard_command"
    __table_args__ = (
        Index(
            "ix_shard_command_open",
            "shard_id",
            sqlite_where=text("done_at IS NULL"),
            postgresql_where=text("done_at IS NULL"),
        ),
    )

    id: int | None = Field(default=None, primary_key=True)
    shard_id: str = Field(foreign_key="shard.id")
    verb: str
    args: dict[str, object] = Field(default_factory=dict, sa_column=Column(JSON, nullable=False))
    created_at: datetime = Field(sa_column=_instant())
    claimed_at: datetime | None = Field(default=None, sa_column=_instant(nullable=True))
    epoch: int | None = Field(default=None, sa_column=Column(BigInteger))
    done_at: datetime | None = Field(default=None, sa_column=_instant(nullable=True))
    result: str = ""


@dataclass(frozen=True, slots=True)
class RunRows:
    """Everything stored of a run."""

    run: Run
    participants: list[Participant]
    legs: list[Leg]


@dataclass(frozen=True, slots=True)
class OpenShard:
    """A shard that is not done, and who holds its lease."""

    shard_id: str
    run_id: int
    owner: str | None
    until: datetime | None


async def mark_of_installation(session: AsyncSession, fresh: str) -> str:
    """The installation's mark; `fresh` becomes it when there is none yet."""
    row = await session.get(Installation, 1)
    if row is None:
        try:
            async with session.begin_nested():
                session.add(Installation(id=1, mark=fresh))
            return fresh
        except IntegrityError:  # another process starts at the same moment, and was first
            row = (await session.exec(select(Installation))).one()
    return row.mark


async def numbers_in_use(session: AsyncSession, bridge_id: int) -> set[str]:
    """The conference numbers of the bridge's runs that are not over."""
    rows = await session.exec(select(Run.number).where(Run.bridge_id == bridge_id, col(Run.closed_at).is_(None)))
    return set(rows)


async def run_of_occurrence(session: AsyncSession, meeting_id: int, occurrence_at: datetime) -> Run | None:
    """The run that claimed an occurrence, if one did."""
    rows = await session.exec(select(Run).where(Run.meeting_id == meeting_id, Run.occurrence_at == occurrence_at))
    return rows.first()


async def claimed_occurrences(
    session: AsyncSession, meeting_ids: Sequence[int], after: datetime
) -> set[tuple[int, datetime]]:
    """Which (meeting, occurrence) from `after` on have a run already."""
    rows = await session.exec(
        select(Run.meeting_id, Run.occurrence_at).where(
            col(Run.meeting_id).in_(meeting_ids), Run.occurrence_at >= after
        )
    )
    return set(rows)


async def add_run(session: AsyncSession, run: Run, participants: Sequence[Participant], *, done: bool = False) -> str:
    """Store a run with its participants, its one shard and its lease; returns the shard's id.

    IntegrityError when the occurrence is claimed or the conference number is taken.
    """
    session.add(run)
    await session.flush()
    assert run.id is not None
    shard_id = f"run-{run.id}"
    session.add(Shard(id=shard_id, run_id=run.id, state="done" if done else "new"))
    await session.flush()
    session.add(ShardLease(shard_id=shard_id))
    for participant in participants:
        participant.run_id = run.id
    session.add_all(participants)
    return shard_id


async def open_shards(session: AsyncSession, only: str | None = None) -> list[OpenShard]:
    """All shards that are not done, oldest run first; or `only` that one."""
    query = (
        select(Shard.id, Shard.run_id, ShardLease.owner, ShardLease.until)
        .join(ShardLease, col(ShardLease.shard_id) == col(Shard.id))
        .where(Shard.state != "done")
        .order_by(col(Shard.run_id))
    )
    rows = await session.exec(query if only is None else query.where(Shard.id == only))
    return [OpenShard(*row) for row in rows]


async def takes_part(session: AsyncSession, run_id: int, code: str) -> bool:
    """Whether a run has a participant of that code."""
    rows = await session.exec(select(Participant.id).where(Participant.run_id == run_id, Participant.code == code))
    return rows.first() is not None


async def load_run(session: AsyncSession, run_id: int) -> RunRows | None:
    """A run with its participants and legs, oldest leg first."""
    run = await session.get(Run, run_id)
    if run is None:
        return None
    participants = await session.exec(
        select(Participant).where(Participant.run_id == run_id).order_by(col(Participant.id))
    )
    legs = await session.exec(select(Leg).where(Leg.run_id == run_id).order_by(col(Leg.id)))
    return RunRows(run, list(participants), list(legs))


async def add_command(session: AsyncSession, command: ShardCommand) -> int:
    """Store an operator's order; it is accepted once this transaction is committed."""
    session.add(command)
    await session.flush()
    assert command.id is not None
    return command.id


async def open_commands(session: AsyncSession, shard_id: str) -> list[ShardCommand]:
    """The shard's orders that are not done, oldest first; also those an earlier owner had begun."""
    rows = await session.exec(
        select(ShardCommand)
        .where(ShardCommand.shard_id == shard_id, col(ShardCommand.done_at).is_(None))
        .order_by(col(ShardCommand.id))
    )
    return list(rows)


async def shards_with_orders(session: AsyncSession) -> list[str]:
    """The shards under way that have orders which are not done."""
    query = select(ShardCommand.shard_id).join(Shard, col(Shard.id) == col(ShardCommand.shard_id))
    rows = await session.exec(query.where(col(ShardCommand.done_at).is_(None), Shard.state != "done").distinct())
    return list(rows)


async def insert_legs(session: AsyncSession, rows: Sequence[Mapping[str, Any]]) -> None:
    """Add legs in one statement; all rows have the same keys."""
    if rows:
        await (await session.connection()).execute(insert(Leg), rows)


async def update_rows(
    session: AsyncSession, table: type[SQLModel], key: str, changes: Mapping[Any, Mapping[str, Any]]
) -> None:
    """Update rows by a unique column: `changes` maps its value to the new column values.

    Rows that change the same columns go out as one statement.
    """
    columns = table.__table__.c  # type: ignore[attr-defined]
    by_shape: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for value, change in changes.items():
        if change:
            by_shape.setdefault(tuple(sorted(change)), []).append(
                {"_key": value, **{f"_{k}": v for k, v in change.items()}}
            )
    for shape, rows in by_shape.items():
        statement = (
            update(table.__table__)  # type: ignore[attr-defined]
            .where(columns[key] == bindparam("_key"))
            .values({name: bindparam(f"_{name}", type_=columns[name].type) for name in shape})
        )
        connection = await session.connection()
        await connection.execute(statement, rows)

"""What is being done: runs, their participants and legs, leases and operator commands."""

from datetime import datetime

from sqlalchemy import JSON, BigInteger, Column, Index, UniqueConstraint, text
from sqlmodel import Field, SQLModel

from orchestrator.store.database import Instant


def _instant(*, nullable: bool = False) -> Column[datetime]:
    return Column(Instant, nullable=nullable)


class Run(SQLModel, table=True):
    """One live execution of an occurrence; (meeting, occurrence) is claimed once."""

    __table_args__ = (UniqueConstraint("meeting_id", "occurrence_at"),)

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
    planned_at: datetime = Field(sa_column=_instant())
    dialed_at: datetime | None = Field(default=None, sa_column=_instant(nullable=True))
    connected_at: datetime | None = Field(default=None, sa_column=_instant(nullable=True))
    admitted_at: datetime | None = Field(default=None, sa_column=_instant(nullable=True))
    cleared_at: datetime | None = Field(default=None, sa_column=_instant(nullable=True))
    memory: dict[str, object] | None = Field(default=None, sa_column=Column(JSON))
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

"""What endpoints are owed: how they answered calls before a run had them answer by themselves.

A row is there before the first byte goes to the device, and leaves when the old setting is back.
An endpoint has one at most; a second run that wants the same prolongs it.
"""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import CursorResult, ForeignKey, Integer, delete, or_, update
from sqlmodel import Column, Field, SQLModel, col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from adapters import AutoAnswer, AutoAnswerMode
from orchestrator.store.database import Instant
from orchestrator.store.inventory import Endpoint, EndpointAt, Site, endpoints_by_names


class AutoAnswerLease(SQLModel, table=True):
    """An endpoint answers by itself until `until_at`, for `run_id`; then `mode` and `muted` come back.

    `microphone_muted` is what the microphone was before we switched it off; None: we did not.
    """

    __tablename__ = "auto_answer_lease"

    id: int | None = Field(default=None, primary_key=True)
    endpoint_id: int = Field(
        sa_column=Column(Integer, ForeignKey("endpoint.id", ondelete="CASCADE"), nullable=False, unique=True)
    )
    run_id: int = Field(foreign_key="run.id", index=True)
    mode: str
    muted: bool | None = None
    microphone_muted: bool | None = None
    until_at: datetime = Field(sa_column=Column(Instant, nullable=False, index=True))
    giving_back_until_at: datetime | None = Field(default=None, sa_column=Column(Instant, nullable=True))

    @property
    def before(self) -> AutoAnswer:
        return AutoAnswer(AutoAnswerMode(self.mode), self.muted)


@dataclass(frozen=True, slots=True)
class Owed:
    """A lease that has run out, with whom it is owed."""

    lease: AutoAnswerLease
    at: EndpointAt
    site: str


async def lease_of(session: AsyncSession, endpoint_id: int) -> AutoAnswerLease | None:
    """What the endpoint is owed, if anything."""
    return (await session.exec(select(AutoAnswerLease).where(AutoAnswerLease.endpoint_id == endpoint_id))).first()


async def keep(session: AsyncSession, lease: AutoAnswerLease, now: datetime) -> bool:
    """Write a lease down, or prolong the one there is, whose old setting stays.

    False: the old setting is being given back at this moment; ask again.
    """
    there = await lease_of(session, lease.endpoint_id)
    if there is None:
        session.add(lease)
        await session.flush()
        return True
    changed: CursorResult[tuple[()]] = await session.exec(
        update(AutoAnswerLease)
        .where(
            col(AutoAnswerLease.id) == there.id,
            or_(col(AutoAnswerLease.giving_back_until_at).is_(None), col(AutoAnswerLease.giving_back_until_at) < now),
        )
        .values(run_id=lease.run_id, until_at=max(there.until_at, lease.until_at), giving_back_until_at=None)
    )
    return changed.rowcount == 1


async def run_over(session: AsyncSession, run_id: int, now: datetime) -> None:
    """The run needs nothing any more: what it had is owed from now on."""
    await session.exec(
        update(AutoAnswerLease)
        .where(col(AutoAnswerLease.run_id) == run_id, col(AutoAnswerLease.until_at) > now)
        .values(until_at=now)
    )


async def owed(session: AsyncSession, now: datetime) -> list[Owed]:
    """The leases that have run out and that nobody is giving back."""
    query = (
        select(AutoAnswerLease, Endpoint.name, Site.code)
        .join(Endpoint, col(AutoAnswerLease.endpoint_id) == col(Endpoint.id))
        .join(Site, col(Endpoint.site_id) == col(Site.id))
        .where(*_is_due(now))
    )
    rows = (await session.exec(query)).all()
    endpoints = await endpoints_by_names(session, {name for _, name, _ in rows})
    return [Owed(lease, endpoints[name], site) for lease, name, site in rows if name in endpoints]


async def claim(session: AsyncSession, lease: AutoAnswerLease, now: datetime, until_at: datetime) -> bool:
    """Begin to give back; False when somebody else does, or a run has prolonged it."""
    changed: CursorResult[tuple[()]] = await session.exec(
        update(AutoAnswerLease)
        .where(col(AutoAnswerLease.id) == lease.id, *_is_due(now))
        .values(giving_back_until_at=until_at)
    )
    return changed.rowcount == 1


async def given_back(session: AsyncSession, lease: AutoAnswerLease) -> None:
    """Nothing is owed any more."""
    await session.exec(delete(AutoAnswerLease).where(col(AutoAnswerLease.id) == lease.id))


def _is_due(now: datetime):  # type: ignore[no-untyped-def]
    giving_back = col(AutoAnswerLease.giving_back_until_at)
    return col(AutoAnswerLease.until_at) <= now, or_(giving_back.is_(None), giving_back < now)

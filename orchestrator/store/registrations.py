"""Where endpoints that register with us can be called: one row per address of record.

A row stays when its endpoint is gone from the net: `until_at` then says since when. It leaves
with its endpoint.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import JSON, Column, ForeignKey, Integer, func
from sqlmodel import Field, SQLModel, col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from adapters import Registration
from orchestrator.store.database import Instant
from orchestrator.store.inventory import Endpoint, EndpointAddress, Site, id_of
from orchestrator.store.journal import JournalEntry
from orchestrator.store.runs import Participant, Run


class RegistrationRow(SQLModel, table=True):
    """What the registrar keeps of one address. `since_at` is None when it is not registered."""

    __tablename__ = "registration"

    id: int | None = Field(default=None, primary_key=True)
    endpoint_id: int = Field(
        sa_column=Column(Integer, ForeignKey("endpoint.id", ondelete="CASCADE"), nullable=False, index=True)
    )
    address: str = Field(unique=True, index=True)  # sip:user@domain
    since_at: datetime | None = Field(default=None, sa_column=Column(Instant, nullable=True))
    until_at: datetime | None = Field(default=None, sa_column=Column(Instant, nullable=True, index=True))
    source: str = ""
    product: str = ""
    bindings: list[dict[str, Any]] = Field(default_factory=list, sa_column=Column(JSON, nullable=False))

    @property
    def value(self) -> Registration:
        return Registration(self.since_at, self.until_at, self.source, self.product, tuple(self.bindings))


@dataclass(frozen=True, slots=True)
class Change:
    """What became of a registration; `runs` are the open runs whose journal tells of it."""

    endpoint: str
    site: str
    address: str
    before: Registration
    after: Registration
    runs: tuple[int, ...] = ()


async def owner_of(session: AsyncSession, keys: Collection[str]) -> Endpoint | None:
    """The endpoint that has one of these address keys, or None."""
    query = select(Endpoint).join(EndpointAddress).where(col(EndpointAddress.key).in_(keys))
    return (await session.exec(query.limit(1))).first()


async def load(session: AsyncSession, address: str, keys: Collection[str]) -> Registration:
    """The registration of an address, as long as the endpoint that registered still has it."""
    owners = select(EndpointAddress.endpoint_id).where(col(EndpointAddress.key).in_(keys))
    query = select(RegistrationRow).where(
        RegistrationRow.address == address, col(RegistrationRow.endpoint_id).in_(owners)
    )
    row = (await session.exec(query)).first()
    return row.value if row is not None else Registration()


async def change(
    session: AsyncSession,
    address: str,
    keys: Collection[str],
    rule: Callable[[Registration], Registration],
    now: datetime,
) -> Change:
    """Make of a registration what `rule` says; concurrent changes of one endpoint wait for each other.

    An endpoint that came or went is told in the journals of the open runs it takes part in.
    Raises LookupError when no endpoint has the address, and what `rule` raises.
    """
    query = select(Endpoint, Site.code).join(EndpointAddress).join(Site).where(col(EndpointAddress.key).in_(keys))
    found = (await session.exec(query.limit(1).with_for_update(of=Endpoint))).first()
    if found is None:
        raise LookupError(f"no endpoint has the address {address}")
    endpoint, site = found
    row = (await session.exec(select(RegistrationRow).where(RegistrationRow.address == address))).first()
    if row is None:
        row = RegistrationRow(endpoint_id=id_of(endpoint), address=address)
    before = row.value if row.endpoint_id == endpoint.id else Registration()
    after = rule(before)
    if after != before:
        row.endpoint_id = id_of(endpoint)
        row.since_at, row.until_at = after.since_at, after.until_at
        row.source, row.product = after.source, after.product
        row.bindings = [dict(binding) for binding in after.bindings]
        session.add(row)
        await session.flush()
    runs: tuple[int, ...] = ()
    if before.is_current(now) != after.is_current(now):
        runs = await _tell(session, endpoint.name, site, after, now)
    return Change(endpoint.name, site, address, before, after, runs)


async def expire(session: AsyncSession, now: datetime) -> list[Change]:
    """Take out what has run out, and tell of it; of several processes one does."""
    query = (
        select(RegistrationRow, Endpoint.name, Site.code)
        .join(Endpoint, col(RegistrationRow.endpoint_id) == col(Endpoint.id))
        .join(Site, col(Endpoint.site_id) == col(Site.id))
        .where(col(RegistrationRow.since_at).is_not(None), col(RegistrationRow.until_at) <= now)
        .with_for_update(of=RegistrationRow, skip_locked=True)
    )
    changes = []
    for row, name, site in (await session.exec(query)).all():
        before = row.value
        row.since_at, row.source, row.product, row.bindings = None, "", "", []
        session.add(row)
        changes.append(
            Change(name, site, row.address, before, row.value, await _tell(session, name, site, row.value, now))
        )
    await session.flush()
    return changes


async def _tell(session: AsyncSession, name: str, site: str, after: Registration, now: datetime) -> tuple[int, ...]:
    query = (
        select(Run.id)
        .join(Participant)
        .where(Participant.kind == "site", Participant.code == site, col(Run.closed_at).is_(None))
    )
    runs = tuple(run for run in (await session.exec(query)).all() if run is not None)
    event = "endpoint-registered" if after.is_current(now) else "endpoint-unregistered"
    facts: dict[str, object] = {"endpoint": name}
    if after.source:
        facts["source"] = after.source
    session.add_all(JournalEntry(run_id=run, at=now, event=event, participant=site, facts=facts) for run in runs)
    await session.flush()
    return runs


async def of_endpoints(session: AsyncSession, endpoint_ids: Collection[int]) -> dict[int, list[RegistrationRow]]:
    """The registrations of these endpoints, those that last longest first."""
    query = select(RegistrationRow).where(col(RegistrationRow.endpoint_id).in_(endpoint_ids))
    rows: dict[int, list[RegistrationRow]] = {}
    for row in (
        await session.exec(query.order_by(col(RegistrationRow.until_at).desc(), col(RegistrationRow.id)))
    ).all():
        rows.setdefault(row.endpoint_id, []).append(row)
    return rows


async def count(session: AsyncSession, now: datetime) -> int:
    """How many addresses are registered."""
    query = (
        select(func.count())
        .select_from(RegistrationRow)
        .where(col(RegistrationRow.since_at).is_not(None), col(RegistrationRow.until_at) > now)
    )
    return int((await session.exec(query)).one())

"""Who may act on a shard's legs: a lease row with an epoch, checked before every action.

Expiry is judged by the database's clock where it has one of its own (PostgreSQL); the
holder measures its own deadline with CLOCK_BOOTTIME from before the request was sent, so a
paused process knows that its time is over (docs/decisions/0004-lease-with-epoch.md).
"""

import asyncio
import os
import socket
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import structlog
from sqlalchemy import ColumnElement, Interval, bindparam, cast, func, literal, or_, select, text, update
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from orchestrator.store.database import Database
from orchestrator.store.runs import ShardLease

log = structlog.get_logger(__name__)


class LeaseLost(Exception):
    """Somebody else may act on this shard now, or our own time is over. Touch nothing."""


@dataclass(frozen=True, slots=True)
class LeaseTerms:
    """How long a lease lasts without renewal, how often it is renewed, and our safety margin."""

    ttl_s: float = 9.0
    renew_s: float = 2.25
    margin_s: float = 1.5


def boot_time_s() -> float:
    """Seconds since boot, counting suspend: a pause of this process or machine shows."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def this_process() -> str:
    """A name of this process that no other process ever has: host, boot, namespace, pid, start."""
    return "/".join((socket.gethostname(), *_place(), str(os.getpid()), _started(os.getpid()) or "0"))


def is_gone(owner: str) -> bool:
    """Whether `owner` was a process of this very machine and is certainly no more."""
    parts = owner.split("/")
    if len(parts) != 5 or parts[0] != socket.gethostname() or tuple(parts[1:3]) != _place() or not parts[3].isdigit():
        return False
    return _started(int(parts[3])) != parts[4]


def _place() -> tuple[str, str]:
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return boot, os.readlink("/proc/self/ns/pid").strip("pid:[]")


def _started(pid: int) -> str | None:
    """The start time of a process in clock ticks (proc(5), field 22), None when there is none."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else fields[19]


@dataclass(slots=True)
class Lease:
    """The right to act on one shard, as long as `check` does not raise."""

    shard_id: str
    epoch: int
    owner: str
    deadline_s: float
    lost: bool = False
    boot_clock: Callable[[], float] = boot_time_s

    @property
    def is_over(self) -> bool:
        """Whether our time is over, though perhaps nobody else has it yet."""
        return self.boot_clock() >= self.deadline_s

    def check(self) -> None:
        """Return if we may act right now; raise LeaseLost otherwise. A clock compare: cheap."""
        if self.lost or self.is_over:
            raise LeaseLost(f"{self.shard_id}: epoch {self.epoch} may not act any more")

    async def fence(self, session: AsyncSession) -> None:
        """Hold the lease row for this transaction; raise LeaseLost if the epoch is not ours.

        On PostgreSQL the key-share lock makes a take-over wait for this transaction; SQLite
        has one writer.
        """
        held = await session.exec(
            select(ShardLease.epoch)  # type: ignore[call-overload]
            .where(ShardLease.shard_id == self.shard_id, ShardLease.epoch == self.epoch, ShardLease.owner == self.owner)
            .with_for_update(read=True, key_share=True)
        )
        if held.first() is None:
            self.lost = True
            raise LeaseLost(f"{self.shard_id}: epoch {self.epoch} is no longer ours")


class Leases:
    """All leases of this process: acquired one by one, renewed in one statement, given back together."""

    def __init__(
        self,
        database: Database,
        now: Callable[[], datetime],
        terms: LeaseTerms | None = None,
        owner: str | None = None,
        boot_clock: Callable[[], float] = boot_time_s,
    ) -> None:
        self.owner = owner or this_process()
        self.terms = terms or LeaseTerms()
        self.held: dict[str, Lease] = {}
        self.on_lost: Callable[[Lease], None] = lambda lease: None
        self._database = database
        self._now = now
        self._boot_clock = boot_clock
        self._healthy_since_s = self._boot_clock() - self.terms.ttl_s

    def _clock(self) -> ColumnElement[datetime]:
        return literal(self._now(), ShardLease.__table__.c.until.type) if self._database.is_sqlite else func.now()  # type: ignore[attr-defined]

    def _until(self) -> ColumnElement[datetime]:
        if self._database.is_sqlite:
            return literal(self._now() + timedelta(seconds=self.terms.ttl_s), ShardLease.__table__.c.until.type)  # type: ignore[attr-defined]
        return func.now() + cast(timedelta(seconds=self.terms.ttl_s), Interval)

    def _deadline(self, sent_s: float) -> float:
        return sent_s + self.terms.ttl_s - self.terms.margin_s

    async def acquire(self, shard_id: str, *, gone: str | None = None) -> Lease | None:
        """Take the lease of a shard that nobody holds; None if somebody does.

        `gone` names an owner known to be dead (`is_gone`): its lease need not expire first.
        """
        if shard_id in self.held:
            return None
        free: list[ColumnElement[bool]] = [col(ShardLease.owner).is_(None)]
        if self._boot_clock() - self._healthy_since_s >= self.terms.ttl_s:
            free.append((col(ShardLease.until) < self._clock()) & self._server_is_settled())
        if gone is not None:
            free.append(col(ShardLease.owner) == gone)
        sent_s = self._boot_clock()
        async with self._database.write() as session:
            row = await session.exec(
                update(ShardLease)
                .where(col(ShardLease.shard_id) == shard_id, or_(*free))
                .values(epoch=ShardLease.epoch + 1, owner=self.owner, until=self._until())
                .returning(col(ShardLease.epoch))
            )
            epoch = row.scalar_one_or_none()
        if epoch is None:
            return None
        lease = self.held[shard_id] = Lease(
            shard_id, epoch, self.owner, self._deadline(sent_s), boot_clock=self._boot_clock
        )
        return lease

    def _server_is_settled(self) -> ColumnElement[bool]:
        """A server that has just come back may hold leases whose owners could not renew."""
        if self._database.is_sqlite:
            return literal(True)
        return text("pg_postmaster_start_time() < now() - make_interval(secs => :ttl_s)").bindparams(  # type: ignore[return-value]
            bindparam("ttl_s", self.terms.ttl_s)
        )

    def may_act(self, shard_id: str) -> bool | None:
        """Whether a step may be taken for a shard; None while its lease is over and may yet be resumed."""
        lease = self.held.get(shard_id)
        if lease is None or lease.lost:
            return False
        return None if lease.is_over else True

    async def renew(self) -> None:
        """Renew all leases in one statement; those that are no longer ours are lost."""
        if not self.held:
            return
        held = list(self.held.values())  # those taken while this is under way are not in question
        sent_s = self._boot_clock()
        async with self._database.write() as session:
            rows = await session.exec(
                update(ShardLease)
                .where(
                    col(ShardLease.owner) == self.owner,
                    col(ShardLease.shard_id).in_([lease.shard_id for lease in held]),
                )
                .values(until=self._until())
                .returning(col(ShardLease.shard_id), col(ShardLease.epoch))
            )
            ours = {(shard_id, epoch) for shard_id, epoch in rows}
        for lease in held:
            if (lease.shard_id, lease.epoch) in ours:
                lease.deadline_s = self._deadline(sent_s)
            elif self.held.get(lease.shard_id) is lease:  # not given back meanwhile
                self._lose(lease)

    def _lose(self, lease: Lease) -> None:
        lease.lost = True
        self.held.pop(lease.shard_id, None)
        log.warning("lease-lost", shard=lease.shard_id, epoch=lease.epoch)
        self.on_lost(lease)

    async def keep_renewing(self) -> None:
        """Renew for ever. While the database is away calls stay up and nothing is ordered."""
        while True:
            await asyncio.sleep(self.terms.renew_s)
            try:
                await self.renew()
            except (OSError, TimeoutError) as error:
                self._unwell(error)
            except Exception as error:
                if not _is_database_error(error):
                    raise
                self._unwell(error)

    def _unwell(self, error: Exception) -> None:
        self._healthy_since_s = self._boot_clock()
        log.warning("database-away", error=type(error).__name__)

    async def release(self, shard_ids: Iterable[str]) -> None:
        """Give leases back, so that another process can take over at once. Legs stay up."""
        leases = [self.held.pop(shard_id) for shard_id in list(shard_ids) if shard_id in self.held]
        for lease in leases:
            lease.lost = True
        if not leases:
            return
        async with self._database.write() as session:
            for lease in leases:
                await session.exec(
                    update(ShardLease)
                    .where(
                        col(ShardLease.shard_id) == lease.shard_id,
                        col(ShardLease.epoch) == lease.epoch,
                        col(ShardLease.owner) == self.owner,
                    )
                    .values(owner=None)
                )


def _is_database_error(error: Exception) -> bool:
    from sqlalchemy.exc import DBAPIError, SQLAlchemyError

    return isinstance(error, DBAPIError | SQLAlchemyError)

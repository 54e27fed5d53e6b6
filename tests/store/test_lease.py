"""The lease: one valid owner per shard, epochs that only rise, and a stale owner that can write nothing."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import pytest
from sqlmodel import col, select, update
from sqlmodel.ext.asyncio.session import AsyncSession

from orchestrator.lease import Lease, LeaseLost, Leases, LeaseTerms, boot_time_s, is_gone, this_process
from orchestrator.ledger import Ledger
from orchestrator.store.database import Database
from orchestrator.store.inventory import Bridge
from orchestrator.store.journal import JournalBell, JournalEntry
from orchestrator.store.meetings import Meeting
from orchestrator.store.runs import Run, Shard, ShardLease, add_run

NOW = datetime(2026, 12, 1, 1, 0, tzinfo=UTC)
TERMS = LeaseTerms(ttl_s=0.4, renew_s=0.1, margin_s=0.05)


async def a_shard(database: Database) -> tuple[str, int]:
    async with database.write() as session:
        bridge = Bridge(name="main", family="sip", conference_address="sip:{number}@192.0.2.1")
        session.add(bridge)
        await session.flush()
        meeting = Meeting(
            title="t",
            start="2026-12-01T08:00",
            time_zone="UTC",
            duration_min=60,
            bridge_id=bridge.id or 0,
            created_at=NOW,
        )
        session.add(meeting)
        await session.flush()
        run = Run(
            meeting_id=meeting.id or 0, occurrence_at=NOW, title="t", time_zone="UTC", bridge_id=bridge.id or 0,
            number="8000", tag="dc7f3a-1", state="due", opens_at=NOW, starts_at=NOW, ends_at=NOW,
        )  # fmt: skip
        shard_id = await add_run(session, run, [])
        return shard_id, run.id or 0


def leases(database: Database, owner: str, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> Leases:
    return Leases(database, now, TERMS, owner)


async def expire(database: Database, shard_id: str) -> None:
    """Let the lease's time be over, as if its owner had not renewed it."""
    async with database.write() as session:
        await session.exec(
            update(ShardLease)
            .where(col(ShardLease.shard_id) == shard_id)
            .values(until=datetime(2020, 1, 1, tzinfo=UTC))
        )


async def epoch_of(database: Database, shard_id: str) -> int:
    async with database.read() as session:
        return (await session.exec(select(ShardLease.epoch).where(ShardLease.shard_id == shard_id))).one()


async def test_one_of_many_gets_a_free_lease(database: Database) -> None:
    shard_id, _ = await a_shard(database)
    got = await asyncio.gather(*(leases(database, f"p{n}").acquire(shard_id) for n in range(8)))
    assert sum(lease is not None for lease in got) == 1
    assert await epoch_of(database, shard_id) == 1


async def test_a_held_lease_is_refused_until_it_expires_and_the_epoch_rises(database: Database) -> None:
    shard_id, _ = await a_shard(database)
    first, second = leases(database, "one"), leases(database, "two")
    mine = await first.acquire(shard_id)
    assert mine is not None
    assert await second.acquire(shard_id) is None
    await expire(database, shard_id)
    theirs = await second.acquire(shard_id)
    assert theirs is not None
    assert theirs.epoch == mine.epoch + 1


async def test_renewal_after_a_take_over_loses_the_lease(database: Database) -> None:
    shard_id, _ = await a_shard(database)
    first, second = leases(database, "one"), leases(database, "two")
    lost: list[Lease] = []
    first.on_lost = lost.append
    mine = await first.acquire(shard_id)
    assert mine is not None
    await expire(database, shard_id)
    assert await second.acquire(shard_id) is not None
    await first.renew()
    assert lost == [mine]
    with pytest.raises(LeaseLost):
        mine.check()


class Overtaken:
    """A database in which, once, something happens between a commit and the news of it."""

    def __init__(self, database: Database, meanwhile: Callable[[], Awaitable[object]]) -> None:
        self.is_sqlite = database.is_sqlite
        self._database = database
        self._meanwhile = [meanwhile]

    @asynccontextmanager
    async def write(self) -> AsyncIterator[AsyncSession]:
        async with self._database.write() as session:
            yield session
        if self._meanwhile:
            await self._meanwhile.pop()()


async def test_a_lease_taken_while_others_are_renewed_is_kept(database: Database) -> None:
    first, _ = await a_shard(database)
    async with database.write() as session:
        session.add(Shard(id="run-1b", run_id=1))
        await session.flush()
        session.add(ShardLease(shard_id="run-1b"))
    mine = leases(database, "one")
    assert await mine.acquire(first) is not None
    mine._database = Overtaken(database, lambda: mine.acquire("run-1b"))  # type: ignore[assignment]
    await mine.renew()
    assert set(mine.held) == {first, "run-1b"}
    mine.held["run-1b"].check()


async def test_an_expired_lease_that_nobody_took_is_resumed_with_its_epoch(database: Database) -> None:
    shard_id, _ = await a_shard(database)
    owner = leases(database, "one")
    mine = await owner.acquire(shard_id)
    assert mine is not None
    mine.deadline_s = boot_time_s() - 1
    with pytest.raises(LeaseLost):
        mine.check()
    await expire(database, shard_id)
    await owner.renew()
    mine.check()
    assert await epoch_of(database, shard_id) == mine.epoch


async def test_a_stale_owner_writes_nothing(database: Database) -> None:
    shard_id, run_id = await a_shard(database)
    first, second = leases(database, "one"), leases(database, "two")
    mine = await first.acquire(shard_id)
    assert mine is not None
    await expire(database, shard_id)
    assert await second.acquire(shard_id) is not None
    mine.deadline_s = boot_time_s() + 60  # its own clock says nothing of the take-over: the fence must
    ledger = Ledger(database, JournalBell(), mine, run_id)
    ledger.note("note", NOW)
    with pytest.raises(LeaseLost):
        await ledger.commit()
    async with database.read() as session:
        assert (await session.exec(select(JournalEntry))).all() == []


async def test_a_lease_given_back_is_free_at_once(database: Database) -> None:
    shard_id, _ = await a_shard(database)
    first, second = leases(database, "one"), leases(database, "two")
    mine = await first.acquire(shard_id)
    await first.release([shard_id])
    assert mine is not None
    with pytest.raises(LeaseLost):
        mine.check()
    assert await second.acquire(shard_id) is not None


async def test_the_lease_of_a_dead_process_need_not_expire(database: Database) -> None:
    shard_id, _ = await a_shard(database)
    script = "from orchestrator.lease import this_process; print(this_process())"
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", script, stdout=asyncio.subprocess.PIPE)
    dead = (await process.communicate())[0].decode().strip()
    assert await leases(database, dead).acquire(shard_id) is not None
    assert is_gone(dead)
    heir = await leases(database, "heir").acquire(shard_id, gone=dead)
    assert heir is not None
    assert heir.epoch == 2


def test_a_living_process_and_a_stranger_are_not_gone() -> None:
    assert not is_gone(this_process())
    assert not is_gone("elsewhere/boot/4026531836/1/1")
    assert not is_gone("")
    assert str(os.getpid()) in this_process()


async def test_a_process_has_one_lease_per_shard(database: Database) -> None:
    shard_id, _ = await a_shard(database)
    owner = leases(database, "one")
    assert await owner.acquire(shard_id) is not None
    assert await owner.acquire(shard_id) is None

"""The lease under any order of events: epochs only rise, one owner may act, a stale one writes nothing.

Time is data: the database's clock and the clock since boot are turned by hand, also in the
midst of a statement, as when a process is paused there.
"""

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from sqlmodel import select

from orchestrator.lease import Lease, LeaseLost, Leases, LeaseTerms
from orchestrator.store.database import Database
from orchestrator.store.inventory import Bridge
from orchestrator.store.meetings import Meeting
from orchestrator.store.runs import Run, Shard, ShardLease, add_run
from tests.support.database import migrated_sqlite

EPOCH = datetime(2026, 12, 1, 1, 0, tzinfo=UTC)
TERMS = LeaseTerms(ttl_s=9.0, renew_s=2.25, margin_s=1.5)
SHARDS = ("run-1", "run-1b")
PROCESSES = range(2)

processes = st.sampled_from(PROCESSES)
shards = st.sampled_from(SHARDS)
pauses = st.sampled_from((0.0, 0.0, 0.5, 2.0, 7.4, 7.6, 8.9, 9.1, 60.0))

steps = st.sampled_from(("renew", "give back", "nothing"))


class NewsLost(OSError):
    """The database took it, and the connection broke before it could say so."""


class World:
    """A clock that tests turn, and the one database."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.passed_s = 0.0
        self.highest: dict[str, int] = {}  # epoch of a lease that somebody had

    def wall(self) -> datetime:
        return EPOCH + timedelta(seconds=self.passed_s)

    def boot(self) -> float:
        return 1000.0 + self.passed_s


class Paused:
    """The database as a process sees it that is paused before a statement and after the commit."""

    is_sqlite = True

    def __init__(self, world: World) -> None:
        self.world = world
        self.before_s = self.after_s = 0.0
        self.loses_news = False

    @asynccontextmanager
    async def write(self) -> AsyncIterator[Any]:
        async with self.world.database.write() as session:
            yield _Session(self, session)
        self.world.passed_s += self.after_s
        if self.loses_news:
            raise NewsLost


class _Session:
    def __init__(self, paused: Paused, session: Any) -> None:
        self._paused = paused
        self._session = session

    async def exec(self, statement: Any) -> Any:
        self._paused.world.passed_s += self._paused.before_s  # its figures are in the statement already
        return await self._session.exec(statement)


class Process:
    """One process; its leases are all it ever had, also those it has forgotten."""

    def __init__(self, name: str, world: World) -> None:
        self.name = name
        self.database = Paused(world)
        self.leases = Leases(self.database, world.wall, TERMS, name, world.boot)  # type: ignore[arg-type]
        self.had: list[Lease] = []

    async def acquire(self, shard_id: str, gone: str | None = None) -> None:
        lease = await self.leases.acquire(shard_id, gone=gone)
        if lease is not None:
            assert lease.epoch > self.database.world.highest.get(shard_id, 0), "every lease has an epoch of its own"
            self.database.world.highest[shard_id] = lease.epoch
            self.had.append(lease)


class LeaseMachine(RuleBasedStateMachine):
    template: Path

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="diemcau-lease-"))
        self.loop = asyncio.new_event_loop()
        # a copy is made without a loop of its own: the template is there already
        self.world = World(Database(migrated_sqlite(self.folder, self.template)))
        self.do(furnish(self.world.database))
        self.starts = 0
        self.processes = [self.started() for _ in PROCESSES]
        self.dead: list[str] = []
        self.epochs = dict.fromkeys(SHARDS, 0)

    def do(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.loop.run_until_complete(work)

    def started(self) -> Process:
        self.starts += 1
        return Process(f"p{self.starts}", self.world)

    def teardown(self) -> None:
        self.do(self.world.database.close())
        self.loop.close()
        shutil.rmtree(self.folder)

    # --- what may happen -----------------------------------------------------------------

    @rule(passed_s=st.sampled_from((0.1, 1.0, 2.25, 7.5, 9.0, 9.5, 30.0)))
    def time_passes(self, passed_s: float) -> None:
        self.world.passed_s += passed_s

    def at_the_database(self, process: Process, before_s: float, after_s: float, loses_news: bool, work: Any) -> None:
        database = process.database
        database.before_s, database.after_s, database.loses_news = before_s, after_s, loses_news
        try:
            self.do(work)
        except NewsLost as error:
            process.leases._unwell(error)
        finally:
            database.before_s = database.after_s = 0.0
            database.loses_news = False

    @rule(number=processes, shard_id=shards, before_s=pauses, after_s=pauses, loses_news=st.booleans())
    def acquire(self, number: int, shard_id: str, before_s: float, after_s: float, loses_news: bool) -> None:
        process = self.processes[number]
        self.at_the_database(process, before_s, after_s, loses_news, process.acquire(shard_id))

    @rule(number=processes, before_s=pauses, after_s=pauses, loses_news=st.booleans())
    def renew(self, number: int, before_s: float, after_s: float, loses_news: bool) -> None:
        process = self.processes[number]
        self.at_the_database(process, before_s, after_s, loses_news, process.leases.renew())

    @rule(number=processes, shard_id=shards, after_s=pauses, loses_news=st.booleans())
    def give_back(self, number: int, shard_id: str, after_s: float, loses_news: bool) -> None:
        process = self.processes[number]
        self.at_the_database(process, 0.0, after_s, loses_news, process.leases.release([shard_id]))

    @rule(number=processes, shard_id=shards, first=steps, last=steps, before_s=pauses, after_s=pauses, passed_s=pauses)
    def a_rival_waits(
        self, number: int, shard_id: str, first: str, last: str, before_s: float, after_s: float, passed_s: float
    ) -> None:
        """The owner does something, slowly; a rival tries at once; and the owner goes on as if nothing had been."""
        owner, rival = self.processes[number], self.processes[1 - number]
        self.at_the_database(owner, before_s, after_s, False, owner.acquire(shard_id))
        self.do(rival.acquire(shard_id))
        self.at_the_database(owner, before_s, after_s, False, self.step(owner, first, shard_id))
        self.world.passed_s += passed_s
        self.do(rival.acquire(shard_id))
        self.do(self.step(owner, last, shard_id))

    async def step(self, process: Process, step: str, shard_id: str) -> None:
        if step == "renew":
            await process.leases.renew()
        elif step == "give back":
            await process.leases.release([shard_id])

    @rule(number=processes)
    def die(self, number: int) -> None:
        self.dead.append(self.processes[number].name)
        self.processes[number] = self.started()

    @precondition(lambda self: self.dead)
    @rule(number=processes, shard_id=shards, data=st.data())
    def take_from_the_dead(self, number: int, shard_id: str, data: st.DataObject) -> None:
        self.do(self.processes[number].acquire(shard_id, gone=data.draw(st.sampled_from(self.dead))))

    @rule(number=processes, shard_id=shards)
    def resume_or_take(self, number: int, shard_id: str) -> None:
        """What the conductor's scan and renewal do once the time is up: somebody may act afterwards."""
        self.world.passed_s += TERMS.ttl_s + 0.1
        process = self.processes[number]
        self.do(process.leases.renew())
        if shard_id not in process.leases.held:
            self.do(process.acquire(shard_id))
        if process.leases.held.get(shard_id) is not None:
            process.leases.held[shard_id].check()

    # --- what always holds ---------------------------------------------------------------

    @invariant()
    def one_may_act(self) -> None:
        for shard_id in SHARDS:
            able = [lease for p in self.processes for lease in p.had if lease.shard_id == shard_id and may(lease)]
            assert len(able) <= 1, able

    @invariant()
    def epochs_rise(self) -> None:
        for row in self.rows():
            assert row.epoch >= self.epochs[row.shard_id]
            self.epochs[row.shard_id] = row.epoch

    @invariant()
    def a_stale_owner_is_fenced_off_and_the_one_that_may_act_is_not(self) -> None:
        rows = {row.shard_id: (row.epoch, row.owner) for row in self.rows()}
        for process in self.processes:
            for lease in process.had:
                current = rows[lease.shard_id] == (lease.epoch, lease.owner)
                assert self.passes_fence(lease) is current
                if may(lease):
                    assert current

    def rows(self) -> list[ShardLease]:
        async def read() -> list[ShardLease]:
            async with self.world.database.read() as session:
                return list(await session.exec(select(ShardLease)))

        rows: list[ShardLease] = self.do(read())
        return rows

    def passes_fence(self, lease: Lease) -> bool:
        async def pass_it() -> None:
            async with self.world.database.write() as session:
                await replace(lease).fence(session)

        try:
            self.do(pass_it())
        except LeaseLost:
            return False
        return True


def may(lease: Lease) -> bool:
    try:
        lease.check()
    except LeaseLost:
        return False
    return True


async def furnish(database: Database) -> None:
    async with database.write() as session:
        session.add(Bridge(id=1, name="main", family="sip", conference_address="sip:{number}@192.0.2.1"))
        await session.flush()
        session.add(
            Meeting(
                id=1,
                title="t",
                start="2026-12-01T08:00",
                time_zone="UTC",
                duration_min=60,
                bridge_id=1,
                created_at=EPOCH,
            )
        )
        await session.flush()
        run = Run(
            meeting_id=1, occurrence_at=EPOCH, title="t", time_zone="UTC", bridge_id=1, number="8000",
            tag="dc7f3a-1", state="due", opens_at=EPOCH, starts_at=EPOCH, ends_at=EPOCH,
        )  # fmt: skip
        await add_run(session, run, [])
        session.add(Shard(id=SHARDS[1], run_id=1))
        await session.flush()
        session.add(ShardLease(shard_id=SHARDS[1]))


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> type[LeaseMachine]:
    folder = tmp_path_factory.mktemp("lease")
    template = folder / "template.sqlite3"
    migrated_sqlite(folder, template)

    class OnTemplate(LeaseMachine):
        pass

    OnTemplate.template = template
    return OnTemplate


def test_the_lease_holds_its_promises(machine: type[LeaseMachine]) -> None:
    from hypothesis.stateful import run_state_machine_as_test

    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        machine,
        settings=settings(
            max_examples=40,
            stateful_step_count=20,
            deadline=None,
            database=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
        ),
    )


@pytest.mark.parametrize("verb", ["acquire", "renew"])
async def test_what_a_pause_before_the_database_took_is_off_the_holders_time(
    machine: type[LeaseMachine], tmp_path: Path, verb: str
) -> None:
    """Otherwise a rival could act before the holder knows that it may not."""
    database = Database(migrated_sqlite(tmp_path, machine.template))
    await furnish(database)
    world = World(database)
    holder, rival = Process("holder", world), Process("rival", world)
    if verb == "renew":
        await holder.acquire(SHARDS[0])
    holder.database.before_s = TERMS.ttl_s + 0.1
    await (holder.leases.renew() if verb == "renew" else holder.acquire(SHARDS[0]))
    await rival.acquire(SHARDS[0])
    assert [may(lease) for lease in (*holder.had, *rival.had)] == [False, True]
    await database.close()

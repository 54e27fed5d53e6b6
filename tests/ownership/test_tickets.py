"""A ticket gives no right to act: twice, too late or to the wrong process, it changes nothing."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlmodel import select

from api.conducting import conducting
from api.settings import Settings
from orchestrator.conductor import Conductor
from orchestrator.dispatch import LocalDispatcher
from orchestrator.keys import Keys
from orchestrator.store.database import Database
from orchestrator.store.inventory import Bridge
from orchestrator.store.journal import JournalBell, since
from orchestrator.store.meetings import Meeting
from orchestrator.store.runs import Installation, Run, ShardLease, mark_of_installation
from schedules.clock import SystemClock

SHARD = "run-1"
PATIENCE_S = 30.0


class Hosts:
    """Conductors side by side on one database, and a run that needs no site."""

    def __init__(self, database: Database, folder: Path, stack: AsyncExitStack) -> None:
        self.database = database
        self.bell = JournalBell()
        self._folder = folder
        self._stack = stack

    async def book(self) -> None:
        now = datetime.now(UTC)
        async with self.database.write() as session:
            session.add(Bridge(id=1, name="main", family="sip", conference_address="sip:{number}@127.0.0.1:9"))
            await session.flush()
            start = (now + timedelta(minutes=1)).strftime("%Y-%m-%dT%H:%M")
            meeting = Meeting(
                title="Giao ban", start=start, time_zone="UTC", duration_min=30, bridge_id=1, all_sites=True,
                lead_min=10, created_at=now,
            )  # fmt: skip
            session.add(meeting)

    async def conductor(self) -> Conductor:
        settings = Settings(data_dir=self._folder, sip_port=0, grace_s=0)
        keys = Keys.open_or_create(self._folder / "key")
        opened = conducting(settings, self.database, keys, SystemClock(), self.bell, bells=False)
        return await self._stack.enter_async_context(opened)

    async def lease(self) -> tuple[int, str | None]:
        async with self.database.read() as session:
            row = (await session.exec(select(ShardLease).where(ShardLease.shard_id == SHARD))).one()
            return row.epoch, row.owner

    async def events(self) -> list[str]:
        async with self.database.read() as session:
            return [entry.event for entry in await since(session, 1)]

    async def until(self, state: str) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while True:
                async with self.database.read() as session:
                    if (await session.exec(select(Run.state))).one() == state:
                        return
                await self.bell.wait(1, 0.1)


@pytest.fixture
async def hosts(database: Database, tmp_path: Path) -> AsyncIterator[Hosts]:
    async with AsyncExitStack() as stack:
        made = Hosts(database, tmp_path, stack)
        await made.book()
        yield made


async def test_tickets_of_a_shard_that_is_had_change_nothing(hosts: Hosts) -> None:
    owner, other = await hosts.conductor(), await hosts.conductor()
    await owner.start_due()
    await hosts.until("live")
    before, runner = await hosts.lease(), owner.runners[1]
    events = await hosts.events()
    await asyncio.gather(*(host._ticket(SHARD) for host in (owner, other) for _ in range(10)))
    assert await hosts.lease() == before
    assert owner.runners[1] is runner
    assert other.runners == {}
    assert await hosts.events() == events


async def test_many_tickets_at_once_make_one_supervisor(hosts: Hosts) -> None:
    owner, other = await hosts.conductor(), await hosts.conductor()
    await owner.start_due()
    await asyncio.gather(*(host._ticket(SHARD) for host in (owner, other) for _ in range(10)))
    await hosts.until("live")
    assert (await hosts.lease())[0] == 1
    assert len(owner.runners) + len(other.runners) == 1


async def test_a_ticket_of_a_shard_that_is_done_or_never_was_is_dropped(hosts: Hosts) -> None:
    owner = await hosts.conductor()
    await owner.start_due()
    await hosts.until("live")
    await owner.order(1, "end", {})
    await hosts.until("done")
    async with asyncio.timeout(PATIENCE_S):
        await owner.until_over(1)
    while (await hosts.lease())[1] is not None:  # given back by the supervisor's last step
        await hosts.bell.wait(1, 0.05)
    before, events = await hosts.lease(), await hosts.events()
    await asyncio.gather(*(owner._ticket(shard) for shard in (SHARD, SHARD, "run-7", "")))
    assert await hosts.lease() == before == (1, None)
    assert await hosts.events() == events
    assert owner.runners == {}


async def test_a_shard_has_one_ticket_at_a_time_and_a_failing_one_harms_nothing() -> None:
    taken: list[str] = []
    go = asyncio.Event()

    async def take(shard_id: str) -> None:
        taken.append(shard_id)
        await go.wait()
        raise OSError("the database is away")

    dispatcher = LocalDispatcher(take)
    for _ in range(5):
        await dispatcher.offer("run-1")
    await dispatcher.offer("run-2")
    await asyncio.sleep(0)
    assert taken == ["run-1", "run-2"]
    go.set()
    await dispatcher.close()
    await dispatcher.offer("run-3")
    await asyncio.sleep(0)
    assert taken == ["run-1", "run-2"], "a dispatcher that is closed begins nothing"


async def test_processes_that_start_at_once_agree_on_the_installations_mark(database: Database) -> None:
    both = asyncio.Barrier(2)

    async def mark(fresh: str) -> str:
        async with database.write() as session:
            if not database.is_sqlite:  # there one writes after the other
                assert await session.get(Installation, 1) is None
                await both.wait()
            return await mark_of_installation(session, fresh)

    one, two = await asyncio.gather(mark("aaaaaa"), mark("bbbbbb"))
    assert one == two

"""An entry that a slower transaction commits after its successor is told late, and told."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest

from api.live import Line, Live
from orchestrator.store.database import Database
from orchestrator.store.journal import JournalBell, append
from tests.journeys.runs.scene import NOON, scene
from tests.support.database import PostgresDatabases

DEADLINE_S = 20


@pytest.fixture
def postgres_url(postgres_databases: PostgresDatabases) -> Iterator[str]:
    url = postgres_databases.migrated()
    yield url
    postgres_databases.drop(url)


@pytest.mark.postgres
async def test_an_overtaken_entry_comes_late_and_cursors_never_go_back(postgres_url: str) -> None:
    database, bell = Database(postgres_url), JournalBell()
    run_id = await (await scene(database)).run()

    def entry(event: str) -> dict[str, object]:
        return {"run_id": run_id, "at": NOON, "event": event, "participant": "", "leg": "", "facts": {}}

    async def write(*events: str) -> None:
        async with database.write() as session:
            await append(session, [entry(event) for event in events])
        bell.ring(run_id)

    await write("run-claimed")
    told: list[Line] = []

    async def until(event: str) -> None:
        async for lines in follower:
            told.extend(lines)
            if any(line.event == event for line in lines):
                return

    follower = Live(database, bell).follow(run_id)
    async with asyncio.timeout(DEADLINE_S):
        await until("run-claimed")
        async with database.write() as slow:
            await append(slow, [entry("command-taken")])
            await slow.flush()  # it has its id, and nobody sees it yet
            await write("leg-dialed", "leg-ringing")
            await until("leg-ringing")
        await write("leg-connected")
        await until("leg-connected")
        await follower.aclose()  # type: ignore[attr-defined]
        again = [line async for lines in _first(Live(database, bell).follow(run_id), len(told)) for line in lines]
    await database.close()
    assert sorted(line.event for line in told) == [
        "command-taken", "leg-connected", "leg-dialed", "leg-ringing", "run-claimed",
    ]  # fmt: skip
    late = next(line for line in told if line.event == "command-taken")
    assert told.index(late) > [line.event for line in told].index("leg-ringing")
    assert late.id < late.cursor
    cursors = [line.cursor for line in told]
    assert cursors == sorted(cursors)
    assert [line.id for line in again] == sorted(line.id for line in told), "whoever comes later has it in its place"


async def _first(follower: AsyncIterator[list[Line]], count: int) -> AsyncIterator[list[Line]]:
    async for lines in follower:
        yield lines
        count -= len(lines)
        if count <= 0:
            return

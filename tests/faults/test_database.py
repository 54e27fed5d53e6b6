"""The database locked or away in the middle of a run: nothing lost, nothing done twice, and the run goes on."""

import asyncio
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import AsyncExitStack, closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from adapters import ClearCause, Cleared, LegCleared, Side
from adapters.virtual.province import Province
from orchestrator.lease import LeaseLost
from orchestrator.rules.reconcile import Why
from orchestrator.store.database import Database
from orchestrator.store.runs import ShardCommand, add_command, shards_with_orders
from tests.faults.conftest import Opening, Theater, site
from tests.support import postgres
from tests.support.database import PostgresDatabases


@contextmanager
def locked(database: Database) -> Iterator[None]:
    """Another program writes, and does not come to an end."""
    with closing(sqlite3.connect(str(database.engine.url.database), isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


async def _until_the_lease_has_run_out(play: Theater, conductor: object) -> None:
    lease = conductor.runners[play.run_id]._p.lease  # type: ignore[attr-defined]
    async with asyncio.timeout(40):
        while True:
            try:
                lease.check()
            except LeaseLost:
                return
            await asyncio.sleep(0.1)


async def test_a_lock_that_outlives_the_lease_loses_nothing_and_the_run_goes_on(theater: Opening) -> None:
    play, conductor = await theater(3, ladder="third-party bridge-dials")
    await play.begin(conductor)
    await play.until_all_in()
    runner = conductor.runners[play.run_id]
    with locked(play.database):
        play.province.endpoint("qt01").hang_up()
        await _until_the_lease_has_run_out(play, conductor)
        assert play.province.stats()["rings"] == 3  # decided, and not written: not done
    shown = await play.until(
        lambda shown: site(shown, "qt01")["attempts"] == 2 and site(shown, "qt01")["state"] == "in"
    )
    assert conductor.runners[play.run_id] is runner
    assert not runner._p.lease.lost
    assert play.province.stats()["rings"] == 4
    assert play.nobody_was_rung_twice()
    mine = [entry for entry in await play.journal() if entry.participant == "qt01"]
    assert [entry.facts["cause"] for entry in mine if entry.event == "leg-cleared"] == ["far_end"]
    assert [entry.event for entry in mine].count("site-out") == 1
    assert all(entry["state"] == "in" for entry in shown["sites"])
    await play.end(conductor)
    assert play.calls_left() == 0


async def test_an_order_taken_while_the_database_is_locked_is_carried_out_once(theater: Opening) -> None:
    play, conductor = await theater(2, ladder="third-party")
    await play.begin(conductor)
    await play.until_all_in()
    runner = conductor.runners[play.run_id]
    ends_at = runner.run.ends_at
    await conductor.order(play.run_id, "extend", {"minutes": 5})
    with locked(play.database):
        for _ in range(5):  # whatever is not written yet is tried again
            runner.look_at_orders()
            await asyncio.sleep(0.2)
    async with asyncio.timeout(40):
        while not await play.events("command-done"):
            await play.bell.wait(play.run_id, 0.2)
    assert (runner.run.ends_at - ends_at).total_seconds() == 300
    assert len(await play.events("run-extended")) == 1


async def test_an_order_that_another_process_took_is_found_among_the_rows(theater: Opening) -> None:
    play, conductor = await theater(2, ladder="third-party")
    await play.begin(conductor)
    await play.until_all_in()
    runner = conductor.runners[play.run_id]
    ends_at = runner.run.ends_at
    shard, now = f"run-{play.run_id}", datetime.now(UTC)
    async with play.database.write() as session:
        await add_command(session, ShardCommand(shard_id=shard, verb="extend", args={"minutes": 5}, created_at=now))
    async with asyncio.timeout(40):
        while not await play.events("command-done"):
            await play.bell.wait(play.run_id, 0.2)
    assert (runner.run.ends_at - ends_at).total_seconds() == 300
    await play.end(conductor)
    async with play.database.write() as session:  # an order of a run that is over is nobody's
        await add_command(session, ShardCommand(shard_id=shard, verb="extend", args={"minutes": 5}, created_at=now))
    async with play.database.read() as session:
        assert await shards_with_orders(session) == []


async def test_what_no_database_can_hold_does_not_stop_a_run(theater: Opening) -> None:
    play, conductor = await theater(2, ladder="third-party")
    await play.begin(conductor)
    await play.until_all_in()
    runner = conductor.runners[play.run_id]
    leg = runner.participant("qt01").call.name
    odd = Cleared(ClearCause.UNKNOWN, Side.FAR_END, "tạm \x00 biệt \ud83d")
    runner.put(LegCleared(leg, runner.now(), odd))
    async with asyncio.timeout(20):
        while not await play.events("leg-cleared"):
            await play.bell.wait(play.run_id, 0.2)
    [cleared] = await play.events("leg-cleared")
    assert str(cleared.facts["raw"]).startswith("tạm � biệt")
    assert conductor.runners[play.run_id] is runner


async def test_rows_that_contradict_the_run_are_read_again_instead_of_being_written_for_ever(theater: Opening) -> None:
    play, conductor = await theater(2, ladder="third-party")
    await play.begin(conductor)
    await play.until_all_in()
    runner = conductor.runners[play.run_id]
    runner._reconciler._legs_made = 0  # as after a commit that came about, and whose answer was lost
    runner.bring_down(runner.participant("qt01"), Why.REDIAL)
    runner.look_at_orders()
    async with asyncio.timeout(30):
        while conductor.runners.get(play.run_id) in (None, runner):
            await play.bell.wait(play.run_id, 0.2)
    await play.until(lambda shown: all(entry["state"] == "in" for entry in shown["sites"]))
    await play.end(conductor)
    assert play.calls_left() == 0


@pytest.mark.postgres
async def test_a_postgres_that_is_restarted_costs_no_call_and_no_run(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        url = stack.enter_context(postgres.server())
        folder = Path(url.partition("host=")[2])
        databases = PostgresDatabases(url)
        target = await asyncio.to_thread(databases.migrated)
        database = Database(target)
        stack.push_async_callback(database.close)
        province = await stack.enter_async_context(Province(3))
        play = Theater(province, database, tmp_path, stack)
        await play.furnish(ladder="third-party bridge-dials")
        conductor = await play.conductor()
        await play.begin(conductor)
        await play.until_all_in()
        runner = conductor.runners[play.run_id]
        stack.callback(_pg_ctl, folder, "stop", "-m", "fast")
        await asyncio.to_thread(_pg_ctl, folder, "stop", "-m", "fast")
        province.endpoint("qt01").hang_up()
        await _until_the_lease_has_run_out(play, conductor)
        await asyncio.to_thread(
            _pg_ctl, folder, "start", "-l", str(folder / "log"), "-o", f"-c listen_addresses='' -k {folder}"
        )
        await play.until(lambda shown: site(shown, "qt01")["attempts"] == 2 and site(shown, "qt01")["state"] == "in")
        assert conductor.runners[play.run_id] is runner
        assert province.stats()["rings"] == 4
        assert play.nobody_was_rung_twice()
        await play.end(conductor)
        assert play.calls_left() == 0


def _pg_ctl(folder: Path, *words: str) -> None:
    command = [str(postgres.programs() / "pg_ctl"), "-D", str(folder / "data"), "-w", *words]
    if folder.owner() == "postgres":
        command = ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups", *command]
    subprocess.run(command, cwd="/", timeout=60, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

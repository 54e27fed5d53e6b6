"""The conductor and its rows, on both databases: claims, bells, hand-over, orders."""

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
from orchestrator.keys import Keys
from orchestrator.orders import OrderRefused
from orchestrator.store.database import Database
from orchestrator.store.inventory import Bridge, Site
from orchestrator.store.journal import JournalBell, since
from orchestrator.store.meetings import Meeting
from orchestrator.store.runs import Participant, Run, ShardCommand
from schedules.clock import SystemClock

DEADLINE_S = 20


class Stage:
    """An installation whose conductors can be started side by side, as on two hosts."""

    def __init__(self, database: Database, folder: Path, stack: AsyncExitStack) -> None:
        self.database = database
        self.bell = JournalBell()
        self._keys = Keys.open_or_create(folder / "key")
        self._settings = Settings(data_dir=folder, sip_port=0, grace_s=0)
        self._stack = stack

    async def conductor(self, *, bells: bool = False) -> Conductor:
        opened = conducting(self._settings, self.database, self._keys, SystemClock(), self.bell, bells=bells)
        return await self._stack.enter_async_context(opened)

    async def book(
        self, start: datetime, *, minutes: int = 30, lead_min: int = 10, ports: int = 100, on: str = "main",
        family: str = "sip", daily: bool = False,
    ) -> int:  # fmt: skip
        async with self.database.write() as session:
            bridge = (await session.exec(select(Bridge).where(Bridge.name == on))).first()
            if bridge is None:
                bridge = Bridge(
                    name=on, family=family, conference_address="sip:{number}@127.0.0.1:9",
                    first_number=8000, last_number=8000 + ports - 1,
                )  # fmt: skip
                session.add(bridge)
                await session.flush()
            meeting = Meeting(
                title="Giao ban", start=start.strftime("%Y-%m-%dT%H:%M"), time_zone="UTC", duration_min=minutes,
                bridge_id=bridge.id or 0, all_sites=True, lead_min=lead_min, recurrence="FREQ=DAILY" if daily else None,
                created_at=start - timedelta(days=1),
            )  # fmt: skip
            session.add(meeting)
            await session.flush()
            return meeting.id or 0

    async def runs(self) -> list[Run]:
        async with self.database.read() as session:
            return list(await session.exec(select(Run).order_by(Run.id)))  # type: ignore[arg-type]

    async def until(self, run_id: int, *states: str) -> Run:
        """Wait until the run is in one of `states`, woken by its journal."""
        async with asyncio.timeout(DEADLINE_S):
            while True:
                for run in await self.runs():
                    if run.id == run_id and run.state in states:
                        return run
                await self.bell.wait(run_id, 0.5)


@pytest.fixture
async def stage(database: Database, tmp_path: Path) -> AsyncIterator[Stage]:
    async with AsyncExitStack() as stack:
        yield Stage(database, tmp_path, stack)


def now() -> datetime:
    return datetime.now(UTC)


async def test_many_bells_on_two_hosts_make_one_run(stage: Stage) -> None:
    await stage.book(now() + timedelta(minutes=1))
    hosts = [await stage.conductor(), await stage.conductor()]
    claimed = await asyncio.gather(*(host.start_due() for host in hosts for _ in range(4)))
    assert sum(map(len, claimed)) == 1
    assert len(await stage.runs()) == 1


async def test_what_is_not_due_is_not_started_and_is_within_reach(stage: Stage) -> None:
    await stage.book(now() + timedelta(minutes=30))
    conductor = await stage.conductor()
    assert await conductor.start_due() == []
    assert await conductor.due(timedelta(minutes=5)) == []
    [due] = await conductor.due(timedelta(minutes=30))
    assert due.run_id is None
    assert len(await conductor.start_due(timedelta(minutes=30))) == 1
    [run] = await stage.runs()
    assert run.state == "due"


async def test_the_bell_of_a_meeting_booked_while_serving_rings(stage: Stage) -> None:
    conductor = await stage.conductor(bells=True)
    meeting_id = await stage.book(now() + timedelta(minutes=1))
    await conductor.meeting_changed(meeting_id)
    assert (await stage.until(1, "live")).number == "8000"


async def test_a_run_without_sites_goes_its_way_to_the_end(stage: Stage) -> None:
    await stage.book(now() + timedelta(minutes=1))
    conductor = await stage.conductor()
    [run_id] = await conductor.start_due()
    await stage.until(run_id, "live")
    await conductor.order(run_id, "end", {})
    run = await stage.until(run_id, "done")
    assert run.end_reason == "operator"
    assert run.closed_at is not None
    async with stage.database.read() as session:
        events = [entry.event for entry in await since(session, run_id)]
    assert events[0] == "run-claimed"
    assert events.index("command-taken") < events.index("command-done")
    assert events[-1] == "run-state"


async def test_two_runs_at_once_have_two_conferences_and_a_full_bridge_starts_no_third(stage: Stage) -> None:
    for _ in range(3):
        await stage.book(now() + timedelta(minutes=1), ports=2)
    conductor = await stage.conductor()
    assert len(await conductor.start_due()) == 2
    assert sorted(run.number for run in await stage.runs()) == ["8000", "8001"]
    [why] = conductor.starter.not_started.values()
    assert "main: all conference numbers 8000..8001 are in use" in why


async def test_a_meeting_that_cannot_start_keeps_no_other_from_it_and_starts_when_it_can(stage: Stage) -> None:
    for _ in range(2):
        await stage.book(now() + timedelta(minutes=1), ports=1)
    other = await stage.book(now() + timedelta(minutes=1), on="other")
    conductor = await stage.conductor(bells=True)
    async with asyncio.timeout(DEADLINE_S):
        while len(runs := await stage.runs()) < 2 or not conductor.starter.not_started:
            await stage.bell.wait(0, 0.05)
    assert other in {run.meeting_id for run in runs}
    [late] = conductor.starter.not_started
    first = next(run for run in runs if run.meeting_id != other)
    await conductor.order(first.id or 0, "end", {})
    await stage.until(first.id or 0, "done", "cancelled")  # cancelled when the order was faster than the opening
    await conductor.arm_all()
    async with asyncio.timeout(DEADLINE_S):
        while late not in {run.meeting_id for run in await stage.runs()}:
            await stage.bell.wait(0, 0.05)
    assert not conductor.starter.not_started


async def test_what_was_missed_needs_no_conference_number_to_be_written_down(stage: Stage) -> None:
    await stage.book(now() + timedelta(minutes=1), ports=1)
    conductor = await stage.conductor()
    await conductor.start_due()
    await stage.book(now() - timedelta(hours=2), minutes=30)
    await stage.conductor(bells=True)
    assert "missed" in {run.state for run in await stage.runs()}


async def test_a_change_of_the_rule_makes_no_missed_starts_of_the_past(stage: Stage) -> None:
    meeting_id = await stage.book(now() - timedelta(days=5, hours=2), minutes=30, daily=True)
    conductor = await stage.conductor(bells=True)
    before = [run.state for run in await stage.runs()]
    assert set(before) == {"missed"}
    async with stage.database.write() as session:
        meeting = await session.get(Meeting, meeting_id)
        assert meeting is not None
        moved = datetime.fromisoformat(meeting.start) + timedelta(minutes=5)
        meeting.start = moved.strftime("%Y-%m-%dT%H:%M")
        session.add(meeting)
    await conductor.meeting_changed(meeting_id)
    await conductor.arm_all()
    assert [run.state for run in await stage.runs() if run.state == "missed"] == before


async def test_a_meeting_called_off_before_dialing_opens_calls_its_run_off(stage: Stage) -> None:
    meeting_id = await stage.book(now() + timedelta(minutes=30))
    conductor = await stage.conductor()
    [run_id] = await conductor.start_due(timedelta(minutes=30))
    async with stage.database.write() as session:
        meeting = await session.get(Meeting, meeting_id)
        assert meeting is not None
        meeting.cancelled_at = now()
        session.add(meeting)
    await conductor.meeting_changed(meeting_id)
    await stage.until(run_id, "cancelled")
    assert await conductor.start_due(timedelta(minutes=30)) == []


async def test_a_run_that_stumbles_waits_longer_each_time(stage: Stage) -> None:
    await stage.book(now() + timedelta(minutes=1))
    async with stage.database.write() as session:
        session.add(Site(code="qt01", name="Unit"))
    first = await stage.conductor()
    [run_id] = await first.start_due(timedelta(minutes=1))
    await first.stop()
    async with stage.database.write() as session:
        row = (await session.exec(select(Participant).where(Participant.run_id == run_id))).one()
        row.plan = {"rungs": [{"way": "by-balloon"}]}
        session.add(row)
    heir = await stage.conductor()
    shard = f"run-{run_id}"
    async with asyncio.timeout(DEADLINE_S):
        while heir._stumbles.get(shard, (0, 0))[0] < 2:
            await stage.bell.wait(0, 0.05)
    assert heir._must_wait(shard)
    await stage.book(now() + timedelta(minutes=1))
    [sound] = await heir.start_due()
    await stage.until(sound, "degraded", "live")


async def test_a_bridge_of_an_unknown_family_keeps_no_meeting_from_starting(stage: Stage) -> None:
    await stage.book(now() + timedelta(minutes=1), on="odd", family="teapot")
    await stage.book(now() + timedelta(minutes=1))
    conductor = await stage.conductor()
    assert len(await conductor.start_due()) == 2
    await stage.until(2, "live")


async def test_a_run_is_taken_over_at_once_from_a_conductor_that_leaves(stage: Stage) -> None:
    await stage.book(now() + timedelta(minutes=1))
    async with AsyncExitStack() as first_life:
        leaving = Stage(stage.database, stage._settings.data_dir, first_life)
        conductor = await leaving.conductor()
        [run_id] = await conductor.start_due()
        await leaving.until(run_id, "live")
    heir = await stage.conductor()
    await heir.order(run_id, "end", {})
    await stage.until(run_id, "done")


async def test_an_order_accepted_while_nobody_conducts_is_carried_out_by_the_next(stage: Stage) -> None:
    await stage.book(now() + timedelta(minutes=1))
    async with AsyncExitStack() as first_life:
        leaving = Stage(stage.database, stage._settings.data_dir, first_life)
        conductor = await leaving.conductor()
        [run_id] = await conductor.start_due()
        await leaving.until(run_id, "live")
    async with stage.database.write() as session:
        session.add(ShardCommand(shard_id=f"run-{run_id}", verb="end", args={}, created_at=now()))
    await stage.conductor()
    await stage.until(run_id, "done")


async def test_a_slot_that_went_by_is_written_down_as_missed_once(stage: Stage) -> None:
    await stage.book(now() - timedelta(hours=2), minutes=30)
    conductor = await stage.conductor(bells=True)
    await conductor.arm_all()
    [run] = await stage.runs()
    assert run.state == "missed"
    assert run.closed_at is not None


async def test_a_late_start_inside_the_slot_is_caught_up(stage: Stage) -> None:
    await stage.book(now() - timedelta(minutes=20), minutes=60)
    await stage.conductor(bells=True)
    await stage.until(1, "live")


@pytest.mark.parametrize(
    ("verb", "args", "says"),
    [
        ("dance", {}, "there is no order 'dance'"),
        ("extend", {"minutes": 0}, "from 1 to 720"),
        ("extend", {"minutes": True}, "from 1 to 720"),
        ("redial", {}, "needs a site code"),
    ],
)
async def test_a_senseless_order_is_refused_in_words(
    stage: Stage, verb: str, args: dict[str, object], says: str
) -> None:
    conductor = await stage.conductor()
    with pytest.raises(OrderRefused, match=says):
        await conductor.order(1, verb, args)


async def test_an_order_to_a_run_that_is_over_or_not_there_is_refused(stage: Stage) -> None:
    await stage.book(now() + timedelta(minutes=1))
    conductor = await stage.conductor()
    [run_id] = await conductor.start_due()
    await stage.until(run_id, "live")
    with pytest.raises(LookupError, match="qt99"):
        await conductor.order(run_id, "redial", {"site": "qt99"})
    with pytest.raises(LookupError, match="no run 999"):
        await conductor.order(999, "end", {})
    await conductor.order(run_id, "end", {})
    await stage.until(run_id, "done")
    with pytest.raises(OrderRefused, match="is done"):
        await conductor.order(run_id, "extend", {"minutes": 5})


async def test_a_run_called_off_before_dialing_opens_is_cancelled(stage: Stage) -> None:
    await stage.book(now() + timedelta(minutes=30))
    conductor = await stage.conductor()
    [run_id] = await conductor.start_due(timedelta(minutes=30))
    await conductor.order(run_id, "end", {})
    run = await stage.until(run_id, "cancelled")
    assert run.closed_at is not None

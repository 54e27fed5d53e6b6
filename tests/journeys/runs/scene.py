"""A run with its people in the database, as the mind would have written it."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

from sqlmodel import col, select

from orchestrator.store.database import Database
from orchestrator.store.inventory import Bridge
from orchestrator.store.journal import JournalEntry
from orchestrator.store.meetings import Meeting
from orchestrator.store.migration import migrate
from orchestrator.store.runs import Participant, Run, add_run

NOON = datetime(2026, 12, 1, 1, 0, tzinfo=UTC)  # 08:00 in Ho Chi Minh City


@dataclass
class Scene:
    """One database with a bridge, a meeting and runs; every change is a committed row."""

    database: Database
    meeting_id: int
    bridge_id: int
    numbers: Iterator[int] = field(default_factory=lambda: count(1))

    async def run(self, sites: int = 3, *, links: int = 1, state: str = "calling", start: datetime = NOON) -> int:
        """A run with `sites` waiting sites qt01... and `links` rooms; returns its id."""
        async with self.database.write() as session:
            run = Run(
                meeting_id=self.meeting_id, occurrence_at=start, title="Giao ban tháng 12",
                time_zone="Asia/Ho_Chi_Minh", bridge_id=self.bridge_id,
                number=f"80{next(self.numbers):02}", tag="dcabcd-1", state=state,
                opens_at=start - timedelta(minutes=10), starts_at=start, ends_at=start + timedelta(hours=1),
            )  # fmt: skip
            people = [
                Participant(run_id=0, kind="site", code=f"qt{n:02}", name=f"Điểm cầu {n}") for n in range(1, sites + 1)
            ]
            people += [
                Participant(run_id=0, kind="room", code=f"tinh{n or ''}", name="Phòng họp tỉnh", priority=0)
                for n in range(links)
            ]
            await add_run(session, run, people)
        assert run.id is not None
        return run.id

    async def change(self, run_id: int, code: str, event: str = "", at: datetime = NOON, **columns: Any) -> int:
        """Change a participant and journal it, in one transaction; returns the entry's id."""
        facts = {name: columns[name] for name in ("way", "address", "cause", "side", "raw") if name in columns}
        async with self.database.write() as session:
            query = select(Participant).where(col(Participant.run_id) == run_id, col(Participant.code) == code)
            person = (await session.exec(query)).one()
            for name, value in columns.items():
                setattr(person, name, value)
            session.add(person)
            entry = JournalEntry(run_id=run_id, at=at, event=event or "note", participant=code, facts=facts)
            session.add(entry)
            await session.flush()
            assert entry.id is not None
        return entry.id

    async def set_run(self, run_id: int, at: datetime = NOON, **columns: Any) -> None:
        """Change a run and journal its state."""
        async with self.database.write() as session:
            run = (await session.exec(select(Run).where(col(Run.id) == run_id))).one()
            for name, value in columns.items():
                setattr(run, name, value)
            session.add(run)
            session.add(JournalEntry(run_id=run_id, at=at, event="run-state", facts={"state": run.state}))


async def scene(database: Database) -> Scene:
    """A bridge and a meeting in an empty database; the tables too."""
    await migrate(database)
    async with database.write() as session:
        bridge = Bridge(name="main", family="asterisk", conference_address="sip:{number}@127.0.10.1")
        session.add(bridge)
        await session.flush()
        assert bridge.id is not None
        meeting = Meeting(
            title="Giao ban tháng 12", start="2026-12-01T08:00", time_zone="Asia/Ho_Chi_Minh", duration_min=60,
            bridge_id=bridge.id, created_at=NOON - timedelta(days=1),
        )  # fmt: skip
        session.add(meeting)
        await session.flush()
        assert meeting.id is not None
    return Scene(database, meeting.id, bridge.id)

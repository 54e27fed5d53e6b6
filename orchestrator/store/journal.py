"""What happened, in order: an append-only record that console, reports and metrics read."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import JSON, Column, insert
from sqlmodel import Field, SQLModel, col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from orchestrator.store.database import Instant


class JournalEntry(SQLModel, table=True):
    """One fact of a run. `event` is a machine name such as `leg-connected`."""

    __tablename__ = "journal"

    id: int | None = Field(default=None, primary_key=True)
    run_id: int = Field(foreign_key="run.id", index=True)
    at: datetime = Field(sa_column=Column(Instant, nullable=False))
    event: str
    participant: str = ""  # site code or room name
    leg: str = ""
    facts: dict[str, object] = Field(default_factory=dict, sa_column=Column(JSON, nullable=False))


async def append(session: AsyncSession, entries: Sequence[Mapping[str, Any]]) -> None:
    """Write entries, in order. Keys: run_id, at, event, participant, leg, facts."""
    if entries:
        await (await session.connection()).execute(insert(JournalEntry), entries)


async def since(session: AsyncSession, run_id: int, after_id: int = 0, limit: int = 500) -> list[JournalEntry]:
    """The run's entries with a greater id than `after_id`, oldest first."""
    rows = await session.exec(
        select(JournalEntry)
        .where(JournalEntry.run_id == run_id, col(JournalEntry.id) > after_id)
        .order_by(col(JournalEntry.id))
        .limit(limit)
    )
    return list(rows)


class JournalBell:
    """Wakes those who wait for a run's next entry, within this process.

    Only a hint: an entry written by another process rings no bell here, so whoever waits
    also looks again by itself from time to time.
    """

    def __init__(self) -> None:
        self._waiting: dict[int, asyncio.Event] = {}

    def ring(self, run_id: int) -> None:
        """An entry of this run was committed."""
        event = self._waiting.pop(run_id, None)
        if event is not None:
            event.set()

    async def wait(self, run_id: int, timeout_s: float) -> bool:
        """Wait for the next ring, at most `timeout_s`; whether it rang."""
        event = self._waiting.setdefault(run_id, asyncio.Event())
        try:
            async with asyncio.timeout(timeout_s):
                await event.wait()
        except TimeoutError:
            return False
        return True

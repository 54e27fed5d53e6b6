"""A province, its orchestrator and a meeting, all in this process, on real sockets and a real database."""

import asyncio
import csv
import io
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from adapters.registry import ENDPOINTS
from adapters.virtual.province import Province
from api.conducting import conducting
from api.settings import Settings
from orchestrator.board import board
from orchestrator.conductor import Conductor
from orchestrator.keys import Keys
from orchestrator.rules.redial import RedialRules
from orchestrator.runner import RunTerms
from orchestrator.sheet import read
from orchestrator.store.database import Database
from orchestrator.store.intake import take_in
from orchestrator.store.inventory import Bridge, Room
from orchestrator.store.journal import JournalBell, JournalEntry, since
from orchestrator.store.meetings import Meeting, book
from schedules.clock import SystemClock
from tests.support.port import free_port

PATIENCE_S = 40.0
"""How long a test waits for what must come; never what is measured."""

SIP_HOST = "127.0.40.1"

FAST = RunTerms(
    redial=RedialRules(waits_s=(0.2, 0.2, 0.4), steady_s=1.0, after_drop_s=(0.2, 0.4), after_hang_up_s=0.3),
    ring_s=3.0,
    grace_s=0.0,
    settle_s=3.0,
    admission_s=8.0,
    sweep_s=0.4,
    roster_s=2.0,
)


class Theater:
    """One installation on one province. `secret` may be wrong on purpose."""

    def __init__(self, province: Province, database: Database, folder: Path, stack: AsyncExitStack) -> None:
        self.province = province
        self.database = database
        self.bell = JournalBell()
        self.folder = folder
        self.keys = Keys.open_or_create(folder / "key")
        self.run_id = 0
        self._stack = stack
        self._bridge_id = 0
        self._sip_port = free_port(SIP_HOST)  # a restarted process has the address of the first

    async def furnish(self, *, secret: str | None = None, ladder: str | None = None, link: bool = False) -> None:
        """Put the province's papers into the inventory."""
        rows = self.province.inventory()
        file = io.StringIO()
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        for row in rows:
            writer.writerow({**row, **({"ladder": ladder} if ladder else {})})
        await take_in(self.database, read(file.getvalue().encode(), ENDPOINTS.keys()))
        papers: Any = self.province.papers()
        async with self.database.write() as session:
            ids = {}
            for key in ("bridge", "provincial_bridge"):
                paper = dict(papers[key])
                sealed = self.keys.seal(secret if secret and key == "bridge" else paper.pop("control_secret"))
                paper.pop("control_secret", None)
                row = self._bridge = Bridge(**paper, control_secret=sealed)
                session.add(row)
                await session.flush()
                ids[row.name] = row.id or 0
            self._bridge_id = ids[papers["bridge"]["name"]]
            room = dict(papers["room"])
            self._room = Room(
                name=room["name"], address=room["address"], backup_address=room["backup_address"],
                pin=self.keys.seal(room["pin"]), bridge_id=ids[room["bridge"]], number=room["number"],
            )  # fmt: skip
            session.add(self._room)
            await session.flush()
            start = (datetime.now(UTC) + timedelta(minutes=1)).strftime("%Y-%m-%dT%H:%M")
            meeting = Meeting(
                title="Giao ban", start=start, time_zone="UTC", duration_min=60, bridge_id=self._bridge_id,
                all_sites=True, lead_min=10, created_at=datetime.now(UTC),
            )  # fmt: skip
            await book(session, meeting, [], [self._room.id or 0] if link else [])

    async def conductor(self, stack: AsyncExitStack | None = None, terms: RunTerms = FAST) -> Conductor:
        """A conductor of its own, until the theater (or `stack`) closes."""
        settings = Settings(data_dir=self.folder, sip_host=SIP_HOST, sip_port=self._sip_port, pace_off=True)
        opened = conducting(settings, self.database, self.keys, SystemClock(), self.bell, bells=False, terms=terms)
        return await (stack or self._stack).enter_async_context(opened)

    async def begin(self, conductor: Conductor) -> int:
        """Start the meeting's run."""
        [self.run_id] = await conductor.start_due()
        return self.run_id

    async def board(self) -> dict[str, Any]:
        async with self.database.read() as session:
            shown: dict[str, Any] | None = await board(session, self.run_id, datetime.now(UTC))
        assert shown is not None
        return shown

    async def journal(self) -> list[JournalEntry]:
        async with self.database.read() as session:
            return await since(session, self.run_id, limit=10_000)

    async def events(self, name: str) -> list[JournalEntry]:
        return [entry for entry in await self.journal() if entry.event == name]

    async def until(self, told: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
        """Wait until the board says so, woken by the journal."""
        shown: dict[str, Any] = {}
        try:
            async with asyncio.timeout(PATIENCE_S):
                while True:
                    shown = await self.board()
                    if told(shown):
                        return shown
                    await self.bell.wait(self.run_id, 0.1)
        except TimeoutError:
            raise AssertionError(f"not so in {PATIENCE_S:.0f} s; the board says {shown}") from None

    async def until_told(self, event: str) -> None:
        """Wait until the journal has such an event."""
        async with asyncio.timeout(PATIENCE_S):
            while not await self.events(event):
                await self.bell.wait(self.run_id, 0.1)

    async def until_all_in(self) -> dict[str, Any]:
        return await self.until(lambda shown: all(s["state"] == "in" for s in (*shown["sites"], *shown["links"])))

    async def end(self, conductor: Conductor) -> None:
        await conductor.order(self.run_id, "end", {})
        await self.until(lambda shown: shown["state"] == "done")

    def nobody_was_rung_twice(self) -> bool:
        return bool(self.province.stats()["never_rung_twice"])

    def calls_left(self) -> int:
        return int(str(self.province.stats()["calls"]))


def site(shown: dict[str, Any], code: str) -> dict[str, Any]:
    return next(entry for entry in shown["sites"] if entry["code"] == code)


Opening = Callable[..., Any]


@pytest.fixture
async def theater(sqlite_database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Opening]:
    """Opens a theater: `await theater(sites=3, behaviors=..., ladder=..., link=True, conducted=False)`.

    With `consoles=True` vendor endpoints have their control ports.
    """
    async with AsyncExitStack() as stack:

        async def open_(
            sites: int = 3,
            *,
            behaviors: Any = None,
            bridge: Any = None,
            conducted: bool = True,
            terms: Mapping[str, Any] = MappingProxyType({}),
            consoles: bool = False,
            **furniture: Any,
        ) -> tuple[Theater, Conductor | None]:
            province = Province(sites, behaviors=behaviors, bridge=bridge, consoles=consoles)
            await stack.enter_async_context(province)
            for name, secret in province.secrets.items():
                monkeypatch.setenv(name, secret)
            made = Theater(province, sqlite_database, tmp_path, stack)
            await made.furnish(**furniture)
            return made, await made.conductor(terms=replace(FAST, **terms)) if conducted else None

        yield open_

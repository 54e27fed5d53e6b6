"""Two services on one database, and a province, each a process of its own."""

import asyncio
import csv
import io
import itertools
import multiprocessing
import os
import re
import signal
import sqlite3
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

import httpx
from sqlmodel import select

from adapters.registry import ENDPOINTS
from api.commands.stage import ProvinceProcess
from orchestrator.board import board
from orchestrator.keys import Keys
from orchestrator.rules.tag import LegName
from orchestrator.sheet import read
from orchestrator.store.database import Database
from orchestrator.store.intake import take_in
from orchestrator.store.inventory import Bridge, Room
from orchestrator.store.journal import JournalBell, JournalEntry, since
from orchestrator.store.meetings import Meeting, book
from orchestrator.store.runs import Run, ShardLease, open_commands
from tests.ownership import watched

PATIENCE_S = 45.0
"""How long a test waits for what must come; never what is measured."""
TTL_S = 3.0
TOKEN = "a-token-that-only-tests-use"
SHARD = "run-1"
_LOOK_S = 0.1

# Hosts are forked from a process that has imported everything: what they do takes time, not how they start.
_NURSERY = multiprocessing.get_context("forkserver")
_NURSERY.set_forkserver_preload(["tests.ownership.watched"])


class Host:
    """One process of diemcau, as on a host of its own: its own address for SIP."""

    def __init__(self, name: str, process: ForkServerProcess, folder: Path) -> None:
        self.name = name
        self.process = process
        self._folder = folder

    @property
    def pid(self) -> int:
        assert self.process.pid is not None
        return self.process.pid

    def said(self, where: str = "err") -> list[str]:
        """The lines of its log so far, or of its standard output (`out`)."""
        path = self._folder / where
        return path.read_text(errors="replace").splitlines() if path.exists() else []

    async def until_said(self, *patterns: str, where: str = "err") -> re.Match[str]:
        """Wait for a line in which one of the patterns is found."""
        wanted = re.compile("|".join(patterns))
        try:
            async with asyncio.timeout(PATIENCE_S):
                while True:
                    over = not self.process.is_alive()
                    for line in self.said(where):
                        if (found := wanted.search(line)) is not None:
                            return found
                    if over:
                        break
                    await asyncio.sleep(_LOOK_S / 2)
        except TimeoutError:
            pass
        raise AssertionError(f"{self.name} never said {wanted.pattern!r}: {self.said()[-20:]}")

    async def url(self) -> str:
        """Where it listens, once it does."""
        return (await self.until_said(r"listening on (http://\S+)"))[1]

    async def order(self, path: str, **body: object) -> int:
        """Give an order over REST; returns the command's number."""
        headers = {"Authorization": f"Bearer {TOKEN}"}
        async with httpx.AsyncClient(base_url=await self.url(), headers=headers, trust_env=False) as client:
            answer = await client.post(f"/api/v1/{path}", json=body or None, timeout=30)
        assert answer.status_code == 202, answer.text
        return int(answer.json()["command"])

    async def pause(self) -> None:
        """Stop it as a machine that is starved or suspended does; returns when it stands still."""
        os.kill(self.pid, signal.SIGSTOP)
        path = Path(f"/proc/{self.pid}/stat")
        while path.read_text().rpartition(")")[2].split()[0] != "T":  # noqa: ASYNC110, ASYNC240 - told by nobody
            await asyncio.sleep(0)

    def resume(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    async def kill(self) -> None:
        """Kill it without a word, and have it gone."""
        self.process.kill()
        await self.exit_code()

    async def ask_to_stop(self) -> int:
        """SIGTERM; returns its exit code."""
        self.process.terminate()
        return await self.exit_code()

    async def exit_code(self) -> int:
        """What it ended with, once it has."""
        await asyncio.to_thread(self.process.join, PATIENCE_S)
        assert self.process.exitcode is not None, f"{self.name} has not ended: {self.said()[-20:]}"
        return self.process.exitcode


class Ground:
    """One installation, its hosts and its province. Everything is gone when the stack is closed."""

    def __init__(self, url: str, folder: Path, province: ProvinceProcess, stack: AsyncExitStack) -> None:
        self.database = Database(url)
        self.province = province
        self.record = folder / "record"
        self.hosts: list[Host] = []
        self._numbers = itertools.count(1)
        self._url = url
        self._folder = folder
        self._stack = stack
        self._bell = JournalBell()
        stack.push_async_callback(self.database.close)

    # --- setting up ----------------------------------------------------------------------

    async def furnish(
        self, *, ladders: tuple[str, ...] = ("third-party bridge-dials", "bridge-dials"), link: bool = False
    ) -> None:
        """The province's papers as inventory, and a meeting whose dialing has opened. Sites get `ladders` in turn."""
        keys = Keys.open_or_create(self._folder / "key")
        papers: Any = self.province.papers
        rows = papers["sites"]
        file = io.StringIO()
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        for number, row in enumerate(rows):
            has_sip = "sip:" in row["addresses"]
            ladder = ladders[number % len(ladders)] if has_sip else "bridge-dials"
            writer.writerow({**row, "control_secret": "", "ladder": ladder})
        await take_in(self.database, read(file.getvalue().encode(), ENDPOINTS.keys()))
        async with self.database.write() as session:
            ids = {}
            for key in ("bridge", "provincial_bridge"):
                paper = dict(papers[key])
                row = Bridge(**{**paper, "control_secret": keys.seal(paper["control_secret"])})
                session.add(row)
                await session.flush()
                ids[row.name] = row.id or 0
            room = papers["room"]
            linked = Room(
                name=room["name"], address=room["address"], backup_address=room["backup_address"],
                pin=keys.seal(room["pin"]), bridge_id=ids[room["bridge"]], number=room["number"],
            )  # fmt: skip
            session.add(linked)
            await session.flush()
            start = (datetime.now(UTC) + timedelta(minutes=1)).strftime("%Y-%m-%dT%H:%M")
            meeting = Meeting(
                title="Giao ban", start=start, time_zone="UTC", duration_min=60,
                bridge_id=ids[papers["bridge"]["name"]], all_sites=True, lead_min=10, created_at=datetime.now(UTC),
            )  # fmt: skip
            await book(session, meeting, [], [linked.id or 0] if link else [])

    async def host(self, *words: str, unguarded: bool = False, **settings: object) -> Host:
        """Start another process of diemcau; `words` are its command line, otherwise it serves."""
        number = next(self._numbers)
        given = {
            "data_dir": self._folder, "database_url": self._url, "port": 0, "token": TOKEN, "log_level": "info",
            "sip_host": f"127.0.40.{number}", "sip_port": 0, "ring_s": 8, "grace_s": 0, "settle_s": 3,
            "admission_s": 8, "roster_s": 1, "redial_s": "[1, 1, 2]", "redial_steady_s": 2, "pace_off": True,
            "redial_after_drop_s": "[1, 2]", "redial_after_hang_up_s": 1, "lease_ttl_s": TTL_S, **settings,
        }  # fmt: skip
        folder = self._folder / f"host{number}"
        folder.mkdir()
        process = _NURSERY.Process(
            target=watched.run,
            args=(words or ("serve",), {f"DIEMCAU_{k.upper()}": str(v) for k, v in given.items()}, str(folder)),
            kwargs={"record": str(self.record), "unguarded": unguarded},
        )
        await asyncio.to_thread(process.start)
        host = Host(f"host{number}", process, folder)
        self._stack.push_async_callback(host.kill)
        self.hosts.append(host)
        return host

    async def two_hosts(self, **settings: Any) -> tuple[Host, Host]:
        """Two services at the same time; the one that conducts the run comes first."""
        one, two = await asyncio.gather(self.host(**settings), self.host(**settings))
        owner = await self.owner(one, two)
        await asyncio.gather(one.url(), two.url())
        return (one, two) if owner is one else (two, one)

    async def pause_past_lease(self, owner: Host, heir: Host) -> None:
        """Stop the owner until the other one has its run.

        SQLite has one write lock for all: a process that stands still with it in its hands
        stops everybody (on one machine they stand still together), so another moment is tried.
        """
        await owner.pause()
        while self._is_locked():
            owner.resume()
            await owner.pause()
        await self.owner(heir)

    def _is_locked(self) -> bool:
        if not self.database.is_sqlite:
            return False
        connection = sqlite3.connect(self._url.partition(":///")[2], timeout=0.2, isolation_level=None)
        try:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("ROLLBACK")
        except sqlite3.OperationalError:
            return True
        finally:
            connection.close()
        return False

    # --- looking -------------------------------------------------------------------------

    async def wait(self, told: Callable[[], Awaitable[Any]], what: str) -> Any:
        """Wait until `told` gives something true; rows and the province are asked again and again."""
        found: Any = None
        try:
            async with asyncio.timeout(PATIENCE_S):
                while not (found := await told()):
                    await self._bell.wait(1, _LOOK_S)
        except TimeoutError:
            raise AssertionError(f"{what}: not so within {PATIENCE_S:.0f} s\n{await self._story()}") from None
        return found

    async def _story(self) -> str:
        lines = [f"{name}: {text}" for name, text in await self.totals()]
        lines += [f"{e.id} {e.at:%S.%f} {e.event} {e.participant} {e.leg} {e.facts}" for e in await self.journal()]
        for host in self.hosts:
            lines += [f"{host.name} ({host.pid}): {line}" for line in host.said()[-40:]]
        return "\n".join(lines)

    async def totals(self) -> list[tuple[str, object]]:
        return [(name, value) for name, value in (await self.stats()).items() if name != "sites"]

    async def lease(self) -> ShardLease | None:
        async with self.database.read() as session:
            return (await session.exec(select(ShardLease).where(ShardLease.shard_id == SHARD))).first()

    async def owner(self, *among: Host) -> Host:
        """Which of these hosts holds the run's lease, once one does."""

        async def found() -> Host | None:
            lease = await self.lease()
            if lease is None or lease.owner is None:
                return None
            return next((host for host in among if int(lease.owner.split("/")[3]) == host.pid), None)

        owner: Host = await self.wait(found, f"the run belongs to one of {[host.name for host in among]}")
        return owner

    async def run(self) -> Run | None:
        async with self.database.read() as session:
            return await session.get(Run, 1)

    async def journal(self) -> list[JournalEntry]:
        async with self.database.read() as session:
            return await since(session, 1, limit=100_000)

    async def board(self) -> Mapping[str, Any] | None:
        async with self.database.read() as session:
            shown: Mapping[str, Any] | None = await board(session, 1, datetime.now(UTC))
        return shown

    async def stats(self) -> Mapping[str, Any]:
        told: Mapping[str, Any] = (await self.province.ask("stats"))["stats"]
        return told

    async def until(self, told: Callable[[Mapping[str, Any]], object], what: str) -> Mapping[str, Any]:
        """Wait until the board says so."""

        async def looked() -> Mapping[str, Any] | None:
            shown = await self.board()
            return shown if shown is not None and told(shown) else None

        shown: Mapping[str, Any] = await self.wait(looked, what)
        return shown

    async def until_in(self, *but: str) -> Mapping[str, Any]:
        """Wait until everybody is in, but for these sites."""

        def all_in(shown: Mapping[str, Any]) -> bool:
            return all(e["state"] == "in" for e in (*shown["sites"], *shown["links"]) if e["code"] not in but)

        return await self.until(all_in, "everybody is in")

    async def until_dialed(self, site: str, epoch: int, times: int = 1) -> None:
        """Wait until a site was dialed so often under an epoch, or a later one."""

        async def dialed() -> bool:
            names = [
                LegName.find(e.leg) for e in await self.journal() if e.event == "leg-dialed" and e.participant == site
            ]
            return sum(name is not None and name.epoch >= epoch for name in names) >= times

        await self.wait(dialed, f"{site} was dialed {times} times from epoch {epoch} on")

    async def no_open_orders(self) -> bool:
        async with self.database.read() as session:
            return not await open_commands(session, SHARD)

    async def until_rings(self, least: int) -> None:
        async def enough() -> bool:
            return int((await self.stats())["rings"]) >= least

        await self.wait(enough, f"the province has been rung {least} times")

    async def end(self, by: Host) -> None:
        """End the run over REST, and have it over."""
        await by.order("runs/1/end")
        await self.until(lambda shown: shown["state"] == "done", "the run is over")

    async def nothing_is_left(self) -> None:
        """Every call of ours is gone at both ends."""
        stats = await self.stats()
        assert stats["calls"] == 0, dict(await self.totals())
        assert stats["bridge_calls"] == {"mcu": 0, "tinh": 0}

"""`diemcau autodial` as cron runs it: processes on one database, real calls, nobody rung twice."""

import asyncio
import json
import os
import sys
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from api.commands.stage import ProvinceProcess
from api.live import Live
from orchestrator.conductor import Conductor
from orchestrator.desk import Desk
from orchestrator.store.database import Database
from orchestrator.store.journal import JournalBell
from schedules.clock import SystemClock
from tests.journeys.runs.stand import standing

DEADLINE_S = 90
SITES = 4


async def book(folder: Path, papers: Mapping[str, Any]) -> None:
    """Inventory and a meeting that begins in a minute, over REST of a service that conducts nobody."""
    clock = SystemClock()
    async with standing(folder, clock) as stand, stand.client() as client:
        for paper in (papers["bridge"], papers["provincial_bridge"]):
            (await client.post("/api/v1/bridges", json=paper)).raise_for_status()
        (await client.post("/api/v1/rooms", json=papers["room"])).raise_for_status()
        for site in papers["sites"]:
            (await client.post("/api/v1/sites", json={"code": site["code"], "name": site["name"]})).raise_for_status()
            endpoint = {
                "name": site["code"], "site": site["code"], "family": "sip",
                "addresses": [text for text in site["addresses"].split() if text.startswith("sip:")],
                "ladder": ["third-party", "bridge-dials"],
            }  # fmt: skip
            (await client.post("/api/v1/endpoints", json=endpoint)).raise_for_status()
        start = (clock.now() + timedelta(minutes=1)).astimezone(ZoneInfo("Asia/Ho_Chi_Minh"))
        meeting = {
            "title": "Giao ban", "start": start.strftime("%Y-%m-%dT%H:%M"), "time_zone": "Asia/Ho_Chi_Minh",
            "duration_min": 30, "bridge": papers["bridge"]["name"], "sites": "all",
            "links": [papers["room"]["name"]], "lead_min": 10,
        }  # fmt: skip
        (await client.post("/api/v1/meetings", json=meeting)).raise_for_status()


async def autodial(folder: Path, *options: str) -> asyncio.subprocess.Process:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("DIEMCAU_")}
    environment |= {"DIEMCAU_DATA_DIR": str(folder), "DIEMCAU_SIP_PORT": "0", "DIEMCAU_GRACE_S": "0"}
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "api.cli", "autodial", "--json", *options,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL, env=environment,
    )  # fmt: skip


async def told(process: asyncio.subprocess.Process) -> dict[str, Any]:
    assert process.stdout is not None
    return dict(json.loads(await process.stdout.readline()))


async def test_two_at_once_start_one_run_and_conduct_it_to_its_end(tmp_path: Path) -> None:
    province = await ProvinceProcess.start(SITES, "ring 0.2; answer")
    database: Database | None = None
    try:
        async with asyncio.timeout(DEADLINE_S):
            await book(tmp_path, province.papers)
            dry = await told(await autodial(tmp_path, "--dry-run"))
            assert [(due["title"], due["sites"], due["run"]) for due in dry["due"]] == [("Giao ban", SITES, None)]

            hosts = await asyncio.gather(autodial(tmp_path, "--within", "15m"), autodial(tmp_path, "--within", "15m"))
            started = [run for host in hosts for run in (await told(host))["started"]]
            assert len(started) == 1, "an occurrence is claimed once"
            run_id = started[0]

            database = Database(f"sqlite:///{tmp_path / 'diemcau.sqlite3'}")
            there: set[str] = set()
            async for lines in Live(database, JournalBell()).follow(run_id):
                there |= {json.loads(line.text)["participant"] for line in lines if line.event == "site-in"}
                if len(there) == SITES + 1:
                    break
            again = await autodial(tmp_path, "--within", "15m")
            assert (await told(again))["started"] == []
            assert await again.wait() == 0

            clock = SystemClock()
            orders = Conductor(database, clock, Desk(None, clock.now), JournalBell())  # type: ignore[arg-type]
            await orders.order(run_id, "end", {})
            assert [await host.wait() for host in hosts] == [0, 0]
            stats = (await province.ask("stats"))["stats"]
            assert (stats["calls_up"], stats["never_rung_twice"], stats["rings"]) == (0, True, SITES)
    finally:
        if database is not None:
            await database.close()
        await province.stop()


async def test_a_senseless_time_is_refused(tmp_path: Path) -> None:
    for text in ("soon", "15", "-5m", "999999h"):
        process = await autodial(tmp_path, "--within", text)
        assert await process.wait() == 2, text

"""`diemcau serve` in a process of its own, on one folder: it can be killed and started again."""

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx

from tests.support.port import free_port
from tests.support.server import TOKEN

ROOT = Path(__file__).resolve().parents[2]
PATIENT_S = 60.0


class Service:
    """Start it, kill it, start it again; ask it over REST. `settings` are those of its variables, in small letters."""

    def __init__(self, folder: Path, sip_host: str, **settings: str) -> None:
        self.sip_host = sip_host
        self.sip_port, self.port = free_port(sip_host), free_port("127.0.0.1")
        self.env = {name: value for name, value in os.environ.items() if not name.startswith("DIEMCAU_")} | {
            "PYTHONPATH": str(ROOT), "DIEMCAU_DATA_DIR": str(folder), "DIEMCAU_TOKEN": TOKEN,
            "DIEMCAU_SIP_HOST": sip_host,
            "DIEMCAU_SIP_PORT": str(self.sip_port), "DIEMCAU_LANGUAGE": "en", "DIEMCAU_LOG_FORMAT": "json",
            **{f"DIEMCAU_{name.upper()}": value for name, value in settings.items()},
        }  # fmt: skip
        self.log = folder.parent / "serve.log"
        self.process: asyncio.subprocess.Process | None = None
        self.rest = httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{self.port}/api/v1", trust_env=False, timeout=20,
            headers={"Authorization": f"Bearer {TOKEN}"},
        )  # fmt: skip

    async def start(self) -> None:
        command = (sys.executable, "-m", "api.cli", "serve", "--port", str(self.port))
        with self.log.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(*command, env=self.env, stderr=log)
        await self.until("it to be ready", self._ready)

    async def _ready(self) -> bool:
        try:
            return (await self.rest.get(f"http://127.0.0.1:{self.port}/readyz")).status_code == 200
        except httpx.TransportError:
            return False

    async def kill(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        await self.process.wait()

    async def until(self, what: str, told: Callable[[], Any]) -> Any:
        try:
            async with asyncio.timeout(PATIENT_S):
                while True:
                    found = await told()
                    if found:
                        return found
                    await asyncio.sleep(0.05)
        except TimeoutError:
            raise AssertionError(f"waited for {what}:\n{self.log.read_text()[-3000:]}") from None

    async def get(self, path: str) -> Any:
        return (await self.rest.get(path)).raise_for_status().json()

    async def post(self, path: str, **body: object) -> Any:
        answer = await self.rest.post(path, json=body)
        assert answer.is_success, answer.text
        return answer.json()

    async def begin(self, *sites: str) -> int:
        """A meeting of these sites that is due now, on bridge `main`; returns its run."""
        start = (datetime.now(UTC) + timedelta(minutes=1)).strftime("%Y-%m-%dT%H:%M")
        meeting = await self.post(
            "/meetings", title="Giao ban", start=start, time_zone="UTC", duration_min=30, bridge="main",
            sites=list(sites), lead_min=10,
        )  # fmt: skip

        async def run() -> int:
            found = await self.get(f"/runs?meeting={meeting['id']}")
            return int(found["items"][0]["id"]) if found["items"] else 0

        found: int = await self.until("the run", run)
        return found

    async def site(self, run: int, code: str) -> Any:
        """A site as the board shows it."""
        return next(site for site in (await self.get(f"/runs/{run}"))["sites"] if site["code"] == code)

    async def close(self) -> None:
        """Kill it if it is there, and forget it."""
        if self.process is not None and self.process.returncode is None:
            await self.kill()
        await self.rest.aclose()

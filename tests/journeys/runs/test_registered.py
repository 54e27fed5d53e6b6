"""An endpoint that only knows how to register is called wherever it is, also after the service was killed."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx

from adapters.sip.agent import SipAgent
from adapters.sip.call import Call
from adapters.sip.message import Response
from tests.support.port import free_port
from tests.support.server import TOKEN

ROOT = Path(__file__).resolve().parents[3]
OURS = "127.0.41.5"
PATIENT_S = 60.0
SDP = b"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n"


class Phone:
    """A device that answers what comes; `calls` are those it had."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.agent = SipAgent("127.0.0.1", on_invite=self._take, user_agent="phone/1")

    def _take(self, call: Call) -> None:
        self.calls.append(call)
        call.answer(SDP)

    async def register(self, to: str, secret: str, expires: int = 600) -> int:
        """Register; returns the status. Raises ConnectionError when nobody answers."""
        told: asyncio.Future[Response | None] = asyncio.get_running_loop().create_future()
        contact = f"<sip:qt05@127.0.0.1:{self.agent.address[1]}>;expires={expires}"
        self.agent.send(
            "REGISTER", to, told.set_result, user="qt05", headers=[("Contact", contact)], credentials=("qt05", secret)
        )
        response = await told
        if response is None:
            raise ConnectionError("nobody answers")
        return response.status


@asynccontextmanager
async def phone() -> AsyncIterator[Phone]:
    made = Phone()
    await made.agent.start()
    yield made
    await made.agent.close()


class Service:
    """`diemcau serve` on one folder; it can be killed and started again."""

    def __init__(self, folder: Path) -> None:
        self.sip_port, self.port = free_port(OURS), free_port("127.0.0.1")
        self.env = {name: value for name, value in os.environ.items() if not name.startswith("DIEMCAU_")} | {
            "PYTHONPATH": str(ROOT), "DIEMCAU_DATA_DIR": str(folder), "DIEMCAU_TOKEN": TOKEN, "DIEMCAU_SIP_HOST": OURS,
            "DIEMCAU_SIP_PORT": str(self.sip_port), "DIEMCAU_REGISTRAR_DOMAINS": f'["{OURS}"]',
            "DIEMCAU_REDIAL_S": "[1]", "DIEMCAU_LANGUAGE": "en", "DIEMCAU_LOG_FORMAT": "json",
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

    async def furnish(self, bridge: SipAgent, secret: str) -> None:
        host, port = bridge.address
        address = f"sip:{{number}}@{host}:{port}"
        await self.post("/bridges", name="main", family="sip", conference_address=address)
        await self.post("/sites", code="qt05", name="Xã 5")
        await self.post(
            "/endpoints", name="qt05", site="qt05", family="sip", control_secret=secret, addresses=[self.address]
        )

    @property
    def address(self) -> str:
        return f"sip:qt05@{OURS}:{self.sip_port}"

    async def begin(self) -> int:
        """A meeting that is due now; returns its run."""
        start = (datetime.now(UTC) + timedelta(minutes=1)).strftime("%Y-%m-%dT%H:%M")
        meeting = await self.post(
            "/meetings", title="Giao ban", start=start, time_zone="UTC", duration_min=30, bridge="main",
            sites=["qt05"], lead_min=10,
        )  # fmt: skip

        async def run() -> int:
            found = await self.get(f"/runs?meeting={meeting['id']}")
            return int(found["items"][0]["id"]) if found["items"] else 0

        found: int = await self.until("the run", run)
        return found

    async def site(self, run: int) -> Any:
        return (await self.get(f"/runs/{run}"))["sites"][0]


async def test_a_registered_endpoint_is_called_also_after_the_service_was_killed(tmp_path: Path) -> None:
    service = Service(tmp_path / "data")
    bridge = SipAgent("127.0.0.1", on_invite=lambda call: call.answer(SDP))
    await bridge.start()
    async with phone() as device:
        try:
            await service.start()
            await service.furnish(bridge, "s3cret")
            run = await service.begin()

            async def told_why() -> str:
                return str((await service.site(run))["raw"])

            assert await service.until("the reason", told_why) == "not registered"
            assert (await service.get("/endpoints/qt05"))["registrations"] == []
            assert await device.register(service.address, "a guess") == 403
            assert await device.register(service.address, "s3cret") == 200
            registration = (await service.get("/endpoints/qt05"))["registrations"][0]
            assert registration["is_registered"] and registration["product"] == "phone/1"
            assert registration["source"] == f"udp 127.0.0.1:{device.agent.address[1]}"

            async def is_in() -> bool:
                return (await service.site(run))["evidence"]["endpoint"] == "connected"

            await service.until("the site to be in", is_in)
            assert len(device.calls) == 1
            await service.post(f"/runs/{run}/end")
            await service.until("the end of the call", _gone(device))

            await service.kill()
            await service.start()
            after = (await service.get("/endpoints/qt05"))["registrations"][0]
            assert after == registration
            run = await service.begin()
            await service.until("the site to be in again", is_in)
            assert len(device.calls) == 2
            entries = (await service.rest.get(f"http://127.0.0.1:{service.port}/metrics")).text
            assert "diemcau_registered 1.0" in entries
        finally:
            if service.process is not None and service.process.returncode is None:
                await service.kill()
            await service.rest.aclose()
            await bridge.close()
    assert "s3cret" not in service.log.read_text()


def _gone(device: Phone) -> Callable[[], Any]:
    async def told() -> bool:
        return len(device.agent) == 0

    return told

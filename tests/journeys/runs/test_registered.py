"""An endpoint that only knows how to register is called wherever it is, also after the service was killed."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from adapters.sip.agent import SipAgent
from adapters.sip.call import Call
from adapters.sip.message import Response
from tests.support.service import Service

OURS = "127.0.41.5"
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


async def furnish(service: Service, bridge: SipAgent, address: str) -> None:
    """A bridge, and a site with one endpoint at `address`."""
    host, port = bridge.address
    await service.post("/bridges", name="main", family="sip", conference_address=f"sip:{{number}}@{host}:{port}")
    await service.post("/sites", code="qt05", name="Xã 5")
    await service.post(
        "/endpoints", name="qt05", site="qt05", family="sip", control_secret="s3cret", addresses=[address]
    )


async def test_a_registered_endpoint_is_called_also_after_the_service_was_killed(tmp_path: Path) -> None:
    service = Service(tmp_path / "data", OURS, registrar_domains=f'["{OURS}"]', redial_s="[1]")
    address = f"sip:qt05@{OURS}:{service.sip_port}"
    bridge = SipAgent("127.0.0.1", on_invite=lambda call: call.answer(SDP))
    await bridge.start()
    async with phone() as device:
        try:
            await service.start()
            await furnish(service, bridge, address)
            run = await service.begin("qt05")

            async def told_why() -> str:
                return str((await service.site(run, "qt05"))["raw"])

            assert await service.until("the reason", told_why) == "not registered"
            assert (await service.get("/endpoints/qt05"))["registrations"] == []
            assert await device.register(address, "a guess") == 403
            assert await device.register(address, "s3cret") == 200
            registration = (await service.get("/endpoints/qt05"))["registrations"][0]
            assert registration["is_registered"] and registration["product"] == "phone/1"
            assert registration["source"] == f"udp 127.0.0.1:{device.agent.address[1]}"

            async def is_in() -> bool:
                return (await service.site(run, "qt05"))["evidence"]["endpoint"] == "connected"

            await service.until("the site to be in", is_in)
            assert len(device.calls) == 1
            await service.post(f"/runs/{run}/end")
            await service.until("the end of the call", _gone(device))

            await service.kill()
            await service.start()
            after = (await service.get("/endpoints/qt05"))["registrations"][0]
            assert after == registration
            run = await service.begin("qt05")
            await service.until("the site to be in again", is_in)
            assert len(device.calls) == 2
            entries = (await service.rest.get(f"http://127.0.0.1:{service.port}/metrics")).text
            assert "diemcau_registered 1.0" in entries
        finally:
            await service.close()
            await bridge.close()
    assert "s3cret" not in service.log.read_text()


def _gone(device: Phone) -> Callable[[], Any]:
    async def told() -> bool:
        return len(device.agent) == 0

    return told

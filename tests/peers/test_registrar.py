"""The small registrar with real devices: baresip over UDP and TCP, Asterisk by outbound registration.

They register with `diemcau serve`, are called where they registered, and once more by a service
that was killed and started again. Needs what `make peers` needs (root, debootstrap, baresip).
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio

from tests.peers.lab.asterisk import Asterisk, eyes, new_secret
from tests.peers.lab.config import Instance
from tests.peers.lab.endpoint import Endpoint
from tests.peers.lab.run import lab_run
from tests.support.service import Service

pytestmark = pytest.mark.asyncio(loop_scope="module")

OURS_IP, BRIDGE_IP = "127.0.15.40", "127.0.15.1"
RUN = "registrar"
ROOM = "8701"
"""The number that the registering Asterisk is called at; it opens a conference of its own."""

TRUNK = """
[auth-{user}]
type = auth
auth_type = userpass
username = {user}
password = {secret}

[reg-{user}]
type = registration
transport = udp
outbound_auth = auth-{user}
server_uri = sip:{ours}
client_uri = sip:{user}@{domain}
contact_user = {room}
expiration = 120
retry_interval = 1
auth_rejection_permanent = no
"""


@dataclass
class Lab:
    """The bridge, which also registers as `qt07`; endpoints `qt05` (UDP) and `qt06` (TCP); the service."""

    bridge: Asterisk
    udp: Endpoint
    tcp: Endpoint
    service: Service


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def lab(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Lab]:
    data: Path = tmp_path_factory.mktemp("service")
    service = Service(data / "data", OURS_IP, registrar_domains=f'["{OURS_IP}"]', redial_s="[1]", redial_steady_s="2")
    ours = f"{OURS_IP}:{service.sip_port}"
    secrets = {user: new_secret() for user in ("qt05", "qt06", "qt07")}

    def account(user: str, transport: str) -> str:
        return f"<sip:{user}@{ours};transport={transport}>;auth_user={user};auth_pass={secrets[user]};regint=60"

    trunk = TRUNK.format(user="qt07", secret=secrets["qt07"], ours=ours, domain=OURS_IP, room=ROOM)
    async with contextlib.AsyncExitStack() as after:
        after.push_async_callback(service.close)
        run = await after.enter_async_context(lab_run(RUN))
        lab = Lab(
            run.asterisk(Instance("registrar", BRIDGE_IP, [eyes()], pjsip=trunk)),
            run.endpoint("qt05", "127.0.15.5", account=account("qt05", "udp")),
            run.endpoint("qt06", "127.0.15.6", account=account("qt06", "tcp")),
            service,
        )
        await service.start()
        await service.post(
            "/bridges", name="main", family="sip", conference_address=f"sip:{{number}}@{BRIDGE_IP}:5060",
            first_number=8000, last_number=8699,
        )  # fmt: skip
        for user, secret in secrets.items():
            await service.post("/sites", code=user, name=f"Xã {user}")
            await service.post(
                "/endpoints", name=user, site=user, family="sip", control_secret=secret,
                addresses=[f"sip:{user}@{ours}"], ladder=["third-party"],
            )  # fmt: skip
        await run.start()
        yield lab


async def registered(service: Service, user: str) -> dict[str, object]:
    """The endpoint's registration, once there is one."""

    async def told() -> dict[str, object] | None:
        rows = (await service.get(f"/endpoints/{user}"))["registrations"]
        return rows[0] if rows and rows[0]["is_registered"] else None

    found: dict[str, object] = await service.until(f"{user} to register", told)
    return found


async def in_the_room(lab: Lab, run: int, *users: str) -> None:
    """All of them are in, by their own account, and sound comes and goes."""

    async def told() -> bool:
        board = {site["code"]: site for site in (await lab.service.get(f"/runs/{run}"))["sites"]}
        return all(board[user]["evidence"]["endpoint"] == "connected" for user in users)

    await lab.service.until("all to be in", told)
    for endpoint in (lab.udp, lab.tcp):
        await endpoint.until_sound()
    async with asyncio.timeout(20):
        while not await lab.bridge.manager.roster(ROOM):  # noqa: ASYNC110 - its roster tells of no event here
            await asyncio.sleep(0.1)


async def end(lab: Lab, run: int) -> None:
    await lab.service.post(f"/runs/{run}/end")
    for endpoint in (lab.udp, lab.tcp):
        await endpoint.until_calls()


@pytest.mark.rfc("3261", "10.2", "10.3")
async def test_real_devices_register_and_are_called(lab: Lab) -> None:
    agents = {}
    for user in ("qt05", "qt06", "qt07"):
        row = await registered(lab.service, user)
        agents[user] = (str(row["source"]).split()[0], str(row["product"]).split("/")[0].split()[0].lower())
    assert agents == {"qt05": ("udp", "baresip"), "qt06": ("tcp", "baresip"), "qt07": ("udp", "asterisk")}
    run = await lab.service.begin("qt05", "qt06", "qt07")
    await in_the_room(lab, run, "qt05", "qt06", "qt07")
    await end(lab, run)


async def test_a_device_that_leaves_is_told_as_not_registered(lab: Lab) -> None:
    await lab.udp.stop()  # in order: it takes its binding away

    async def gone() -> bool:
        return not (await lab.service.get("/endpoints/qt05"))["registrations"][0]["is_registered"]

    await lab.service.until("qt05 to leave", gone)
    run = await lab.service.begin("qt05")

    async def why() -> str:
        return str((await lab.service.site(run, "qt05"))["raw"])

    assert (await lab.service.until("the reason", why)).startswith("not registered since ")
    await lab.udp.start()
    await registered(lab.service, "qt05")

    async def is_in() -> bool:
        return (await lab.service.site(run, "qt05"))["evidence"]["endpoint"] == "connected"

    await lab.service.until("the next try", is_in)
    await end(lab, run)


async def test_they_are_called_by_a_service_that_was_killed_and_started_again(lab: Lab) -> None:
    before = await registered(lab.service, "qt05")
    await lab.service.kill()
    await lab.service.start()
    assert (await registered(lab.service, "qt05"))["since_at"] == before["since_at"]
    run = await lab.service.begin("qt05", "qt06", "qt07")
    await in_the_room(lab, run, "qt05", "qt06", "qt07")
    await end(lab, run)

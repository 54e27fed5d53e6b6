"""Vendor endpoints that dial into a real Asterisk: the device is a twin, its call and the bridge are real."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime

import pytest
import pytest_asyncio

from adapters import registry
from adapters.bridges.asterisk.adapter import AsteriskBridge
from adapters.causes import ClearCause, Side
from adapters.events import LegConnected, MemberJoined, MemberLeft
from adapters.hostkeys import HostKeysInMemory
from adapters.registry import Surroundings
from adapters.sip.agent import SipAgent
from adapters.values import Address, ConferenceSpec, Control, DialOptions
from adapters.virtual.codec import Codec, dialer
from adapters.virtual.console import TWINS, twin_of
from adapters.virtual.exchange import Exchange
from adapters.virtual.port import Port
from tests.peers.lab.asterisk import eyes, new_secret
from tests.peers.lab.config import Instance, Login
from tests.peers.lab.run import lab_run
from tests.support.heard import Heard
from tests.support.heard import Surroundings as BridgeSurroundings

pytestmark = pytest.mark.asyncio(loop_scope="module")

BRIDGE_IP, DEVICE_IP = "127.0.13.1", "127.0.13.31"
ROOM, LEG = "8001", "dc7f3a-1-1-1"
SECRET = "geheim-4711"
PATIENCE_S = 60.0


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def login() -> AsyncIterator[Login]:
    """The control log-in of an Asterisk that is up."""
    login = Login("diemcau", new_secret())
    async with lab_run("vendor-calls") as run:
        run.asterisk(Instance("vendor-bridge", BRIDGE_IP, [eyes(), login]))
        await run.start()
        yield login


@pytest_asyncio.fixture(loop_scope="module")
async def bridge(login: Login, heard: Heard) -> AsyncIterator[AsteriskBridge]:
    settings = {"sip_endpoint": "lan", "bridge_profile": "main", "user_profile": "guest"}
    control = Control("cầu chính", BRIDGE_IP, 5038, login.name, login.secret, settings=settings)
    bridge = AsteriskBridge(control, BridgeSurroundings(heard))  # type: ignore[arg-type]
    await bridge.open()
    await bridge.open_conference(ConferenceSpec(ROOM, "Giao ban", "tag"))
    yield bridge
    await bridge.close()


@pytest.fixture
def heard() -> Heard:
    return Heard(patience_s=PATIENCE_S)


@pytest.mark.parametrize("family", sorted(TWINS))
async def test_its_call_is_in_the_conference_under_its_own_name_until_the_console_ends_it(
    bridge: AsteriskBridge, heard: Heard, family: str
) -> None:
    async with AsyncExitStack() as stack:
        exchange = Exchange()
        port = Port(exchange, "virtual codec")
        place = await port.open(DEVICE_IP)
        stack.push_async_callback(port.close)
        codec = Codec("qt07", dialer(port, exchange, place), title="Văn phòng UBND tỉnh")
        codec.addresses = (Address("sip", "qt07", *place),)
        stack.callback(codec.close)
        twin, transport = twin_of(family, codec, SECRET, "admin")
        host, control_port = await twin.start(DEVICE_IP, 0, transport)
        stack.push_async_callback(twin.stop)
        told = Heard(patience_s=PATIENCE_S)

        async def remember(leg: str, memory: object) -> None:
            """Nobody takes over here."""

        surroundings = Surroundings(
            told, remember, lambda: datetime.now(UTC), SipAgent(DEVICE_IP), host_keys=HostKeysInMemory()
        )
        control = Control("qt07", host, control_port, "admin", SECRET, codec.addresses)
        endpoint = registry.endpoint(family, control, surroundings)
        stack.push_async_callback(endpoint.close)
        async with asyncio.timeout(PATIENCE_S):
            await endpoint.open()
            await endpoint.dial(LEG, Address("sip", ROOM, BRIDGE_IP, 5060), DialOptions("Giao ban", ring_s=30))
        await told.event(LegConnected, LEG)
        await heard.until(lambda: heard.of(MemberJoined))
        [joined] = heard.of(MemberJoined)
        assert joined.member.caller == "qt07"
        assert [member.id for member in (await bridge.snapshot(ROOM)).members] == [joined.member.id]
        await endpoint.hang_up(LEG)
        await heard.until(lambda: heard.of(MemberLeft))
        [left] = heard.of(MemberLeft)
        assert left.member.id == joined.member.id
        ended = await told.cleared(LEG)
        assert (ended.cleared.cause, ended.cleared.side) == (ClearCause.LOCAL, Side.OURS)

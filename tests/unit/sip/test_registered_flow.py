"""Who registered over a connection is called over it, also from behind a NAT, and found again when it comes back."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest

from adapters.sip.agent import SipAgent
from adapters.sip.call import Call
from adapters.sip.framing import Framer
from adapters.sip.message import Request, Response, parse, response_to
from tests.unit.sip.conftest import MakeAgent, MakeWire
from tests.unit.sip.roll import DOMAIN, KEY, MemoryRoll, Registrant, Turnable, enrol
from tests.unit.sip.wire import WAIT_S, Ear, Wire, sdp

AOR = f"sip:qt05@{DOMAIN}"
HIDDEN = "<sip:qt05@127.0.0.77:9;transport=tcp>"
"""A Contact at which nobody listens: a private address behind a NAT, as far as we can reach it."""


class Line:
    """A device's end of a TCP connection, with the hands of a `Wire`."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._framer = Framer()
        self._whole: list[bytes] = []
        name = writer.get_extra_info("sockname")
        self.address: tuple[str, int] = (name[0], name[1])

    def uri(self, user: str) -> str:
        return f"sip:{user}@{self.address[0]}:{self.address[1]};transport=tcp"

    def send(self, data: bytes, to: object = None) -> None:
        self._writer.write(data.replace(b"SIP/2.0/UDP", b"SIP/2.0/TCP"))

    async def any(self) -> tuple[Request | Response, None]:
        async with asyncio.timeout(WAIT_S):
            while not self._whole:
                data = await self._reader.read(65_536)
                assert data, "the connection was ended"
                self._whole += self._framer.feed(data)
        return parse(self._whole.pop(0)), None

    async def next(self, method: str) -> Request:
        while True:
            message, _ = await self.any()
            if isinstance(message, Request) and message.method == method:
                return message

    def reply(self, request: Request, status: int, body: bytes = b"") -> None:
        extra = [("Contact", HIDDEN), *([("Content-Type", "application/sdp")] if body else [])]
        self.send(response_to(request, status, to_tag="line", headers=extra, body=body).to_bytes())


@asynccontextmanager
async def line(agent: SipAgent) -> AsyncIterator[Line]:
    reader, writer = await asyncio.open_connection(*agent.address)
    try:
        yield Line(reader, writer)
    finally:
        writer.close()


async def register(agent: SipAgent, over: Line) -> None:
    device = Registrant(over, agent.address)  # type: ignore[arg-type]
    assert (await device.register([HIDDEN])).status == 200


async def talk(agent: SipAgent, over: Line) -> tuple[Call, Ear]:
    ear = Ear()
    call = agent.call(AOR, ear, sdp=sdp())
    invite = await over.next("INVITE")
    assert invite.uri == HIDDEN.strip("<>")
    over.reply(invite, 200, sdp())
    await over.next("ACK")
    await ear.next("answered")
    return call, ear


@pytest.fixture
def roll() -> MemoryRoll:
    return MemoryRoll(qt05="s3cret")


@pytest.mark.rfc("5626", "5.3")
@pytest.mark.rfc("5923", "8.2")
async def test_a_call_and_all_in_it_goes_over_the_standing_connection(make_agent: MakeAgent, roll: MemoryRoll) -> None:
    agent = await make_agent()
    enrol(agent, roll)
    async with line(agent) as over:
        await register(agent, over)
        assert roll.rows[AOR].source == f"tcp {over.address[0]}:{over.address[1]}"
        call, ear = await talk(agent, over)
        call.hang_up()
        over.reply(await over.next("BYE"), 200)
        await ear.next("ended")


@pytest.mark.rfc("5626", "5.3")
async def test_when_the_connection_is_gone_the_contact_is_tried(make_agent: MakeAgent, roll: MemoryRoll) -> None:
    agent = await make_agent()
    enrol(agent, roll)
    async with line(agent) as over:
        await register(agent, over)
    async with asyncio.timeout(WAIT_S):
        while agent.routes.standing("TCP", *over.address, agent.address):  # noqa: ASYNC110 - it tells of no event
            await asyncio.sleep(0.005)
    ear = Ear()
    agent.call(AOR, ear, sdp=sdp())
    status, why, answered = await ear.next("refused")
    assert (status, answered) == (408, False) and "127.0.0.77:9" in why


async def test_a_call_is_ended_over_the_connection_by_which_its_endpoint_came_back(
    make_agent: MakeAgent, roll: MemoryRoll
) -> None:
    agent = await make_agent()
    enrol(agent, roll)
    async with line(agent) as over:
        await register(agent, over)
        call, ear = await talk(agent, over)
    async with line(agent) as again:
        await register(agent, again)
        call.hang_up()
        again.reply(await again.next("BYE"), 200)
        await ear.next("ended")


async def test_another_process_takes_a_call_up_and_finds_its_endpoint(make_agent: MakeAgent, roll: MemoryRoll) -> None:
    first = await make_agent()
    enrol(first, roll)
    async with line(first) as over:
        await register(first, over)
        call, _ = await talk(first, over)
        memory = call.memory()
        await first.close()
    second = await make_agent()
    enrol(second, roll)
    async with line(second) as again:
        await register(second, again)
        ear = Ear()
        second.adopt(memory, ear).hang_up()
        again.reply(await again.next("BYE"), 200)
        await ear.next("ended")


@pytest.mark.rfc("7616", "3.3")
async def test_a_restarted_registrar_believes_no_old_nonce_and_says_so(
    make_agent: MakeAgent, make_wire: MakeWire, roll: MemoryRoll
) -> None:
    agent, wire = await make_agent(), await make_wire()
    clock = Turnable()
    enrol(agent, roll, clock)
    device = Registrant(wire, agent.address)
    assert (await device.register()).status == 200
    clock.at += timedelta(seconds=5)
    enrol(agent, roll, clock)  # as a new process has it: nothing is known of what was counted before
    again = await device.send()
    assert again.status == 401 and "stale=true" in again.headers["www-authenticate"][0]
    device.learn(again)
    assert (await device.send()).status == 200
    assert KEY.decode() not in again.get("www-authenticate")


@pytest.mark.rfc("3581", "4")
async def test_a_nat_over_udp_stays_the_way_for_the_whole_call_and_for_who_takes_it_up(
    make_agent: MakeAgent, make_wire: MakeWire, roll: MemoryRoll
) -> None:
    agent, wire = await make_agent(), await make_wire()
    enrol(agent, roll)
    hidden = "<sip:qt05@127.0.0.77:9>"
    await Registrant(wire, agent.address).register([hidden])
    call, memory = await _up(agent, wire, hidden)
    other = await make_agent()
    ear = Ear()
    other.adopt(memory, ear).hang_up()
    bye = await wire.next("BYE")
    assert bye.uri == hidden.strip("<>")
    wire.reply(bye, 200)
    await ear.next("ended")
    assert call is not None


async def _up(agent: SipAgent, wire: Wire, contact: str) -> tuple[Call, dict[str, object]]:
    ear = Ear()
    call = agent.call(AOR, ear, sdp=sdp())
    invite = await wire.next("INVITE")
    headers = [("Contact", contact), ("Content-Type", "application/sdp")]
    wire.send(response_to(invite, 200, to_tag="w", headers=headers, body=sdp()).to_bytes())
    await wire.next("ACK")
    await ear.next("answered")
    return call, call.memory()

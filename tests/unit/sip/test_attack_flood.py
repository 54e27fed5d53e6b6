"""Attacks by number: floods are answered cheaply or dropped, memory stays bounded, and real calls go on meanwhile."""

import asyncio
import gc

import pytest

from adapters.sip.call import Call
from adapters.sip.dialog import Dialog
from adapters.sip.enrolment import MOST_AT_ONCE
from adapters.sip.half_open import HalfOpen
from adapters.sip.message import Request, parse
from adapters.sip.transaction import Server
from tests.unit.sip.conftest import MakeAgent, MakeWire
from tests.unit.sip.roll import DOMAIN, MemoryRoll, Registrant, enrol
from tests.unit.sip.wire import Ear, Wire, sdp

FLOOD = 3000


def invite(number: int, host: str, to: tuple[str, int], method: str = "INVITE") -> bytes:
    return (
        f"{method} sip:a@{to[0]}:{to[1]} SIP/2.0\r\nVia: SIP/2.0/UDP {host}:9;branch=z9hG4bKflood{number}\r\n"
        f"From: <sip:x@{host}>;tag={number}\r\nTo: <sip:a@{to[0]}>\r\nCall-ID: flood-{number}\r\n"
        f"CSeq: 1 {method}\r\nContact: <sip:x@{host}:9>\r\nContent-Length: 0\r\n\r\n"
    ).encode()


def alive(kind: type) -> int:
    """How many objects of a kind there are in the process."""
    gc.collect()
    return sum(isinstance(each, kind) for each in gc.get_objects())


async def read_all(wire: Wire, to: tuple[str, int]) -> None:
    """Return when everything that was sent before has been read."""
    wire.request("OPTIONS", to)
    await wire.next(200, method="OPTIONS")


async def flood(wire: Wire, to: tuple[str, int], method: str = "INVITE") -> None:
    """Send so many, at the pace at which they are read."""
    for number in range(FLOOD):
        wire.send(invite(number, wire.address[0], to, method), to)
        if number % 200 == 199:
            await read_all(wire, to)


@pytest.mark.rfc("3261", "8.2.7", "26.1.5")
@pytest.mark.parametrize(
    "method", ["INVITE", "OPTIONS", "REGISTER", "SUBSCRIBE", "MESSAGE", "NOTIFY", "BYE", "NONSENSE"]
)
async def test_who_takes_no_calls_remembers_nothing_of_a_flood(
    make_agent: MakeAgent, make_wire: MakeWire, method: str
) -> None:
    agent, attacker = await make_agent(), await make_wire("127.0.0.9")
    before = alive(Request), alive(Server), alive(Call), alive(Dialog)
    heard, attacker.heard = attacker.heard, _Nothing()
    await flood(attacker, agent.address, method)
    attacker.heard = heard
    assert (alive(Request) - before[0] < 10, alive(Server), alive(Call), alive(Dialog)) == (True, *before[1:])
    assert (agent.transactions, len(agent)) == (0, 0)


@pytest.mark.rfc("3261", "26.1.5")
async def test_who_takes_calls_remembers_a_bounded_number_of_them(make_agent: MakeAgent, make_wire: MakeWire) -> None:
    bounds = HalfOpen(of_one=100, altogether=150)
    agent = await make_agent(on_invite=lambda call: call.ring(), half_open=bounds)
    first, second = await make_wire("127.0.0.8"), await make_wire("127.0.0.9")
    for attacker in (first, second):
        attacker.heard = _Nothing()
        await flood(attacker, agent.address)
    assert (len(agent), agent.transactions) == (150, 150)
    told = first.request("INVITE", agent.address)
    assert (await first.next(503)).call_id == told.call_id


async def test_one_flooder_does_not_take_the_places_of_others(make_agent: MakeAgent, make_wire: MakeWire) -> None:
    bounds = HalfOpen(of_one=50, altogether=150)
    agent = await make_agent(on_invite=lambda call: call.answer(sdp()), half_open=bounds)
    attacker, honest = await make_wire("127.0.0.9"), await make_wire()
    attacker.heard = _Nothing()
    await flood(attacker, agent.address)
    honest.request("INVITE", agent.address, body=sdp())
    assert (await honest.next(200, method="INVITE")).sdp == sdp()


async def test_a_place_is_free_again_with_the_ack_and_with_the_end(make_agent: MakeAgent, make_wire: MakeWire) -> None:
    agent = await make_agent(on_invite=lambda call: call.answer(sdp()), half_open=HalfOpen(of_one=1, altogether=1))
    wire = await make_wire()
    for _ in range(3):
        request = wire.request("INVITE", agent.address, body=sdp())
        accepted = await wire.next(200, method="INVITE")
        wire.request("INVITE", agent.address)
        await wire.next(503)
        wire.request("ACK", agent.address, call_id=request.call_id, to_tag=accepted.to_tag, from_tag=request.from_tag)
        await read_all(wire, agent.address)
    assert len(agent) == 3
    agent.on_invite = lambda call: call.refuse(486)
    wire.request("INVITE", agent.address)
    refused = await wire.next(486)
    assert refused is not None  # never acknowledged: its place is free when it is given up
    async with asyncio.timeout(10):
        while True:
            wire.request("INVITE", agent.address)
            answer, _ = await wire.any()
            if getattr(answer, "status", 0) == 486 and answer.call_id != refused.call_id:
                break


async def test_a_call_of_ours_comes_about_during_a_flood(make_agent: MakeAgent, make_wire: MakeWire) -> None:
    agent, attacker = await make_agent(), await make_wire("127.0.0.9")
    peer = await make_agent(on_invite=lambda call: call.answer(sdp()))
    attacker.heard = _Nothing()
    flooding = asyncio.create_task(flood(attacker, agent.address))
    for _ in range(20):
        ear = Ear()
        call = agent.call(f"sip:room@{peer.address[0]}:{peer.address[1]}", ear, sdp=sdp())
        await ear.next("answered")
        call.hang_up()
        await ear.next("ended")
    await flooding
    assert len(agent) == 0


@pytest.mark.rfc("3261", "26.1.5")
async def test_a_flood_of_registers_asks_nobody_and_keeps_nothing(make_agent: MakeAgent, make_wire: MakeWire) -> None:
    agent, attacker, wire = await make_agent(), await make_wire("127.0.0.9"), await make_wire()
    roll = MemoryRoll(qt05="s3cret")
    registrar = enrol(agent, roll)
    attacker.heard = _Nothing()
    for number in range(FLOOD):
        text = invite(number, "127.0.0.9", agent.address, "REGISTER").decode()
        text = text.replace(f"To: <sip:a@{agent.address[0]}>", f"To: <sip:u{number}@{DOMAIN}>")
        if number % 2:
            made_up = f'Digest username="u", realm="{DOMAIN}", nonce="{number}", uri="sip:x", response="0", qop=auth'
            text = text.replace("Contact", f'Authorization: {made_up}, nc=00000001, cnonce="c"\r\nContact')
        attacker.send(text.encode(), agent.address)
        if number % 200 == 199:
            await read_all(attacker, agent.address)
    assert (roll.asked, agent.transactions, len(registrar._nonces), len(registrar._tries)) == (0, 0, 0, 0)
    assert len(registrar._offered) <= 10_000
    assert (await Registrant(wire, agent.address).register()).status == 200


async def test_so_many_registrations_wait_for_the_database_and_no_more(
    make_agent: MakeAgent, make_wire: MakeWire
) -> None:
    agent, wire = await make_agent(), await make_wire()
    roll = MemoryRoll(qt05="s3cret")
    enrol(agent, roll)
    device = Registrant(wire, agent.address)
    device.learn(await device.send())
    roll.gate = asyncio.Event()
    waiting = []
    for _ in range(MOST_AT_ONCE):
        waiting.append(asyncio.create_task(device.send()))
        await asyncio.sleep(0)
    async with asyncio.timeout(10):
        while roll.asked < MOST_AT_ONCE:  # noqa: ASYNC110 - a roll tells of no event
            await asyncio.sleep(0.005)
    for task in waiting:
        task.cancel()
    late = await device.send()
    assert (late.status, late.get("retry-after")) == (503, "5")
    roll.gate.set()


class _Nothing(list[object]):
    """Keeps nothing of what a flood is answered."""

    def append(self, _message: object) -> None:
        return


def test_the_flood_is_made_of_good_requests() -> None:
    for method in ("INVITE", "REGISTER", "NONSENSE"):
        assert parse(invite(1, "127.0.0.9", ("127.0.0.1", 5060), method)).cseq_method == method

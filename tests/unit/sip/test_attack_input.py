"""Attacks by bytes, on UDP and TCP: whatever comes, the sockets live on and good messages are answered."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest

from adapters.sip.agent import SipAgent
from adapters.sip.framing import Framer
from adapters.sip.message import MAX_BODY, MAX_HEAD, MAX_LINES, MAX_VIAS, Malformed
from adapters.sip.stream import Terms
from tests.unit.sip.conftest import MakeAgent, MakeWire
from tests.unit.sip.wire import Wire

pytestmark = pytest.mark.echoes  # what is quoted back in a 400 is as bad as what came
WAIT_S = 10.0


def options(number: int = 1, *, extra: str = "", via: str = "", length: str = "Content-Length: 0\r\n") -> bytes:
    return (
        f"OPTIONS sip:a@127.0.0.1 SIP/2.0\r\n{via}Via: SIP/2.0/UDP 127.0.0.1:9;branch=z9hG4bKo{number};rport\r\n"
        f"From: <sip:x@127.0.0.1>;tag={number}\r\nTo: <sip:a@127.0.0.1>\r\nCall-ID: o-{number}\r\nCSeq: 1 OPTIONS\r\n"
        f"{extra}{length}\r\n"
    ).encode()


GOOD = options()
ATTACKS: dict[str, bytes] = {
    "nothing but line ends": b"\r\n" * 20_000,
    "nothing but blanks": b" " * 40_000,
    "nothing but zeros": bytes(40_000),
    "every byte": bytes(range(256)) * 200,
    "noise": random.Random(3261).randbytes(60_000),
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500),
    "HTTP": b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "a start line without end": b"OPTIONS sip:" + b"a" * 60_000,
    "a head without end": GOOD[:-2] + b"X: y\r\n" * 9000,
    "a huge header": options(extra=f"X: {'y' * 60_000}\r\n"),
    "many headers": options(extra="X: y\r\n" * 9000),
    "many folds": options(extra="X: y\r\n" + " z\r\n" * 9000),
    "many Vias in lines": options(via="Via: SIP/2.0/UDP h;branch=z9hG4bKv\r\n" * 300),
    "many Vias in a line": options(via=f"Via: {', '.join(['SIP/2.0/UDP h;branch=z9hG4bKv'] * 1000)}\r\n"),
    "many Routes": options(extra="Route: <sip:h;lr>\r\n" * 300),
    "many Contacts in a line": options(extra=f"Contact: {', '.join(['<sip:a@h>'] * 3000)}\r\n"),
    "blanks in the Via": options(via=f"Via: SIP/2.0/UDP h{' ' * 30_000}x\r\n"),
    "colons in the Via": options(via=f"Via: SIP/2.0/UDP h{' :' * 15_000}\r\n"),
    "quotes without end": options(extra=f'Contact: {chr(34) * 29_999}\r\n'),
    "a length that is none": options(length="Content-Length: many\r\n"),
    "a length below zero": options(length="Content-Length: -1\r\n"),
    "two lengths": options(length="Content-Length: 0\r\nContent-Length: 7\r\n"),
    "a length of more digits than there are bytes": options(length=f"Content-Length: {'9' * 5000}\r\n"),
    "a length beyond any body": options(length=f"Content-Length: {MAX_BODY + 1}\r\n"),
    "a length in other digits": options(length="Content-Length: \u0661\r\n"),
    "a CSeq of any size": GOOD.replace(b"CSeq: 1", b"CSeq: " + b"9" * 20_000),
    "a URI of any size": GOOD.replace(b"sip:a@127.0.0.1 ", b"sip:" + b"a" * 30_000 + b"@h "),
    "a status of any size": b"SIP/2.0 " + b"2" * 30_000 + b" OK\r\n\r\n",
    "signatures": options(extra="Authorization: Digest " + 'a="b",' * 4000 + "\r\n").replace(b"OPTIONS", b"REGISTER"),
}  # fmt: skip


@pytest.mark.rfc("3261", "26.1.5")
@pytest.mark.parametrize("name", ATTACKS)
async def test_a_datagram_does_no_harm(make_agent: MakeAgent, make_wire: MakeWire, name: str) -> None:
    agent, wire = await make_agent(), await make_wire()
    attack = ATTACKS[name]
    for piece in (attack[:65_000], attack[:1400], attack[: len(attack) // 2][:65_000]):
        wire.send(piece, agent.address)
    wire.request("OPTIONS", agent.address, call_id="good")
    async with asyncio.timeout(WAIT_S):
        while (await wire.next(200, method="OPTIONS")).call_id != "good":
            pass
    assert (agent.transactions, len(agent)) == (0, 0)


async def test_a_datagram_cut_anywhere_does_no_harm(make_agent: MakeAgent, make_wire: MakeWire) -> None:
    agent, wire = await make_agent(on_invite=lambda call: call.refuse(486)), await make_wire()
    whole = options(extra="Contact: <sip:x@127.0.0.1>\r\n").replace(b"OPTIONS", b"INVITE")
    for end in range(len(whole)):
        wire.send(whole[:end], agent.address)
    wire.request("OPTIONS", agent.address, call_id="good")
    async with asyncio.timeout(WAIT_S):
        while (await wire.next(200)).call_id != "good":
            pass
    assert len(agent) == 0


@asynccontextmanager
async def stream(agent: SipAgent) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection(*agent.address)
    try:
        yield reader, writer
    finally:
        writer.close()


async def answered(agent: SipAgent, number: int = 1) -> bool:
    """Whether a good request on a connection of its own is answered."""
    async with asyncio.timeout(WAIT_S), stream(agent) as (reader, writer):
        writer.write(options(number))
        return (await reader.readuntil(b"\r\n")).startswith(b"SIP/2.0 200")


@pytest.mark.parametrize("name", ATTACKS)
async def test_a_stream_does_no_harm(make_agent: MakeAgent, name: str) -> None:
    agent = await make_agent()
    async with stream(agent) as (_, writer):
        writer.write(ATTACKS[name])
        with suppress(ConnectionError):
            await writer.drain()
        assert await answered(agent)
    assert (agent.transactions, len(agent)) == (0, 0)


@pytest.mark.rfc("3261", "18.3")
@pytest.mark.parametrize(
    "name",
    [
        "nothing but blanks", "nothing but zeros", "noise", "TLS", "HTTP", "a start line without end",
        "a head without end", "a length that is none", "a length beyond any body", "two lengths",
    ],
)  # fmt: skip
async def test_a_stream_that_cannot_be_trusted_is_ended(make_agent: MakeAgent, name: str) -> None:
    agent = await make_agent(terms=Terms(message_s=0.3))
    async with stream(agent) as (reader, writer), asyncio.timeout(WAIT_S):
        writer.write(ATTACKS[name])
        await _ended(reader)


async def test_a_stream_that_drips_is_ended_when_its_message_takes_too_long(make_agent: MakeAgent) -> None:
    agent = await make_agent(terms=Terms(message_s=0.3))
    async with stream(agent) as (reader, writer), asyncio.timeout(WAIT_S):
        ended = asyncio.create_task(_ended(reader))
        for byte in GOOD * 100:
            writer.write(bytes([byte]))
            await asyncio.wait([ended], timeout=0.01)
            if ended.done():
                break
        await ended
    assert await answered(agent)


async def test_a_good_message_that_drips_in_time_is_answered(make_agent: MakeAgent) -> None:
    agent = await make_agent()
    async with stream(agent) as (reader, writer), asyncio.timeout(WAIT_S):
        for byte in GOOD:
            writer.write(bytes([byte]))
            await writer.drain()
        assert (await reader.readuntil(b"\r\n")).startswith(b"SIP/2.0 200")


async def test_connections_that_say_nothing_are_few_and_soon_ended(make_agent: MakeAgent) -> None:
    agent = await make_agent(terms=Terms(message_s=1.0, strangers=10))
    silent = [await asyncio.open_connection(*agent.address) for _ in range(30)]
    try:
        async with asyncio.timeout(WAIT_S):
            for reader, _ in silent[10:]:
                await _ended(reader)  # too many: ended at once
            assert len(agent.routes.at(agent.address).tcp) <= 10
            for reader, _ in silent[:10]:
                await _ended(reader)  # and the others when they have said nothing for too long
        assert await answered(agent)
    finally:
        for _, writer in silent:
            writer.close()


async def _ended(reader: asyncio.StreamReader) -> None:
    """Return when the other side has ended the connection, however it did; what it said is not looked at."""
    with suppress(ConnectionError):
        await reader.read()


async def test_who_reads_no_answers_is_given_up(make_agent: MakeAgent) -> None:
    agent = await make_agent()
    _, writer = await asyncio.open_connection(*agent.address, limit=1)
    writer.transport.pause_reading()  # type: ignore[attr-defined]
    burst = b"".join(options(number, extra=f"X: {'y' * 4000}\r\n") for number in range(50))
    try:
        async with asyncio.timeout(60):
            with suppress(ConnectionError):
                while not writer.is_closing():
                    writer.write(burst)
                    await writer.drain()
    finally:
        writer.close()
    assert await answered(agent) and not len(agent.routes.at(agent.address).tcp) > 1


@pytest.mark.rfc("3261", "18.3")
@pytest.mark.parametrize("pieces", [1, 7])
def test_the_framer_keeps_no_more_than_one_message_may_have(pieces: int) -> None:
    framer = Framer()
    size = (MAX_HEAD + MAX_BODY) // pieces
    with pytest.raises(Malformed):
        for _ in range(3 * pieces):
            framer.feed(b"X" * size)
    assert len(framer._buffer) <= MAX_HEAD + size


def test_the_bounds_are_what_the_page_says() -> None:
    assert (MAX_HEAD, MAX_LINES, MAX_BODY, MAX_VIAS) == (32_768, 256, 262_144, 100)


async def test_a_burst_of_the_dearest_messages_is_survived(make_agent: MakeAgent, make_wire: MakeWire) -> None:
    agent, attacker, wire = await make_agent(), await make_wire("127.0.0.9"), await make_wire()
    dear = [data for data in ATTACKS.values() if 20_000 < len(data) < 65_000]
    for _ in range(10):
        for data in dear:
            attacker.send(data, agent.address)
    assert await _asks(wire, agent)


async def _asks(wire: Wire, agent: SipAgent) -> bool:
    wire.request("OPTIONS", agent.address, call_id="good")
    return bool((await wire.next(200)).call_id == "good")

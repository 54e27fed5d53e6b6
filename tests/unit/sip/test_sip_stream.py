"""Connections: kept alive (RFC 5626 sections 3.5.1, 4.4.1), used again (RFC 5923), and bounded."""

import asyncio

import pytest

from adapters.sip.call import Call
from adapters.sip.framing import Framer
from adapters.sip.stream import Streams, Terms
from adapters.sip.transport import PING, PONG
from tests.unit.sip.conftest import MakeAgent
from tests.unit.sip.stage import until
from tests.unit.sip.wire import WAIT_S, Ear, sdp

SOON = Terms(ping_s=(0.05, 0.08), pong_s=0.3, message_s=0.3)
WHOLE = (
    b"OPTIONS sip:x@h SIP/2.0\r\nVia: SIP/2.0/TCP 127.0.0.1:9;branch=z9hG4bK1\r\nFrom: <sip:a@h>;tag=1\r\n"
    b"To: <sip:x@h>\r\nCall-ID: 1\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
)


class Peer:
    """Takes TCP connections and keeps them."""

    def __init__(self) -> None:
        self.taken: asyncio.Queue[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = asyncio.Queue()

    async def __aenter__(self) -> "Peer":
        self._server = await asyncio.start_server(lambda *both: self.taken.put_nowait(both), "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()

    async def next(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.wait_for(self.taken.get(), WAIT_S)


async def ended(reader: asyncio.StreamReader) -> bytes:
    """What still came before the other side closed."""
    try:
        return await asyncio.wait_for(reader.read(), WAIT_S)
    except ConnectionError:
        return b""


@pytest.mark.rfc("5626", "3.5.1", "4.4.1")
async def test_what_answered_pings_and_stops_answering_is_dropped(make_agent: MakeAgent) -> None:
    async with Peer() as peer:
        agent, ear = await make_agent(terms=SOON), Ear()
        agent.call(f"sip:x@127.0.0.1:{peer.port};transport=tcp", ear, sdp=sdp(), ring_s=60)
        reader, writer = await peer.next()
        async with asyncio.timeout(WAIT_S):
            await reader.readuntil(sdp())
            for _ in range(2):
                await reader.readexactly(len(PING))
                writer.write(PONG)
        # and no more of them: the INVITE that waits on this connection fails at once, not after 64*T1
        _, reason, heard = await ear.next("refused")
        assert reason == f"TCP to 127.0.0.1:{peer.port}: the peer answers no ping any more"
        assert not heard
        await ended(reader)


@pytest.mark.rfc("5626", "4.4.1")
async def test_what_never_answers_pings_keeps_its_connection(make_agent: MakeAgent) -> None:
    async with Peer() as peer:
        agent = await make_agent(terms=SOON)
        flow = agent.routes.at(agent.address).tcp.connect("127.0.0.1", peer.port)
        reader, _ = await peer.next()
        async with asyncio.timeout(WAIT_S):
            await reader.readexactly(3 * len(PING))
        assert not flow.closed


@pytest.mark.rfc("5626", "3.5.1")
async def test_a_connection_of_ours_that_nobody_uses_is_closed(make_agent: MakeAgent) -> None:
    async with Peer() as peer:
        agent = await make_agent(terms=Terms(ping_s=(0.05, 0.08), pong_s=0.05, idle_s=0.2))
        agent.routes.at(agent.address).tcp.connect("127.0.0.1", peer.port)
        reader, _ = await peer.next()
        assert set(await ended(reader)) == set(PING)
        await until(lambda: not len(agent.routes.at(agent.address).tcp))


@pytest.mark.rfc("5626", "3.5.1")
async def test_a_pong_is_not_taken_for_half_a_ping_nor_a_ping_for_a_pong() -> None:
    framer = Framer()
    assert framer.feed(PONG) == []
    assert framer.take_pong()
    assert framer.feed(PONG) == []
    assert not framer.pings
    assert framer.feed(PONG) == []
    assert framer.pings == 1
    assert not framer.take_pong()


@pytest.mark.rfc("3261", "18.3")
@pytest.mark.parametrize("stranger", [b"", b"OPTIONS sip:x@h SIP/2.0\r\n", WHOLE + b"OPTIONS si", b"\r\n"])
async def test_a_message_that_never_gets_whole_ends_the_connection(make_agent: MakeAgent, stranger: bytes) -> None:
    agent = await make_agent(terms=SOON)
    reader, writer = await asyncio.open_connection(*agent.address)
    writer.write(stranger)
    told = await ended(reader)
    assert told.startswith(b"SIP/2.0 200") is (WHOLE in stranger)
    await until(lambda: not len(agent.routes.at(agent.address).tcp))
    writer.close()


async def test_a_slow_drip_does_not_buy_time(make_agent: MakeAgent) -> None:
    agent = await make_agent(terms=SOON)
    reader, writer = await asyncio.open_connection(*agent.address)
    gone = asyncio.ensure_future(ended(reader))
    async with asyncio.timeout(WAIT_S):
        while not gone.done():
            writer.write(b"x")
            await asyncio.wait([gone], timeout=0.02)
    writer.close()


async def test_who_has_sent_a_whole_message_may_be_silent(make_agent: MakeAgent) -> None:
    agent = await make_agent(terms=SOON)
    readers = [await asyncio.open_connection(*agent.address) for _ in range(2)]
    readers[0][1].write(WHOLE)
    await asyncio.wait_for(readers[0][0].readuntil(b"\r\n\r\n"), WAIT_S)
    await ended(readers[1][0])  # the one that came later and said nothing is gone
    readers[0][1].write(WHOLE.replace(b"bK1", b"bK2"))
    assert (await asyncio.wait_for(readers[0][0].readline(), WAIT_S)).startswith(b"SIP/2.0 200")
    for _, writer in readers:
        writer.close()


async def test_one_source_cannot_take_all_connections(make_agent: MakeAgent) -> None:
    agent = await make_agent(terms=Terms(strangers=5, of_one_host=8))
    tcp: Streams = agent.routes.at(agent.address).tcp
    strangers = [await asyncio.open_connection(*agent.address) for _ in range(9)]
    await until(lambda: tcp.refused == 4)
    assert len(tcp) == 5
    for number, (reader, writer) in enumerate(strangers[:5]):
        writer.write(WHOLE.replace(b"bK1", b"bK%d" % number))
        await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), WAIT_S)
    strangers += [await asyncio.open_connection(*agent.address) for _ in range(9)]
    await until(lambda: tcp.refused == 4 + 6)
    assert len(tcp) == 8
    # another source is not concerned
    reader, writer = await asyncio.open_connection(*agent.address, local_addr=("127.0.0.9", 0))
    writer.write(WHOLE)
    assert (await asyncio.wait_for(reader.readline(), WAIT_S)).startswith(b"SIP/2.0 200")
    strangers.append((reader, writer))
    for _, writer in strangers:
        writer.close()
    await until(lambda: not len(tcp))
    assert not tcp._hosts
    assert not tcp._strangers


@pytest.mark.rfc("5923", "8.1")
async def test_who_connected_to_us_is_called_over_its_connection_while_it_stands(make_agent: MakeAgent) -> None:
    agent, ear = await make_agent(), Ear()
    reader, writer = await asyncio.open_connection(*agent.address)
    writer.write(WHOLE)
    await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), WAIT_S)
    host, port = writer.get_extra_info("sockname")
    assert agent.routes.standing("TCP", host, port, agent.address) is not None
    to = f"sip:room@{host}:{port};transport=tcp"
    agent.call(to, ear, sdp=sdp())
    line = await asyncio.wait_for(reader.readline(), WAIT_S)
    assert line == f"INVITE {to} SIP/2.0\r\n".encode()
    writer.close()
    await ear.next("refused")
    assert agent.routes.standing("TCP", host, port, agent.address) is None


@pytest.mark.rfc("3261", "18.2.2")
async def test_an_answer_whose_connection_broke_goes_over_a_new_one(make_agent: MakeAgent) -> None:
    calls: asyncio.Queue[Call] = asyncio.Queue()
    agent = await make_agent(on_invite=calls.put_nowait)
    async with Peer() as peer:
        _, writer = await asyncio.open_connection(*agent.address)
        invite = (
            f"INVITE sip:x@h SIP/2.0\r\nVia: SIP/2.0/TCP 192.168.77.10:{peer.port};branch=z9hG4bK2\r\n"
            f"From: <sip:a@h>;tag=1\r\nTo: <sip:x@h>\r\nCall-ID: 2\r\nCSeq: 1 INVITE\r\n"
            f"Contact: <sip:a@127.0.0.1:{peer.port};transport=tcp>\r\nContent-Length: 0\r\n\r\n"
        )
        writer.write(invite.encode())
        call = await asyncio.wait_for(calls.get(), WAIT_S)
        tcp = agent.routes.at(agent.address).tcp
        writer.close()
        await until(lambda: not len(tcp))
        call.answer(sdp())
        reader, back = await peer.next()
        assert await asyncio.wait_for(reader.readline(), WAIT_S) == b"SIP/2.0 200 OK\r\n"
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), WAIT_S)
        assert b"branch=z9hG4bK2" in head
        back.close()


@pytest.mark.rfc("5626", "3.5")
async def test_a_udp_flow_keeps_a_nat_open(make_agent: MakeAgent) -> None:
    agent = await make_agent()
    heard: asyncio.Queue[bytes] = asyncio.Queue()

    class Device(asyncio.DatagramProtocol):
        def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
            heard.put_nowait(data)

    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(Device, local_addr=("127.0.0.1", 0))
    host, port = transport.get_extra_info("sockname")
    flow = agent.routes.standing("UDP", host, port, agent.address)
    assert flow is not None
    flow.ping()
    assert await asyncio.wait_for(heard.get(), WAIT_S) == PING
    transport.close()

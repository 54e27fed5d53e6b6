"""Calls to us and whatever else comes to the socket, over UDP and TCP (RFC 3261 sections 8.2, 9.2, 13.3, 18)."""

import asyncio
import random
from typing import Any

import pytest

from adapters.sip.call import Call
from adapters.sip.listener import CallState, Ending
from adapters.sip.message import Request, Response, parse
from adapters.sip.udp import UdpFlow
from tests.unit.sip.conftest import MakeAgent, MakeWire
from tests.unit.sip.wire import WAIT_S, Ear, sdp


class Reception:
    """Takes every call with one listener; what it does with it is up to the test."""

    def __init__(self) -> None:
        self.ear = Ear()
        self._calls: asyncio.Queue[Call] = asyncio.Queue()

    def take(self, call: Call) -> None:
        call.listener = self.ear
        self._calls.put_nowait(call)

    async def call(self) -> Call:
        return await asyncio.wait_for(self._calls.get(), WAIT_S)


def inside(peer: Any, to: tuple[str, int], invite: Request, answer: Response, method: str, cseq: int) -> Request:
    request: Request = peer.request(
        method, to, call_id=invite.call_id, from_tag=invite.from_tag, to_tag=answer.to_tag, cseq=cseq
    )
    return request


@pytest.mark.rfc("3261", "13.3.1.1", "13.3.1.4", "15.1.2")
async def test_a_call_comes_in_rings_is_answered_and_ended_by_the_caller(
    make_agent: MakeAgent, make_wire: MakeWire
) -> None:
    desk = Reception()
    agent, peer = await make_agent(on_invite=desk.take), await make_wire()
    invite = peer.request("INVITE", agent.address, user="qt01", body=sdp())
    await peer.next(100)
    call = await desk.call()
    assert (call.to_user, call.from_user, call.offer_sdp) == ("qt01", "peer", sdp())
    call.ring()
    ringing = await peer.next(180)
    call.answer(sdp(port=4100), headers=[("X-Room", "1")])
    answer = await peer.next(200)
    assert answer.to_tag == ringing.to_tag
    assert answer.sdp == sdp(port=4100)
    assert answer.get("x-room") == "1"
    assert answer.get("contact") == f"<sip:qt01@127.0.0.1:{agent.address[1]}>"
    inside(peer, agent.address, invite, answer, "ACK", 1)
    assert await desk.ear.next("confirmed") == b""
    inside(peer, agent.address, invite, answer, "BYE", 2)
    await peer.next(200, method="BYE")
    assert await desk.ear.next("ended") is Ending.BYE
    assert len(agent) == 0


@pytest.mark.rfc("3261", "13.3.1.4")
async def test_a_lost_200_is_repeated_until_the_ack(make_agent: MakeAgent, make_wire: MakeWire) -> None:
    desk = Reception()
    agent, peer = await make_agent(on_invite=desk.take), await make_wire()
    invite = peer.request("INVITE", agent.address)
    (await desk.call()).answer(sdp())
    first, second = await peer.next(200), await peer.next(200)
    assert first.to_bytes() == second.to_bytes()
    ack = inside(peer, agent.address, invite, second, "ACK", 1)
    await desk.ear.next("confirmed")
    peer.send(ack.to_bytes(), agent.address)
    peer.request("OPTIONS", agent.address)
    await peer.next(200, method="OPTIONS")
    assert desk.ear.words == ["confirmed"]


@pytest.mark.rfc("3261", "13.3.1.4")
async def test_an_answer_that_nobody_acknowledges_is_ended(make_agent: MakeAgent, make_wire: MakeWire) -> None:
    desk = Reception()
    agent, peer = await make_agent(on_invite=desk.take), await make_wire()
    peer.request("INVITE", agent.address)
    (await desk.call()).answer(sdp())
    peer.reply(await peer.next("BYE"), 200)
    assert await desk.ear.next("ended") is Ending.LOST
    assert len(agent) == 0


@pytest.mark.rfc("3261", "15")
async def test_hanging_up_before_the_ack_waits_for_it(make_agent: MakeAgent, make_wire: MakeWire) -> None:
    desk = Reception()
    agent, peer = await make_agent(on_invite=desk.take), await make_wire()
    invite = peer.request("INVITE", agent.address)
    call = await desk.call()
    call.answer(sdp())
    answer = await peer.next(200)
    call.hang_up()
    await peer.next(200)
    assert not any(isinstance(message, Request) for message in peer.heard)
    inside(peer, agent.address, invite, answer, "ACK", 1)
    peer.reply(await peer.next("BYE"), 200)
    assert await desk.ear.next("ended") is Ending.LOCAL


@pytest.mark.rfc("3261", "13.3.1.3", "17.2.1")
async def test_a_refusal_is_repeated_until_its_ack(make_agent: MakeAgent, make_wire: MakeWire) -> None:
    desk = Reception()
    agent, peer = await make_agent(on_invite=desk.take), await make_wire()
    invite = peer.request("INVITE", agent.address, branch="z9hG4bKrefused")
    (await desk.call()).refuse(486, "Đang họp")
    refusal = await peer.next(486)
    assert refusal.reason == "Đang họp"
    await peer.next(486)
    peer.request("ACK", agent.address, call_id=invite.call_id, to_tag=refusal.to_tag, cseq=1, branch="z9hG4bKrefused")
    peer.request("OPTIONS", agent.address)
    await peer.next(200)
    assert desk.ear.words == []
    assert len(agent) == 0


@pytest.mark.rfc("3261", "9.2")
async def test_the_caller_gives_up(make_agent: MakeAgent, make_wire: MakeWire) -> None:
    desk = Reception()
    agent, peer = await make_agent(on_invite=desk.take), await make_wire()
    invite = peer.request("INVITE", agent.address, branch="z9hG4bKgiven-up")
    call = await desk.call()
    call.ring()
    await peer.next(180)
    peer.request("CANCEL", agent.address, call_id=invite.call_id, branch="z9hG4bKgiven-up")
    await peer.next(200, method="CANCEL")
    await peer.next(487, method="INVITE")
    assert await desk.ear.next("ended") is Ending.CANCEL
    call.answer(sdp())
    assert call.state is CallState.ENDED
    peer.request("CANCEL", agent.address, call_id="unknown")
    await peer.next(481, method="CANCEL")


@pytest.mark.rfc("3261", "17.2.3")
async def test_a_repeated_invite_is_one_call(make_agent: MakeAgent, make_wire: MakeWire) -> None:
    desk = Reception()
    agent, peer = await make_agent(on_invite=desk.take), await make_wire()
    invite = peer.request("INVITE", agent.address)
    call = await desk.call()
    call.ring()
    peer.send(invite.to_bytes(), agent.address)
    await peer.next(180)
    await peer.next(180)
    assert len(agent) == 1


@pytest.mark.rfc("3261", "8.2.2.3")
async def test_what_the_caller_requires_and_we_lack_is_refused_by_name(
    make_agent: MakeAgent, make_wire: MakeWire
) -> None:
    desk = Reception()
    agent, peer = await make_agent(on_invite=desk.take), await make_wire()
    peer.request("INVITE", agent.address, headers=[("Require", "100rel, x-y")])
    assert (await peer.next(420)).get("unsupported") == "100rel, x-y"
    assert len(agent) == 0


@pytest.mark.rfc("3261", "8.2.1", "8.2.2.1", "8.2.7", "11.2")
async def test_an_agent_that_takes_no_calls_says_so_without_keeping_state(
    make_agent: MakeAgent, make_wire: MakeWire
) -> None:
    agent, peer = await make_agent(), await make_wire()
    for method, status in (
        ("INVITE", 404),
        ("BYE", 481),
        ("NOTIFY", 481),
        ("REGISTER", 405),
        ("SUBSCRIBE", 405),
        ("OPTIONS", 200),
    ):
        peer.request(method, agent.address)
        answer = await peer.next(status, method=method)
        assert answer.to_tag
        if status in (200, 405):
            assert "INVITE" in answer.get("allow")
    assert agent.transactions == 0


@pytest.mark.rfc("3261", "12.2.2")
async def test_requests_inside_calls_nobody_knows(make_agent: MakeAgent, make_wire: MakeWire) -> None:
    desk = Reception()
    agent, peer = await make_agent(on_invite=desk.take), await make_wire()
    for method in ("BYE", "INFO", "INVITE", "OPTIONS", "UPDATE"):
        peer.request(method, agent.address, to_tag="gone", cseq=3)
        await peer.next(481, method=method)
    peer.request("ACK", agent.address, to_tag="gone", cseq=3)
    assert (len(agent), agent.transactions) == (0, 0)


# -- what no message is -----------------------------------------------------------------------


@pytest.mark.echoes
async def test_no_noise_stops_the_socket(make_agent: MakeAgent, make_wire: MakeWire) -> None:
    agent, peer = await make_agent(on_invite=lambda call: None), await make_wire()
    chance = random.Random(1)
    whole = parse(peer.request("OPTIONS", agent.address).to_bytes()).to_bytes()
    for _ in range(300):
        raw = bytearray(whole)
        for _ in range(chance.randrange(1, 6)):
            raw[chance.randrange(len(raw))] = chance.randrange(256)
        peer.send(bytes(raw[: chance.randrange(len(raw))]), agent.address)
    for noise in (b"", b"\r\n\r\n", b"\0", b"\xff" * 60_000, b"OPTIONS", b"SIP/2.0 200 OK\r\n\r\n"):
        peer.send(noise, agent.address)
    peer.request("OPTIONS", agent.address, call_id="after-the-noise")
    while (await peer.next(200, method="OPTIONS")).call_id != "after-the-noise":
        pass
    assert agent.unread > 100


@pytest.mark.rfc("3261", "8.1.1", "18.3", "21.4.1")
@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"Content-Length: 0", b"Content-Length: 700"),
        (b"Content-Length: 0", b"Content-Length: -1"),
        (b"CSeq: 1 OPTIONS", b"CSeq: 1 INVITE"),
        (b"Max-Forwards: 70", b"Max-Forwards 70"),
        (b"Max-Forwards", b"To: <sip:second@h>\r\nMax-Forwards"),
    ],
)
async def test_a_request_that_cannot_be_believed_gets_a_400_that_says_why(
    make_agent: MakeAgent, make_wire: MakeWire, old: bytes, new: bytes
) -> None:
    agent, peer = await make_agent(), await make_wire()
    raw = peer.request("OPTIONS", agent.address).to_bytes()
    await peer.next(200)
    assert old in raw
    peer.send(raw.replace(old, new), agent.address)
    assert "Bad Request: " in (await peer.next(400)).reason


@pytest.mark.rfc("3261", "18.2.1", "18.2.2")
@pytest.mark.rfc("3581", "4")
async def test_the_way_back_is_the_way_it_came(make_agent: MakeAgent, make_wire: MakeWire) -> None:
    agent, peer = await make_agent(), await make_wire()
    raw = peer.request("OPTIONS", agent.address).to_bytes()
    await peer.next(200)
    port = str(peer.address[1]).encode()
    peer.send(raw.replace(b"UDP 127.0.0.1:" + port, b"UDP codec.invalid"), agent.address)
    answer = await peer.next(200)
    assert f";rport={port.decode()};received=127.0.0.1" in answer.get("via")
    peer.send(raw.replace(b";rport", b""), agent.address)
    assert "received" not in (await peer.next(200)).get("via")
    peer.send(
        raw.replace(b"Via: ", b"Via: SIP/2.0/UDP 127.0.0.1:" + port + b";branch=z9hG4bKtop;rport, "), agent.address
    )
    answer = await peer.next(200)
    assert len(answer.listed("via")) == 2
    assert answer.branch == "z9hG4bKtop"


async def test_a_listener_that_fails_stops_nobody(make_agent: MakeAgent, make_wire: MakeWire) -> None:
    def fail(call: Call) -> None:
        raise RuntimeError("a bug of the owner's")

    agent, peer = await make_agent(on_invite=fail), await make_wire()
    peer.request("INVITE", agent.address)
    await peer.next(100)
    peer.request("OPTIONS", agent.address)
    await peer.next(200)


async def test_a_deaf_agent_hears_nothing(make_agent: MakeAgent, make_wire: MakeWire) -> None:
    agent, peer = await make_agent(hears=lambda request: request.method != "OPTIONS"), await make_wire()
    peer.request("OPTIONS", agent.address)
    peer.request("REGISTER", agent.address)
    await peer.next(405)
    assert len(peer.heard) == 1


# -- several addresses, TCP -------------------------------------------------------------------


async def test_one_agent_at_several_addresses(make_agent: MakeAgent, make_wire: MakeWire) -> None:
    desk = Reception()
    agent, peer = await make_agent(on_invite=desk.take), await make_wire()
    second = await agent.bind("127.0.0.3")
    peer.request("INVITE", second)
    call = await desk.call()
    assert call.bound.address == second
    call.answer(sdp())
    answer = await peer.next(200)
    assert peer.peer == second
    assert "127.0.0.3:" in answer.get("contact")
    ear = Ear()
    agent.call(peer.uri(), ear, sdp=sdp(), local=second)
    assert "127.0.0.3:" in (await peer.next("INVITE")).get("via")
    assert peer.peer == second


@pytest.mark.rfc("3261", "18.1.1")
@pytest.mark.rfc("5923", "8.1")
async def test_calls_over_tcp_use_the_connection_that_stands(make_agent: MakeAgent) -> None:
    desk = Reception()
    called, caller = await make_agent(on_invite=desk.take), await make_agent()
    ear = Ear()
    call = caller.call(f"sip:room@127.0.0.1:{called.address[1]};transport=tcp", ear, sdp=sdp())
    theirs = await desk.call()
    assert theirs.dialog.transport == "TCP"
    theirs.answer(sdp(port=4100))
    assert await ear.next("answered") == sdp(port=4100)
    await desk.ear.next("confirmed")
    assert ";transport=tcp" in call.dialog.target
    theirs.hang_up()
    assert await ear.next("ended") is Ending.BYE
    assert await desk.ear.next("ended") is Ending.LOCAL


@pytest.mark.rfc("3261", "18.3")
@pytest.mark.rfc("5626", "3.5.1")
async def test_a_peer_over_tcp_may_send_byte_by_byte_and_ping(make_agent: MakeAgent) -> None:
    agent = await make_agent()
    reader, writer = await asyncio.open_connection(*agent.address)
    raw = (
        b"\r\n\r\nOPTIONS sip:x@h SIP/2.0\r\nVia: SIP/2.0/TCP 127.0.0.1:9;branch=z9hG4bK1\r\nFrom: <sip:a@h>;tag=1\r\n"
        b"To: <sip:x@h>\r\nCall-ID: c\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
    )
    for at in range(len(raw)):
        writer.write(raw[at : at + 1])
        await writer.drain()
    assert await asyncio.wait_for(reader.readexactly(2), WAIT_S) == b"\r\n"
    answer = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), WAIT_S)
    assert answer.startswith(b"SIP/2.0 200 OK")
    writer.write(raw.replace(b"Content-Length: 0", b"Content-Length: x"))
    assert await asyncio.wait_for(reader.read(), WAIT_S) == b""  # no trust in this stream any more
    writer.close()
    again, other = await asyncio.open_connection(*agent.address)
    other.write(raw[4:])
    await asyncio.wait_for(again.readuntil(b"\r\n\r\n"), WAIT_S)
    other.close()


@pytest.mark.rfc("3261", "18.4")
async def test_nobody_takes_tcp(make_agent: MakeAgent, make_wire: MakeWire) -> None:
    agent, peer = await make_agent(), await make_wire()
    ear = Ear()
    agent.call(f"{peer.uri()};transport=tcp", ear, sdp=sdp())
    where = f"{peer.address[0]}:{peer.address[1]}"
    assert (await ear.next("refused"))[1:] == (f"TCP to {where}: nobody listens there", False)


@pytest.mark.rfc("3261", "18.1.1")
async def test_a_large_invite_goes_by_udp_when_nobody_takes_tcp(make_agent: MakeAgent, make_wire: MakeWire) -> None:
    agent, peer = await make_agent(), await make_wire()
    large = sdp() + b"a=x:" + b"y" * 1500 + b"\r\n"
    for _ in range(2):
        ear = Ear()
        agent.call(peer.uri(), ear, sdp=large)
        invite = await peer.next("INVITE")
        assert invite.body == large
        assert "SIP/2.0/UDP" in invite.get("via")
        peer.reply(invite, 486)
        await ear.next("refused")


@pytest.mark.rfc("3261", "17.1.4", "18.4")
async def test_a_connection_that_breaks_fails_the_call_that_waits_on_it(make_agent: MakeAgent) -> None:
    got: asyncio.Queue[asyncio.StreamWriter] = asyncio.Queue()
    server = await asyncio.start_server(lambda reader, writer: got.put_nowait(writer), "127.0.0.1", 0)
    agent, ear = await make_agent(), Ear()
    agent.call(f"sip:x@127.0.0.1:{server.sockets[0].getsockname()[1]};transport=tcp", ear, sdp=sdp())
    (await got.get()).transport.abort()
    assert (await ear.next("refused"))[2] is False
    server.close()


@pytest.mark.echoes
async def test_a_slow_reader_is_given_up_before_memory_is(make_agent: MakeAgent) -> None:
    agent = await make_agent()
    reader, writer = await asyncio.open_connection(*agent.address, limit=1024)
    name = writer.get_extra_info("sockname")
    writer.write(b"\r\n\r\n")
    await asyncio.wait_for(reader.readexactly(2), WAIT_S)  # its pong: the connection stands
    writer.transport.pause_reading()  # type: ignore[attr-defined]
    flow = agent.routes.at(agent.address).tcp.existing(*name)
    assert flow is not None
    for _ in range(600):
        flow.send(b"x" * 65_536)
    assert flow.closed
    writer.close()


@pytest.mark.echoes
@pytest.mark.rfc("3261", "18.2.2")
async def test_an_answer_goes_to_who_asked_whomever_maddr_names(make_agent: MakeAgent, make_wire: MakeWire) -> None:
    agent, peer, victim = await make_agent(), await make_wire(), await make_wire("127.0.0.99")
    via = f"SIP/2.0/UDP {peer.address[0]}:{victim.address[1]};branch=z9hG4bKx;rport;maddr=127.0.0.99"
    request = (
        f"OPTIONS sip:x@h SIP/2.0\r\nVia: {via}\r\nFrom: <sip:a@h>;tag=1\r\nTo: <sip:x@h>\r\n"
        "Call-ID: 1\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
    )
    peer.send(request.encode(), agent.address)
    await peer.next(200)
    assert victim.quiet()


@pytest.mark.echoes
async def test_a_udp_socket_that_is_full_loses_and_goes_on(make_agent: MakeAgent, make_wire: MakeWire) -> None:
    agent, peer = await make_agent(), await make_wire()
    udp = agent.routes.at(agent.address).udp
    UdpFlow(udp, peer.address[0], peer.address[1]).send(b"x" * 70_000)  # no datagram is so large
    peer.request("OPTIONS", agent.address)
    await peer.next(200)
    assert udp.lost == 1


async def test_what_is_sent_in_one_turn_leaves_in_order_even_when_the_socket_is_closed_behind_it(
    make_agent: MakeAgent, make_wire: MakeWire
) -> None:
    agent, peer = await make_agent(), await make_wire()
    flow = UdpFlow(agent.routes.at(agent.address).udp, *peer.address)
    texts = [f"OPTIONS sip:x SIP/2.0\r\nVia: SIP/2.0/UDP a;branch=z9hG4bK{number}\r\nFrom: <sip:a@b>;tag=1\r\n"
             f"To: <sip:b@b>\r\nCall-ID: {number}\r\nCSeq: 1 OPTIONS\r\nMax-Forwards: 70\r\n\r\n"
             for number in range(100)]  # fmt: skip
    for text in texts:
        flow.send(text.encode())
    await agent.close()
    assert [(await peer.next("OPTIONS")).call_id for _ in texts] == [str(number) for number in range(100)]


@pytest.mark.echoes
async def test_who_names_a_port_that_is_none_takes_nobody_elses_answer_along(
    make_agent: MakeAgent, make_wire: MakeWire
) -> None:
    agent, stranger, peer = await make_agent(), await make_wire(), await make_wire()
    udp = agent.routes.at(agent.address).udp
    text = (
        "OPTIONS sip:x@h SIP/2.0\r\nVia: SIP/2.0/UDP {};branch=z9hG4bK{}\r\nFrom: <sip:a@h>;tag=1\r\nTo: <sip:x@h>\r\n"
    )
    for sender, via in ((stranger, "127.0.0.1;rport=99999"), (peer, f"127.0.0.1:{peer.address[1]}")):
        asked = f"{text.format(via, sender.address[1])}Call-ID: 1\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
        agent.received(asked.encode(), UdpFlow(udp, *sender.address))
    await peer.next(200)
    assert udp.lost == 1

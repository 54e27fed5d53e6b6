"""Attacks by lies: what pretends to belong to a call is not believed, and answers go to who asked."""

import asyncio

import pytest

from adapters.sip.agent import SipAgent
from adapters.sip.call import Call
from adapters.sip.listener import CallState
from adapters.sip.message import Request
from tests.unit.sip.conftest import MakeAgent, MakeWire
from tests.unit.sip.wire import Ear, Wire, sdp


async def read_all(wire: Wire, to: tuple[str, int]) -> None:
    """Return when everything that this wire sent before has been read."""
    wire.request("OPTIONS", to)
    await wire.next(200, method="OPTIONS")


async def calling(agent: SipAgent, peer: Wire) -> tuple[Call, Ear, Request]:
    """A call of ours that rings at the peer."""
    ear = Ear()
    call = agent.call(peer.uri(), ear, sdp=sdp())
    invite = await peer.next("INVITE")
    peer.reply(invite, 180)
    await ear.next("ringing")
    return call, ear, invite


async def talking(agent: SipAgent, peer: Wire) -> tuple[Call, Ear, Request]:
    """A call of ours that is up."""
    call, ear, invite = await calling(agent, peer)
    peer.reply(invite, 200, body=sdp())
    await peer.next("ACK")
    await ear.next("answered")
    return call, ear, invite


@pytest.mark.rfc("3261", "17.1.3", "26.1.2")
@pytest.mark.parametrize("lie", ["branch", "call-id", "from-tag", "cseq", "method", "source", "other-call"])
@pytest.mark.parametrize("status", [200, 486])
async def test_a_response_that_is_not_the_requests_changes_nothing(
    make_agent: MakeAgent, make_wire: MakeWire, lie: str, status: int
) -> None:
    agent, peer, attacker = await make_agent(), await make_wire(), await make_wire("127.0.0.9")
    call, ear, invite = await calling(agent, peer)
    other, other_ear, other_invite = await calling(agent, peer)
    forged = {name: list(values) for name, values in invite.headers.items()}
    sender = peer
    match lie:
        case "branch":
            forged["via"] = [forged["via"][0].replace(invite.branch, "z9hG4bKguessed")]
        case "call-id":
            forged["call-id"] = ["guessed"]
        case "from-tag":
            forged["from"] = [forged["from"][0].replace(invite.from_tag, "guessed")]
        case "cseq":
            forged["cseq"] = [f"{invite.cseq + 1} INVITE"]
        case "method":
            forged["cseq"] = [f"{invite.cseq} BYE"]
        case "source":
            sender = attacker
        case "other-call":  # the branch of one, the dialog of the other
            forged["via"] = other_invite.headers["via"]
    before = agent.disbelieved
    sender.peer = agent.address
    sender.reply(Request("INVITE", invite.uri, forged), status, tag="liar", body=sdp() if status == 200 else b"")
    await read_all(sender, agent.address)
    assert agent.disbelieved == before + 1
    assert (call.state, other.state) == (CallState.RINGING, CallState.RINGING)
    assert (ear.words, other_ear.words) == (["ringing"], ["ringing"])
    peer.reply(invite, 200, body=sdp())  # and the true one is still believed
    await ear.next("answered")
    assert call.dialog.remote_tag == "peer-tag"


@pytest.mark.rfc("3261", "12.2.2", "26.1.4")
@pytest.mark.parametrize("method", ["BYE", "INVITE", "UPDATE", "INFO", "OPTIONS", "NOTIFY", "REFER", "MESSAGE"])
@pytest.mark.parametrize("lie", ["our-tag", "their-tag", "both"])
async def test_a_request_inside_a_call_with_wrong_tags_is_refused(
    make_agent: MakeAgent, make_wire: MakeWire, method: str, lie: str
) -> None:
    agent, peer, attacker = await make_agent(), await make_wire(), await make_wire("127.0.0.9")
    agent.reception._settled_at = 0.0  # not just started
    call, ear, _ = await talking(agent, peer)
    ours, theirs = call.dialog.local_tag, call.dialog.remote_tag
    tags = {
        "our-tag": ("guessed", theirs),
        "their-tag": (ours, "guessed"),
        "both": ("guessed", "guessed-too"),
    }[lie]
    attacker.request(
        method, agent.address, call_id=call.dialog.call_id, to_tag=tags[0], from_tag=tags[1],
        cseq=2_000_000, body=sdp() if method in ("INVITE", "UPDATE") else b"",
    )  # fmt: skip
    answer, _ = await attacker.any()
    assert getattr(answer, "status", 0) == 481
    assert call.state is CallState.CONFIRMED and ear.words == ["ringing", "answered"]
    peer.request(
        "INFO", agent.address, call_id=call.dialog.call_id, to_tag=ours, from_tag=theirs, cseq=1
    )  # its numbering was not moved
    await peer.next(200, method="INFO")


@pytest.mark.rfc("3261", "9.2", "26.1.4")
async def test_a_cancel_from_elsewhere_gives_up_nobodys_call(make_agent: MakeAgent, make_wire: MakeWire) -> None:
    ear = Ear()

    def take(call: Call) -> None:
        call.listener = ear
        call.ring()

    agent = await make_agent(on_invite=take)
    peer, attacker = await make_wire(), await make_wire("127.0.0.9")
    invite = peer.request("INVITE", agent.address, body=sdp())
    await peer.next(180)
    fields = {name: list(values) for name, values in invite.headers.items()} | {"cseq": ["1 CANCEL"]}
    fields["via"] = [invite.headers["via"][0].partition(";rport")[0] + ";rport"]
    attacker.send(Request("CANCEL", invite.uri, fields).to_bytes(), agent.address)
    await attacker.next(481)
    assert ear.words == [] and len(agent) == 1
    peer.send(Request("CANCEL", invite.uri, fields).to_bytes(), agent.address)
    await ear.next("ended")


@pytest.mark.parametrize("ack", ["other-tag", "other-cseq", "no-call"])
async def test_an_ack_that_is_not_the_callers_confirms_nothing(
    make_agent: MakeAgent, make_wire: MakeWire, ack: str
) -> None:
    ear = Ear()

    def take(call: Call) -> None:
        call.listener = ear
        call.answer(sdp())

    agent = await make_agent(on_invite=take)
    peer, attacker = await make_wire(), await make_wire("127.0.0.9")
    invite = peer.request("INVITE", agent.address, body=sdp())
    accepted = await peer.next(200)
    attacker.request(
        "ACK", agent.address, call_id="none" if ack == "no-call" else invite.call_id, to_tag=accepted.to_tag,
        from_tag="guessed" if ack == "other-tag" else invite.from_tag, cseq=7 if ack == "other-cseq" else 1,
    )  # fmt: skip
    await read_all(attacker, agent.address)
    assert ear.words == []
    peer.request("ACK", agent.address, call_id=invite.call_id, to_tag=accepted.to_tag, from_tag=invite.from_tag)
    await ear.next("confirmed")


@pytest.mark.rfc("3261", "18.2.2", "26.1.5")
@pytest.mark.parametrize("params", [";received=127.0.0.7", ";maddr=127.0.0.7", ";received=127.0.0.7;rport"])
async def test_a_sender_cannot_have_us_answer_somebody_else(
    make_agent: MakeAgent, make_wire: MakeWire, params: str
) -> None:
    agent, attacker = await make_agent(), await make_wire()
    loop = asyncio.get_running_loop()
    _, victim = await loop.create_datagram_endpoint(Wire, local_addr=("127.0.0.7", attacker.address[1]))
    try:
        via = f"SIP/2.0/UDP {attacker.address[0]}:{attacker.address[1]};branch=z9hG4bKv{params}"
        attacker.send(
            f"OPTIONS sip:a@b SIP/2.0\r\nVia: {via}\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:a@b>\r\nCall-ID: v\r\n"
            "CSeq: 1 OPTIONS\r\n\r\n".encode(),
            agent.address,
        )
        assert (await attacker.next(200)).call_id == "v"
        assert victim.quiet()
    finally:
        victim.close()


async def test_strangers_are_answered_once_and_with_little_more_than_they_sent(
    make_agent: MakeAgent, make_wire: MakeWire
) -> None:
    agent, wire = await make_agent(), await make_wire()
    for method in ("OPTIONS", "INVITE", "BYE", "REGISTER", "SUBSCRIBE", "NONSENSE"):
        sent = wire.request(method, agent.address)
        answer, _ = await wire.any()
        assert len(answer.to_bytes()) < len(sent.to_bytes()) + 200
    await read_all(wire, agent.address)
    assert wire.quiet() and agent.transactions == 0


@pytest.mark.parametrize(
    "head",
    [
        "OPTIONS sip:a@b SIP/2.0\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:a@b>\r\nCall-ID: v\r\nCSeq: 1 OPTIONS",
        "OPTIONS sip:a@b SIP/2.0\r\nVia: nonsense\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:a@b>\r\nCall-ID: v\r\n"
        "CSeq: 1 OPTIONS",
        "ACK sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP b;branch=z9hG4bK1\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:a@b>;tag=x\r\n"
        "Call-ID: v\r\nCSeq: 1 ACK",
        "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP b;branch=z9hG4bK1\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:a@b>;tag=x\r\n"
        "Call-ID: v\r\nCSeq: 1 INVITE",
    ],
    ids=["no-via", "bad-via", "ack", "response"],
)
async def test_what_cannot_or_must_not_be_answered_is_not(
    make_agent: MakeAgent, make_wire: MakeWire, head: str
) -> None:
    agent, wire = await make_agent(), await make_wire()
    wire.send(f"{head}\r\n\r\n".encode(), agent.address)
    await read_all(wire, agent.address)
    assert [getattr(each, "call_id", "") == "v" for each in wire.heard] == [False]

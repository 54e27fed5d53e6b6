"""Calls of ours, against a raw peer that answers exactly what a test wants (RFC 3261 sections 9, 13, 15, 22)."""

import asyncio
import hashlib
import re
from collections.abc import Callable
from typing import Any

import pytest

from adapters.sip.agent import SipAgent
from adapters.sip.listener import CallState, Ending
from adapters.sip.message import Request, Response, response_to
from adapters.sip.sdp import medias
from adapters.sip.uri import BadUri
from tests.unit.sip.conftest import MakeAgent, MakeWire
from tests.unit.sip.wire import Ear, sdp


@pytest.mark.rfc("3261", "8.1.1", "13.2.1", "13.2.2.4", "15.1.1")
async def test_a_call_is_offered_answered_acknowledged_and_ended(make_agent: MakeAgent, make_wire: MakeWire) -> None:
    agent, peer, ear = await make_agent(), await make_wire(), Ear()
    call = agent.call(peer.uri("8001"), ear, sdp=sdp(), user="dc7f3a-1-1-1", display='Xã "A"')
    invite = await peer.next("INVITE")
    assert invite.uri == peer.uri("8001")
    assert invite.body == sdp()
    assert invite.get("from").startswith('"Xã \\"A\\"" <sip:dc7f3a-1-1-1@127.0.0.1:')
    assert f"<sip:dc7f3a-1-1-1@127.0.0.1:{agent.address[1]}>" == invite.get("contact")
    peer.reply(invite, 180)
    assert await ear.next("ringing") == 180
    peer.reply(invite, 200, body=sdp(port=4100))
    assert await ear.next("answered") == sdp(port=4100)
    ack = await peer.next("ACK")
    assert (ack.uri, ack.to_tag, ack.cseq, ack.body) == (peer.uri(), "peer-tag", invite.cseq, b"")
    assert call.state is CallState.CONFIRMED
    call.hang_up()
    bye = await peer.next("BYE")
    assert (bye.uri, bye.cseq) == (peer.uri(), invite.cseq + 1)
    peer.reply(bye, 200)
    assert await ear.next("ended") is Ending.LOCAL
    assert (len(agent), ear.words) == (0, ["ringing", "answered", "ended"])


@pytest.mark.rfc("3261", "13.2.1")
@pytest.mark.rfc("3264", "4")
async def test_an_invite_without_sdp_asks_for_an_offer_and_answers_it_in_the_ack(
    make_agent: MakeAgent, make_wire: MakeWire
) -> None:
    agent, peer, ear = await make_agent(), await make_wire(), Ear(acks=False)
    call = agent.call(peer.uri(), ear)
    invite = await peer.next("INVITE")
    assert invite.body == b""
    assert "content-type" not in invite.headers
    peer.reply(invite, 200, body=sdp())
    await ear.next("answered")
    call.ack(sdp(port=4200))
    ack = await peer.next("ACK")
    assert ack.sdp == sdp(port=4200)


@pytest.mark.rfc("3261", "13.2.2.4")
@pytest.mark.rfc("6026", "7.2")
async def test_a_lost_ack_is_sent_again_for_each_repeated_200(make_agent: MakeAgent, make_wire: MakeWire) -> None:
    agent, peer, ear = await make_agent(), await make_wire(), Ear()
    agent.call(peer.uri(), ear, sdp=sdp())
    invite = await peer.next("INVITE")
    answer = peer.reply(invite, 200, body=sdp())
    await peer.next("ACK")
    peer.send(answer.to_bytes())
    again = await peer.next("ACK")
    assert again.cseq == invite.cseq
    assert ear.words.count("answered") == 1
    await idle(agent)
    peer.send(answer.to_bytes())  # long after the transaction: for the life of the dialog
    assert (await peer.next("ACK")).cseq == invite.cseq


async def idle(agent: SipAgent) -> None:
    """Return when the agent's transactions have run out."""
    gone = asyncio.Event()

    def look() -> None:
        if agent.transactions:
            agent.later(0.02, look)
        else:
            gone.set()

    look()
    await asyncio.wait_for(gone.wait(), 5)


@pytest.mark.rfc("3261", "17.1.1.2")
async def test_a_lost_invite_is_repeated_word_for_word(make_agent: MakeAgent, make_wire: MakeWire) -> None:
    agent, peer, ear = await make_agent(), await make_wire(), Ear()
    agent.call(peer.uri(), ear, sdp=sdp())
    first, second = await peer.next("INVITE"), await peer.next("INVITE")
    assert first.to_bytes() == second.to_bytes()
    peer.reply(second, 486)
    assert (await ear.next("refused"))[0] == 486


@pytest.mark.rfc("3261", "13.2.2.3", "17.1.1.3")
@pytest.mark.parametrize("status", [302, 404, 480, 486, 488, 500, 603])
async def test_a_refusal_is_acknowledged_and_told_with_its_words(
    make_agent: MakeAgent, make_wire: MakeWire, status: int
) -> None:
    agent, peer, ear = await make_agent(), await make_wire(), Ear()
    agent.call(peer.uri(), ear, sdp=sdp())
    invite = await peer.next("INVITE")
    peer.reply(invite, status, reason="Đang bận")
    ack = await peer.next("ACK")
    assert (ack.branch, ack.to_tag, ack.uri) == (invite.branch, "peer-tag", invite.uri)
    assert await ear.next("refused") == (status, "Đang bận", True)
    assert len(agent) == 0


@pytest.mark.rfc("3261", "17.1.1.2")
async def test_nobody_answers_at_all(make_agent: MakeAgent, make_wire: MakeWire) -> None:
    agent, peer, ear = await make_agent(), await make_wire(), Ear()
    agent.call(peer.uri(), ear, sdp=sdp())
    assert (await ear.next("refused")) == (408, "no answer", False)
    assert len(peer.heard) >= 5
    assert len(agent) == 0


@pytest.mark.rfc("3261", "18.4")
async def test_a_closed_port_is_known_at_once(make_agent: MakeAgent, make_wire: MakeWire) -> None:
    agent, peer, ear = await make_agent(), await make_wire(), Ear()
    uri = peer.uri()
    peer.close()
    agent.call(uri, ear, sdp=sdp())
    _, reason, heard = await ear.next("refused")
    assert (reason, heard) == ("nobody listens there", False)
    assert agent.transactions == 0
    assert await agent.options(uri) is None


@pytest.mark.rfc("3261", "9.1")
async def test_giving_up_while_it_rings_cancels(make_agent: MakeAgent, make_wire: MakeWire) -> None:
    agent, peer, ear = await make_agent(), await make_wire(), Ear()
    call = agent.call(peer.uri(), ear, sdp=sdp())
    invite = await peer.next("INVITE")
    peer.reply(invite, 180)
    await ear.next("ringing")
    call.hang_up()
    call.hang_up()
    cancel = await peer.next("CANCEL")
    assert (cancel.branch, cancel.cseq, cancel.uri) == (invite.branch, invite.cseq, invite.uri)
    peer.reply(cancel, 200)
    peer.reply(invite, 487)
    await peer.next("ACK")
    assert (await ear.next("refused"))[0] == 487
    assert len(agent) == 0


@pytest.mark.rfc("3261", "9.1")
async def test_no_cancel_before_a_sign_of_life(make_agent: MakeAgent, make_wire: MakeWire) -> None:
    agent, peer, ear = await make_agent(), await make_wire(), Ear()
    call = agent.call(peer.uri(), ear, sdp=sdp())
    invite = await peer.next("INVITE")
    call.hang_up()
    peer.reply(invite, 100)
    await peer.next("CANCEL")
    assert [m.method for m in peer.heard if isinstance(m, Request)].count("CANCEL") == 1
    assert "ringing" not in ear.words


@pytest.mark.rfc("3261", "9.1", "15")
@pytest.mark.parametrize("late_offer", [False, True])
async def test_a_200_that_crosses_the_cancel_is_acknowledged_and_ended(
    make_agent: MakeAgent, make_wire: MakeWire, late_offer: bool
) -> None:
    agent, peer, ear = await make_agent(), await make_wire(), Ear()
    call = agent.call(peer.uri(), ear, sdp=b"" if late_offer else sdp())
    invite = await peer.next("INVITE")
    peer.reply(invite, 180)
    await ear.next("ringing")
    call.hang_up()
    await peer.next("CANCEL")
    peer.reply(invite, 200, body=sdp(video=True))
    ack, bye = await peer.next("ACK"), await peer.next("BYE")
    assert [media.port for media in medias(ack.sdp)] == ([0, 0] if late_offer else [])
    peer.reply(bye, 200)
    assert await ear.next("ended") is Ending.LOCAL
    assert "answered" not in ear.words
    assert len(agent) == 0


async def test_the_ring_time_is_over(make_agent: MakeAgent, make_wire: MakeWire) -> None:
    agent, peer, ear = await make_agent(), await make_wire(), Ear()
    agent.call(peer.uri(), ear, sdp=sdp(), ring_s=0.05)
    invite = await peer.next("INVITE")
    peer.reply(invite, 180)
    await peer.next("CANCEL")
    peer.reply(invite, 487)
    assert (await ear.next("refused"))[0] == 487


@pytest.mark.rfc("3261", "13.2.2.4")
async def test_a_second_phone_that_answers_is_thanked_and_sent_home(make_agent: MakeAgent, make_wire: MakeWire) -> None:
    agent, peer, ear = await make_agent(), await make_wire(), Ear()
    call = agent.call(peer.uri(), ear, sdp=sdp())
    invite = await peer.next("INVITE")
    peer.reply(invite, 200, tag="first", body=sdp())
    assert (await peer.next("ACK")).to_tag == "first"
    peer.reply(invite, 200, tag="second", body=sdp())
    assert (await peer.next("ACK")).to_tag == "second"
    bye = await peer.next("BYE")
    assert bye.to_tag == "second"
    peer.reply(bye, 200)
    assert call.state is CallState.CONFIRMED
    assert ear.words == ["answered"]


@pytest.mark.rfc("3261", "13.2.2.4")
async def test_the_offer_of_a_second_phone_gets_an_answer_before_its_bye(
    make_agent: MakeAgent, make_wire: MakeWire
) -> None:
    agent, peer, ear = await make_agent(), await make_wire(), Ear()
    agent.call(peer.uri(), ear)
    invite = await peer.next("INVITE")
    peer.reply(invite, 200, tag="first", body=sdp())
    await peer.next("ACK")
    peer.reply(invite, 200, tag="second", body=sdp())
    ack = await peer.next("ACK")
    assert ack.to_tag == "second"
    assert [media.port for media in medias(ack.sdp)] == [0]
    assert (await peer.next("BYE")).to_tag == "second"


@pytest.mark.rfc("3261", "17.1.3", "18.1.2", "26.1.2")
async def test_answers_of_strangers_are_not_believed(make_agent: MakeAgent, make_wire: MakeWire) -> None:
    agent, peer, ear = await make_agent(), await make_wire(), Ear()
    stranger = await make_wire("127.0.0.9")
    agent.call(peer.uri(), ear, sdp=sdp())
    invite = await peer.next("INVITE")
    good = response_to(invite, 486, to_tag="t").to_bytes()
    stranger.send(good, agent.address)  # another machine
    for old, new in (
        (b";tag=" + invite.from_tag.encode(), b";tag=forged"),
        (invite.branch.encode(), b"z9hG4bKforged"),
        (b"Call-ID: ", b"Call-ID: x"),
        (b" INVITE\r\n", b" BYE\r\n"),
    ):
        assert old in good
        peer.send(good.replace(old, new))
    peer.reply(invite, 603)
    assert (await ear.next("refused"))[0] == 603
    assert agent.disbelieved == 5


# -- digest ---------------------------------------------------------------------------------


def rightly_signed(request: Request, header: str, algorithm: str, secret: str) -> bool:
    """Checks an answer by RFC 7616 section 3.4.1, written down a second time."""
    value = request.get(header)
    fields = dict(re.findall(r'(\w+)="?([^",]+)"?', value))
    hashing: Callable[[bytes], Any] = {"MD5": hashlib.md5, "SHA-256": hashlib.sha256}[algorithm]

    def h(text: str) -> str:
        return str(hashing(text.encode()).hexdigest())

    a1, a2 = h(f"{fields['username']}:{fields['realm']}:{secret}"), h(f"{request.method}:{fields['uri']}")
    return fields["response"] == h(f"{a1}:{fields['nonce']}:{fields['nc']}:{fields['cnonce']}:{fields['qop']}:{a2}")


@pytest.mark.rfc("3261", "22.1", "22.2", "22.3")
@pytest.mark.parametrize("algorithm", ["MD5", "SHA-256"])
@pytest.mark.parametrize(
    ("status", "asks", "answer"),
    [(401, "WWW-Authenticate", "authorization"), (407, "Proxy-Authenticate", "proxy-authorization")],
)
async def test_every_method_is_signed_once_it_was_asked(
    make_agent: MakeAgent, make_wire: MakeWire, algorithm: str, status: int, asks: str, answer: str
) -> None:
    agent, peer, ear = await make_agent(), await make_wire(), Ear()
    call = agent.call(peer.uri(), ear, sdp=sdp(), credentials=("ep01", "s3cret word"))
    first = await peer.next("INVITE")
    challenge = f'Digest realm="codec", nonce="n1", qop="auth", algorithm={algorithm}'
    peer.reply(first, status, headers=[(asks, challenge)])
    await peer.next("ACK")
    invite = await peer.next("INVITE", after=first)
    assert (invite.call_id, invite.from_tag) == (first.call_id, first.from_tag)
    assert invite.cseq == first.cseq + 1
    assert invite.branch != first.branch
    assert rightly_signed(invite, answer, algorithm, "s3cret word")
    peer.reply(invite, 200, body=sdp())
    await ear.next("answered")
    ack = await peer.next("ACK")
    assert ack.cseq == invite.cseq
    assert ack.get(answer) == invite.get(answer)  # section 22.1
    call.hang_up()
    bye = await peer.next("BYE")
    assert rightly_signed(bye, answer, algorithm, "s3cret word")  # without being asked again
    peer.reply(bye, status, headers=[(asks, challenge.replace("n1", "n2") + ", stale=true")])
    again = await peer.next("BYE", after=bye)
    assert rightly_signed(again, answer, algorithm, "s3cret word")
    assert 'nonce="n2"' in again.get(answer)
    peer.reply(again, 200)
    await ear.next("ended")


@pytest.mark.rfc("3261", "22.1")
async def test_a_wrong_secret_is_said_once_and_not_tried_for_ever(make_agent: MakeAgent, make_wire: MakeWire) -> None:
    agent, peer, ear = await make_agent(credentials=lambda realm, host: ("u", "wrong")), await make_wire(), Ear()
    agent.call(peer.uri(), ear, sdp=sdp())
    invite = None
    for _ in range(2):
        invite = await peer.next("INVITE", after=invite)
        peer.reply(invite, 401, headers=[("WWW-Authenticate", 'Digest realm="r", nonce="n"')])
    assert (await ear.next("refused"))[0] == 401
    assert len({m.branch for m in peer.heard if isinstance(m, Request) and m.method == "INVITE"}) == 2


@pytest.mark.rfc("3261", "22.2")
async def test_without_credentials_a_challenge_is_a_refusal(make_agent: MakeAgent, make_wire: MakeWire) -> None:
    asked: list[tuple[str, str]] = []
    agent, peer, ear = (
        await make_agent(credentials=lambda realm, host: asked.append((realm, host))),
        await make_wire(),
        Ear(),
    )
    agent.call(peer.uri(), ear, sdp=sdp())
    peer.reply(await peer.next("INVITE"), 401, headers=[("WWW-Authenticate", 'Digest realm="r", nonce="n"')])
    assert (await ear.next("refused"))[0] == 401
    assert asked == [("r", "127.0.0.1")]


@pytest.mark.rfc("3261", "11.1", "22.2")
async def test_the_reachability_question_is_signed_too(make_agent: MakeAgent, make_wire: MakeWire) -> None:
    agent, peer = await make_agent(), await make_wire()
    question = asyncio.ensure_future(agent.options(peer.uri(), 2.0, ("u", "p")))
    first = await peer.next("OPTIONS")
    peer.reply(first, 401, headers=[("WWW-Authenticate", 'Digest realm="r", nonce="n", qop="auth"')])
    second = await peer.next("OPTIONS")
    assert rightly_signed(second, "authorization", "MD5", "p")
    peer.reply(second, 405)
    found = await question
    assert isinstance(found, Response)
    assert found.status == 405


# -- inside the call ------------------------------------------------------------------------


async def up(make_agent: MakeAgent, make_wire: MakeWire) -> tuple[Any, Any, Ear, Any, Request]:
    agent, peer, ear = await make_agent(), await make_wire(), Ear()
    call = agent.call(peer.uri(), ear, sdp=sdp())
    invite = await peer.next("INVITE")
    peer.reply(invite, 200, body=sdp())
    await peer.next("ACK")
    return agent, peer, ear, call, invite


def inside(peer: Any, agent: Any, invite: Request, method: str, cseq: int, **options: Any) -> Request:
    """A request of the peer inside the call."""
    request: Request = peer.request(
        method,
        agent.address,
        call_id=invite.call_id,
        from_tag=options.pop("from_tag", "peer-tag"),
        to_tag=invite.from_tag,
        cseq=cseq,
        **options,
    )
    return request


@pytest.mark.rfc("3261", "15.1.2")
async def test_the_peer_hangs_up(make_agent: MakeAgent, make_wire: MakeWire) -> None:
    agent, peer, ear, _, invite = await up(make_agent, make_wire)
    bye = inside(peer, agent, invite, "BYE", 9)
    assert (await peer.next(200, method="BYE")).cseq == 9
    assert await ear.next("ended") is Ending.BYE
    peer.send(bye.to_bytes())  # its 200 was lost: the same answer again, not 481
    await peer.next(200, method="BYE")
    assert ear.words.count("ended") == 1


@pytest.mark.rfc("3261", "11.2")
@pytest.mark.rfc("6086", "4.2.2")
async def test_questions_inside_the_call_are_answered(make_agent: MakeAgent, make_wire: MakeWire) -> None:
    agent, peer, ear, _, invite = await up(make_agent, make_wire)
    inside(peer, agent, invite, "OPTIONS", 1)
    assert "UPDATE" in (await peer.next(200, method="OPTIONS")).get("allow")
    inside(peer, agent, invite, "NOTIFY", 2)
    await peer.next(200, method="NOTIFY")
    inside(peer, agent, invite, "INFO", 3, body=b"x")
    await peer.next(200, method="INFO")
    assert (await ear.next("informed")) == ("application/sdp", b"x")
    inside(peer, agent, invite, "UPDATE", 4)
    await peer.next(200, method="UPDATE")
    inside(peer, agent, invite, "PUBLISH", 5)
    await peer.next(405, method="PUBLISH")


@pytest.mark.rfc("3261", "12.2.2")
async def test_what_does_not_belong_to_the_call_does_not_touch_it(make_agent: MakeAgent, make_wire: MakeWire) -> None:
    agent, peer, ear, call, invite = await up(make_agent, make_wire)
    inside(peer, agent, invite, "BYE", 9, from_tag="forged")
    await peer.next(481, method="BYE")
    inside(peer, agent, invite, "INFO", 20)
    await peer.next(200, method="INFO")
    inside(peer, agent, invite, "BYE", 19)  # numbered before what came already (section 12.2.2)
    await peer.next(500, method="BYE")
    assert call.state is CallState.CONFIRMED
    assert "ended" not in ear.words


@pytest.mark.rfc("3261", "14.2")
async def test_a_reinvite_is_answered_and_repeated_until_its_ack(make_agent: MakeAgent, make_wire: MakeWire) -> None:
    agent, peer, ear, call, invite = await up(make_agent, make_wire)
    ear.answer_offers = sdp(port=4300)
    again = inside(peer, agent, invite, "INVITE", 5, body=sdp(port=4400))
    first = await peer.next(200, method="INVITE")
    assert first.sdp == sdp(port=4300)
    assert await ear.next("offered") == sdp(port=4400)
    second = await peer.next(200, method="INVITE")
    assert first.to_bytes() == second.to_bytes()
    inside(peer, agent, invite, "ACK", 1)  # of an earlier INVITE, once more
    inside(peer, agent, invite, "OPTIONS", 6)
    await peer.next(200, method="OPTIONS")
    assert "confirmed" not in ear.words
    assert call.busy
    inside(peer, agent, invite, "ACK", 5)
    assert await ear.next("confirmed") == b""
    assert not call.busy
    assert again.cseq == 5


@pytest.mark.rfc("3261", "14.1", "14.2")
async def test_two_reinvites_that_meet_are_both_put_off(make_agent: MakeAgent, make_wire: MakeWire) -> None:
    agent, peer, _, call, invite = await up(make_agent, make_wire)
    answer: asyncio.Future[Response | None] = asyncio.get_running_loop().create_future()
    call.reinvite(sdp(port=4500), answer.set_result)
    ours = await peer.next("INVITE")
    inside(peer, agent, invite, "INVITE", 5, body=sdp())
    assert (await peer.next(491, method="INVITE")).cseq == 5
    peer.reply(ours, 491)
    refused = await answer
    assert refused is not None
    assert refused.status == 491
    assert call.state is CallState.CONFIRMED
    assert not call.busy


@pytest.mark.rfc("3261", "12.2.1.2", "12.2.2")
async def test_a_peer_that_moves_is_followed(make_agent: MakeAgent, make_wire: MakeWire) -> None:
    agent, peer, ear, call, invite = await up(make_agent, make_wire)
    moved = await make_wire()
    ear.answer_offers = sdp()
    request = inside(peer, agent, invite, "UPDATE", 5, body=sdp())
    await peer.next(200, method="UPDATE")
    assert call.dialog.target == peer.uri()
    raw = request.to_bytes().replace(peer.uri().encode(), moved.uri().encode())
    peer.send(raw.replace(b"5 UPDATE", b"6 UPDATE").replace(b"branch=z9hG4bK", b"branch=z9hG4bKm"), agent.address)
    await peer.next(200, method="UPDATE")
    call.hang_up()
    moved.reply(await moved.next("BYE"), 200)
    assert await ear.next("ended") is Ending.LOCAL


@pytest.mark.rfc("3261", "15.1.2")
async def test_byes_of_both_sides_at_once(make_agent: MakeAgent, make_wire: MakeWire) -> None:
    agent, peer, ear, call, invite = await up(make_agent, make_wire)
    call.hang_up()
    ours = await peer.next("BYE")
    inside(peer, agent, invite, "BYE", 9)
    await peer.next(200, method="BYE")
    peer.reply(ours, 481)
    assert await ear.next("ended") is Ending.LOCAL
    assert ear.words.count("ended") == 1
    assert len(agent) == 0


async def test_closing_the_agent_says_goodbye_to_nobody(make_agent: MakeAgent, make_wire: MakeWire) -> None:
    agent, peer, ear, _, _ = await up(make_agent, make_wire)
    before = len(peer.heard)
    await agent.close()
    probe = await make_wire()
    probe.send(peer.heard[0].to_bytes(), peer.address)
    await peer.next("INVITE")
    assert len(peer.heard) == before + 1
    assert ear.words == ["answered"]


@pytest.mark.parametrize("uri", ["tel:+84", "sip:", "sip:a@b:99999", "sip:a@b c", "http://x"])
async def test_an_address_that_is_none_is_refused_before_anything_is_sent(make_agent: MakeAgent, uri: str) -> None:
    agent = await make_agent()
    with pytest.raises(BadUri, match=r"."):
        agent.call(uri, Ear())
    assert (len(agent), agent.transactions) == (0, 0)


async def test_a_name_that_leads_nowhere_is_a_refusal(make_agent: MakeAgent) -> None:
    agent = await make_agent()
    for uri in ("sip:a@no-such-name.invalid", "sips:a@no-such-name.invalid:5070", "sip:a@[::1]"):
        ear = Ear()
        agent.call(uri, ear, sdp=sdp())
        _, reason, heard = await ear.next("refused")
        assert "no way to" in reason
        assert not heard
    assert len(agent) == 0

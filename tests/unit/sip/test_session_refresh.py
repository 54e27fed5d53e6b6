"""Session timers on the wire (RFC 4028): refreshed in time, taken over by a restart, ended when nobody refreshes."""

import asyncio
from collections.abc import Iterable
from typing import Any

import pytest

from adapters.sip.agent import SipAgent
from adapters.sip.call import Call
from adapters.sip.exchange import MAX_TRIES
from adapters.sip.listener import CallListener, Ending
from adapters.sip.message import Request
from adapters.sip.session_timer import Policy
from tests.unit.sip.conftest import MakeAgent, MakeWire
from tests.unit.sip.wire import Ear, Wire, sdp

SHORT = Policy(expires_s=2, min_se_s=1)
"""Refreshed after 1 s, given up after 1.33 s."""
ALLOWS = ("Allow", "INVITE, ACK, BYE, UPDATE")
Headers = Iterable[tuple[str, str]]


async def up(agent: SipAgent, wire: Wire, *headers: tuple[str, str]) -> tuple[Call, Ear, Request]:
    """A call of ours that was answered with these headers."""
    ear = Ear()
    call = agent.call(wire.uri(), ear, sdp=sdp())
    invite = await wire.next("INVITE")
    wire.reply(invite, 200, body=sdp(port=5000), headers=headers)
    await ear.next("answered")
    await wire.next("ACK")
    return call, ear, invite


@pytest.mark.rfc("4028", "7.1")
async def test_every_invite_asks_for_a_timer(make_agent: MakeAgent, make_wire: MakeWire) -> None:
    agent, wire = await make_agent(), await make_wire()
    _, _, invite = await up(agent, wire)
    assert invite.get("session-expires") == "1800" and invite.get("supported") == "timer"


@pytest.mark.rfc("4028", "7.2")
async def test_who_wants_no_timer_is_never_refreshed(make_agent: MakeAgent, make_wire: MakeWire) -> None:
    agent, wire = await make_agent(session=SHORT), await make_wire()
    call, _, _ = await up(agent, wire, ALLOWS)
    assert call.timer is None


@pytest.mark.rfc("4028", "7.4")
@pytest.mark.rfc("3311", "5.1")
async def test_ours_is_refreshed_by_update_without_sdp(make_agent: MakeAgent, make_wire: MakeWire) -> None:
    agent, wire = await make_agent(session=SHORT), await make_wire()
    await up(agent, wire, ALLOWS, ("Session-Expires", "2;refresher=uac"))
    for _ in range(2):
        update = await wire.next("UPDATE")
        assert update.body == b"" and update.get("session-expires") == "2;refresher=uac"
        assert update.get("contact") and update.get("supported") == "timer"
        wire.reply(update, 200, headers=[("Session-Expires", "2;refresher=uac")])


@pytest.mark.rfc("4028", "7.4")
@pytest.mark.rfc("3264", "8")
async def test_who_takes_no_update_gets_a_reinvite_that_changes_nothing(
    make_agent: MakeAgent, make_wire: MakeWire
) -> None:
    agent, wire = await make_agent(session=SHORT), await make_wire()
    call, ear, invite = await up(agent, wire, ("Allow", "INVITE, ACK, BYE"), ("Session-Expires", "2;refresher=uac"))
    call.fold()
    again = await wire.next("INVITE", after=invite)
    assert again.body == invite.body and again.to_tag == "peer-tag"
    wire.reply(again, 200, body=sdp(port=5000), headers=[("Session-Expires", "2;refresher=uac")])
    assert (await wire.next("ACK")).cseq == again.cseq
    assert "ended" not in ear.words


async def test_a_refresh_repeats_even_a_large_offer(make_agent: MakeAgent, make_wire: MakeWire) -> None:
    agent, wire = await make_agent(session=SHORT), await make_wire()
    large = sdp(video=True) + b"a=fmtp:96 " + b"x" * 700 + b"\r\n"
    ear = Ear()
    call = agent.call(wire.uri(), ear, sdp=large)
    invite = await wire.next("INVITE")
    wire.reply(invite, 200, body=sdp(), headers=[("Session-Expires", "2;refresher=uac")])
    await wire.next("ACK")
    call.fold()
    assert len(call._said) < 500 and call.said == large
    assert (await wire.next("INVITE", after=invite)).body == large


@pytest.mark.rfc("4028", "10")
@pytest.mark.parametrize("status", [481, 408])
async def test_a_refresh_that_shows_that_the_peer_is_gone_ends_it(
    make_agent: MakeAgent, make_wire: MakeWire, status: int
) -> None:
    agent, wire = await make_agent(session=SHORT), await make_wire()
    _, ear, _ = await up(agent, wire, ALLOWS, ("Session-Expires", "2;refresher=uac"))
    wire.reply(await wire.next("UPDATE"), status)
    assert await ear.next("ended") is Ending.LOST
    assert "Session expired" in (await wire.next("BYE")).get("reason")
    assert len(agent) == 0


@pytest.mark.rfc("3261", "14.1")
@pytest.mark.rfc("4028", "7.4")
async def test_a_refresh_that_meets_a_reinvite_comes_again(
    make_agent: MakeAgent, make_wire: MakeWire, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adapters.sip.refresh.glare_s", lambda owns_call_id: 0.05 if owns_call_id else 9.0)
    agent, wire = await make_agent(session=SHORT), await make_wire()
    await up(agent, wire, ALLOWS, ("Session-Expires", "2;refresher=uac"))
    first = await wire.next("UPDATE")
    wire.reply(first, 491)
    second = await wire.next("UPDATE", after=first)
    assert second.cseq == first.cseq + 1


async def test_a_refused_refresh_ends_nothing_before_its_time(make_agent: MakeAgent, make_wire: MakeWire) -> None:
    agent, wire = await make_agent(session=SHORT), await make_wire()
    _, ear, _ = await up(agent, wire, ALLOWS, ("Session-Expires", "2;refresher=uac"))
    wire.reply(await wire.next("UPDATE"), 500)
    assert await ear.next("ended") is Ending.LOST
    await wire.next("BYE")


@pytest.mark.rfc("4028", "7.3")
async def test_a_refresh_that_is_too_short_is_asked_for_longer(make_agent: MakeAgent, make_wire: MakeWire) -> None:
    agent, wire = await make_agent(session=SHORT), await make_wire()
    await up(agent, wire, ALLOWS, ("Session-Expires", "2;refresher=uac"))
    first = await wire.next("UPDATE")
    wire.reply(first, 422, headers=[("Min-SE", "30")])
    assert (await wire.next("UPDATE", after=first)).get("session-expires") == "30;refresher=uac"


@pytest.mark.rfc("4028", "7.3")
async def test_a_422_to_the_first_invite_is_answered_with_what_it_wants(
    make_agent: MakeAgent, make_wire: MakeWire
) -> None:
    agent, wire = await make_agent(), await make_wire()
    ear = Ear()
    call = agent.call(wire.uri(), ear, sdp=sdp())
    first = await wire.next("INVITE")
    wire.reply(first, 422, headers=[("Min-SE", "3600")])
    second = await wire.next("INVITE", after=first)
    assert (second.call_id, second.from_tag, second.to_tag) == (first.call_id, first.from_tag, "")
    assert second.cseq == first.cseq + 1 and second.branch != first.branch
    assert (second.get("session-expires"), second.get("min-se")) == ("3600", "3600")
    wire.reply(second, 200, body=sdp(), headers=[("Session-Expires", "3600;refresher=uas")])
    await ear.next("answered")
    assert call.timer is not None and (call.timer.terms.interval_s, call.timer.terms.ours) == (3600, False)


async def test_who_only_says_422_is_not_asked_for_ever(make_agent: MakeAgent, make_wire: MakeWire) -> None:
    agent, wire = await make_agent(), await make_wire()
    ear = Ear()
    agent.call(wire.uri(), ear, sdp=sdp())
    last = None
    for tries in range(MAX_TRIES + 1):
        last = await wire.next("INVITE", after=last)
        wire.reply(last, 422, headers=[("Min-SE", str(100 * (tries + 1)))])
    assert (await ear.next("refused"))[0] == 422


@pytest.mark.rfc("4028", "10")
async def test_theirs_that_is_not_refreshed_is_ended(make_agent: MakeAgent, make_wire: MakeWire) -> None:
    agent, wire = await make_agent(session=SHORT), await make_wire()
    _, ear, _ = await up(agent, wire, ALLOWS, ("Session-Expires", "2;refresher=uas"))
    assert await ear.next("ended") is Ending.LOST
    await wire.next("BYE")
    assert len(agent) == 0


@pytest.mark.rfc("4028", "9")
async def test_theirs_that_is_refreshed_lives_on(make_agent: MakeAgent, make_wire: MakeWire) -> None:
    agent, wire = await make_agent(session=SHORT), await make_wire()
    call, _, invite = await up(agent, wire, ALLOWS, ("Session-Expires", "2;refresher=uas"))
    assert call.timer is not None
    before = call.timer._dies_at
    ask(wire, agent, invite, "UPDATE", 1, ("session-expires", "2;refresher=uac"), ("supported", "timer"))
    response = await wire.next(200)
    assert response.get("session-expires") == "2;refresher=uac" and response.get("require") == "timer"
    assert call.timer._dies_at > before


def ask(wire: Wire, agent: SipAgent, invite: Request, method: str, cseq: int, *headers: Any, **options: Any) -> Request:
    """Send a request inside a call that `invite` of ours began."""
    return wire.request(
        method, agent.address, call_id=invite.call_id, from_tag="peer-tag", to_tag=invite.from_tag,
        cseq=cseq, headers=headers, **options,
    )  # fmt: skip


@pytest.mark.rfc("4028", "9")
async def test_a_call_to_us_with_too_short_a_timer_is_refused(make_agent: MakeAgent, make_wire: MakeWire) -> None:
    agent, wire = await make_agent(on_invite=lambda call: call.ring()), await make_wire()
    wire.request("INVITE", agent.address, headers=[("session-expires", "60"), ("supported", "timer")], body=sdp())
    response = await wire.next(422)
    assert response.get("min-se") == "90" and response.reason == "Session Interval Too Small"
    assert len(agent) == 0


@pytest.mark.rfc("4028", "9")
async def test_a_call_to_us_gets_the_timer_it_asks_for(make_agent: MakeAgent, make_wire: MakeWire) -> None:
    calls: list[Call] = []

    def take(call: Call) -> None:
        calls.append(call)
        call.answer(sdp())

    agent, wire = await make_agent(on_invite=take), await make_wire()
    asked = [("session-expires", "600;refresher=uas"), ("supported", "timer"), ("require", "timer")]
    wire.request("INVITE", agent.address, headers=asked, body=sdp())
    response = await wire.next(200)
    assert response.get("session-expires") == "600;refresher=uas"
    [call] = calls
    assert call.timer is not None and call.timer.terms.ours


@pytest.mark.rfc("3261", "8.2.2.3")
async def test_an_extension_that_is_not_known_is_refused_inside_a_call_too(
    make_agent: MakeAgent, make_wire: MakeWire
) -> None:
    agent, wire = await make_agent(), await make_wire()
    _, ear, invite = await up(agent, wire)
    ask(wire, agent, invite, "INVITE", 1, ("require", "timer, 100rel"), body=sdp())
    response = await wire.next(420)
    assert response.get("unsupported") == "100rel" and "offered" not in ear.words


@pytest.mark.rfc("3311", "5.2")
async def test_an_update_before_the_answer_is_answered_without_sdp_and_refused_with(
    make_agent: MakeAgent, make_wire: MakeWire
) -> None:
    """RFC 3311 section 5.2: our offer is not answered yet, theirs would meet it."""
    agent, wire = await make_agent(), await make_wire()
    ear = Ear()
    agent.call(wire.uri(), ear, sdp=sdp())
    invite = await wire.next("INVITE")
    wire.reply(invite, 183)
    await ear.next("ringing")
    ask(wire, agent, invite, "UPDATE", 1)
    await wire.next(200)
    ask(wire, agent, invite, "UPDATE", 2, body=sdp())
    await wire.next(491)


@pytest.mark.rfc("3311", "5.2")
async def test_an_update_of_who_calls_us_waits_for_our_answer(make_agent: MakeAgent, make_wire: MakeWire) -> None:
    agent, wire = await make_agent(on_invite=lambda call: call.ring()), await make_wire()
    invite = wire.request("INVITE", agent.address, body=sdp())
    tag = (await wire.next(180)).to_tag
    for cseq, body, status in ((2, sdp(version=2), 500), (3, b"", 200)):
        wire.request("UPDATE", agent.address, call_id=invite.call_id, to_tag=tag, cseq=cseq, body=body)
        response = await wire.next(status, method="UPDATE")
        assert bool(response.get("retry-after")) is (status == 500)


class Later(CallListener):
    """Lets a refresh wait, as a process does that does not know whether it may."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.may = False

    def may_refresh(self, call: Call) -> bool:
        self.asked.set()
        return self.may


async def test_who_may_not_refresh_does_not(make_agent: MakeAgent, make_wire: MakeWire) -> None:
    agent, wire = await make_agent(session=SHORT), await make_wire()
    call, _, _ = await up(agent, wire, ALLOWS, ("Session-Expires", "2;refresher=uac"))
    call.listener = later = Later()
    await later.asked.wait()
    assert wire.quiet()
    later.may = True
    await wire.next("BYE")  # its time was over before it was known: nobody else may have it


@pytest.mark.parametrize("allows", [True, False])
async def test_a_later_process_takes_the_refresh_over(
    make_agent: MakeAgent, make_wire: MakeWire, monkeypatch: pytest.MonkeyPatch, allows: bool
) -> None:
    monkeypatch.setattr("adapters.sip.refresh._TAKEN_UP_S", (0.05, 0.1))
    first, wire = await make_agent(), await make_wire()
    given: Headers = [ALLOWS] if allows else []
    call, _, invite = await up(first, wire, *given, ("Session-Expires", "1800;refresher=uac"))
    memory = call.memory()
    assert memory["session"] == {"interval_s": 1800, "ours": True} and ("said" in memory) is not allows
    await first.close()
    second = await make_agent()
    second.adopt(memory, CallListener())
    if allows:
        request = await wire.next("UPDATE")
        assert request.body == b""
    else:
        request = await wire.next("INVITE", after=invite)
        assert request.body == invite.body
    assert request.get("session-expires") == "1800;refresher=uac"
    assert request.get("contact") == f"<sip:{second.address[0]}:{second.address[1]}>"
    assert request.cseq > invite.cseq


async def test_a_later_process_waits_for_the_refresh_of_the_peer(make_agent: MakeAgent, make_wire: MakeWire) -> None:
    first, wire = await make_agent(session=SHORT), await make_wire()
    call, _, _ = await up(first, wire, ALLOWS, ("Session-Expires", "2;refresher=uas"))
    memory = call.memory()
    await first.close()
    ear = Ear()
    second = await make_agent(session=SHORT)
    second.adopt(memory, ear)
    assert await ear.next("ended") is Ending.LOST


@pytest.mark.parametrize("wrong", [{"interval_s": "x", "ours": True}, [], {"ours": True}, "1800"])
async def test_a_memory_with_a_wrong_timer_is_none(make_agent: MakeAgent, make_wire: MakeWire, wrong: Any) -> None:
    agent, wire = await make_agent(), await make_wire()
    call, _, _ = await up(agent, wire)
    with pytest.raises(ValueError, match="memory"):
        agent.adopt({**call.memory(), "session": wrong}, CallListener())

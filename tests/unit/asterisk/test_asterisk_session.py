"""The manager session over a real socket: logging in, being lost, coming back, and never in between."""

import asyncio
import socket
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from adapters.bridges.asterisk.adapter import AsteriskBridge
from adapters.bridges.asterisk.grammar import Packet, report, respond
from adapters.errors import AdapterError, LoginRefused, OutcomeUnknown, Rejected, SessionLost, Unreachable
from adapters.events import MemberJoined, SessionGone, SessionReady
from adapters.values import Address, DialOptions
from tests.support.heard import PATIENT_S, Heard

from .peer import (
    QUICK,
    SECRET,
    Manager,
    bridge,
    channel,
    fully_booted,
    joined,
    listing,
)

TO = Address.parse("sip:qt01@192.0.2.7")


@pytest.fixture
async def manager() -> AsyncIterator[Manager]:
    async with Manager() as manager:
        yield manager


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
async def adapter(manager: Manager, heard: Heard) -> AsyncIterator[AsteriskBridge]:
    adapter = bridge(manager.port, heard)
    await adapter.open()
    yield adapter
    await adapter.close()


async def test_the_secret_does_not_cross_the_wire(manager: Manager, adapter: AsteriskBridge) -> None:
    assert manager.logins == 1
    assert SECRET.encode() not in manager.raw


async def test_without_md5_the_secret_is_sent_in_plain(manager: Manager, heard: Heard) -> None:
    manager.md5 = False
    adapter = bridge(manager.port, heard)
    identity = await adapter.open()
    await adapter.close()
    assert (identity.make, identity.firmware) == ("Asterisk", "22.10.1")
    assert manager.of("Login")[0].get("Secret") == SECRET


async def test_opening_twice_is_one_session(manager: Manager, adapter: AsteriskBridge, heard: Heard) -> None:
    await adapter.open()
    assert manager.logins == 1
    assert heard.events == []


async def test_a_wrong_secret_says_where_and_as_whom_and_is_not_tried_again(manager: Manager, heard: Heard) -> None:
    adapter = bridge(manager.port, heard, secret="wrong-secret-here")
    with pytest.raises(LoginRefused) as caught:
        await adapter.open()
    for told in (str(caught.value), caught.value.trace, repr(caught.value)):
        assert "wrong-secret-here" not in told
    for part in ("main-bridge", "'orch'", f"127.0.0.1:{manager.port}"):
        assert part in str(caught.value)
    with pytest.raises(LoginRefused):
        await adapter.ports()
    await adapter.close()
    assert manager.logins == 1
    assert heard.events == []


async def test_nobody_at_the_port(heard: Heard) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        adapter = bridge(unused.getsockname()[1], heard)
        with pytest.raises(Unreachable, match=r"127\.0\.0\.1"):
            await adapter.open()
    with pytest.raises(SessionLost):
        await adapter.ports()
    await adapter.close()


async def test_somebody_who_says_nothing(heard: Heard) -> None:
    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen()
        adapter = bridge(mute.getsockname()[1], heard, pace=replace(QUICK, open_s=0.05))
        with pytest.raises(Unreachable, match=r"no 'Asterisk Call Manager/' greeting within 0.05 s"):
            await adapter.open()


async def test_somebody_else_at_the_port(manager: Manager, heard: Heard) -> None:
    manager.greeting = b"SSH-2.0-OpenSSH_9.2\r\n"
    with pytest.raises(Unreachable, match="no Asterisk manager"):
        await bridge(manager.port, heard).open()


async def test_a_login_that_is_hung_up_on(manager: Manager, heard: Heard) -> None:
    def go(packet: Packet) -> None:
        manager.cut()

    manager.replies["Login"] = go
    with pytest.raises(Unreachable, match=f"127.0.0.1:{manager.port}"):
        await bridge(manager.port, heard).open()


async def test_a_user_who_may_not_list_is_told_what_to_change(manager: Manager, heard: Heard) -> None:
    manager.replies["ConfbridgeListRooms"] = lambda p: respond(p, "Error", "Permission denied")
    with pytest.raises(LoginRefused, match=r"may not ConfbridgeListRooms.*manager.conf"):
        await bridge(manager.port, heard).open()
    await manager.until_left()


async def test_ready_waits_until_the_bridge_has_booted(manager: Manager, heard: Heard) -> None:
    manager.booted = False
    adapter = bridge(manager.port, heard, pace=replace(QUICK, boot_s=PATIENT_S))
    opening = asyncio.create_task(adapter.open())
    await manager.until_asked("Login")
    assert manager.of("ConfbridgeListRooms") == []
    manager.say(fully_booted())
    await opening
    assert len(manager.of("ConfbridgeListRooms")) == 1
    await adapter.close()


async def test_a_user_who_never_hears_of_booting_is_served(manager: Manager, heard: Heard) -> None:
    manager.booted = False
    adapter = bridge(manager.port, heard, pace=replace(QUICK, boot_s=0.01))
    await adapter.open()
    await adapter.close()


async def test_gone_once_and_back_once(manager: Manager, adapter: AsteriskBridge, heard: Heard) -> None:
    await manager.stop()
    await heard.until(lambda: heard.of(SessionGone))
    with pytest.raises(SessionLost):
        await adapter.ports()
    await manager.start()
    await heard.until(lambda: heard.of(SessionReady))
    await adapter.ports()
    assert [type(event) for event in heard.events] == [SessionGone, SessionReady]
    assert heard.events[0].device == "main-bridge"


async def test_a_secret_changed_meanwhile_ends_the_trying(
    manager: Manager, adapter: AsteriskBridge, heard: Heard
) -> None:
    manager.secret = "another"
    manager.cut()
    await manager.until_asked("Login", 2)
    with pytest.raises(LoginRefused):
        async with asyncio.timeout(PATIENT_S):
            while True:
                try:
                    await adapter.ports()
                except SessionLost:
                    await asyncio.sleep(0)
    manager.secret = SECRET
    await adapter.open()
    assert manager.logins == 3
    assert [type(event) for event in heard.events] == [SessionGone]


async def test_an_order_cut_off_is_unknown_and_a_question_is_lost(manager: Manager, adapter: AsteriskBridge) -> None:
    manager.replies["ConfbridgeMute"] = lambda p: manager.cut()
    with pytest.raises(OutcomeUnknown) as caught:
        await adapter.mute("8001", "PJSIP/x-1", True)
    assert "ConfbridgeMute" in caught.value.trace
    assert SECRET not in caught.value.trace


async def test_a_question_cut_off_is_lost(manager: Manager, adapter: AsteriskBridge) -> None:
    manager.replies["ConfbridgeList"] = lambda p: manager.cut()
    with pytest.raises(SessionLost):
        await adapter.snapshot("8001")


async def test_a_missed_reply_ends_the_session(manager: Manager, heard: Heard) -> None:
    adapter = bridge(manager.port, heard, pace=replace(QUICK, order_s=0.05))
    await adapter.open()
    manager.replies["ConfbridgeMute"] = lambda p: None
    with pytest.raises(OutcomeUnknown, match=r"no reply to ConfbridgeMute within 0.05 s"):
        await adapter.mute("8001", "PJSIP/x-1", True)
    await heard.until(lambda: heard.of(SessionReady))
    await adapter.close()


async def test_a_quiet_session_is_pinged_and_a_dead_one_noticed(manager: Manager, heard: Heard) -> None:
    adapter = bridge(manager.port, heard, pace=replace(QUICK, ping_every_s=0.01, ping_s=0.05))
    await adapter.open()
    await manager.until_asked("Ping", 2)
    assert heard.events == []
    manager.replies["Ping"] = lambda p: None
    await heard.until(lambda: heard.of(SessionGone))
    assert "no reply to Ping" in heard.of(SessionGone)[0].reason
    await adapter.close()


async def test_events_inside_a_list_are_heard_and_the_list_is_whole(
    manager: Manager, adapter: AsteriskBridge, heard: Heard
) -> None:
    def reply(packet: Packet) -> bytes:
        entries = [(("Conference", "8001"), *channel(f"m{n}"), ("Muted", "No"), ("AnsweredTime", "7")) for n in (1, 2)]
        return listing(packet, "ConfbridgeList", *entries, between=joined("other") + report("VarSet", ("Value", "x")))

    manager.replies["ConfbridgeList"] = reply
    await adapter.snapshot("8001")
    roster = await adapter.snapshot("8001")
    assert [member.marks[0] for member in roster.members] == ["m1", "m2"]
    assert {type(event) for event in heard.events} == {MemberJoined}


async def test_a_list_line_of_another_request_is_not_taken(manager: Manager, adapter: AsteriskBridge) -> None:
    stray = report("ConfbridgeList", ("ActionID", "somebody-else"), ("Conference", "8001"), *channel("x"), privilege="")

    def reply(packet: Packet) -> bytes:
        return stray + listing(packet, "ConfbridgeList", (("Conference", "8001"), *channel("m1")), between=stray)

    manager.replies["ConfbridgeList"] = reply
    assert [m.marks[0] for m in (await adapter.snapshot("8001")).members] == ["m1"]


async def test_a_response_to_nothing_is_counted_and_harms_nothing(manager: Manager, adapter: AsteriskBridge) -> None:
    manager.say(respond("nobody-asked", "Success", "hm"), b"What: is this\r\n\r\n", b"no colon at all\r\n\r\n")
    await adapter.ports()
    assert adapter._session.trace.unread == 3


async def test_a_packet_without_end_ends_the_session(manager: Manager, adapter: AsteriskBridge, heard: Heard) -> None:
    manager.say(b"Event: x\r\n" + b"y" * 100_000)
    await heard.until(lambda: heard.of(SessionReady))
    assert "at most" in heard.of(SessionGone)[0].reason


async def test_two_verbs_at_once_get_their_own_answers(manager: Manager, adapter: AsteriskBridge) -> None:
    waiting: list[Packet] = []

    def mute(packet: Packet) -> bytes | None:
        waiting.append(packet)
        if len(waiting) < 2:
            return None
        no = "No Channel by that name found in Conference."
        return b"".join(
            respond(p, "Success", "User muted") if p.get("Channel") == "PJSIP/a" else respond(p, "Error", no)
            for p in reversed(waiting)
        )

    manager.replies["ConfbridgeMute"] = mute
    good, bad = await asyncio.gather(
        adapter.mute("8001", "PJSIP/a", True), adapter.mute("8001", "PJSIP/b", True), return_exceptions=True
    )
    assert good is None
    assert isinstance(bad, Rejected)
    assert "'PJSIP/b'" in str(bad)


async def test_cancelled_while_waiting_leaves_the_session_good(manager: Manager, adapter: AsteriskBridge) -> None:
    manager.replies["ConfbridgeMute"] = lambda p: None
    muting = asyncio.create_task(adapter.mute("8001", "PJSIP/a", True))
    asked = await manager.until_asked("ConfbridgeMute")
    muting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await muting
    manager.say(respond(asked, "Success", "User muted"))
    await adapter.ports()
    assert manager.logins == 1


async def test_cancelled_while_opening_leaves_no_connection(manager: Manager, heard: Heard) -> None:
    manager.replies["Login"] = lambda p: None
    opening = asyncio.create_task(bridge(manager.port, heard).open())
    await manager.until_asked("Login")
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    await manager.until_left()


async def test_closing_tells_nobody_and_may_be_repeated(manager: Manager, heard: Heard) -> None:
    adapter = bridge(manager.port, heard)
    await adapter.close()
    await adapter.open()
    await adapter.close()
    await adapter.close()
    assert heard.events == []
    with pytest.raises(SessionLost):
        await adapter.invite("leg-1", "8001", TO, DialOptions())
    await manager.until_asked("Logoff")


async def test_no_error_shows_the_secret(manager: Manager, heard: Heard) -> None:
    adapter = bridge(manager.port, heard)
    await adapter.open()
    manager.replies["ConfbridgeMute"] = lambda p: respond(p, "Error", f"I know {SECRET}")
    with pytest.raises(AdapterError) as caught:
        await adapter.mute("8001", "PJSIP/a", True)
    await adapter.close()
    assert SECRET not in str(caught.value)
    assert SECRET not in caught.value.trace
    assert SECRET not in repr(adapter._session.target)

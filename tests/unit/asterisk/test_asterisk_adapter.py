"""The verbs of the Asterisk bridge against a manager that is slow, silent, in the wrong order or gone."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from adapters.bridges.asterisk.adapter import AsteriskBridge
from adapters.bridges.asterisk.grammar import Packet, report, respond
from adapters.causes import ClearCause, Side
from adapters.errors import NoFreePorts, OutcomeUnknown, Rejected, SessionLost
from adapters.events import (
    ConferenceEnded,
    LegCleared,
    LegConnected,
    LegRinging,
    MemberChanged,
    MemberJoined,
    MemberLeft,
    SessionGone,
    SessionReady,
)
from adapters.values import Address, ConferenceSpec, DialOptions, LegState
from tests.support.heard import Heard

from .peer import (
    Manager,
    bridge,
    channel,
    hung_up,
    in_room,
    joined,
    left,
    listing,
    made,
    ringing,
    verdict,
)

TO = Address.parse("sip:qt01@192.0.2.7")
LEG = "dc0a1b-1-2-1"
OPTIONS = DialOptions(display="Điểm cầu", ring_s=30)


@pytest.fixture
async def manager() -> AsyncIterator[Manager]:
    async with Manager() as manager:
        yield manager


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
async def adapter(manager: Manager, heard: Heard) -> AsyncIterator[AsteriskBridge]:
    adapter = bridge(manager.port, heard, bridge_profile="main", user_profile="guest")
    await adapter.open()
    yield adapter
    await adapter.close()


def shows(manager: Manager, *entries: tuple[tuple[str, str], ...]) -> None:
    """What CoreShowChannels lists from now on."""
    manager.replies["CoreShowChannels"] = lambda p: listing(p, "CoreShowChannel", *entries)


async def connected(manager: Manager, adapter: AsteriskBridge, heard: Heard, leg: str = LEG) -> None:
    await adapter.invite(leg, "8001", TO, OPTIONS)
    manager.say(made(leg), ringing(leg), joined(leg))
    await heard.event(LegConnected, leg)


# ---- dialing out


async def test_the_order_that_goes_out(manager: Manager, adapter: AsteriskBridge) -> None:
    await adapter.invite(LEG, "8001", TO, OPTIONS)
    order = await manager.until_asked("Originate")
    assert dict(order.fields[2:]) == {
        "ChannelId": LEG,
        "Channel": "PJSIP/diemcau/sip:qt01@192.0.2.7",
        "Application": "ConfBridge",
        "Data": "8001,main,guest",
        "CallerID": '"Điểm cầu" <8001>',
        "Timeout": "30000",
        "Async": "true",
        "Codecs": "ulaw,alaw,g722,h264",
    }


async def test_sound_only_where_no_video_is_wanted_or_possible(manager: Manager, adapter: AsteriskBridge) -> None:
    await adapter.invite("a-1", "8001", TO, DialOptions(video=False))
    await adapter.invite("a-2", "8001", Address.parse("h323:qt02@192.0.2.8"), DialOptions())
    assert [order.get("Codecs") for order in manager.of("Originate")] == ["", ""]


async def test_the_title_is_shown_where_no_display_is_given(manager: Manager, adapter: AsteriskBridge) -> None:
    await adapter.open_conference(ConferenceSpec("8001", "Giao ban tháng 12", "tag"))
    await adapter.invite("a-1", "8001", TO, DialOptions())
    assert manager.of("Originate")[0].get("CallerID") == '"Giao ban tháng 12" <8001>'


async def test_from_order_to_end(manager: Manager, adapter: AsteriskBridge, heard: Heard) -> None:
    await connected(manager, adapter, heard)
    manager.say(report("HangupRequest", *channel(LEG)), left(LEG), hung_up(LEG), hung_up(LEG))
    cleared = await heard.cleared(LEG)
    await adapter.ports()
    assert (cleared.cleared.cause, cleared.cleared.side) == (ClearCause.FAR_END, Side.FAR_END)
    assert [type(event) for event in heard.about(LEG)] == [LegRinging, LegConnected, LegCleared]


@pytest.mark.parametrize(
    ("leg", "conference", "to", "options"),
    [
        ("leg 1", "8001", TO, OPTIONS),
        ("", "8001", TO, OPTIONS),
        (LEG, "8001,admin", TO, OPTIONS),
        (LEG, "8001\r\nAction: Command", TO, OPTIONS),
        (LEG, "8001", Address("sip", "a,b", "192.0.2.7"), OPTIONS),
        (LEG, "8001", TO, DialOptions(digits="12\r\n34")),
        (LEG, "8001", TO, DialOptions(digits="12 34")),
    ],
)
async def test_what_could_break_out_is_refused_before_a_byte_is_sent(
    manager: Manager, adapter: AsteriskBridge, leg: str, conference: str, to: Address, options: DialOptions
) -> None:
    with pytest.raises(Rejected) as caught:
        await adapter.invite(leg, conference, to, options)
    assert "12" not in str(caught.value)
    assert manager.of("Originate") == []


async def test_the_same_leg_is_ordered_once(manager: Manager, adapter: AsteriskBridge, heard: Heard) -> None:
    await asyncio.gather(*(adapter.invite(LEG, "8001", TO, OPTIONS) for _ in range(3)))
    await adapter.invite(LEG, "8001", TO, OPTIONS)
    manager.say(made(LEG), hung_up(LEG, 17, ("TechCause", "486")))
    await heard.cleared(LEG)
    with pytest.raises(Rejected, match="is over"):
        await adapter.invite(LEG, "8001", TO, OPTIONS)
    assert len(manager.of("Originate")) == 1


async def test_a_refused_order_is_no_leg_and_may_be_given_again(
    manager: Manager, adapter: AsteriskBridge, heard: Heard
) -> None:
    good = manager.replies["Originate"]
    manager.replies["Originate"] = lambda p: respond(p, "Error", "Permission denied")
    with pytest.raises(Rejected, match="originate"):
        await adapter.invite(LEG, "8001", TO, OPTIONS)
    manager.replies["Originate"] = good
    await adapter.invite(LEG, "8001", TO, OPTIONS)
    assert heard.events == []


async def test_a_verdict_of_somebody_elses_order_clears_nothing(
    manager: Manager, adapter: AsteriskBridge, heard: Heard
) -> None:
    await connected(manager, adapter, heard)
    foreign = Packet([("Action", "Originate"), ("ActionID", "somebody-1"), ("ChannelId", LEG)])
    manager.say(verdict(foreign))
    shows(manager)
    await adapter.ports()
    call = adapter._calls.get(LEG)
    assert call is not None
    assert call.failed is None


async def test_no_channel_at_all(manager: Manager, adapter: AsteriskBridge, heard: Heard) -> None:
    await adapter.invite(LEG, "8001", TO, OPTIONS)
    manager.say(verdict(manager.of("Originate")[0]))
    cleared = (await heard.cleared(LEG)).cleared
    assert (cleared.cause, cleared.side) == (ClearCause.UNREACHABLE, Side.BRIDGE)
    assert "PJSIP/diemcau/sip:qt01@192.0.2.7" in cleared.raw


async def test_a_verdict_may_come_before_the_order_is_acknowledged(
    manager: Manager, adapter: AsteriskBridge, heard: Heard
) -> None:
    manager.replies["Originate"] = lambda p: verdict(p) + respond(p, "Success", "Originate successfully queued")
    await adapter.invite(LEG, "8001", TO, OPTIONS)
    assert (await heard.cleared(LEG)).cleared.side is Side.BRIDGE


async def test_an_order_that_fails_because_its_leg_lives_takes_that_leg_over(
    manager: Manager, adapter: AsteriskBridge, heard: Heard
) -> None:
    """Measured: the unique id is taken, so a second Originate fails, with the id of the living call in it."""
    shows(manager, in_room(LEG))
    await adapter.invite(LEG, "8001", TO, OPTIONS)
    manager.say(verdict(manager.of("Originate")[0]))
    await heard.event(LegConnected, LEG)
    assert heard.of(LegCleared) == []


async def test_a_failure_waits_for_the_hangup_that_says_why(
    manager: Manager, adapter: AsteriskBridge, heard: Heard
) -> None:
    await adapter.invite(LEG, "8001", TO, OPTIONS)
    manager.say(made(LEG), verdict(manager.of("Originate")[0]))
    manager.say(hung_up(LEG, 17, ("TechCause", "486")))
    assert (await heard.cleared(LEG)).cleared.cause is ClearCause.BUSY


async def test_a_call_nothing_was_heard_of_is_looked_for(
    manager: Manager, adapter: AsteriskBridge, heard: Heard
) -> None:
    await adapter.invite(LEG, "8001", TO, DialOptions(ring_s=0.05))
    assert (await heard.cleared(LEG)).cleared.cause is ClearCause.LOST
    assert len(manager.of("CoreShowChannels")) == 2


async def test_a_call_that_was_missed_joining_is_found(manager: Manager, adapter: AsteriskBridge, heard: Heard) -> None:
    shows(manager, in_room(LEG))
    await adapter.invite(LEG, "8001", TO, DialOptions(ring_s=0.05))
    await heard.event(LegConnected, LEG)


# ---- orders cut off


async def test_an_order_cut_off_is_found_again_after_the_outage(
    manager: Manager, adapter: AsteriskBridge, heard: Heard
) -> None:
    manager.replies["Originate"] = lambda p: manager.cut()
    with pytest.raises(OutcomeUnknown):
        await adapter.invite(LEG, "8001", TO, OPTIONS)
    with pytest.raises(OutcomeUnknown):
        await adapter.invite(LEG, "8001", TO, OPTIONS)
    shows(manager, in_room(LEG, "Ringing"))
    await heard.until(lambda: heard.of(SessionReady))
    (seen,) = await adapter.adopt([LEG])
    assert seen.state is LegState.RINGING
    assert [type(event) for event in heard.about(LEG)] == [LegRinging]
    manager.say(joined(LEG))
    await heard.event(LegConnected, LEG)
    assert len(manager.of("Originate")) == 1


async def test_an_order_cut_off_that_never_arrived_is_cleared_once(
    manager: Manager, adapter: AsteriskBridge, heard: Heard
) -> None:
    manager.replies["Originate"] = lambda p: manager.cut()
    with pytest.raises(OutcomeUnknown):
        await adapter.invite(LEG, "8001", TO, OPTIONS)
    cleared = await heard.cleared(LEG)
    (seen,) = await adapter.adopt([LEG])
    assert (cleared.cleared.cause, seen.state) == (ClearCause.LOST, LegState.CLEARED)
    assert len(heard.of(LegCleared)) == 1


async def test_calls_are_caught_up_with_after_an_outage(
    manager: Manager, adapter: AsteriskBridge, heard: Heard
) -> None:
    for leg in ("stays", "went", "answers"):
        await adapter.invite(leg, "8001", TO, OPTIONS)
        manager.say(made(leg))
    manager.say(joined("stays"), joined("went"))
    await heard.event(LegConnected, "went")
    shows(manager, in_room("stays"), in_room("answers"))
    manager.cut()
    await heard.until(lambda: heard.of(SessionReady))
    assert (await heard.cleared("went")).cleared.cause is ClearCause.LOST
    await heard.event(LegConnected, "answers")
    assert [type(event) for event in heard.about("stays")] == [LegConnected]


async def test_cancelled_at_the_order_keeps_the_leg_to_be_found(
    manager: Manager, adapter: AsteriskBridge, heard: Heard
) -> None:
    manager.replies["Originate"] = lambda p: None
    order = asyncio.create_task(adapter.invite(LEG, "8001", TO, OPTIONS))
    await manager.until_asked("Originate")
    order.cancel()
    with pytest.raises(asyncio.CancelledError):
        await order
    manager.say(made(LEG), joined(LEG))
    await heard.event(LegConnected, LEG)
    await adapter.invite(LEG, "8001", TO, OPTIONS)
    assert len(manager.of("Originate")) == 1


# ---- hanging up


async def test_a_hang_up_may_be_repeated(manager: Manager, adapter: AsteriskBridge, heard: Heard) -> None:
    await connected(manager, adapter, heard)
    await asyncio.gather(adapter.drop(LEG), adapter.drop(LEG))
    manager.replies["Hangup"] = lambda p: respond(p, "Error", "No such channel")
    await adapter.drop(LEG)
    manager.say(left(LEG), hung_up(LEG))
    cleared = (await heard.cleared(LEG)).cleared
    await adapter.drop(LEG)
    assert (cleared.cause, cleared.side) == (ClearCause.LOCAL, Side.OURS)
    assert len(heard.of(LegCleared)) == 1
    assert len(manager.of("Hangup")) == 3


async def test_a_hang_up_before_the_channel_is_made_is_done_when_it_is(
    manager: Manager, adapter: AsteriskBridge, heard: Heard
) -> None:
    await adapter.invite(LEG, "8001", TO, OPTIONS)
    manager.replies["Hangup"] = lambda p: respond(p, "Error", "No such channel")
    await adapter.drop(LEG)
    manager.replies["Hangup"] = lambda p: respond(p, "Success", "Channel Hungup") + hung_up(LEG)
    manager.say(made(LEG))
    assert (await heard.cleared(LEG)).cleared.cause is ClearCause.LOCAL
    assert [order.get("Channel") for order in manager.of("Hangup")] == [LEG, LEG]


async def test_a_channel_made_after_its_leg_was_given_up_does_not_ring_on(
    manager: Manager, adapter: AsteriskBridge, heard: Heard
) -> None:
    await adapter.invite(LEG, "8001", TO, OPTIONS)
    manager.replies["Hangup"] = lambda p: respond(p, "Error", "No such channel")
    await adapter.drop(LEG)
    await heard.cleared(LEG)
    manager.say(made(LEG))
    await manager.until_asked("Hangup", 2)
    assert len(heard.of(LegCleared)) == 1


async def test_a_hang_up_whose_end_is_not_told_is_looked_for(
    manager: Manager, adapter: AsteriskBridge, heard: Heard
) -> None:
    await connected(manager, adapter, heard)
    await adapter.drop(LEG)
    assert (await heard.cleared(LEG)).cleared.cause is ClearCause.LOCAL


async def test_a_hang_up_that_did_not_take_is_repeated(manager: Manager, adapter: AsteriskBridge, heard: Heard) -> None:
    await connected(manager, adapter, heard)
    shows(manager, in_room(LEG))
    await adapter.drop(LEG)
    await manager.until_asked("Hangup", 2)
    manager.say(hung_up(LEG))
    await heard.cleared(LEG)


async def test_a_leg_of_an_earlier_process_is_hung_up(manager: Manager, adapter: AsteriskBridge, heard: Heard) -> None:
    manager.replies["Hangup"] = lambda p: respond(p, "Success", "Channel Hungup") + hung_up(LEG)
    await adapter.drop(LEG)
    assert (await heard.cleared(LEG)).cleared.cause is ClearCause.LOCAL


async def test_a_leg_that_nobody_has_is_cleared_once(manager: Manager, adapter: AsteriskBridge, heard: Heard) -> None:
    manager.replies["Hangup"] = lambda p: respond(p, "Error", "No such channel")
    await adapter.drop(LEG)
    await adapter.drop(LEG)
    assert [type(event) for event in heard.events] == [LegCleared]
    assert len(manager.of("Hangup")) == 1


async def test_a_member_is_put_out_by_its_channel_and_is_no_leg(
    manager: Manager, adapter: AsteriskBridge, heard: Heard
) -> None:
    await adapter.drop("PJSIP/unit-0000001a")
    manager.replies["Hangup"] = lambda p: respond(p, "Error", "No such channel")
    await adapter.drop("PJSIP/unit-0000001a")
    with pytest.raises(Rejected, match="no channel name"):
        await adapter.drop("/PJSIP.*/")
    assert [order.get("Channel") for order in manager.of("Hangup")] == ["PJSIP/unit-0000001a"] * 2
    assert heard.events == []


async def test_a_drop_without_a_session_leaves_the_leg_as_it_was(
    manager: Manager, adapter: AsteriskBridge, heard: Heard
) -> None:
    await connected(manager, adapter, heard)
    await manager.stop()
    await heard.until(lambda: heard.of(SessionGone))
    for leg in (LEG, "unknown-leg"):
        with pytest.raises(SessionLost):
            await adapter.drop(leg)
    shows(manager, in_room(LEG))
    await manager.start()
    await heard.until(lambda: heard.of(SessionReady))
    manager.say(report("HangupRequest", *channel(LEG)), hung_up(LEG))
    assert (await heard.cleared(LEG)).cleared.cause is ClearCause.FAR_END
    assert heard.about("unknown-leg") == []


# ---- adopting


async def test_adopting_asks_once_for_all(manager: Manager, adapter: AsteriskBridge, heard: Heard) -> None:
    shows(
        manager,
        in_room("in"),
        in_room("rings", "Ringing"),
        in_room("dials", "Down"),
        (*channel("answers"), ("Application", "AppDial2")),
    )
    before = len(manager.of("CoreShowChannels"))
    names = ["in", "rings", "dials", "answers", "nobody", "in"]
    seen = await adapter.adopt(names)
    assert [(leg.leg, leg.state) for leg in seen] == [
        ("in", LegState.CONNECTED),
        ("rings", LegState.RINGING),
        ("dials", LegState.DIALING),
        ("answers", LegState.DIALING),
        ("nobody", LegState.CLEARED),
    ]
    assert len(manager.of("CoreShowChannels")) == before + 1
    assert heard.events == []
    manager.say(joined("rings"), hung_up("in"), ringing("dials"))
    await heard.event(LegRinging, "dials")
    assert [type(event) for event in heard.about("rings")] == [LegConnected]
    assert [type(event) for event in heard.about("in")] == [LegCleared]


async def test_adopting_again_says_the_same(manager: Manager, adapter: AsteriskBridge, heard: Heard) -> None:
    shows(manager, in_room(LEG))
    assert [await adapter.adopt([LEG]) for _ in range(2)][1][0].state is LegState.CONNECTED
    shows(manager)
    assert (await adapter.adopt([LEG]))[0].state is LegState.CLEARED
    assert (await adapter.adopt([LEG]))[0].state is LegState.CLEARED
    assert len(heard.of(LegCleared)) == 1


async def test_what_happens_while_adopting_is_not_missed(
    manager: Manager, adapter: AsteriskBridge, heard: Heard
) -> None:
    manager.replies["CoreShowChannels"] = lambda p: listing(
        p, "CoreShowChannel", in_room(LEG, "Ringing"), between=joined(LEG)
    )
    (seen,) = await adapter.adopt([LEG])
    assert seen.state is LegState.CONNECTED
    assert [type(event) for event in heard.about(LEG)] == [LegConnected]


async def test_adopting_without_a_session(manager: Manager, adapter: AsteriskBridge, heard: Heard) -> None:
    manager.replies["CoreShowChannels"] = lambda p: manager.cut()
    with pytest.raises(SessionLost):
        await adapter.adopt([LEG])
    shows(manager)
    await heard.until(lambda: heard.of(SessionReady))
    assert heard.about(LEG) == []


# ---- digits


async def test_a_pin_goes_out_after_the_answer_over_a_session_of_its_own(
    manager: Manager, adapter: AsteriskBridge, heard: Heard
) -> None:
    await adapter.invite(LEG, "8001", TO, DialOptions(digits="2468#", digits_delay_s=0))
    assert manager.of("PlayDTMF") == []
    manager.say(made(LEG), joined(LEG))
    await manager.until_asked("PlayDTMF", 5)
    played = manager.of("PlayDTMF")
    assert "".join(packet.get("Digit") for packet in played) == "2468#"
    assert {packet.get("Channel") for packet in played} == {LEG}
    assert [login.get("Events") for login in manager.of("Login")] == ["system,call", "off"]
    await manager.until_asked("Logoff")


async def test_digits_can_be_sent_by_hand_with_pauses(manager: Manager, adapter: AsteriskBridge) -> None:
    await adapter.send_digits(LEG, "8,w#")
    assert [packet.get("Digit") for packet in manager.of("PlayDTMF")] == ["8", "#"]


async def test_digits_to_a_channel_that_is_gone(manager: Manager, adapter: AsteriskBridge) -> None:
    manager.replies["PlayDTMF"] = lambda p: respond(p, "Error", "Channel not found")
    with pytest.raises(Rejected, match="Channel not found"):
        await adapter.send_digits(LEG, "1")
    with pytest.raises(Rejected, match="0-9"):
        await adapter.send_digits(LEG, "one")


async def test_digits_go_over_the_first_session_where_there_is_no_second(
    manager: Manager, adapter: AsteriskBridge
) -> None:
    first = set(manager._writers)

    def only_the_first(packet: Packet) -> bytes | None:
        for writer in manager._writers - first:
            writer.transport.abort()
        return None

    manager.replies["Challenge"] = only_the_first
    await adapter.send_digits(LEG, "12")
    assert [packet.get("Digit") for packet in manager.of("PlayDTMF")] == ["1", "2"]


async def test_a_pin_is_not_in_the_trace(manager: Manager, adapter: AsteriskBridge) -> None:
    await adapter.send_digits(LEG, "9")
    assert "9" not in adapter._session.trace.tail().replace("32769", "")


# ---- rosters


async def test_a_roster_and_its_news(manager: Manager, adapter: AsteriskBridge, heard: Heard) -> None:
    line = (("Conference", "8001"), ("Muted", "Yes"), ("AnsweredTime", "60"), *channel(LEG))
    announcer = (("Conference", "8001"), *channel("x", name="CBAnn/8001-00000001;2"))
    manager.replies["ConfbridgeList"] = lambda p: listing(p, "ConfbridgeList", line, announcer)
    roster = await adapter.snapshot("8001")
    (member,) = roster.members
    assert (member.id, member.marks, member.muted) == (f"PJSIP/x-{LEG}", (LEG, "8001"), True)
    assert member.joined_at is not None
    assert roster.seen_at - member.joined_at - timedelta(seconds=60) < timedelta(seconds=1)
    unmuted = report("ConfbridgeUnmute", ("Conference", "8001"), *channel(LEG))
    foreign = report("ConfbridgeJoin", ("Conference", "9000"), *channel("stranger"))
    spoken = report("ConfbridgeJoin", ("Conference", "8001"), *channel("y", name="CBAnn/8001-00000002;2"))
    manager.say(unmuted, foreign, spoken, joined("dialed-in"), left(LEG))
    manager.say(report("ConfbridgeEnd", ("Conference", "8001")))
    await heard.until(lambda: heard.of(ConferenceEnded))
    assert [type(event) for event in heard.events] == [MemberChanged, MemberJoined, MemberLeft, ConferenceEnded]
    changed, came, went, _ = heard.events
    assert (changed.member.muted, changed.member.joined_at) == (False, member.joined_at)
    assert came.member.marks == ("dialed-in", "8001")
    assert went.member.id == member.id


@pytest.mark.parametrize("words", ["No active conferences.", "No Conference by that name found."])
async def test_an_empty_room_is_a_roster_of_nobody(manager: Manager, adapter: AsteriskBridge, words: str) -> None:
    manager.replies["ConfbridgeList"] = lambda p: respond(p, "Error", words)
    roster = await adapter.snapshot("8001")
    assert (roster.members, roster.known) == ((), True)


async def test_a_roster_that_is_refused(manager: Manager, adapter: AsteriskBridge) -> None:
    manager.replies["ConfbridgeList"] = lambda p: respond(p, "Error", "Permission denied")
    with pytest.raises(Rejected, match=r"may not ConfbridgeList"):
        await adapter.snapshot("8001")


async def test_muting_names_the_channel_and_its_conference(manager: Manager, adapter: AsteriskBridge) -> None:
    await adapter.mute("8001", "PJSIP/x-1", True)
    await adapter.mute("8001", "PJSIP/x-1", False)
    orders = manager.of("ConfbridgeMute") + manager.of("ConfbridgeUnmute")
    assert [(p.get("Conference"), p.get("Channel")) for p in orders] == [("8001", "PJSIP/x-1")] * 2
    with pytest.raises(Rejected, match="line break"):
        await adapter.mute("8001", "PJSIP/x\r\nAction: Logoff", True)


async def test_ending_a_conference_sends_nothing_and_listens_no_more(
    manager: Manager, adapter: AsteriskBridge, heard: Heard
) -> None:
    await adapter.open_conference(ConferenceSpec("8001", "x", "tag"))
    before = len(manager.asked)
    await adapter.end_conference("8001")
    await adapter.end_conference("8001")
    manager.say(joined("stranger"))
    await adapter.ports()
    assert len(manager.asked) == before + 1
    assert heard.events == []


# ---- ports


async def test_ports_count_everybody_and_stop_an_order(manager: Manager, heard: Heard) -> None:
    shows(manager, in_room("guest-1", conference="9000"))
    adapter = bridge(manager.port, heard, ports=3)
    await adapter.open()
    await adapter.invite("a-1", "8001", TO, OPTIONS)
    manager.say(made("a-1"), joined("a-1"))
    await heard.event(LegConnected, "a-1")
    await adapter.invite("a-2", "8001", TO, OPTIONS)
    with pytest.raises(NoFreePorts, match="3 of 3"):
        await adapter.invite("a-3", "8001", TO, OPTIONS)
    manager.say(made("a-2"), hung_up("a-2", 17))
    await heard.cleared("a-2")
    await adapter.invite("a-3", "8001", TO, OPTIONS)
    with pytest.raises(NoFreePorts):
        await adapter.open_conference(ConferenceSpec("8005", "x", "tag"))
    await adapter.open_conference(ConferenceSpec("8001", "x", "tag"))
    await adapter.close()


async def test_ports_as_the_bridge_counts_them(manager: Manager, heard: Heard) -> None:
    rooms = [(("Conference", name), ("Parties", str(count))) for name, count in (("8001", 41), ("9000", 2))]
    adapter = bridge(manager.port, heard, ports=120)
    await adapter.open()
    empty = await adapter.ports()
    manager.replies["ConfbridgeListRooms"] = lambda p: listing(p, "ConfbridgeListRooms", *rooms)
    busy = await adapter.ports()
    await adapter.close()
    assert (empty.total, empty.used, busy.total, busy.used) == (120, 0, 120, 43)


# ---- the rest


async def test_an_event_that_breaks_something_breaks_only_itself(manager: Manager) -> None:
    class Touchy(Heard):
        def __call__(self, event: object) -> None:
            if isinstance(event, LegRinging):
                raise RuntimeError("the sink is broken")
            super().__call__(event)  # type: ignore[arg-type]

    touchy = Touchy()
    adapter = bridge(manager.port, touchy)
    await adapter.open()
    await connected(manager, adapter, touchy)
    assert touchy.of(SessionGone) == []
    await adapter.close()


async def test_after_closing_nothing_is_told_and_calls_stay(
    manager: Manager, adapter: AsteriskBridge, heard: Heard
) -> None:
    await connected(manager, adapter, heard)
    before = list(heard.events)
    await adapter.close()
    await manager.until_left()
    assert heard.events == before
    assert manager.of("Hangup") == []


async def test_a_thousand_joins_in_a_burst(manager: Manager, adapter: AsteriskBridge, heard: Heard) -> None:
    legs = [f"dc0a1b-1-{number}-1" for number in range(1000)]
    await asyncio.gather(*(adapter.invite(leg, "8001", TO, OPTIONS) for leg in legs))
    noise = report("Newexten", ("Uniqueid", "x")) * 5
    manager.say(*(made(leg) + noise + ringing(leg) + joined(leg) for leg in legs))
    await heard.until(lambda: len(heard.of(LegConnected)) == 1000)
    assert len(heard.of(MemberJoined)) == 1000
    assert adapter._calls.waiting == 0

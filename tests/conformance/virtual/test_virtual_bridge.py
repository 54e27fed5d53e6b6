"""The virtual bridges on real sockets: calls out, calls in, the PIN, full rooms; as captured from a real Asterisk."""

import asyncio

import pytest

from adapters.bridges.asterisk.grammar import Packet
from adapters.sip.sdp import medias
from tests.conformance.virtual.conftest import ANSWERED, BYE, Manager, Phone, Town, digits, events_of, sample, shape

QUICK = {"input_s": 0.5, "notice_s": 0.1}


async def dial(
    town: Town, manager: Manager, code: str, leg: str, timeout_ms: int = 6000, conference: str = "8001"
) -> None:
    answer = await manager.ask(
        "Originate",
        ("ChannelId", leg),
        ("Channel", f"PJSIP/labudp/{town.site(code)}"),
        ("Application", "ConfBridge"),
        ("Data", f"{conference},main,guest,usermenu"),
        ("Timeout", str(timeout_ms)),
        ("Async", "true"),
    )
    assert answer.message == "Originate successfully queued"


def mine_and_real(mine: list[Packet], real: list[Packet], *names: str) -> None:
    """Both tell the same events of these names, with the same fields in the same order."""
    for name in names:
        assert [shape(p) for p in mine if p.name == name] == [shape(p) for p in real if p.name == name], name


async def test_a_dial_out_is_told_as_it_was_captured(town: Town) -> None:
    real = [p for p in sample("dial_out") if p.name != "ConfbridgeTalking"]
    await town.build(1, behaviors="ring 0.05; answer")
    manager = await town.manager()
    manager.send(
        ("Action", "Originate"),
        ("ActionID", "dial-ep01"),
        ("Channel", f"PJSIP/labudp/{town.site('qt01')}"),
        ("Application", "ConfBridge"),
        ("Data", "8001,main,guest,usermenu"),
        ("CallerID", '"MCU conf 8001" <8001>'),
        ("Timeout", "30000"),
        ("Async", "true"),
        ("Variable", "PARTICIPANT=ep01"),
    )
    joined = await manager.event("ConfbridgeJoin")
    # the lab's endpoint had `callerid = mcu` set when this was captured; later captures have <unknown>
    first = [
        Packet(
            [(k, "<unknown>" if k.endswith(("CallerIDNum", "CallerIDName")) and v == "mcu" else v) for k, v in p.fields]
        )
        for p in events_of(real)
    ]
    last = next(i for i, p in enumerate(first) if p.name == "ConfbridgeJoin")
    mine = events_of(manager.packets)
    assert sorted(shape(p) for p in mine) == sorted(shape(p) for p in first[: last + 1])
    assert [p.name for p in mine] == [p.name for p in first[: last + 1]]
    variables = [p for p in manager.packets if p.name == "VarSet"]
    assert [(p.get("Variable"), p.get("Value")) for p in variables] == [("PARTICIPANT", "ep01")]
    assert joined.get("Channel").startswith("PJSIP/labudp-0000000")


@pytest.mark.parametrize(
    ("action_id", "captured", "script", "timeout_ms", "cause", "tech"),
    [
        ("s-busy", "sip:6486@", "busy", 6000, "17", "486"),
        ("s-404", "sip:123@", "not found", 6000, "1", "404"),
        ("s-ringtimeout", "sip:6480@127.0.10.2", "never answers", 60, "19", "480"),
        ("s-down-udp", "sip:6480@127.0.10.77:5060", "unreachable", 60, "19", "480"),
    ],
)
async def test_a_failed_dial_out_is_told_as_it_was_captured(
    town: Town, action_id: str, captured: str, script: str, timeout_ms: int, cause: str, tech: str
) -> None:
    real = sample("refusals")
    begun = next(p for p in real if p.name == "DialBegin" and captured in p.get("DialString"))
    name = begun.get("DestChannel")
    of_call = [p for p in real if name in (p.get("Channel"), p.get("DestChannel"))]
    of_call += [p for p in real if p.name == "OriginateResponse" and p.action_id == action_id]
    clean = [Packet([(k, "<unknown>" if v == "mcu" else v) for k, v in p.fields]) for p in of_call]
    await town.build(1, behaviors=script)
    manager = await town.manager()
    manager.send(
        ("Action", "Originate"),
        ("ActionID", action_id),
        ("Channel", f"PJSIP/labudp/{town.site('qt01')}"),
        ("Application", "ConfBridge"),
        ("Data", "8001,main,guest,usermenu"),
        ("Timeout", str(timeout_ms)),
        ("Async", "true"),
    )
    gone = await manager.event("Hangup")
    assert (gone.get("Cause"), gone.get("TechCause")) == (cause, tech)
    names = ("Newchannel", "DialBegin", "Newstate", "DialState", "HangupRequest", "DialEnd", "Hangup")
    mine_and_real(manager.packets, clean, *names, "OriginateResponse")
    assert town.province.main.switch.channels == {}


async def test_a_refusal_with_a_channel_id_names_it(town: Town) -> None:
    real = sample("rejected")
    await town.build(1, behaviors="ring 0.05; busy")
    manager = await town.manager()
    await dial(town, manager, "qt01", "rej-1", 20000)
    await manager.event("Hangup")
    names = ("Newchannel", "DialBegin", "Newstate", "DialState", "HangupRequest", "DialEnd", "Hangup")
    mine_and_real(manager.packets, real, *names)
    verdict = next(p for p in manager.packets if p.name == "OriginateResponse")
    wanted = next(p for p in real if p.name == "OriginateResponse")
    assert [k for k, _ in verdict.fields] == [k for k, _ in wanted.fields]
    assert verdict.get("Uniqueid") == wanted.get("Uniqueid") == "rej-1"


async def test_the_called_party_sees_the_bridge_and_hangs_up_itself(town: Town) -> None:
    province = await town.build(1, behaviors="answer; drop after 0.2")
    manager = await town.manager()
    await dial(town, manager, "qt01", "leg-1")
    await manager.event("ConfbridgeJoin", Uniqueid="leg-1")
    await manager.event("HangupRequest", Uniqueid="leg-1")
    gone = await manager.event("Hangup", Uniqueid="leg-1")
    assert (gone.get("Cause"), gone.get("Cause-txt")) == ("16", "Normal Clearing")
    assert province.stats()["bridge_calls"] == {"mcu": 0, "tinh": 0}


async def test_a_hang_up_before_the_answer_gives_the_ringing_up(town: Town) -> None:
    province = await town.build(1, behaviors="never answers")
    manager = await town.manager()
    await dial(town, manager, "qt01", "leg-1", 60000)
    await manager.event("DialState", DestUniqueid="leg-1")
    assert (await manager.ask("Hangup", ("Channel", "leg-1"))).message == "Channel Hungup"
    await manager.event("Hangup", Uniqueid="leg-1")
    await province.until(lambda p: p.endpoint("qt01").calls == 0)


async def test_video_is_offered_only_when_it_was_asked_for(town: Town) -> None:
    await town.build(1)
    manager = await town.manager()
    for leg, codecs, kinds in (("a", "", ["audio"]), ("b", "ulaw,h264", ["audio", "video"])):
        caller = Phone()
        offers: list[bytes] = []
        town.agent.on_invite = lambda call, offers=offers: (offers.append(call.offer_sdp), call.refuse(486))[1]
        host, port = town.agent.address
        await manager.ask(
            "Originate",
            ("ChannelId", leg),
            ("Channel", f"PJSIP/labudp/sip:x@{host}:{port}"),
            ("Application", "ConfBridge"),
            ("Data", "8001"),
            *((("Codecs", codecs),) if codecs else ()),
        )
        await manager.event("Hangup", Uniqueid=leg)
        assert [m.kind for m in medias(offers[0])] == kinds
        assert caller.heard.empty()


# ---- calls in ----


async def test_a_caller_enters_a_conference_by_its_number(town: Town) -> None:
    province = await town.build(1)
    manager = await town.manager()
    phone = Phone()
    call = town.call(province.main.address("8007"), phone, user="dc7f3a-1-2-3", display="Xã Hải An")
    await phone.hears(ANSWERED)
    joined = await manager.event("ConfbridgeJoin", Conference="8007")
    assert (joined.get("CallerIDNum"), joined.get("CallerIDName")) == ("dc7f3a-1-2-3", "Xã Hải An")
    assert joined.get("Exten") == "8007"
    call.hang_up()
    await manager.event("Hangup")
    assert province.main.switch.rooms == {}


async def test_the_bridge_makes_the_offer_when_the_caller_has_none(town: Town) -> None:
    province = await town.build(1)
    phone = Phone()
    town.call(province.main.address("8001"), phone, sdp=b"")
    await phone.hears(ANSWERED)
    assert medias(phone.sdp)[0].kind == "audio"
    await province.until(lambda p: p.stats()["rooms"] == {"mcu/8001": 1})


@pytest.mark.parametrize("number", ["7001", "80011", "80", "abcd", "8٠01"])
async def test_a_number_that_is_no_room_is_not_found(town: Town, number: str) -> None:
    province = await town.build(1)
    phone = Phone()
    town.call(f"sip:{number}@{province.main.host}:{province.main.sip_port}", phone)
    await phone.hears(("refused", 404))
    assert province.main.switch.channels == {}


async def test_a_full_conference_answers_and_hangs_up_without_letting_in(town: Town) -> None:
    province = await town.build(1, bridge={"max_members": 1, "refusal_s": 0.05})
    manager = await town.manager()
    first, second = Phone(), Phone()
    town.call(province.main.address("8001"), first)
    await first.hears(ANSWERED)
    town.call(province.main.address("8001"), second)
    await second.hears(ANSWERED, BYE)
    assert len([p for p in manager.packets if p.name == "ConfbridgeJoin"]) == 1
    assert len(await manager.listed("ConfbridgeList", ("Conference", "8001"))) == 1


async def test_a_dial_out_into_a_full_conference_and_a_name_used_twice_are_told_as_captured(town: Town) -> None:
    real = sample("full", "asterisk")
    await town.build(3, behaviors="ring 0; answer", bridge={"max_members": 1, "refusal_s": 0.05})
    manager = await town.manager(events="system,call")
    for action_id, leg, code, data in (
        ("a1", "dc0a1b-3-1-1", "qt01", "8002,tiny,guest"),
        ("a2", "dc0a1b-3-2-1", "qt02", "8002,tiny,guest"),
        ("a3", "dc0a1b-3-1-1", "qt03", "8002,main,guest,usermenu"),
    ):
        manager.send(
            ("Action", "Originate"),
            ("ActionID", action_id),
            ("ChannelId", leg),
            ("Channel", f"PJSIP/labudp/{town.site(code)}"),
            ("Application", "ConfBridge"),
            ("Data", data),
            ("CallerID", '"Cầu tỉnh" <8002>'),
            ("Timeout", "3000"),
            ("Async", "true"),
        )
        await manager.event("OriginateResponse", ActionID=action_id)
        if action_id == "a2":
            await manager.event("Hangup", Uniqueid=leg)
    assert (await manager.ask("Hangup", ("Channel", "dc0a1b-3-1-1"), ("Cause", "16"))).succeeded
    await manager.event("Hangup", Uniqueid="dc0a1b-3-1-1")
    begin = ("Newchannel", "NewCallerid", "NewConnectedLine", "DialBegin", "DialEnd", "OriginateResponse")
    end = ("ConfbridgeStart", "ConfbridgeJoin", "BridgeEnter", "HangupRequest", "ConfbridgeLeave", "Hangup")
    mine_and_real(manager.packets, real, *begin, *end)
    assert town.province.endpoint("qt03").tally.rings == 0


async def test_a_bridge_without_a_free_channel_refuses_calls_and_orders(town: Town) -> None:
    province = await town.build(1, bridge={"max_calls": 1})
    manager = await town.manager()
    first, second = Phone(), Phone()
    town.call(province.main.address("8001"), first)
    await first.hears(ANSWERED)
    town.call(province.main.address("8002"), second)
    await second.hears(("refused", 503))
    await dial(town, manager, "qt01", "leg-1")
    verdict = await manager.event("OriginateResponse", Uniqueid="leg-1")
    assert (verdict.get("Response"), verdict.get("Reason")) == ("Failure", "0")


# ---- the PIN ----


async def test_a_caller_with_the_right_pin_is_told_as_it_was_captured(town: Town) -> None:
    real = events_of(sample("pin_in"), "prov-1795357807.18")
    province = await town.build(1, provincial={"pin": "246810"})
    manager = await town.manager(province.provincial)
    phone = Phone()
    call = town.call(province.provincial.address("9001"), phone, user="mcu")
    await phone.hears(ANSWERED)
    # answered is not let in: nobody is in a room, and the channel waits
    assert (await manager.ask("ConfbridgeList", ("Conference", "9001"))).message == "No active conferences."
    assert province.stats()["waiting_for_pin"] == 1
    await digits(call, "246810#")
    await manager.event("ConfbridgeJoin", Conference="9001")
    assert province.stats()["waiting_for_pin"] == 0
    call.hang_up()
    await manager.event("Hangup")
    mine = events_of(manager.packets)
    names = ("Newchannel", "Newstate", "DTMFBegin", "DTMFEnd", "BridgeCreate", "ConfbridgeStart", "BridgeEnter")
    mine_and_real(mine, real, *names, "ConfbridgeJoin", "ConfbridgeLeave", "BridgeLeave", "ConfbridgeEnd", "Hangup")
    order = [p.name for p in mine if not p.name.startswith(("DTMF", "New", "Bridge", "Hangup", "Soft"))]
    assert order == ["ConfbridgeStart", "ConfbridgeJoin", "ConfbridgeLeave", "ConfbridgeEnd"]


async def test_three_wrong_pins_end_the_call(town: Town) -> None:
    province = await town.build(1, provincial={"pin": "123456", **QUICK})
    manager = await town.manager(province.provincial)
    phone = Phone()
    call = town.call(province.provincial.address("9001"), phone)
    await phone.hears(ANSWERED)
    await digits(call, "999999#000000#1234#")
    await phone.hears(BYE)
    gone = await manager.event("Hangup")
    assert gone.get("Cause") == "16"
    assert not [p for p in manager.packets if p.name == "ConfbridgeJoin"]


async def test_no_pin_at_all_ends_the_call_and_one_wrong_one_does_not_shorten_the_rest(town: Town) -> None:
    province = await town.build(1, provincial={"pin": "123456", "input_s": 0.1, "notice_s": 0.05})
    silent, late = Phone(), Phone()
    town.call(province.provincial.address("9001"), silent)
    call = town.call(province.provincial.address("9001"), late)
    await late.hears(ANSWERED)
    await digits(call, "1#")
    await silent.hears(ANSWERED, BYE)
    await late.hears(BYE)
    assert province.stats()["waiting_for_pin"] == 0


async def test_the_pin_may_be_right_at_the_second_try_even_into_the_announcement(town: Town) -> None:
    province = await town.build(1, provincial={"pin": "123456", "input_s": 10.0, "notice_s": 10.0})
    phone = Phone()
    call = town.call(province.provincial.address("9001"), phone)
    await phone.hears(ANSWERED)
    await digits(call, "9#123456#")
    await province.until(lambda p: p.stats()["rooms"] == {"tinh/9001": 1})


async def test_a_caller_may_hang_up_while_it_is_asked(town: Town) -> None:
    province = await town.build(1)
    phone = Phone()
    call = town.call(province.provincial.address("9001"), phone)
    await phone.hears(ANSWERED)
    call.hang_up()
    await province.until(lambda p: p.provincial.switch.channels == {})


@pytest.mark.parametrize(("body", "status"), [(b"Signal=5\r\n", 200), (b"Signal=xx", 400), (b"", 400)])
async def test_an_info_is_read_or_refused(town: Town, body: bytes, status: int) -> None:
    province = await town.build(1)
    phone = Phone()
    call = town.call(province.provincial.address("9001"), phone)
    await phone.hears(ANSWERED)
    done: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    call.inform("application/dtmf-relay", body, lambda r: done.set_result(r.status if r else 0))
    assert await asyncio.wait_for(done, 5) == status


# ---- links: the main bridge calls the provincial room ----


async def link(town: Town, manager: Manager, leg: str, address: object, *more: tuple[str, str]) -> None:
    tech = f"PJSIP/labudp/{address}" if str(address).startswith("sip") else f"OOH323/{str(address)[5:]}"
    fields = (("ChannelId", leg), ("Channel", tech), ("Timeout", "6000"), ("Async", "true"), *more)
    assert (await manager.ask("Originate", *fields)).message == "Originate successfully queued"


INTO_ROOM = (("Application", "ConfBridge"), ("Data", "8001,main,guest,usermenu"))


async def test_the_local_leg_of_a_link_is_in_before_the_far_room_lets_it_in(town: Town) -> None:
    province = await town.build(1)
    near, far = await town.manager(), await town.manager(province.provincial)
    await link(town, near, "link-1", province.room.address, *INTO_ROOM)
    await near.event("ConfbridgeJoin", Uniqueid="link-1")
    assert (await far.ask("ConfbridgeList", ("Conference", "9001"))).message == "No active conferences."
    for digit in province.room.pin + "#":
        played = await near.ask("PlayDTMF", ("Channel", "link-1"), ("Digit", digit), ("Duration", "20"))
        assert played.message == "DTMF successfully queued"
    joined = await far.event("ConfbridgeJoin", Conference="9001")
    assert joined.get("CallerIDNum") == "mcu"
    assert province.stats()["rooms"] == {"mcu/8001": 1, "tinh/9001": 1}


async def test_context_cascade_gives_the_pin_and_then_joins_as_captured(town: Town) -> None:
    real = events_of(sample("cascade"), "casc-0001")
    real = real[: [p.name for p in real].index("Hangup") + 1]
    province = await town.build(1, bridge={"digit_gap_s": 0.01})
    near, far = await town.manager(), await town.manager(province.provincial)
    sequence = f"DTMFSEQ={province.room.pin}#"
    where = (("Context", "cascade"), ("Exten", "8001"), ("Priority", "1"), ("CallerID", '"Main MCU 8001" <8001>'))
    variables = (("Variable", sequence), ("Variable", "DTMFDELAY=0.05"))
    await link(town, near, "casc-0001", province.room.address, *where, *variables)
    await near.event("ConfbridgeJoin", Uniqueid="casc-0001")
    await far.event("ConfbridgeJoin", Conference="9001")
    await near.ask("Hangup", ("Channel", "casc-0001"))
    await near.event("Hangup", Uniqueid="casc-0001")
    begin = ("Newchannel", "NewCallerid", "NewConnectedLine", "DialBegin", "DialEnd", "BridgeCreate")
    end = ("ConfbridgeStart", "BridgeEnter", "ConfbridgeJoin", "ConfbridgeLeave", "BridgeLeave", "Hangup")
    mine_and_real(near.packets, real, *begin, *end)
    got = next(p for p in near.packets if p.name == "OriginateResponse")
    was = next(p for p in real if p.name == "OriginateResponse")
    assert [k for k, _ in got.fields] == [k for k, _ in was.fields]
    await far.event("Hangup")


async def test_a_wrong_pin_ends_the_link_with_a_normal_cause(town: Town) -> None:
    province = await town.build(1, provincial={"pin": "123456", "input_s": 0.2, "notice_s": 0.05})
    near = await town.manager()
    await link(town, near, "link-1", province.room.address, *INTO_ROOM)
    await near.event("ConfbridgeJoin", Uniqueid="link-1")
    await near.event("ConfbridgeLeave", Uniqueid="link-1")
    assert (await near.event("Hangup", Uniqueid="link-1")).get("Cause") == "16"


async def test_an_h323_link_takes_its_pin_too(town: Town) -> None:
    province = await town.build(1)
    near, far = await town.manager(), await town.manager(province.provincial)
    await link(town, near, "link-1", province.provincial.address("9001", "h323"), *INTO_ROOM)
    await near.event("ConfbridgeJoin", Uniqueid="link-1")
    for digit in province.room.pin + "#":
        await near.ask("PlayDTMF", ("Channel", "link-1"), ("Digit", digit), ("Duration", "1"))
    joined = await far.event("ConfbridgeJoin", Conference="9001")
    assert joined.get("Channel") == "OOH323/p-mcu-0"
    await near.ask("Hangup", ("Channel", "link-1"))
    await far.event("Hangup")


async def test_h323_sites_are_reached_by_their_bridge_only(town: Town) -> None:
    province = await town.build(13, behaviors="ring 0.02; answer")
    manager = await town.manager()
    await link(town, manager, "leg-13", province.endpoint("qt13").addresses[0], *INTO_ROOM)
    joined = await manager.event("ConfbridgeJoin", Uniqueid="leg-13")
    assert joined.get("Channel").startswith("OOH323/127.0.20.13-")
    with pytest.raises(ValueError, match="no SIP address"):
        province.call_by_hand("qt13")
    phone = Phone()
    place = province._places["qt13"]
    town.call(f"sip:qt13@{place[0]}:{place[1]}", phone)
    await phone.hears(("refused", 404))

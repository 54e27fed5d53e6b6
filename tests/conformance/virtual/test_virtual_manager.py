"""The Asterisk twin's manager port against captured sessions of a real one. Calls are H.323: no SIP is needed here."""

import asyncio
from hashlib import md5

import pytest

from adapters.bridges.asterisk.grammar import Kind, Packet
from tests.conformance.virtual.conftest import LOGIN, SECRET, Bench, Manager, events_of, sample, shape


def dial(number: str, peer: str, timeout_ms: int = 6000, **more: str) -> tuple[tuple[str, str], ...]:
    return (
        ("Channel", f"OOH323/{number}@{peer}"),
        ("Application", "ConfBridge"),
        ("Data", "8001,main,guest,usermenu"),
        ("Timeout", str(timeout_ms)),
        ("Async", "true"),
        *more.items(),
    )


async def in_room(bench: Bench, manager: Manager, *numbers: str) -> list[str]:
    """Have endpoints in room 8001; their channel names."""
    names = []
    for number in numbers:
        bench.endpoint(number, "p-h323ep", "answer")
        await manager.ask("Originate", *dial(number, "p-h323ep", ChannelId=f"leg-{number}"))
        joined = await manager.event("ConfbridgeJoin", Uniqueid=f"leg-{number}")
        names.append(joined.get("Channel"))
    return names


def reply(packets: list[Packet], action_id: str) -> Packet:
    return next(p for p in packets if p.kind is Kind.RESPONSE and p.action_id == action_id)


# ---- sessions ----


async def test_greeting_and_login_are_those_of_the_real_one(bench: Bench) -> None:
    manager = await bench.connect()
    manager.send(*LOGIN)
    await manager.event("FullyBooted")
    real = sample("dial_out")
    assert manager.greeting == "Asterisk Call Manager/11.0.0"
    assert [shape(p) for p in manager.packets] == [shape(p) for p in real[:2]]


async def test_md5_login_proves_the_secret(bench: Bench) -> None:
    manager = await bench.connect()
    asked = await manager.ask("Challenge", ("AuthType", "MD5"))
    assert [key for key, _ in asked.fields] == ["Response", "ActionID", "Challenge"]
    key = md5((asked.get("Challenge") + SECRET).encode()).hexdigest()
    answer = await manager.ask("Login", ("AuthType", "MD5"), ("Username", "lab"), ("Key", key), ("Events", "off"))
    assert answer.message == "Authentication accepted"


@pytest.mark.parametrize(
    "fields",
    [
        (("Username", "lab"), ("Secret", "wrong")),
        (("Username", "nobody"), ("Secret", SECRET)),
        (("Username", "nobody"), ("Secret", "")),
        (("Username", "lab"), ("AuthType", "MD5"), ("Key", md5(SECRET.encode()).hexdigest())),
    ],
)
async def test_a_wrong_login_is_refused_and_the_connection_closed(
    bench: Bench, fields: tuple[tuple[str, str], ...]
) -> None:
    manager = await bench.connect()
    answer = await manager.ask("Login", *fields)
    assert answer.fields[0] == ("Response", "Error")
    assert answer.message == "Authentication failed"
    async with asyncio.timeout(5):
        await manager.closed.wait()


async def test_strangers_may_do_nothing_but_log_in(bench: Bench) -> None:
    manager = await bench.connect()
    for action in ("Ping", "Originate", "ConfbridgeList", "NoSuch"):
        assert (await manager.ask(action)).message == "Permission denied"
    assert (await manager.ask("Logoff")).message == "Thanks for all the fish."


async def test_a_missing_class_is_permission_denied(bench: Bench) -> None:
    manager = await bench.manager("reader")
    assert (await manager.ask("Originate", *dial("1", "p"))).message == "Permission denied"
    assert (await manager.ask("PlayDTMF", ("Channel", "x"))).message == "Permission denied"
    assert (await manager.ask("ConfbridgeKick", ("Conference", "8001"))).message == "Permission denied"
    assert (await manager.ask("ConfbridgeListRooms")).message == "No active conferences."


async def test_event_masks_and_read_classes_decide_who_hears_what(bench: Bench) -> None:
    everything, calls, nothing = await bench.manager(), await bench.manager("caller"), await bench.manager(events="off")
    late = await bench.manager(events="off")
    answer = await late.ask("Events", ("EventMask", "call"))
    assert answer.get("Events") == "On"
    assert (await late.ask("Events", ("EventMask", "nonsense"))).message == "Invalid event mask"
    await in_room(bench, everything, "7777")
    await late.event("ConfbridgeJoin")
    await calls.event("ConfbridgeJoin")
    assert (await nothing.ask("Ping")).get("Ping") == "Pong"
    assert {p.get("Privilege") for p in calls.packets if p.kind is Kind.EVENT} == {"call,all"}
    assert [p for p in nothing.packets if p.kind is Kind.EVENT] == []


async def test_garbage_closes_the_session_and_an_empty_action_is_named(bench: Bench) -> None:
    manager = await bench.manager()
    manager.send(("ActionID", "x"), ("Nonsense", "y"))
    assert (await manager.wait(lambda p: p.action_id == "x")).message == "Missing action in request"
    manager.send_raw(b"x" * 200_000)
    async with asyncio.timeout(5):
        await manager.closed.wait()
    assert (await (await bench.manager()).ask("Ping")).succeeded


async def test_a_bridge_that_goes_down_takes_its_sessions_but_not_its_calls(bench: Bench) -> None:
    manager = await bench.manager()
    await in_room(bench, manager, "7777")
    assert bench.twin.drop_sessions() == 1
    async with asyncio.timeout(5):
        await manager.closed.wait()
    assert len(await (await bench.manager()).listed("ConfbridgeList", ("Conference", "8001"))) == 1


# ---- answers ----


async def test_questions_are_answered_as_the_real_one_answers(bench: Bench) -> None:
    """Ping, lock, unlock, mute all and every refusal of the captured session, with the same ActionIDs."""
    real = sample("questions")
    manager = await bench.manager()
    await in_room(bench, manager, "5001")
    asked = [
        ("p1", "Ping", ()),
        ("l1", "ConfbridgeLock", (("Conference", "8001"),)),
        ("l2", "ConfbridgeUnlock", (("Conference", "8001"),)),
        ("m1", "ConfbridgeMute", (("Conference", "8001"), ("Channel", "all"))),
        ("m2", "ConfbridgeMute", (("Conference", "8001"), ("Channel", "nosuch"))),
        ("k1", "ConfbridgeKick", (("Conference", "9999"), ("Channel", "all"))),
        ("cl2", "ConfbridgeList", (("Conference", "8002"),)),
        ("h1", "Hangup", (("Channel", "part-ep01"), ("Cause", "16"))),
        ("bad1", "Originate", (("Channel", "Foo/bar"), ("Application", "ConfBridge"), ("Data", "8001"))),
        ("bad2", "Originate", (("Application", "ConfBridge"), ("Data", "8001"))),
        ("ns1", "NoSuch", ()),
    ]
    for action_id, action, fields in asked:
        manager.send(("Action", action), ("ActionID", action_id), *fields)
    await manager.wait(lambda p: p.action_id == "ns1")
    for action_id, _, _ in asked:
        assert shape(reply(manager.packets, action_id)) == shape(reply(real, action_id)), action_id
    wanted = [p for p in real if p.name == "OriginateResponse" and p.action_id == "bad1"]
    got = [p for p in manager.packets if p.name == "OriginateResponse" and p.action_id == "bad1"]
    assert [shape(p) for p in got] == [shape(p) for p in wanted]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ((), "Channel not specified"),
        ((("Channel", "PJSIP"), ("Application", "ConfBridge")), "Invalid channel"),
        ((("Channel", "PJSIP/x/sip:a@b"), ("Timeout", "soon"), ("Application", "ConfBridge")), "Invalid timeout"),
        ((("Channel", "PJSIP/x/sip:a@b"), ("Priority", "one"), ("Exten", "8001")), "Invalid priority"),
        (
            (("Channel", "PJSIP/x/sip:a@b"), ("Exten", "8001")),
            "Originate with 'Exten' requires 'Context' and 'Priority'",
        ),
        (
            (("Channel", "PJSIP/x/sip:a@b"), ("Context", "conf"), ("Exten", "77"), ("Priority", "1")),
            "Extension does not exist.",
        ),
    ],
)
async def test_a_wrong_originate_is_refused_at_once(
    bench: Bench, fields: tuple[tuple[str, str], ...], message: str
) -> None:
    manager = await bench.manager()
    assert (await manager.ask("Originate", *fields)).message == message


async def test_lists_have_the_fields_of_the_real_ones_in_their_order(bench: Bench) -> None:
    manager = await bench.manager()
    await in_room(bench, manager, "7777")
    rooms, members, channels, status = sample("dial_out"), sample("dial_out"), sample("h323_out"), sample("questions")
    for action, fields, packets, real_id in (
        ("ConfbridgeListRooms", (), rooms, "rooms-1"),
        ("ConfbridgeList", (("Conference", "8001"),), members, "list-1"),
        ("CoreShowChannels", (), channels, "csc-1"),
        ("Status", (("Channel", "leg-7777"),), status, "st1"),
    ):
        real = [p for p in packets if p.action_id == real_id]
        manager.send(("Action", action), ("ActionID", real_id), *fields)
        await manager.wait(lambda p, real_id=real_id: p.action_id == real_id and p.closes_list)
        mine = [p for p in manager.packets if p.action_id == real_id]
        assert [[key for key, _ in p.fields] for p in mine] == [[key for key, _ in p.fields] for p in real], action
        assert [p.fields[0] for p in mine] == [p.fields[0] for p in real]
    assert shape(reply(manager.packets, "list-1")) == shape(reply(members, "list-1"))


async def test_the_identity_of_the_bridge_can_be_asked(bench: Bench) -> None:
    manager = await bench.manager()
    settings = await manager.ask("CoreSettings")
    assert settings.get("AsteriskVersion") == "22.10.1"
    assert settings.get("SystemName") == "mcu"
    assert (await manager.ask("CoreStatus")).get("CoreCurrentCalls") == "0"


# ---- calls: the captured order and fields ----


async def test_an_h323_dial_out_is_told_as_it_was_captured(bench: Bench) -> None:
    real = events_of(sample("h323_out"), "mcu-1795357256.0")
    bench.endpoint("7777", "p-h323ep", "ring 0; answer")
    manager = await bench.manager()
    manager.send(
        ("Action", "Originate"),
        ("ActionID", "dial-h323"),
        *dial("7777", "p-h323ep", CallerID='"MCU conf 8001" <8001>'),
    )
    joined = await manager.event("ConfbridgeJoin")
    mine = events_of(manager.packets)
    # a real H.323 channel also told an early PROGRESS once media came; there is none here
    wanted = [p for p in real if not (p.name == "DialState" and p.get("DialStatus") == "PROGRESS")]
    wanted = [p for p in wanted if p.name[:9] != "CoreShowC" and "List" not in p.name]
    assert sorted(shape(p) for p in mine) == sorted(shape(p) for p in wanted)
    loose = {"OriginateResponse", "DialEnd", "Newstate", "BridgeCreate", "DialState", "Newexten", "NewConnectedLine"}
    assert [p.name for p in mine if p.name not in loose] == [p.name for p in wanted if p.name not in loose]
    assert joined.get("CallerIDNum") == "8001"


@pytest.mark.parametrize(
    ("action_id", "number", "peer", "script", "timeout_ms"),
    [
        ("f-busy", "5486", "p-h323ep", "busy", 6000),
        ("f-noexten", "1234", "p-h323ep", "not found", 6000),
        ("f-ringtimeout", "5480", "p-h323ep", "never answers", 50),
        ("f-undefpeer", "5001", "127.0.10.77", "", 6000),
    ],
)
async def test_a_failed_h323_dial_out_is_told_as_it_was_captured(
    bench: Bench, action_id: str, number: str, peer: str, script: str, timeout_ms: int
) -> None:
    real = sample("refusals")
    verdict = next(p for p in real if p.name == "OriginateResponse" and p.action_id == action_id)
    hangups = {"f-busy": "17", "f-noexten": "1", "f-ringtimeout": "19"}
    if script:
        bench.endpoint(number, peer, script)
    manager = await bench.manager()
    manager.send(("Action", "Originate"), ("ActionID", action_id), *dial(number, peer, timeout_ms))
    mine = await manager.event("OriginateResponse", ActionID=action_id)
    assert shape(mine) == shape(verdict)
    if action_id not in hangups:
        assert [p.name for p in events_of(manager.packets)] == ["OriginateResponse"]
        return
    gone = next((p for p in manager.packets if p.name == "Hangup"), None) or await manager.event("Hangup")
    wanted = next(p for p in real if p.name == "Hangup" and p.get("Exten") == number)
    assert shape(gone) == shape(wanted)
    assert gone.get("Cause") == hangups[action_id]
    for kind in ("Newchannel", "DialBegin", "DialEnd", "HangupRequest"):
        expected = [shape(p) for p in real if p.name == kind and number in (p.get("Exten"), p.get("DestExten"))]
        assert [shape(p) for p in manager.packets if p.name == kind] == expected, kind


async def test_mute_kick_and_the_end_of_a_room_are_told_as_captured(bench: Bench) -> None:
    real = sample("dial_out")
    manager = await bench.manager()
    (channel,) = await in_room(bench, manager, "7777")
    for action, action_id in (
        ("ConfbridgeMute", "mute-1"),
        ("ConfbridgeUnmute", "unmute-1"),
        ("ConfbridgeKick", "kick-1"),
    ):
        manager.send(("Action", action), ("ActionID", action_id), ("Conference", "8001"), ("Channel", channel))
        answer = await manager.wait(lambda p, action_id=action_id: p.action_id == action_id)
        assert shape(answer) == shape(reply(real, action_id))
    await manager.event("Hangup")
    after = manager.packets.index(reply(manager.packets, "mute-1"))
    order = [
        "ConfbridgeMute",
        "ConfbridgeUnmute",
        "BridgeLeave",
        "ConfbridgeLeave",
        "ConfbridgeEnd",
        "BridgeDestroy",
        "Hangup",
    ]
    mine = [p for p in manager.packets[after:] if p.name in order and p.kind is Kind.EVENT]
    wanted = [p for p in real if p.name in order and p.kind is Kind.EVENT]
    assert [p.name for p in mine] == [p.name for p in wanted] == order
    for got, was in zip(mine, wanted, strict=True):
        assert [key for key, _ in got.fields] == [key for key, _ in was.fields], got.name
        assert got.get("BridgeNumChannels") == was.get("BridgeNumChannels")
    assert bench.switch.rooms == {} == bench.switch.channels


async def test_a_channel_id_names_the_call_everywhere_but_in_confbridge(bench: Bench) -> None:
    manager = await bench.manager()
    await in_room(bench, manager, "7777")
    kick = await manager.ask("ConfbridgeKick", ("Conference", "8001"), ("Channel", "leg-7777"))
    assert kick.message == "No Channel by that name found in Conference."
    assert (await manager.ask("Hangup", ("Channel", "leg-7777"))).message == "Channel Hungup"
    gone = await manager.event("Hangup", Uniqueid="leg-7777")
    assert gone.get("Cause") == "16"
    assert (await manager.ask("Hangup", ("Channel", "leg-7777"))).message == "No such channel"


async def test_a_channel_id_in_use_is_not_dialed_again(bench: Bench) -> None:
    manager = await bench.manager()
    await in_room(bench, manager, "7777")
    await manager.ask("Originate", *dial("7777", "p-h323ep", ChannelId="leg-7777"))
    verdict = await manager.event("OriginateResponse", Response="Failure")
    assert verdict.get("Uniqueid") == "leg-7777"
    assert bench.endpoints["7777"].tally.rings == 1


async def test_kick_all_empties_the_room_and_ends_the_calls(bench: Bench) -> None:
    manager = await bench.manager()
    await in_room(bench, manager, "1", "2", "3")
    answer = await manager.ask("ConfbridgeKick", ("Conference", "8001"), ("Channel", "all"))
    assert answer.message == "All participants kicked"
    for _ in range(3):
        await manager.event("Hangup")
    assert bench.switch.channels == {}


async def test_a_locked_room_answers_and_hangs_up(bench: Bench) -> None:
    bench.switch.conferences.refusal_s = 0.02
    manager = await bench.manager()
    await in_room(bench, manager, "1")
    await manager.ask("ConfbridgeLock", ("Conference", "8001"))
    bench.endpoint("2", "p-h323ep", "answer")
    await manager.ask("Originate", *dial("2", "p-h323ep", ChannelId="leg-2"))
    verdict = await manager.event("OriginateResponse", Uniqueid="leg-2")
    assert verdict.get("Response") == "Success"
    assert (await manager.event("Hangup", Uniqueid="leg-2")).get("Cause") == "0"
    assert not [p for p in manager.packets if p.name == "ConfbridgeJoin" and p.get("Uniqueid") == "leg-2"]


async def test_play_dtmf_answers_when_the_digit_was_played_and_holds_up_the_session(bench: Bench) -> None:
    real = sample("dtmf_out")
    manager = await bench.manager()
    await in_room(bench, manager, "7777")
    digit = (("Channel", "leg-7777"), ("Digit", "5"), ("Duration", "40"))
    manager.send(("Action", "PlayDTMF"), ("ActionID", "d1"), *digit)
    manager.send(("Action", "Ping"), ("ActionID", "after"))
    await manager.wait(lambda p: p.action_id == "after")
    order = [p.action_id for p in manager.packets if p.action_id in ("d1", "after")]
    assert order == ["d1", "after"]
    assert shape(reply(manager.packets, "d1")) == shape(reply(real, "d1"))
    assert (await manager.ask("PlayDTMF", ("Channel", "nobody"), ("Digit", "1"))).message == "Channel not found"
    assert (await manager.ask("PlayDTMF", ("Channel", "leg-7777"))).message == "No digit specified"


async def test_a_hang_up_right_behind_the_originate_finds_no_channel_as_captured(bench: Bench) -> None:
    real = sample("too_early", "asterisk")
    bench.endpoint("ep3", "p-h323ep", "never answers")
    manager = await bench.manager()
    fields = dial("ep3", "p-h323ep", 3000, ChannelId="dc0a1b-4-1-1")
    manager.send(("Action", "Originate"), ("ActionID", "b1"), *fields)
    manager.send(("Action", "Hangup"), ("ActionID", "b2"), ("Channel", "dc0a1b-4-1-1"), ("Cause", "16"))
    await manager.event("DialState")
    manager.send(("Action", "Hangup"), ("ActionID", "b3"), ("Channel", "dc0a1b-4-1-1"), ("Cause", "16"))
    gone = await manager.event("Hangup")
    for action_id in ("b1", "b2", "b3"):
        assert shape(reply(manager.packets, action_id)) == shape(reply(real, action_id))
    assert (gone.get("Cause"), gone.get("Cause-txt")) == ("16", "Normal Clearing")
    late = ("DialEnd", "OriginateResponse", "Hangup", "HangupRequest")
    mine = [p for p in manager.packets if p.kind is Kind.EVENT and p.name in late]
    wanted = [p for p in real if p.kind is Kind.EVENT and p.name in late]
    assert [p.name for p in mine] == [p.name for p in wanted]
    assert [[key for key, _ in p.fields] for p in mine] == [[key for key, _ in p.fields] for p in wanted]
    assert [p.get("DialStatus") for p in mine] == [p.get("DialStatus") for p in wanted]

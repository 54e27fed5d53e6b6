"""Virtual endpoints on real sockets, called by a plain SIP user agent."""

import asyncio

import pytest

from adapters.sip.agent import SipAgent
from adapters.sip.sdp import medias
from adapters.sip.transaction import Timing
from tests.conformance.virtual.conftest import ANSWERED, BYE, OFFER, RINGING, Phone, Town

SRTP_ONLY = b"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 4000 RTP/SAVP 0\r\n"
G722_ONLY = SRTP_ONLY.replace(b"RTP/SAVP 0", b"RTP/AVP 9")


@pytest.mark.parametrize(
    ("script", "heard"),
    [
        ("answer", [ANSWERED]),
        ("ring 0.05; answer", [RINGING, ANSWERED]),
        ("busy", [("refused", 486)]),
        ("ring 0.05; busy", [RINGING, ("refused", 486)]),
        ("decline", [("refused", 603)]),
        ("not found", [("refused", 404)]),
        ("unavailable", [("refused", 480)]),
        ("reject 500", [("refused", 500)]),
        ("answer; drop after 0.05", [ANSWERED, BYE]),
    ],
)
async def test_a_script_is_what_a_caller_meets(town: Town, script: str, heard: list[tuple[str, object]]) -> None:
    await town.build(1, behaviors=script)
    phone = Phone()
    town.call(town.site("qt01"), phone)
    await phone.hears(*heard)


async def test_busy_twice_and_then_it_answers(town: Town) -> None:
    province = await town.build(1, behaviors={"qt01": "busy twice; answer"})
    for heard in (("refused", 486), ("refused", 486), ANSWERED):
        phone = Phone()
        town.call(town.site("qt01"), phone)
        await phone.hears(heard)
    assert province.endpoint("qt01").tally.rings == 3


async def test_who_never_answers_rings_until_the_caller_gives_up(town: Town) -> None:
    province = await town.build(1, behaviors="never answers")
    phone = Phone()
    call = town.call(town.site("qt01"), phone)
    await phone.hears(RINGING)
    call.hang_up()
    await phone.hears(("refused", 487))
    await province.until(lambda p: p.endpoint("qt01").calls == 0)
    assert province.endpoint("qt01").tally.answers == 0


async def test_the_unreachable_say_nothing_at_all_and_count_each_call_once(town: Town) -> None:
    province = await town.build(1, behaviors="unreachable; answer")
    hasty = SipAgent("127.0.0.1", timing=Timing(t1=0.02))
    await hasty.start()
    town.stack.push_async_callback(hasty.close)
    phone = Phone()
    hasty.call(town.site("qt01"), phone, sdp=OFFER)
    await phone.hears(("refused", 408))  # after 64*T1: several repetitions went unheard
    assert province._port.hushes > 3
    town.call(town.site("qt01"), phone)
    await phone.hears(ANSWERED)
    assert province.endpoint("qt01").tally.rings == 2


async def test_a_late_offer_is_answered_with_an_offer_and_the_ack_brings_the_answer(town: Town) -> None:
    province = await town.build(1)
    phone = Phone()
    call = town.call(town.site("qt01"), phone, sdp=b"")
    await phone.hears(ANSWERED)
    assert [m.kind for m in medias(phone.sdp)] == ["audio", "video"]
    assert b"a=rtpmap:96 H264/90000" in phone.sdp
    await province.until(lambda p: p.endpoint("qt01").calls_up == 1)
    call.hang_up()
    await phone.hears(("ended", "local"))


async def test_media_can_be_changed_in_the_call(town: Town) -> None:
    await town.build(1)
    phone = Phone()
    call = town.call(town.site("qt01"), phone)
    await phone.hears(ANSWERED)
    changed: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
    call.reinvite(b"", lambda response: changed.set_result(response.sdp if response else b""))
    offer = await asyncio.wait_for(changed, 5)
    assert [m.kind for m in medias(offer)] == ["audio", "video"]
    call.ack(phone.sdp)
    call.hang_up()
    await phone.hears(("ended", "local"))


@pytest.mark.parametrize("offer", [SRTP_ONLY, G722_ONLY])
async def test_media_that_it_cannot_do_is_refused(town: Town, offer: bytes) -> None:
    await town.build(1)
    phone = Phone()
    town.call(town.site("qt01"), phone, sdp=offer)
    await phone.hears(("refused", 488))


async def test_a_second_call_finds_it_busy_and_is_counted(town: Town) -> None:
    province = await town.build(1)
    first, second = Phone(), Phone()
    town.call(town.site("qt01"), first)
    await first.hears(ANSWERED)
    town.call(town.site("qt01"), second)
    await second.hears(("refused", 486))
    stats = province.stats()
    assert stats["doubles"] == 1
    assert stats["never_rung_twice"] is False


async def test_the_dead_answer_nothing_and_know_nothing_when_they_are_back(town: Town) -> None:
    province = await town.build(1)
    phone = Phone()
    call = town.call(town.site("qt01"), phone)
    await phone.hears(ANSWERED)
    assert await town.agent.options(town.site("qt01"), 1.0) is not None
    province.endpoint("qt01").die()
    assert await town.agent.options(town.site("qt01"), 0.3) is None
    province.endpoint("qt01").come_back()
    probed: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    call.probe(lambda response: probed.set_result(response.status if response else 0), 2.0)
    assert await asyncio.wait_for(probed, 5) == 481


async def test_nobody_answers_for_another_number(town: Town) -> None:
    province = await town.build(1)
    host, port = province.endpoint("qt01").addresses[0].host, province.endpoint("qt01").addresses[0].port
    phone = Phone()
    town.call(f"sip:nobody@{host}:{port}", phone)
    await phone.hears(("refused", 404))


async def test_a_call_by_hand_reaches_the_room_and_stays(town: Town) -> None:
    province = await town.build(2)
    manager = await town.manager()
    province.call_by_hand("qt02", "8005")
    joined = await manager.event("ConfbridgeJoin", Conference="8005")
    assert joined.get("CallerIDNum") == "qt02"
    assert joined.get("CallerIDName") == province.endpoint("qt02").title == "Ban Tổ chức Tỉnh ủy"
    await province.until(lambda p: p.endpoint("qt02").calls_up == 1)
    assert province.stats()["rooms"] == {"mcu/8005": 1}
    province.endpoint("qt02").hang_up()
    assert (await manager.event("Hangup")).get("Cause") == "16"
    assert province.stats()["rooms"] == {}


async def test_inventory_rows_have_live_addresses_and_none_is_shared(town: Town) -> None:
    province = await town.build(90)
    rows = province.inventory()
    addresses = [address for row in rows for address in row["addresses"].split()]
    assert len(rows) == 90
    assert len(set(addresses)) == len(addresses)
    assert rows[12]["family"] == "h323"
    assert rows[12]["addresses"] == "h323:qt13@127.0.20.13"
    assert (rows[4]["family"], rows[4]["control_port"], rows[4]["ladder"]) == ("sip", "", "bridge-dials third-party")
    for code in ("qt01", "qt64", "qt65", "qt90"):
        phone = Phone()
        town.call(town.site(code), phone)
        await phone.hears(ANSWERED)
    assert province.stats()["calls_up"] == 4 or province.stats()["calls"] == 4


async def test_no_secret_is_in_what_is_printed_of_a_province(town: Town) -> None:
    province = await town.build(1)
    shown = repr(province.room) + repr(province.main.manager.logins) + repr(province.stats())
    assert province.room.pin not in shown
    assert province.main.secret not in shown
    assert province.main.secret != province.provincial.secret

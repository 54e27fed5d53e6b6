"""Third-party call control by hand over the virtual province: RFC 3725 flows I and III, message by message."""

import asyncio

from adapters.sip.agent import SipAgent
from adapters.sip.call import Call
from adapters.sip.listener import CallListener
from adapters.sip.sdp import hold, medias
from tests.conformance.virtual.conftest import Phone, Town, digits


class Side(CallListener):
    """One side of a pair: its answer, and nothing acknowledged by itself."""

    def __init__(self) -> None:
        self.sdp: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self.over: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    def answered(self, call: Call, sdp: bytes) -> None:
        self.sdp.set_result(sdp)

    def refused(self, call: Call, status: int, reason: str, response: object) -> None:
        self.sdp.set_exception(RuntimeError(f"{status} {reason}"))

    def ended(self, call: Call, ending: object, request: object) -> None:
        self.over.set_result(str(ending))


async def pair_up(agent: SipAgent, near: str, far: str, tag: str) -> tuple[Call, Call, Side, Side]:
    """Flow I: near side without an offer, its offer to the far side, the answer back in the ACK."""
    near_side, far_side = Side(), Side()
    near_call = agent.call(near, near_side, user=tag, display="Giao ban")
    offer = await asyncio.wait_for(near_side.sdp, 5)
    far_call = agent.call(far, far_side, sdp=offer, user=tag)
    answer = await asyncio.wait_for(far_side.sdp, 5)
    far_call.ack()
    near_call.ack(answer)
    return near_call, far_call, near_side, far_side


async def test_flow_one_puts_a_site_into_the_conference_under_our_tag(town: Town) -> None:
    province = await town.build(1, behaviors="ring 0.05; answer; drop after 0.3")
    manager = await town.manager()
    room = str(province.main.address("8001"))
    _, far_call, near_side, far_side = await pair_up(town.agent, town.site("qt01"), room, "dc7f3a-12-345-1")
    joined = await manager.event("ConfbridgeJoin", Conference="8001")
    assert joined.get("CallerIDNum") == "dc7f3a-12-345-1"
    await province.until(lambda p: p.endpoint("qt01").calls_up == 1)
    offer, answer = near_side.sdp.result(), far_side.sdp.result()
    assert [m.kind for m in medias(answer)] == [m.kind for m in medias(offer)] == ["audio", "video"]
    assert await asyncio.wait_for(near_side.over, 5) == "bye"  # the site hung up; the pair is ours to end
    far_call.hang_up()
    await manager.event("Hangup")
    assert province.stats()["bridge_calls"]["mcu"] == 0


async def test_flow_three_holds_the_site_until_the_bridge_has_answered(town: Town) -> None:
    province = await town.build(1)
    near_side, far_side = Side(), Side()
    near = town.agent.call(town.site("qt01"), near_side, user="tag")
    offer = await asyncio.wait_for(near_side.sdp, 5)
    near.ack(hold(offer, 1, near.host))
    await province.until(lambda p: p.endpoint("qt01").calls_up == 1)
    far = town.agent.call(province.main.address("8001"), far_side, user="tag")
    far_offer = await asyncio.wait_for(far_side.sdp, 5)
    answered: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
    near.reinvite(far_offer, lambda response: answered.set_result(response.sdp if response else b""))
    answer = await asyncio.wait_for(answered, 5)
    near.ack()
    far.ack(answer)
    assert medias(answer)[0].port > 0
    await province.until(lambda p: p.stats()["rooms"] == {"mcu/8001": 1})
    assert province.endpoint("qt01").tally.rings == 1
    near.hang_up()
    far.hang_up()
    await province.until(lambda p: p.stats()["calls"] == 0 and p.stats()["rooms"] == {})


async def test_a_link_by_third_party_gives_its_pin_by_info(town: Town) -> None:
    province = await town.build(1)
    near, far = await town.manager(), await town.manager(province.provincial)
    conference = str(province.main.address("8001"))
    _, far_call, _, _ = await pair_up(town.agent, conference, province.room.address, "dc7f3a-12-9-1")
    assert (await near.event("ConfbridgeJoin", Conference="8001")).get("CallerIDNum") == "dc7f3a-12-9-1"
    assert (await far.ask("ConfbridgeList", ("Conference", "9001"))).message == "No active conferences."
    await digits(far_call, province.room.pin + "#")
    joined = await far.event("ConfbridgeJoin", Conference="9001")
    assert joined.get("CallerIDNum") == "dc7f3a-12-9-1"


async def test_a_full_bridge_leaves_the_site_to_be_hung_up_by_us(town: Town) -> None:
    province = await town.build(1, bridge={"max_calls": 1})
    holder = Phone()
    town.call(province.main.address("8001"), holder)
    await holder.hears(("answered", 200))
    near_side, far_side = Side(), Side()
    near = town.agent.call(town.site("qt01"), near_side, user="tag")
    offer = await asyncio.wait_for(near_side.sdp, 5)
    town.agent.call(province.main.address("8001"), far_side, sdp=offer, user="tag")
    try:
        await asyncio.wait_for(far_side.sdp, 5)
    except RuntimeError as refused:
        assert str(refused).startswith("503")
    else:
        raise AssertionError("a full bridge took the call")
    near.ack(hold(offer, 1, near.host))
    near.hang_up()
    await province.until(lambda p: p.stats()["calls"] == 0)

"""The adapters of real devices drive the province: nothing here knows that it is virtual."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from adapters import (
    Address,
    BridgeAdapter,
    ClearCause,
    ConferenceSpec,
    Control,
    DialOptions,
    EndpointAdapter,
    Event,
    LegCleared,
    LegConnected,
    LegRinging,
    LegState,
    MemberJoined,
    MemberLeft,
    NotSupported,
    Rejected,
    SessionGone,
    SessionReady,
    registry,
)
from adapters.registry import Surroundings
from adapters.virtual.bridge import Bridge
from tests.conformance.virtual.conftest import Town

QUICK = DialOptions(display="Hội nghị", ring_s=5.0, digits_delay_s=0.05, video=False)


def control_of(bridge: Bridge) -> Control:
    """A bridge as the inventory knows it."""
    paper = bridge.paper()
    return Control(
        name=bridge.name,
        host=bridge.host,
        port=bridge.ami_port,
        username=str(paper["control_username"]),
        secret=bridge.secret,
        settings={"conference_address": paper["conference_address"]},
    )


class Driver:
    """What the mind has in its hands: adapters, and the events they told."""

    def __init__(self, town: Town) -> None:
        self.town = town
        self.events: list[Event] = []
        self.memories: dict[str, Any] = {}
        self._more = asyncio.Condition()
        self._bells: set[asyncio.Task[None]] = set()

    def surroundings(self) -> Surroundings:
        async def remember(leg: str, memory: Any) -> None:
            self.memories[leg] = memory

        return Surroundings(self._sink, remember, lambda: datetime.now(UTC), self.town.agent)

    def _sink(self, event: Event) -> None:
        self.events.append(event)
        bell = asyncio.get_running_loop().create_task(self._ring())
        self._bells.add(bell)
        bell.add_done_callback(self._bells.discard)

    async def _ring(self) -> None:
        async with self._more:
            self._more.notify_all()

    async def told(self, kind: type, within_s: float = 10.0, **fields: object) -> Any:
        """The first event of this kind with these fields, now or later."""

        def fits(event: Event) -> bool:
            return isinstance(event, kind) and all(getattr(event, k) == v for k, v in fields.items())

        async with asyncio.timeout(within_s), self._more:
            while not (found := [event for event in self.events if fits(event)]):
                await self._more.wait()
        return found[0]

    async def bridge(self, bridge: Bridge) -> BridgeAdapter:
        adapter = registry.bridge("asterisk", control_of(bridge), self.surroundings())
        await adapter.open()
        self.town.stack.push_async_callback(adapter.close)
        return adapter


@pytest.fixture
async def driver(town: Town) -> AsyncIterator[Driver]:
    yield Driver(town)


Make = Callable[[Driver], Any]


async def test_the_bridge_says_what_it_is_and_where_to_dial(town: Town, driver: Driver) -> None:
    province = await town.build(1)
    adapter = await driver.bridge(province.main)
    identity = await adapter.open()
    assert (identity.make, identity.firmware) == ("Asterisk", "22.10.1")
    await adapter.open_conference(ConferenceSpec("8001", "Giao ban", "t"))
    assert adapter.expect("8001") == province.main.address("8001")
    assert (await adapter.snapshot("8001")).members == ()


async def test_a_dial_out_is_reported_up_to_its_end(town: Town, driver: Driver) -> None:
    province = await town.build(1, behaviors="ring 0.05; answer; drop after 0.3")
    adapter = await driver.bridge(province.main)
    await adapter.open_conference(ConferenceSpec("8001", "Giao ban", "t"))
    await adapter.invite("dc7f3a-1-2-1", "8001", province.endpoint("qt01").addresses[0], QUICK)
    await driver.told(LegRinging, leg="dc7f3a-1-2-1")
    await driver.told(LegConnected, leg="dc7f3a-1-2-1")
    joined = await driver.told(MemberJoined, conference="8001")
    assert "dc7f3a-1-2-1" in joined.member.marks
    roster = await adapter.snapshot("8001")
    assert [m.id for m in roster.members] == [joined.member.id]
    over = await driver.told(LegCleared, leg="dc7f3a-1-2-1")
    assert over.cleared.cause is ClearCause.FAR_END
    await driver.told(MemberLeft, conference="8001")


@pytest.mark.parametrize(
    ("script", "ring_s", "cause"),
    [
        ("busy", 5.0, ClearCause.BUSY),
        ("decline", 5.0, ClearCause.DECLINED),
        ("not found", 5.0, ClearCause.NOT_FOUND),
        ("never answers", 0.3, ClearCause.NO_ANSWER),
        ("unreachable", 0.3, ClearCause.UNREACHABLE),
        ("reject 503", 5.0, ClearCause.UNREACHABLE),
        ("reject 488", 5.0, ClearCause.NO_COMMON_MEDIA),
    ],
)
async def test_every_failure_arrives_with_its_cause(
    town: Town, driver: Driver, script: str, ring_s: float, cause: ClearCause
) -> None:
    province = await town.build(1, behaviors=script)
    adapter = await driver.bridge(province.main)
    await adapter.invite("leg-1", "8001", province.endpoint("qt01").addresses[0], DialOptions(ring_s=ring_s))
    over = await driver.told(LegCleared, leg="leg-1")
    assert over.cleared.cause is cause


@pytest.mark.parametrize(("script", "cause"), [("busy", ClearCause.BUSY), ("not found", ClearCause.NOT_FOUND)])
async def test_h323_sites_fail_with_their_cause_too(town: Town, driver: Driver, script: str, cause: ClearCause) -> None:
    province = await town.build(13, behaviors={"qt13": script})
    adapter = await driver.bridge(province.main)
    await adapter.invite("leg-1", "8001", province.endpoint("qt13").addresses[0], QUICK)
    assert (await driver.told(LegCleared, leg="leg-1")).cleared.cause is cause


async def test_an_h323_site_joins_is_muted_and_dropped(town: Town, driver: Driver) -> None:
    province = await town.build(13, behaviors="ring 0.02; answer")
    adapter = await driver.bridge(province.main)
    await adapter.invite("leg-13", "8001", province.endpoint("qt13").addresses[0], QUICK)
    joined = await driver.told(MemberJoined, conference="8001")
    await adapter.mute("8001", joined.member.id, True)
    assert (await adapter.snapshot("8001")).members[0].muted is True
    await adapter.drop("leg-13")
    await adapter.drop("leg-13")
    over = await driver.told(LegCleared, leg="leg-13")
    assert over.cleared.cause is ClearCause.LOCAL
    assert province.endpoint("qt13").calls == 0


async def test_a_drop_while_it_rings_ends_the_ringing(town: Town, driver: Driver) -> None:
    province = await town.build(1, behaviors="never answers")
    adapter = await driver.bridge(province.main)
    await adapter.invite("leg-1", "8001", province.endpoint("qt01").addresses[0], QUICK)
    await driver.told(LegRinging, leg="leg-1")
    await adapter.drop("leg-1")
    assert (await driver.told(LegCleared, leg="leg-1")).cleared.cause is ClearCause.LOCAL
    await province.until(lambda p: p.endpoint("qt01").calls == 0)


async def test_a_link_gives_its_pin_and_the_far_roster_proves_it(town: Town, driver: Driver) -> None:
    province = await town.build(1)
    near, far = await driver.bridge(province.main), await driver.bridge(province.provincial)
    await far.snapshot("9001")
    digits = DialOptions(display="Cầu chính", ring_s=5, digits=province.room.pin + "#", digits_delay_s=0.05)
    await near.invite("link-1", "8001", Address.parse(province.room.address), digits)
    await driver.told(LegConnected, leg="link-1")
    await driver.told(MemberJoined, conference="9001")
    assert len((await far.snapshot("9001")).members) == 1
    await near.drop("link-1")
    await driver.told(MemberLeft, conference="9001")


async def test_a_link_with_a_wrong_pin_is_connected_for_a_while_and_never_in(town: Town, driver: Driver) -> None:
    province = await town.build(1, provincial={"pin": "246810", "input_s": 0.4, "notice_s": 0.1})
    near, far = await driver.bridge(province.main), await driver.bridge(province.provincial)
    digits = DialOptions(ring_s=5, digits="999999#", digits_delay_s=0.05)
    await near.invite("link-1", "8001", Address.parse(province.room.address), digits)
    await driver.told(LegConnected, leg="link-1")
    assert (await far.snapshot("9001")).members == ()
    over = await driver.told(LegCleared, leg="link-1")
    assert over.cleared.cause is ClearCause.FAR_END


async def test_strangers_in_the_room_are_seen_and_left_alone(town: Town, driver: Driver) -> None:
    province = await town.build(2)
    adapter = await driver.bridge(province.main)
    await adapter.open_conference(ConferenceSpec("8001", "Giao ban", "t"))
    province.call_by_hand("qt02", "8001")
    joined = await driver.told(MemberJoined, conference="8001")
    assert joined.member.caller == "qt02"
    await adapter.invite("leg-1", "8001", province.endpoint("qt01").addresses[0], QUICK)
    await driver.told(LegConnected, leg="leg-1")
    await adapter.drop("leg-1")
    await driver.told(LegCleared, leg="leg-1")
    await adapter.end_conference("8001")
    assert province.endpoint("qt02").calls_up == 1
    assert province.stats()["rooms"] == {"mcu/8001": 1}


async def test_a_manager_that_goes_and_comes_back_is_told_once_and_calls_live_on(town: Town, driver: Driver) -> None:
    province = await town.build(1)
    adapter = await driver.bridge(province.main)
    await adapter.invite("leg-1", "8001", province.endpoint("qt01").addresses[0], QUICK)
    await driver.told(LegConnected, leg="leg-1")
    await province.main.manager_down()
    await driver.told(SessionGone)
    await province.main.manager_up()
    await driver.told(SessionReady)
    assert [m.marks[0] if m.marks else "" for m in (await adapter.snapshot("8001")).members] != []
    (seen,) = await adapter.adopt(["leg-1"])
    assert seen.state is LegState.CONNECTED
    assert sum(isinstance(event, SessionGone) for event in driver.events) == 1


async def test_a_later_process_adopts_what_an_earlier_one_invited(town: Town, driver: Driver) -> None:
    province = await town.build(2, behaviors={"*": "answer", "qt02": "never answers"})
    first = await driver.bridge(province.main)
    for leg, code in (("leg-1", "qt01"), ("leg-2", "qt02")):
        await first.invite(leg, "8001", province.endpoint(code).addresses[0], QUICK)
    await driver.told(LegConnected, leg="leg-1")
    await driver.told(LegRinging, leg="leg-2")
    await first.close()
    later = Driver(town)
    adapter = await later.bridge(province.main)
    states = {seen.leg: seen.state for seen in await adapter.adopt(["leg-1", "leg-2", "leg-3"])}
    assert states == {"leg-1": LegState.CONNECTED, "leg-2": LegState.RINGING, "leg-3": LegState.CLEARED}
    await adapter.drop("leg-1")
    await later.told(LegCleared, leg="leg-1")
    assert province.endpoint("qt01").tally.rings == 1


async def test_forty_one_sites_and_the_province_are_in_within_seconds(town: Town, driver: Driver) -> None:
    province = await town.build(41, behaviors="ring 0.05; answer")
    adapter = await driver.bridge(province.main)
    await adapter.open_conference(ConferenceSpec("8001", "Giao ban", "t"))
    digits = DialOptions(ring_s=5, digits=province.room.pin + "#", digits_delay_s=0.05)
    await adapter.invite("link", "8001", Address.parse(province.room.address), digits)
    ends = list(province.endpoints.values())
    await asyncio.gather(*(adapter.invite(f"leg-{end.name}", "8001", end.addresses[0], QUICK) for end in ends))
    await asyncio.gather(*(driver.told(LegConnected, leg=f"leg-{end.name}") for end in ends))
    await province.until(lambda p: p.stats()["rooms"] == {"mcu/8001": 42, "tinh/9001": 1})
    assert province.stats()["never_rung_twice"] is True


async def test_orders_that_cannot_be_are_refused_before_anything_rings(town: Town, driver: Driver) -> None:
    province = await town.build(1)
    adapter = await driver.bridge(province.main)
    with pytest.raises((Rejected, NotSupported)):
        await adapter.invite("leg-1", "80,01", province.endpoint("qt01").addresses[0], QUICK)
    with pytest.raises((Rejected, NotSupported)):
        await adapter.mute("8001", "nobody", True)
    assert province.stats()["rings"] == 0


# ---- third-party: the endpoint family `sip` ----


def site_of(driver: Driver, code: str) -> EndpointAdapter:
    """The adapter of a site that only speaks SIP."""
    end = driver.town.province.endpoint(code)
    adapter = registry.endpoint("sip", Control(code, addresses=end.addresses), driver.surroundings())
    driver.town.stack.push_async_callback(adapter.close)
    return adapter


TAG = "dc7f3a-12-345-1"


async def test_third_party_puts_a_site_in_under_our_tag_and_takes_it_out(town: Town, driver: Driver) -> None:
    province = await town.build(1, behaviors="ring 0.05; answer")
    bridge = await driver.bridge(province.main)
    await bridge.open_conference(ConferenceSpec("8001", "Giao ban", "t"))
    site = site_of(driver, "qt01")
    await site.dial(TAG, bridge.expect("8001"), QUICK)
    await driver.told(LegRinging, leg=TAG)
    await driver.told(LegConnected, leg=TAG)
    joined = await driver.told(MemberJoined, conference="8001")
    assert TAG in joined.member.marks
    assert TAG in driver.memories
    await province.until(lambda p: p.endpoint("qt01").calls_up == 1)
    await site.hang_up(TAG)
    assert (await driver.told(LegCleared, leg=TAG)).cleared.cause is ClearCause.LOCAL
    await province.until(lambda p: p.stats()["calls"] == 0 and p.stats()["rooms"] == {})
    await site.hang_up(TAG)
    assert province.endpoint("qt01").tally.rings == 1


@pytest.mark.parametrize(
    ("script", "ring_s", "cause"),
    [
        ("busy", 5.0, ClearCause.BUSY),
        ("decline", 5.0, ClearCause.DECLINED),
        ("not found", 5.0, ClearCause.NOT_FOUND),
        ("never answers", 0.3, ClearCause.NO_ANSWER),
        ("unreachable", 0.3, ClearCause.UNREACHABLE),
        ("answer; drop after 0.3", 5.0, ClearCause.FAR_END),
    ],
)
async def test_every_failure_of_a_third_party_call_has_its_cause_and_leaves_nothing(
    town: Town, driver: Driver, script: str, ring_s: float, cause: ClearCause
) -> None:
    province = await town.build(1, behaviors=script)
    site = site_of(driver, "qt01")
    await site.dial(TAG, province.main.address("8001"), DialOptions(ring_s=ring_s))
    assert (await driver.told(LegCleared, leg=TAG)).cleared.cause is cause
    await province.until(lambda p: p.stats()["calls"] == 0 and p.stats()["bridge_calls"]["mcu"] == 0)
    assert province.stats()["rings"] == 1


async def test_a_bridge_that_refuses_lets_the_site_go(town: Town, driver: Driver) -> None:
    province = await town.build(1)
    site = site_of(driver, "qt01")
    await site.dial(TAG, province.main.address("7777"), QUICK)
    await driver.told(LegCleared, leg=TAG)
    await province.until(lambda p: p.stats()["calls"] == 0)
    assert not [event for event in driver.events if isinstance(event, LegConnected)]


async def test_a_link_by_third_party_is_let_in_by_its_pin_and_by_nothing_else(town: Town, driver: Driver) -> None:
    province = await town.build(1, provincial={"pin": "246810", "input_s": 1.0, "notice_s": 0.1})
    far = await driver.bridge(province.provincial)
    await far.snapshot("9001")
    conference, room = province.main.address("8001"), Address.parse(province.room.address)
    link = registry.endpoint("sip", Control("link", addresses=(conference,)), driver.surroundings())
    await link.dial("dc7f3a-1-7-1", room, DialOptions(ring_s=5, digits="246810#", digits_delay_s=0.05))
    joined = await driver.told(MemberJoined, conference="9001")
    assert "dc7f3a-1-7-1" in joined.member.marks
    assert province.stats()["rooms"] == {"mcu/8001": 1, "tinh/9001": 1}
    await link.hang_up("dc7f3a-1-7-1")
    await driver.told(MemberLeft, conference="9001")
    await link.dial("dc7f3a-1-8-1", room, DialOptions(ring_s=5, digits="999999#", digits_delay_s=0.05))
    await driver.told(LegConnected, leg="dc7f3a-1-8-1")
    assert (await driver.told(LegCleared, leg="dc7f3a-1-8-1")).cleared.cause is ClearCause.BRIDGE_ENDED
    await province.until(lambda p: p.stats()["bridge_calls"] == {"mcu": 0, "tinh": 0})
    await link.close()


async def test_a_restarted_process_adopts_a_pair_and_still_ends_it(town: Town, driver: Driver) -> None:
    province = await town.build(1)
    site = site_of(driver, "qt01")
    await site.dial(TAG, province.main.address("8001"), QUICK)
    await driver.told(LegConnected, leg=TAG)
    await site.close()
    await town.agent.close()  # the process is gone: no BYE, its socket closed

    later_town = Town()
    later_town.province = province
    await later_town.agent.start()
    town.stack.push_async_callback(later_town.agent.close)
    town.stack.push_async_callback(later_town.stack.aclose)
    later = Driver(later_town)
    adapter = site_of(later, "qt01")
    seen = await adapter.adopt(TAG, driver.memories[TAG])
    assert seen.state is LegState.CONNECTED
    assert province.stats()["rooms"] == {"mcu/8001": 1}
    await adapter.hang_up(TAG)
    await later.told(LegCleared, leg=TAG)
    await province.until(lambda p: p.stats()["calls"] == 0 and p.stats()["rooms"] == {})
    assert province.endpoint("qt01").tally.rings == 1


async def test_forty_one_pairs_at_once_ring_each_site_once(town: Town, driver: Driver) -> None:
    province = await town.build(41, behaviors="ring 0.1; answer")
    reached = [end.name for end in province.endpoints.values() if end.addresses[0].is_sip]
    sites = {code: site_of(driver, code) for code in reached}
    for code, site in sites.items():
        await site.dial(f"{TAG}-{code}", province.main.address("8001"), QUICK)
        await site.dial(f"{TAG}-{code}", province.main.address("8001"), QUICK)
    await asyncio.gather(*(driver.told(LegConnected, leg=f"{TAG}-{code}") for code in reached))
    await province.until(lambda p: p.stats()["calls_up"] == len(reached))
    stats = province.stats()
    assert stats["rooms"] == {"mcu/8001": len(reached)}
    assert stats["rings"] == len(reached) == 39
    assert stats["never_rung_twice"] is True
    await asyncio.gather(*(site.hang_up(f"{TAG}-{code}") for code, site in sites.items()))
    await province.until(lambda p: p.stats()["calls"] == 0 and p.stats()["rooms"] == {})


async def test_an_h323_site_cannot_be_made_to_dial(town: Town, driver: Driver) -> None:
    province = await town.build(13)
    end = province.endpoint("qt13")
    adapter = registry.endpoint("h323", Control("qt13", addresses=end.addresses), driver.surroundings())
    await adapter.open()
    with pytest.raises(NotSupported):
        await adapter.dial(TAG, province.main.address("8001"), QUICK)
    await adapter.close()
    assert province.stats()["rings"] == 0

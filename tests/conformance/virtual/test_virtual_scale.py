"""A thousand endpoints in one process, rung by plain SIP and by the bridge; nobody twice, nothing left."""

import os

from adapters.sip.agent import SipAgent
from tests.conformance.virtual.conftest import OFFER, Phone, Town

SITES = 1000


async def test_a_thousand_endpoints_join_and_leave_and_the_counts_agree(town: Town) -> None:
    province = await town.build(SITES)
    assert len(os.listdir("/proc/self/fd")) < 300, "a thousand endpoints must fit under a limit of 1,024 files"
    reached = [end for end in province.endpoints.values() if end.addresses[0].is_sip]
    agent = SipAgent("127.0.0.1")  # of RFC patience: a busy machine may take seconds for a thousand calls at once
    await agent.start()
    town.stack.push_async_callback(agent.close)
    phones = [Phone() for _ in reached]
    calls = [
        agent.call(end.addresses[0], phone, sdp=OFFER, user="test") for end, phone in zip(reached, phones, strict=True)
    ]
    await province.until(lambda p: p.stats()["calls_up"] == len(reached), 60)
    stats = province.stats()
    assert stats["rings"] == stats["calls"] == len(reached) > 950
    assert stats["never_rung_twice"] is True
    assert all(site["most_calls"] <= 1 for site in stats["sites"].values())
    for call in calls:
        call.hang_up()
    await province.until(lambda p: p.stats()["calls"] == 0, 60)


async def test_the_bridge_dials_a_thousand_into_one_conference(town: Town) -> None:
    province = await town.build(SITES)
    manager = await town.manager(events="off")
    for end in province.endpoints.values():
        address = end.addresses[0]
        channel = f"PJSIP/labudp/{address}" if address.is_sip else f"OOH323/{address.user}@{address.host}"
        manager.send(
            ("Action", "Originate"),
            ("ActionID", end.name),
            ("ChannelId", f"leg-{end.name}"),
            ("Channel", channel),
            ("Application", "ConfBridge"),
            ("Data", "8001,main,guest"),
            ("Async", "true"),
        )
    await province.until(lambda p: p.stats()["rooms"] == {"mcu/8001": SITES}, 60)
    members = await manager.listed("ConfbridgeList", ("Conference", "8001"))
    assert {m.get("Uniqueid") for m in members} == {f"leg-{code}" for code in province.endpoints}
    assert (await manager.ask("ConfbridgeKick", ("Conference", "8001"), ("Channel", "all"))).succeeded
    await province.until(lambda p: p.stats()["calls"] == 0 and p.stats()["bridge_calls"]["mcu"] == 0, 60)
    assert province.stats()["never_rung_twice"] is True

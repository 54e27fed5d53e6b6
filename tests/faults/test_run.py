"""A whole run against the virtual province, and what can go wrong with sites, links and the bridge."""

import asyncio
from contextlib import AsyncExitStack

import pytest

from tests.faults.conftest import Opening, site

BY_BOTH = "third-party bridge-dials"


async def test_everybody_in_by_every_way_linked_and_nothing_left_at_the_end(theater: Opening) -> None:
    play, conductor = await theater(25, link=True)
    await play.begin(conductor)
    shown = await play.until_all_in()
    assert {entry["way"] for entry in shown["sites"]} == {"third-party", "bridge-dials"}
    third_party = next(entry for entry in shown["sites"] if entry["way"] == "third-party")
    assert third_party["evidence"] == {"endpoint": "connected", "bridge": "in"}
    assert any(entry["address"].startswith("h323:") for entry in shown["sites"])
    assert play.province.stats()["rooms"] == {"mcu/8000": 26, "tinh/9001": 1}
    await play.end(conductor)
    assert play.calls_left() == 0
    assert play.province.stats()["bridge_calls"] == {"mcu": 0, "tinh": 0}
    assert play.nobody_was_rung_twice()


async def test_the_pin_stands_in_no_journal_and_no_row(theater: Opening) -> None:
    play, conductor = await theater(1, link=True)
    await play.begin(conductor)
    await play.until_all_in()
    pin = play.province.room.pin
    assert all(pin not in str(entry) for entry in await play.journal())
    assert pin not in str(await play.board())


async def test_a_call_placed_by_hand_counts_is_not_dialed_and_stays(theater: Opening) -> None:
    play, conductor = await theater(3, ladder=None)
    play.province.call_by_hand("qt01", "8000")
    await play.province.until(lambda p: p.endpoint("qt01").calls_up == 1)
    await play.begin(conductor)
    shown = await play.until_all_in()
    assert site(shown, "qt01")["way"] == "by-hand"
    assert play.province.endpoint("qt01").tally.rings == 0
    await play.end(conductor)
    assert play.province.endpoint("qt01").calls_up == 1
    assert play.calls_left() == 1


async def test_a_busy_site_is_tried_until_it_answers(theater: Opening) -> None:
    play, conductor = await theater(2, behaviors={"qt01": "busy x2; answer", "*": "answer"})
    await play.begin(conductor)
    shown = await play.until_all_in()
    assert site(shown, "qt01")["attempts"] == 3
    causes = [e.facts["cause"] for e in await play.events("leg-cleared") if e.participant == "qt01"]
    assert causes == ["busy", "busy"]


async def test_a_dropped_site_comes_back_and_both_ways_are_in_the_journal(theater: Opening) -> None:
    play, conductor = await theater(2)
    await play.begin(conductor)
    await play.until_all_in()
    play.province.endpoint("qt02").hang_up()
    await play.until(lambda shown: site(shown, "qt02")["state"] != "in")
    shown = await play.until_all_in()
    assert site(shown, "qt02")["redials"] == 1
    mine = [entry.event for entry in await play.journal() if entry.participant == "qt02"]
    assert mine.count("site-in") == 2
    assert mine.count("site-out") == 1


async def test_a_site_that_hangs_up_again_is_left_in_peace_until_the_operator_says_so(theater: Opening) -> None:
    play, conductor = await theater(1)
    await play.begin(conductor)
    for _ in range(2):
        await play.until_all_in()
        play.province.endpoint("qt01").hang_up()
        await play.until(lambda shown: site(shown, "qt01")["state"] != "in")
    await play.until(lambda shown: site(shown, "qt01")["state"] == "stopped")
    await conductor.order(play.run_id, "redial", {"site": "qt01"})
    await play.until_all_in()


async def test_nobody_answers_is_said_so_and_another_way_is_tried(theater: Opening) -> None:
    play, conductor = await theater(2, behaviors={"qt01": "never answers", "*": "answer"})
    await play.begin(conductor)
    shown = await play.until(lambda shown: site(shown, "qt01")["attempts"] >= 2)
    assert site(shown, "qt01")["cause"] == "no_answer"
    ways = [entry.facts["way"] for entry in await play.events("leg-dialed") if entry.participant == "qt01"]
    assert ways[:2] == ["third-party", "bridge-dials"]
    await play.end(conductor)
    assert site(await play.board(), "qt01")["state"] == "absent"
    assert play.calls_left() == 0


async def test_a_site_that_declines_twice_is_not_bothered_again(theater: Opening) -> None:
    play, conductor = await theater(1, behaviors="decline")
    await play.begin(conductor)
    shown = await play.until(lambda shown: site(shown, "qt01")["state"] == "stopped")
    assert (site(shown, "qt01")["attempts"], site(shown, "qt01")["cause"]) == (2, "declined")


async def test_operators_hang_up_mute_and_redial(theater: Opening) -> None:
    play, conductor = await theater(2)
    await play.begin(conductor)
    await play.until_all_in()
    await conductor.order(play.run_id, "mute", {"site": "qt01"})
    await play.until(lambda shown: site(shown, "qt01")["muted"] is True)
    await conductor.order(play.run_id, "unmute", {"site": "qt01"})
    await play.until(lambda shown: site(shown, "qt01")["muted"] is False)
    await conductor.order(play.run_id, "hang-up", {"site": "qt02"})
    await play.until(lambda shown: site(shown, "qt02")["state"] == "stopped")
    assert play.province.endpoint("qt02").calls == 0
    await conductor.order(play.run_id, "redial", {"site": "qt02"})
    await play.until_all_in()
    results = [entry.facts["result"] for entry in await play.events("command-done")]
    assert results == ["ordered", "ordered", "done", "done"]


async def test_a_wrong_secret_is_named_and_sites_get_in_by_the_ways_that_need_no_session(theater: Opening) -> None:
    play, conductor = await theater(2, secret="not-the-secret", ladder=BY_BOTH)
    await play.begin(conductor)
    shown = await play.until_all_in()
    assert {entry["way"] for entry in shown["sites"]} == {"third-party"}
    assert {entry["evidence"]["bridge"] for entry in shown["sites"]} == {"unknown"}
    [trouble] = await play.events("conference-trouble")
    assert "mcu" in str(trouble.facts["why"])
    assert "not-the-secret" not in str(trouble)
    await play.end(conductor)
    assert play.calls_left() == 0


async def test_a_bridge_that_is_down_is_said_on_the_board_and_used_once_it_is_back(theater: Opening) -> None:
    play, conductor = await theater(2, ladder="bridge-dials")
    await play.province.main.manager_down()
    await play.begin(conductor)
    shown = await play.until(lambda shown: all(entry["cause"] == "unreachable" for entry in shown["sites"]))
    assert {entry["side"] for entry in shown["sites"]} == {"bridge"}
    await play.province.main.manager_up()
    await play.until_all_in()
    assert play.nobody_was_rung_twice()


async def test_a_cut_control_session_costs_no_call_and_is_told_once(theater: Opening) -> None:
    play, conductor = await theater(3)
    await play.begin(conductor)
    await play.until_all_in()
    rings = play.province.stats()["rings"]
    play.province.main.manager.drop_sessions()
    async with asyncio.timeout(30):
        while not await play.events("device-back"):
            await play.bell.wait(play.run_id, 0.2)
    await play.until_all_in()
    assert len(await play.events("device-gone")) == len(await play.events("device-back")) == 1
    assert play.province.stats()["rings"] == rings
    await play.end(conductor)
    assert play.calls_left() == 0


async def test_a_full_bridge_is_named_and_tried_again(theater: Opening) -> None:
    play, conductor = await theater(3, bridge={"max_members": 2}, ladder="bridge-dials")
    await play.begin(conductor)
    shown = await play.until(lambda shown: sum(e["cause"] == "bridge_full" for e in shown["sites"]) == 1)
    full = next(entry for entry in shown["sites"] if entry["cause"] == "bridge_full")
    lucky = next(entry for entry in shown["sites"] if entry["state"] == "in")
    await conductor.order(play.run_id, "hang-up", {"site": lucky["code"]})
    await play.until(lambda shown: site(shown, full["code"])["state"] == "in")


async def test_a_link_with_a_wrong_pin_is_never_called_in(theater: Opening) -> None:
    play, conductor = await theater(1, link=True)
    async with play.database.write() as session:
        room = await session.get(type(play._room), play._room.id)
        room.pin = play.keys.seal("000000" if play.province.room.pin != "000000" else "111111")
        session.add(room)
    await play.begin(conductor)
    shown = await play.until(lambda shown: shown["links"][0]["attempts"] >= 2)
    assert all(entry.participant != shown["links"][0]["code"] for entry in await play.events("site-in"))
    await play.end(conductor)
    assert play.province.stats()["bridge_calls"] == {"mcu": 0, "tinh": 0}


async def test_what_will_not_come_down_is_left_over_and_swept_until_it_does(theater: Opening) -> None:
    play, conductor = await theater(2, ladder=BY_BOTH)
    await play.begin(conductor)
    await play.until_all_in()
    play.province.endpoint("qt01").die()
    await conductor.order(play.run_id, "end", {})
    await play.until(lambda shown: shown["state"] == "leftover")
    play.province.endpoint("qt01").come_back()
    await play.until(lambda shown: shown["state"] == "done")
    assert play.calls_left() == 0


@pytest.mark.parametrize("moment", ["ringing", "in"])
async def test_another_process_takes_up_what_the_first_left_and_nobody_is_rung_twice(
    theater: Opening, moment: str
) -> None:
    play, _ = await theater(6, behaviors="ring 2; answer", link=True, conducted=False)
    async with AsyncExitStack() as first_life:
        first = await play.conductor(first_life)
        await play.begin(first)
        await play.until(lambda shown: all(entry["state"] == moment for entry in shown["sites"]))
    heir = await play.conductor()
    await play.until_all_in()
    stats = play.province.stats()
    assert stats["rings"] == 6
    assert stats["never_rung_twice"]
    await play.end(heir)
    assert play.calls_left() == 0
    assert play.province.stats()["bridge_calls"] == {"mcu": 0, "tinh": 0}

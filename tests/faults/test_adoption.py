"""Calls of an earlier process, taken up in every state: nobody is rung twice, nothing is left behind."""

from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta

import pytest
from sqlmodel import select

from adapters import ClearCause, Cleared, LegCleared, LegConnected, LegRinging, Side
from orchestrator.store.runs import Leg, ShardCommand
from tests.faults.conftest import Opening, Theater, site


async def _first_life(play: Theater, state: str) -> None:
    """A process begins the run and leaves as soon as everybody is `state`."""
    async with AsyncExitStack() as life:
        first = await play.conductor(life)
        await play.begin(first)
        await play.until(lambda shown: all(entry["state"] == state for entry in shown["sites"]))


async def _order_meanwhile(play: Theater, verb: str) -> None:
    async with play.database.write() as session:
        session.add(ShardCommand(shard_id=f"run-{play.run_id}", verb=verb, args={}, created_at=datetime.now(UTC)))


@pytest.mark.parametrize("ladder", ["third-party", "bridge-dials"])
@pytest.mark.parametrize("state", ["ringing", "in"])
async def test_a_run_that_was_ended_while_nobody_conducted_it_leaves_nothing(
    theater: Opening, ladder: str, state: str
) -> None:
    play, _ = await theater(3, behaviors="ring 2; answer", ladder=ladder, conducted=False)
    await _first_life(play, state)
    await _order_meanwhile(play, "end")
    await play.conductor()
    await play.until(lambda shown: shown["state"] == "done")
    assert play.calls_left() == 0
    assert play.province.stats()["rings"] == 3
    assert play.province.stats()["bridge_calls"] == {"mcu": 0, "tinh": 0}


async def test_dial_outs_are_taken_up_once_the_bridges_session_is_back(theater: Opening) -> None:
    play, _ = await theater(3, ladder="bridge-dials", conducted=False)
    await _first_life(play, "in")
    await play.province.main.manager_down()
    heir = await play.conductor()
    await play.until(lambda shown: all(entry["evidence"]["bridge"] == "unknown" for entry in shown["sites"]))
    await play.province.main.manager_up()
    await play.until(lambda shown: all(entry["evidence"]["bridge"] == "in" for entry in shown["sites"]))
    assert len(await play.events("adopted")) == 3
    assert play.province.stats()["rings"] == 3
    await play.end(heir)
    assert play.calls_left() == 0


async def test_a_dial_out_that_ended_meanwhile_is_lost_and_dialed_anew(theater: Opening) -> None:
    play, _ = await theater(2, ladder="bridge-dials", conducted=False)
    await _first_life(play, "in")
    play.province.endpoint("qt01").hang_up()
    await play.conductor()
    shown = await play.until(
        lambda shown: site(shown, "qt01")["attempts"] == 2 and site(shown, "qt01")["state"] == "in"
    )
    assert site(shown, "qt01")["redials"] == 1
    [cleared] = await play.events("leg-cleared")
    assert (cleared.facts["cause"], cleared.participant) == ("lost", "qt01")
    assert play.province.stats()["rings"] == 3


async def test_a_set_up_older_than_it_can_live_is_not_begun_again_under_its_old_name(theater: Opening) -> None:
    play, _ = await theater(1, behaviors="never answers", ladder="third-party", conducted=False)
    await _first_life(play, "ringing")
    async with play.database.write() as session:
        leg = (await session.exec(select(Leg))).one()
        assert leg.dialed_at is not None
        leg.dialed_at -= timedelta(minutes=10)
        session.add(leg)
    await play.conductor()
    await play.until(lambda shown: site(shown, "qt01")["attempts"] == 2)
    first = (await play.events("leg-cleared"))[0]
    assert (first.leg, first.facts["cause"], first.facts["raw"]) == (leg.name, "lost", "its set-up was cut short")


async def test_what_is_left_over_is_swept_by_the_next_process_too(theater: Opening) -> None:
    play, _ = await theater(2, ladder="third-party", conducted=False)
    async with AsyncExitStack() as life:
        first = await play.conductor(life)
        await play.begin(first)
        await play.until_all_in()
        play.province.endpoint("qt01").die()
        await first.order(play.run_id, "end", {})
        await play.until(lambda shown: shown["state"] == "leftover")
    await play.conductor()
    play.province.endpoint("qt01").come_back()
    await play.until(lambda shown: shown["state"] == "done")
    assert play.calls_left() == 0


async def test_late_and_repeated_events_of_a_call_that_is_over_change_nothing(theater: Opening) -> None:
    play, conductor = await theater(1, ladder="third-party")
    await play.begin(conductor)
    await play.until_all_in()
    runner = conductor.runners[play.run_id]
    old = runner.participant("qt01").call.name
    play.province.endpoint("qt01").hang_up()
    await play.until(lambda shown: site(shown, "qt01")["attempts"] == 2 and site(shown, "qt01")["state"] == "in")
    told = len(await play.journal())
    for late in (
        LegConnected(old, runner.now()),
        LegRinging(old, runner.now()),
        LegCleared(old, runner.now(), Cleared(ClearCause.BUSY, Side.FAR_END)),
    ):
        runner.put(late)
    await conductor.order(play.run_id, "unmute", {"site": "qt01"})
    while not await play.events("command-done"):
        await play.bell.wait(play.run_id, 0.2)
    assert {entry.event for entry in (await play.journal())[told:]} <= {"command-taken", "command-done"}
    assert runner.participant("qt01").call.name != old

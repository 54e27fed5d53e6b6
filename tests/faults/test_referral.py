"""Sites that are told to call by themselves: who comes in for it is ours to end, and nobody else is."""

from contextlib import AsyncExitStack
from datetime import UTC, datetime

import pytest
from sqlmodel import select

from adapters import ClearCause, Cleared, LegCleared, Side
from orchestrator.store.runs import Leg, ShardCommand
from tests.faults.conftest import Opening, Theater, site

EVERY_KIND = {
    "qt01": "refer; ring 0.2; answer",
    "qt02": "refer inside; ring 0.2; answer",
    "qt03": "refer untold; answer",
    "qt04": "refer mute; answer",
}


async def legs(play: Theater) -> list[Leg]:
    async with play.database.read() as session:
        return list(await session.exec(select(Leg).where(Leg.run_id == play.run_id).order_by(Leg.id)))  # type: ignore[arg-type]


async def test_every_kind_of_endpoint_comes_in_and_is_put_out_at_the_end(theater: Opening) -> None:
    play, conductor = await theater(4, behaviors=EVERY_KIND, ladder="refer")
    await play.begin(conductor)
    shown = await play.until_all_in()
    assert {entry["way"] for entry in shown["sites"]} == {"refer"}
    assert all(entry["evidence"] == {"endpoint": "unknown", "bridge": "in"} for entry in shown["sites"])
    assert all(leg.member and leg.state == "connected" for leg in await legs(play))
    assert play.province.stats()["rings"] == 4 and play.nobody_was_rung_twice()
    await play.end(conductor)
    assert play.calls_left() == 0
    assert play.province.stats()["bridge_calls"] == {"mcu": 0, "tinh": 0}
    assert {leg.cause for leg in await legs(play)} == {"local"}


async def test_a_site_that_never_takes_it_climbs_to_third_party(theater: Opening) -> None:
    play, conductor = await theater(1, ladder="refer third-party")
    await play.begin(conductor)
    shown = await play.until_all_in()
    assert [(leg.way, leg.cause) for leg in await legs(play)] == [("refer", "not_allowed"), ("third-party", "")]
    assert site(shown, "qt01")["evidence"] == {"endpoint": "connected", "bridge": "in"}


async def test_who_hangs_up_is_told_again(theater: Opening) -> None:
    play, conductor = await theater(1, behaviors="refer; answer", ladder="refer")
    await play.begin(conductor)
    await play.until_all_in()
    play.province.endpoint("qt01").hang_up()
    await play.until(lambda shown: site(shown, "qt01")["attempts"] == 2 and site(shown, "qt01")["state"] == "in")
    first = (await legs(play))[0]
    assert (first.cause, first.side) == ("unknown", "unknown") and "left the conference" in first.raw


async def test_word_that_nobody_told_what_came_of_it_ends_nothing_that_the_roster_shows(theater: Opening) -> None:
    play, conductor = await theater(1, behaviors="refer mute; answer", ladder="refer")
    await play.begin(conductor)
    await play.until_all_in()
    runner = conductor.runners[play.run_id]
    leg = runner.participant("qt01").call.name
    runner.put(LegCleared(leg, runner.now(), Cleared(ClearCause.NO_ANSWER, Side.FAR_END, "nobody told")))
    await conductor.order(play.run_id, "mute", {"site": "qt01"})
    shown = await play.until(lambda shown: site(shown, "qt01")["muted"])
    assert site(shown, "qt01")["state"] == "in" and site(shown, "qt01")["attempts"] == 1


async def test_a_call_placed_by_hand_beside_ours_stays(theater: Opening) -> None:
    play, conductor = await theater(1, behaviors="refer; answer", ladder="refer")
    await play.begin(conductor)
    await play.until_all_in()
    number = next(iter(play.province.main.switch.rooms))
    by_hand = play.province.call_by_hand("qt01", number)
    await play.province.until(lambda p: len(p.main.switch.rooms[number].members) == 2)
    await play.end(conductor)
    assert not by_hand.over and play.calls_left() == 1 and len(play.province.main.switch.rooms[number].members) == 1


async def test_who_was_in_by_hand_before_is_never_told_to_call_nor_put_out(theater: Opening) -> None:
    play, conductor = await theater(2, behaviors="refer; answer", ladder="refer")
    await play.begin(conductor)
    await play.until_all_in()
    number = next(iter(play.province.main.switch.rooms))
    await play.until(lambda shown: site(shown, "qt02")["state"] == "in")
    await conductor.order(play.run_id, "hang-up", {"site": "qt02"})
    await play.until(lambda shown: site(shown, "qt02")["state"] == "stopped")
    play.province.call_by_hand("qt02", number)
    await play.until(lambda shown: site(shown, "qt02")["way"] == "by-hand")
    await play.end(conductor)
    assert play.province.endpoint("qt01").calls == 0 and play.province.endpoint("qt02").calls == 1


async def test_given_up_before_its_call_came_about_it_is_put_out_when_it_comes(theater: Opening) -> None:
    """A REFER cannot be called back; the call that comes of it later is ended as soon as it is there."""
    play, conductor = await theater(1, behaviors="refer; ring 1; answer", ladder="refer")
    await play.begin(conductor)
    await play.until(lambda shown: site(shown, "qt01")["state"] == "ringing")
    await conductor.order(play.run_id, "hang-up", {"site": "qt01"})
    await play.province.until(lambda p: p.endpoint("qt01").tally.orders == 1)
    await play.until(lambda shown: site(shown, "qt01")["state"] == "stopped")
    assert play.calls_left() == 0 and play.province.stats()["bridge_calls"] == {"mcu": 0, "tinh": 0}


@pytest.mark.parametrize("state", ["ringing", "in"])
@pytest.mark.parametrize("behavior", ["refer; ring 2; answer", "refer inside; ring 2; answer"])
async def test_the_next_process_takes_it_up_tells_nobody_again_and_ends_it(
    theater: Opening, behavior: str, state: str
) -> None:
    play, _ = await theater(2, behaviors=behavior, ladder="refer", conducted=False)
    async with AsyncExitStack() as life:
        first = await play.conductor(life)
        await play.begin(first)
        await play.until(lambda shown: all(entry["state"] == state for entry in shown["sites"]))
    heir = await play.conductor()
    await play.until_all_in()
    assert play.province.stats()["rings"] == 2 and play.nobody_was_rung_twice()
    assert [leg.attempt for leg in await legs(play)] == [1, 1]
    await play.end(heir)
    assert play.calls_left() == 0 and play.province.stats()["bridge_calls"] == {"mcu": 0, "tinh": 0}


@pytest.mark.parametrize("state", ["ringing", "in"])
async def test_a_run_that_was_ended_while_nobody_conducted_it_leaves_nothing(theater: Opening, state: str) -> None:
    play, _ = await theater(2, behaviors="refer; ring 2; answer", ladder="refer", conducted=False)
    async with AsyncExitStack() as life:
        first = await play.conductor(life)
        await play.begin(first)
        await play.until(lambda shown: all(entry["state"] == state for entry in shown["sites"]))
    async with play.database.write() as session:
        session.add(ShardCommand(shard_id=f"run-{play.run_id}", verb="end", args={}, created_at=datetime.now(UTC)))
    await play.conductor()
    await play.until(lambda shown: shown["state"] == "done")
    assert play.calls_left() == 0 and play.province.stats()["bridge_calls"] == {"mcu": 0, "tinh": 0}
    assert play.province.stats()["rings"] == 2


async def test_who_left_while_nobody_conducted_is_told_again(theater: Opening) -> None:
    play, _ = await theater(1, behaviors="refer; answer", ladder="refer", conducted=False)
    async with AsyncExitStack() as life:
        first = await play.conductor(life)
        await play.begin(first)
        await play.until_all_in()
    play.province.endpoint("qt01").hang_up()
    await play.conductor()
    await play.until(lambda shown: site(shown, "qt01")["attempts"] == 2 and site(shown, "qt01")["state"] == "in")


async def test_without_the_bridges_session_nobody_is_told_to_call(theater: Opening) -> None:
    play, _ = await theater(1, behaviors="refer; answer", ladder="refer third-party", conducted=False)
    await play.province.main.manager_down()
    conductor = await play.conductor()
    await play.begin(conductor)
    await play.until(lambda shown: site(shown, "qt01")["state"] == "in")
    assert {leg.way for leg in await legs(play)} == {"third-party"}


async def test_the_bridge_that_cannot_be_reached_at_the_end_leaves_it_over_and_says_so(theater: Opening) -> None:
    play, conductor = await theater(1, behaviors="refer; answer", ladder="refer")
    await play.begin(conductor)
    await play.until_all_in()
    await play.province.main.manager_down()
    await conductor.order(play.run_id, "end", {})
    await play.until(lambda shown: shown["state"] == "leftover")
    assert play.calls_left() == 1
    await play.province.main.manager_up()
    await play.until(lambda shown: shown["state"] == "done")
    assert play.calls_left() == 0

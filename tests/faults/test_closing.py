"""The end of a run: orders that come late, what will not come down, and the work it costs meanwhile."""

import asyncio

from tests.faults.conftest import Opening, site

BY_BOTH = "third-party bridge-dials"


async def _left_over(theater: Opening):  # type: ignore[no-untyped-def]
    play, conductor = await theater(2, ladder=BY_BOTH)
    await play.begin(conductor)
    await play.until_all_in()
    play.province.endpoint("qt01").die()
    await conductor.order(play.run_id, "end", {})
    await play.until(lambda shown: shown["state"] == "leftover")
    return play, conductor


async def test_a_run_that_waits_for_its_last_call_sleeps_between_its_looks(theater: Opening) -> None:
    play, conductor = await _left_over(theater)
    assert conductor.runners[play.run_id]._seconds_to_next() > 0.05


async def test_an_order_that_comes_while_closing_is_refused_and_ends_nothing(theater: Opening) -> None:
    play, conductor = await _left_over(theater)
    for verb, args in (("extend", {"minutes": 5}), ("redial", {"site": "qt02"}), ("call-absent", {})):
        await conductor.order(play.run_id, verb, args)
    async with asyncio.timeout(20):
        while len(await play.events("command-done")) < 4:
            await play.bell.wait(play.run_id, 0.2)
    results = [str(entry.facts["result"]) for entry in await play.events("command-done")]
    assert results[0] == "done"
    assert all(result.startswith("refused: the run is leftover") for result in results[1:])
    play.province.endpoint("qt01").come_back()
    await play.until(lambda shown: shown["state"] == "done")
    assert play.calls_left() == 0


async def test_ending_what_is_left_over_gives_it_up_for_good(theater: Opening) -> None:
    play, conductor = await _left_over(theater)
    await conductor.order(play.run_id, "end", {})
    shown = await play.until(lambda shown: shown["state"] == "done")
    assert site(shown, "qt01")["state"] == "in"  # it was, when the run ended
    [given_up] = [e for e in await play.events("leg-cleared") if str(e.facts["raw"]).startswith("given up")]
    assert given_up.participant == "qt01"


async def test_who_hangs_up_by_itself_while_the_run_closes_is_written_down_as_out(theater: Opening) -> None:
    play, conductor = await _left_over(theater)
    await conductor.order(play.run_id, "end", {})
    await play.until(lambda shown: shown["state"] == "done")
    outs = [entry.participant for entry in await play.events("site-out")]
    assert sorted(outs) == ["qt01", "qt02"]


async def test_an_extension_in_the_grace_brings_back_who_left_in_it(theater: Opening) -> None:
    play, conductor = await theater(2, ladder=BY_BOTH, terms={"grace_s": 60.0, "roster_s": 3600.0})
    await play.begin(conductor)
    await play.until_all_in()
    runner = conductor.runners[play.run_id]
    runner.run.ends_at = runner.now()  # the meeting's time is over, the grace begins
    play.province.endpoint("qt01").hang_up()
    shown = await play.until(lambda shown: site(shown, "qt01")["state"] == "retrying")
    assert site(shown, "qt01")["attempts"] == 1
    for done in range(1, 4):  # passes in which nobody may be dialed go by
        await conductor.order(play.run_id, "unmute", {"site": "qt02"})
        async with asyncio.timeout(20):
            while len(await play.events("command-done")) < done:
                await play.bell.wait(play.run_id, 0.2)
    await conductor.order(play.run_id, "extend", {"minutes": 5})
    shown = await play.until_all_in()
    assert site(shown, "qt01")["attempts"] == 2

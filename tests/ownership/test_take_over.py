"""One process is killed, paused or asked to leave; the other goes on, and only one gives orders at a time."""

import asyncio
import json

from tests.ownership.conftest import Opening
from tests.ownership.evidence import overlaps
from tests.ownership.ground import Ground

ONE_ALWAYS_BUSY = json.dumps({"qt06": "busy", "*": "answer"})
"""Somebody who has to be dialed again and again: a stale owner would do so at once."""


async def nobody_was_put_out(place: Ground) -> None:
    outs = [entry for entry in await place.journal() if entry.event == "site-out"]
    assert [out for out in outs if out.facts["cause"] != "local"] == []  # at the end we hang up


async def test_killed_in_the_middle_of_dialing_and_again_when_all_are_in(ground: Opening) -> None:
    # a half-made pair is bound to the address it was made from; what the bridge dials is not
    place = await ground(6, "ring 2; answer", ladders=("bridge-dials",), link=True)
    first, second = await place.two_hosts()
    await place.until_rings(6)
    third, _ = await asyncio.gather(place.host(), first.kill())
    await place.owner(second, third)
    await place.until_in()
    heir, last = (second, third) if await place.owner(second, third) is second else (third, second)
    await heir.kill()
    await place.owner(last)
    await place.end(last)
    stats = await place.stats()
    assert (stats["rings"], stats["never_rung_twice"]) == (6, True)
    await nobody_was_put_out(place)
    await place.nothing_is_left()
    assert await overlaps(place) == []


async def test_a_paused_owner_does_nothing_any_more(ground: Opening) -> None:
    place = await ground(6, ONE_ALWAYS_BUSY)
    owner, heir = await place.two_hosts()
    await place.until_in("qt06")
    await place.pause_past_lease(owner, heir)
    await place.until_dialed("qt06", epoch=2)
    owner.resume()
    await owner.until_said("lease-lost", "run-let-go")
    await place.until_dialed("qt06", epoch=2, times=3)
    await nobody_was_put_out(place)
    stats = await place.stats()
    assert (stats["never_rung_twice"], stats["calls_up"]) == (True, 5)
    await place.end(by=owner)  # whoever is asked: the order is a row, and the heir carries it out
    await place.nothing_is_left()
    assert await overlaps(place) == []


async def test_an_owner_paused_while_it_dials_leaves_half_made_calls_to_the_heir(ground: Opening) -> None:
    """What came in during the pause (answers, above all) makes it call, acknowledge and hang up nothing."""
    place = await ground(6, "ring 2; answer")
    owner, heir = await place.two_hosts()
    await place.until_rings(6)
    await place.pause_past_lease(owner, heir)
    await place.until_dialed("qt01", epoch=2)
    owner.resume()
    await owner.until_said("lease-lost", "run-let-go")
    await place.until_dialed("qt01", epoch=2, times=3)
    assert await overlaps(place) == []


async def test_without_the_guard_a_pause_shows_in_the_evidence(sqlite_ground: Opening) -> None:
    """Proves that the tests above can fail."""
    place = await sqlite_ground(6, ONE_ALWAYS_BUSY)
    owner, heir = await place.two_hosts(unguarded=True)
    await place.until_in("qt06")
    await place.pause_past_lease(owner, heir)
    await place.until_dialed("qt06", epoch=2)
    owner.resume()

    async def seen() -> bool:
        found = await overlaps(place)
        return any("Act" in repr(each) for each in found) and any("legs" in str(each) for each in found)

    await place.wait(seen, "the stale owner is seen to order and to write")


async def test_asked_to_stop_it_hands_over_and_calls_stay_up(ground: Opening) -> None:
    place = await ground(6, link=True)
    owner, heir = await place.two_hosts()
    await place.until_in()
    before = await place.stats()
    assert await owner.ask_to_stop() == 0
    await place.owner(heir)
    await place.until_in()
    after = await place.stats()
    assert (after["rings"], after["calls_up"]) == (before["rings"], 6)
    await nobody_was_put_out(place)
    await place.end(heir)
    await place.nothing_is_left()
    assert await overlaps(place) == []


async def test_orders_accepted_during_a_take_over_have_their_effect_once(ground: Opening) -> None:
    place = await ground(2)
    owner, heir = await place.two_hosts()
    await place.until_in()
    run = await place.run()
    assert run is not None
    before = run.ends_at
    for number in range(20):
        await heir.order("runs/1/extend", minutes=1)
        if number == 9:
            await owner.kill()
    await place.wait(place.no_open_orders, "all orders are carried out")
    run = await place.run()
    assert run is not None
    assert (run.ends_at - before).total_seconds() == 20 * 60
    assert await overlaps(place) == []

"""Sites that are told to call by themselves, and a process that is killed in the middle of it."""

import json

from tests.ownership.conftest import Opening
from tests.ownership.evidence import acts, overlaps
from tests.ownership.ground import Ground

# our own call, inside which others are told, is bound to the address it was made from
OUTSIDE = json.dumps(
    {"qt01": "refer; ring 2; answer", "qt02": "refer untold; ring 1; answer", "*": "refer mute; answer"}
)
INSIDE_TOO = json.dumps({"qt01": "refer inside; answer", "*": "refer; answer"})


async def nobody_was_put_out(place: Ground) -> None:
    outs = [entry for entry in await place.journal() if entry.event == "site-out"]
    assert [out for out in outs if out.facts["cause"] != "local"] == []  # at the end we end it


async def test_killed_in_the_middle_and_again_when_all_are_in_nobody_is_told_twice(ground: Opening) -> None:
    """The next process is at another address: it hears no NOTIFY, and reads the roster."""
    place = await ground(4, OUTSIDE, ladders=("refer",))
    first, second = await place.two_hosts()
    await place.until_rings(4)
    await first.kill()
    await place.owner(second)
    await place.until_in()
    third = await place.host()
    await second.kill()
    await place.owner(third)
    shown = await place.until_in()
    assert {site["way"] for site in shown["sites"]} == {"refer"}
    stats = await place.stats()
    assert (stats["rings"], stats["never_rung_twice"]) == (4, True)
    await place.end(third)
    await nobody_was_put_out(place)
    await place.nothing_is_left()
    assert len({act.about for act in acts(place.record) if act.what == "REFER"}) == 4
    assert await overlaps(place) == []


async def test_asked_to_stop_it_hands_over_and_their_calls_stay_up(ground: Opening) -> None:
    place = await ground(3, INSIDE_TOO, ladders=("refer",))
    owner, heir = await place.two_hosts()
    await place.until_in()
    assert await owner.ask_to_stop() == 0
    await place.owner(heir)
    await place.until_in()
    assert (await place.stats())["rings"] == 3
    await nobody_was_put_out(place)
    await place.end(heir)
    await place.nothing_is_left()
    assert await overlaps(place) == []

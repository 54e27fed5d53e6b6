"""`autodial` beside `serve` and beside itself: one run, nobody dialed twice, and each cron call comes to an end."""

import asyncio
import json

from tests.ownership.conftest import Opening
from tests.ownership.evidence import overlaps
from tests.ownership.ground import Host


async def told(host: Host) -> dict[str, object]:
    return dict(json.loads((await host.until_said(r"^\{.*\}$", where="out"))[0]))


async def test_two_of_cron_and_a_service_at_the_same_instant(ground: Opening) -> None:
    place = await ground(4, "ring 0.5; answer")
    words = ("autodial", "--within", "15m", "--json")
    service, *cron = await asyncio.gather(place.host(), place.host(*words), place.host(*words))
    said = await asyncio.gather(*map(told, cron))
    await place.owner(service, *cron)
    await place.until_in()
    stats = await place.stats()
    assert (stats["rings"], stats["never_rung_twice"], stats["calls_up"]) == (4, True, 4)
    assert sum(len(each["started"]) for each in said) <= 1  # type: ignore[misc, arg-type]
    await place.end(service)
    assert [await host.exit_code() for host in cron] == [0, 0]
    assert service.process.is_alive()
    await place.nothing_is_left()
    assert await overlaps(place) == []

"""What a live leg costs in memory: the service before and after a thousand of them."""

import time
from collections.abc import Iterator

from tests.bench.dialing import WAYS
from tests.bench.figure import Figure, need
from tests.bench.place import say
from tests.bench.province import Province
from tests.bench.service import Service, soon

SITES = 1000
AIM_KIB = 30.0
REST_S = 2.0
"""After the last site is in, the service gets so long to read its roster and settle."""


def measure(quick: bool) -> Iterator[Figure]:
    """Resident memory per leg, over the idle service: the run, its rows, its calls, all that grew.

    The service is started afresh once the inventory is there, so that no memory that was
    freed after the import is filled up silently.
    """
    for way in WAYS:
        idle, live = _resident(way)
        yield Figure(f"memory.leg.{way}", (live - idle) / SITES / 1024, "KiB", AIM_KIB)
        yield Figure(f"memory.service.{way}.idle", idle / 2**20, "MiB")
        yield Figure(f"memory.service.{way}.live", live / 2**20, "MiB")


def _resident(way: str) -> tuple[int, int]:
    with Province(SITES) as province, Service() as service:
        service.start()
        bridge = province.papers["bridge"]
        service.install(bridge, province.rows(way))
        service.stop()
        service.start()
        time.sleep(REST_S)
        idle = service.rss
        service.book(bridge["name"], soon(1))
        service.record.until(lambda record: record.sites_in() == SITES, 60, f"{SITES} sites in by {way}")
        time.sleep(REST_S)
        live = service.rss
        need(service.record.sites_in() == SITES, "sites fell out again")
        province.need_each_rung_once(SITES, f"{SITES} by {way}")
        service.need_peace()
        say(f"{SITES} legs by {way}: {idle / 2**20:.1f} -> {live / 2**20:.1f} MiB")
        return idle, live

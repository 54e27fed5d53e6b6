"""From a kill to reconciled: fifty live runs of 41 legs are taken up again, and nobody is rung."""

from collections.abc import Iterator

from tests.bench.dialing import WAYS
from tests.bench.figure import Figure, need
from tests.bench.place import say
from tests.bench.province import Province
from tests.bench.record import Record
from tests.bench.service import Service, soon

RUNS, SITES = 50, 41
AIM_S = 3.0

_ALL_SEEN = """
SELECT (SELECT count(DISTINCT leg) FROM journal WHERE id > ? AND event = 'adopted'),
       (SELECT count(*) FROM participant WHERE state = 'in' AND seen_by_bridge = 'in'),
       (SELECT count(*) FROM run WHERE state = 'live')
"""


def measure(quick: bool) -> Iterator[Figure]:
    """Seconds from the start of the new process until every leg is adopted and seen by the bridge."""
    for way in WAYS:
        whole, listening, cpu_s, idle_s = _killed(way, 10 if quick else RUNS)
        yield Figure(f"restart.{way}.reconciled", whole, "s", AIM_S)
        yield Figure(f"restart.{way}.after-listening", whole - listening, "s")
        yield Figure(f"restart.{way}.listening", listening, "s")
        yield Figure(f"restart.{way}.empty", idle_s, "s")
        yield Figure(f"restart.{way}.cpu", cpu_s, "s")


def _killed(way: str, runs: int) -> tuple[float, float, float, float]:
    """Seconds until reconciled and until it listens, its seconds of processor, and an empty start for comparison."""
    legs = runs * SITES
    with Province(legs) as province, Service() as service:
        started_at, listening_at = service.start()
        empty_s = listening_at - started_at
        bridge, rows = province.papers["bridge"], province.rows(way)
        service.install(bridge, rows)
        due_at = soon(1 + runs * 0.1)
        for first in range(0, legs, SITES):
            codes = [row["code"] for row in rows[first : first + SITES]]
            service.book(bridge["name"], due_at, codes, f"Giao ban {first // SITES + 1}")
        at = service.record.until(lambda record: record.sites_in() == legs, 90, f"{legs} sites in by {way}")
        service.record.until(lambda record: _seen(record, 0)[1:] == (legs, runs), 30, f"{runs} live runs")
        say(f"{runs} runs of {SITES} by {way}: live {at - due_at.timestamp():.2f} s after due; now killed")
        province.need_each_rung_once(legs, "before the kill")
        service.kill()
        last = service.record.last_entry()
        started_at, listening_at = service.start()
        whole_at = service.record.until(
            lambda record: _seen(record, last) == (legs, legs, runs), 60, f"{legs} legs adopted"
        )
        cpu_s = service.cpu_s
        whole, listening = whole_at - started_at, listening_at - started_at
        say(f"reconciled {whole:.2f} s after its start, {whole - listening:.2f} s after it listened")
        province.need_each_rung_once(legs, "after the restart")
        need(service.record.one("SELECT count(*) FROM leg") == legs, "new legs were made")
        service.need_peace()
        return whole, listening, cpu_s, empty_s


def _seen(record: Record, last: int) -> tuple[int, int, int]:
    """How many legs were adopted after this entry, how many participants the bridge shows, how many runs are live."""
    adopted, members, live = record.ask(_ALL_SEEN, last)[0]
    return adopted, members, live

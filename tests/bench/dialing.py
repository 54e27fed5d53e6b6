"""From due to all in: the bell rings, and everybody who answers at once is in the conference."""

from collections import Counter
from collections.abc import Iterator
from statistics import median

from tests.bench.figure import Figure, need
from tests.bench.place import say
from tests.bench.province import Province
from tests.bench.record import instant
from tests.bench.service import Service, soon

WAYS = ("third-party", "bridge-dials")
AIMS_S = {41: 1.0, 1000: 10.0}
ROUNDS = {41: 3, 1000: 1}


def measure(quick: bool) -> Iterator[Figure]:
    """Seconds from the instant dialing opens to the commit that has the last site in."""
    for sites, aim_s in AIMS_S.items():
        for way in WAYS:
            rounds = 1 if quick else ROUNDS[sites]
            took, peaks, cpu_s = zip(*(_round(sites, way) for _ in range(rounds)), strict=True)
            yield Figure(f"dialing.{sites}.{way}.all-in", median(took), "s", aim_s)
            yield Figure(f"dialing.{sites}.{way}.cpu", 1000 * median(cpu_s) / sites, "ms/site")
            if sites >= 1000:
                yield Figure(f"dialing.{sites}.{way}.peak", max(peaks), "answers/s")


def _round(sites: int, way: str) -> tuple[float, int, float]:
    """Seconds it took, the peak of answers a second, and the service's seconds of processor."""
    with Province(sites) as province, Service() as service:
        service.start()
        bridge = province.papers["bridge"]
        service.install(bridge, province.rows(way))
        due_at = soon(1.5)
        service.book(bridge["name"], due_at)
        cpu_s = service.cpu_s
        at = service.record.until(lambda record: record.sites_in() == sites, 60, f"{sites} sites in by {way}")
        took, cpu_s = at - due_at.timestamp(), service.cpu_s - cpu_s
        peak = _check(service, sites, way)
        province.need_each_rung_once(sites, f"{sites} by {way}")
        service.need_peace()
        say(f"{sites} by {way}: all in after {took:.2f} s, {cpu_s:.2f} s of processor")
        return took, peak, cpu_s


def _check(service: Service, sites: int, way: str) -> int:
    """Everybody came in once, by this way, at the first try; the most answers in a tenth of a second, by the second."""
    record = service.record
    entries = record.ask("SELECT participant FROM journal WHERE event = 'site-in'")
    need(len(entries) == len(set(entries)) == sites, f"site-in for {len(entries)} sites, not {sites}")
    need(record.one("SELECT count(*) FROM journal WHERE event = 'site-out'") == 0, "sites fell out again")
    ways = dict(record.ask("SELECT way, count(*) FROM leg GROUP BY way"))
    need(ways == {way: sites}, f"expected {sites} legs by {way}, not {ways}")
    answers = record.ask("SELECT at FROM journal WHERE event = 'leg-connected'")
    return 10 * max(Counter(int(10 * instant(at).timestamp()) for (at,) in answers).values())

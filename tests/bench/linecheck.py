"""Line checks: 41 at once, and more: how evenly they send, what they take, what they find."""

import asyncio
import time
from collections.abc import Iterator

import psutil

from adapters.linecheck.order import LineEnd, LineOrder, LineReport
from adapters.linecheck.process import LineProcess, LineSettings
from adapters.values import Address
from tests.bench.figure import Figure, need, percentile
from tests.bench.place import say
from tests.support.echo import Echo, echo

HOST = "127.0.40.9"
MANY = (41, 100, 200)
AIM_PACE_PCT = 1.0
AIM_CPU = 1.0


def measure(quick: bool) -> Iterator[Figure]:
    """Each check sends and gets 50 packets a second; the far ends are another process on the same machine.

    The error of the pace is that of the rate over a whole check, the worst of all checks. Processor time is of
    the line check's process alone, over its working time.
    """
    with echo(HOST) as far:
        for many in MANY[:1] if quick else MANY:
            reports, cpu, rss = asyncio.run(_checks(far, many, 5.0 if quick else 20.0))
            worst = max(abs(report.pace_error_pct) for report in reports)
            jitter = percentile([1000 * (report.jitter_max_s or 0.0) for report in reports], 100)
            slipped = sum(report.slipped for report in reports)
            lost = sum(report.lost for report in reports)
            say(f"{many} checks: pace off by {worst:.3f} %, {cpu:.2f} of a core, {rss / 2**20:.0f} MiB")
            yield Figure(f"linecheck.pace.{many}", worst, "%", AIM_PACE_PCT)
            yield Figure(f"linecheck.slipped.{many}", slipped, "packets")
            yield Figure(f"linecheck.lost.{many}", lost, "packets")
            yield Figure(f"linecheck.jitter.{many}", jitter, "ms")
            yield Figure(f"linecheck.cpu.{many}", cpu, "cores", AIM_CPU)
            yield Figure(f"linecheck.memory.{many}", rss / 2**20, "MiB")


async def _checks(far: Echo, many: int, seconds: float) -> tuple[list[LineReport], float, float]:
    line = LineProcess(LineSettings(HOST, at_once=many))
    order = LineOrder(Address.parse(far.uri()), seconds=seconds)
    warm = await line.check(LineOrder(order.address, seconds=1.0))
    need(warm.end is LineEnd.MEASURED, f"the first check: {warm.raw}")
    process = psutil.Process(line.pid)
    before, began = process.cpu_times(), time.monotonic()
    reports = list(await asyncio.gather(*(line.check(order) for _ in range(many))))
    after, wall_s = process.cpu_times(), time.monotonic() - began
    rss = process.memory_info().rss
    await line.close()
    wrong = [report.raw for report in reports if report.end is not LineEnd.MEASURED]
    need(not wrong, f"{len(wrong)} of {many} checks did not come about: {wrong[:1]}")
    return reports, (after.user - before.user + after.system - before.system) / wall_s, rss

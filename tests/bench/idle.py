"""What thousands of pairs cost while nothing happens: the processor, for questions whether they live."""

import asyncio
import resource
import sys
import time
from collections.abc import Iterator

from adapters.sip.agent import SipAgent
from tests.bench.figure import Figure, WorkWrong, need
from tests.bench.pair import HOST, Turns, child, tell
from tests.bench.place import say
from tests.bench.sipp import Called

PAIRS, QUICK_PAIRS = 5000, 1000
WINDOW_S, QUICK_WINDOW_S = 60.0, 15.0
"""What is done in rounds of half a minute and of a minute is in it as often as in any other minute."""
REST_S = 6.0
"""After the last ACK, before the window: the transactions of the set-up are gone (T4 is 5 s)."""
AIM = 2.0


def measure(quick: bool) -> Iterator[Figure]:
    """Percent of one core over the window, with SIPp's UAS at the other end, which answers every question."""
    pairs, window_s = (QUICK_PAIRS, QUICK_WINDOW_S) if quick else (PAIRS, WINDOW_S)
    with Called() as called:
        said = child("idle", called.port, pairs, window_s)
        need(said["up"] == pairs, f"{said['up']:.0f} of {pairs} pairs were up at the end")
    percent = 100 * said["cpu_s"] / said["wall_s"]
    say(f"{pairs} pairs idle: {percent:.2f} % of a core, awake {said['wakes'] / said['wall_s']:.0f} times a second")
    yield Figure(f"pair.idle.{pairs}", percent, "%", AIM)


async def _idle(port: int, pairs: int, window_s: float) -> dict[str, float]:
    agent = SipAgent(HOST)
    await agent.start()
    turns = Turns(agent, port)
    turns.add(pairs)
    await turns.run(pairs, True)
    await asyncio.sleep(REST_S)
    began, cpu_s, slept = time.perf_counter(), time.process_time(), _slept()
    await asyncio.sleep(window_s)
    cpu_s, wall_s, slept = time.process_time() - cpu_s, time.perf_counter() - began, _slept() - slept
    if turns.wrong:
        raise WorkWrong(turns.wrong)
    up = len(agent) / 2
    await agent.close()
    return {"cpu_s": cpu_s, "wall_s": wall_s, "wakes": slept, "up": up}


def _slept() -> int:
    """How often this process has given the processor up (getrusage(2))."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_nvcsw


if __name__ == "__main__":
    tell(_idle(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])))

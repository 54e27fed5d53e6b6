"""Third-party pairs: how many a second go up and down, against SIPp's calls, and what a held one costs."""

import asyncio
import json
import subprocess
import sys
import time
from collections import deque
from collections.abc import Coroutine, Iterator
from datetime import UTC, datetime
from typing import Any

import psutil

from adapters import Address, Control, DialOptions, Event, LegCleared, LegConnected, LegMemory, registry
from adapters.registry import Surroundings
from adapters.sip.agent import SipAgent
from api import garbage
from tests.bench.figure import Figure, WorkWrong, need
from tests.bench.place import ROOT, say
from tests.bench.sipp import CALLED_HOST, Called, Rate

HOST = "127.0.40.2"
AT_ONCE = 50
"""Pairs under way at once: with more it is no faster, one core is busy."""
PAIRS, HELD = 3000, (1000, 5000)
QUIET_S = 30.0


def measure(quick: bool) -> Iterator[Figure]:
    """Two dialogs make a pair; both programs are held against the same SIPp UAS, one after the other.

    The ratio that counts is dialogs per second of processor: on a shared machine the wall
    clock says more about the neighbors.
    """
    pairs = PAIRS // 10 if quick else PAIRS
    with Called() as called:
        theirs = called.best(quick)
        say(f"SIPp: {theirs.per_s:.0f} dialogs/s, {theirs.per_cpu_s:.0f} per second of processor")
        said = child("pair", "turn", called.port, pairs)
        ours = Rate(2 * pairs, said["wall_s"], said["cpu_s"])
        say(f"pairs: {ours.per_s / 2:.0f}/s, {ours.per_cpu_s / 2:.0f} per second of processor")
    yield Figure("pair.rate", ours.per_s / 2, "pairs/s", theirs.per_s)
    yield Figure("pair.dialogs", ours.per_s, "dialogs/s", theirs.per_s)
    yield Figure("pair.dialogs.cpu", ours.per_cpu_s, "dialogs/cpu-s", theirs.per_cpu_s)
    for held in HELD[:1] if quick else HELD:
        with Called() as called:
            said = child("pair", "hold", called.port, held)
        yield Figure(f"pair.memory.{held}", said["bytes"] / held / 1024, "KiB/pair")
        say(f"{held} held: {said['bytes'] / held / 1024:.1f} KiB each, up in {said['wall_s']:.2f} s")


def child(module: str, *words: object) -> dict[str, float]:
    """Run a bench module in a process of its own; what it says."""
    done = subprocess.run(
        [sys.executable, "-m", f"tests.bench.{module}", *map(str, words)],
        cwd=ROOT, stdout=subprocess.PIPE, text=True, timeout=240,
    )  # fmt: skip
    need(done.returncode == 0, f"tests.bench.{module} {words} ended with {done.returncode}")
    said: dict[str, float] = json.loads(done.stdout)
    return said


def tell(work: Coroutine[Any, Any, dict[str, float]]) -> None:
    """What a process of `child` does: the work, on a settled heap as the service's is, and what it came to."""
    garbage.settle()
    try:
        print(json.dumps(asyncio.run(work)))
    except WorkWrong as error:
        sys.exit(str(error))


class Turns:
    """Brings legs up and, unless they are held, down again; counts them."""

    def __init__(self, agent: SipAgent, port: int) -> None:
        self._far = Address("sip", "8001", CALLED_HOST, port)
        self._port = port
        self._surroundings = Surroundings(self._take, self._remember, lambda: datetime.now(UTC), agent)
        self._endpoints: list[Any] = []
        self._of: dict[str, Any] = {}
        self._hold = False
        self._to_dial = 0
        self._count = 0
        self._settled = 0
        self._wanted = 0
        self.up = 0
        self.done = asyncio.Event()
        self.wrong = ""
        self._orders: deque[Coroutine[Any, Any, None]] = deque()
        self._ordered = asyncio.Event()

    async def _remember(self, leg: str, memory: LegMemory) -> None:
        """Nothing is stored: the database has benches of its own."""

    def add(self, endpoints: int) -> None:
        for number in range(endpoints):
            near = Address("sip", f"qt{number}", CALLED_HOST, self._port)
            self._endpoints.append(registry.endpoint("sip", Control(str(near), addresses=(near,)), self._surroundings))

    async def run(self, pairs: int, hold: bool) -> float:
        """Seconds of the wall clock until all are up (`hold`) or up and down again."""
        self._hold, self._to_dial, self._wanted, self._settled = hold, pairs, pairs, 0
        began = time.perf_counter()
        giving = asyncio.get_running_loop().create_task(self._give())
        for endpoint in self._endpoints[:AT_ONCE] if hold else self._endpoints:
            self._next(endpoint)
        while not self.done.is_set():
            before = self._settled
            try:
                async with asyncio.timeout(QUIET_S):
                    await self.done.wait()
            except TimeoutError:
                if self._settled == before:
                    self.wrong = f"{self._settled} of {self._wanted} pairs; nothing came for {QUIET_S:g} s"
                    break
        if self.wrong:
            raise WorkWrong(self.wrong)
        giving.cancel()
        return time.perf_counter() - began

    async def _give(self) -> None:
        """Give the orders, one after the other: a task for each would be half as dear as what it orders."""
        while await self._ordered.wait():
            self._ordered.clear()
            while self._orders:
                await self._orders.popleft()

    def _order(self, order: Coroutine[Any, Any, None]) -> None:
        self._orders.append(order)
        self._ordered.set()

    def _next(self, endpoint: Any) -> None:
        if self._to_dial:
            self._to_dial -= 1
            self._count += 1
            leg = f"dc7f3a-1-{self._count}-1"
            if self._hold:
                endpoint = self._endpoints[self._count - 1]
            self._of[leg] = endpoint
            self._order(endpoint.dial(leg, self._far, DialOptions("Giao ban")))

    def _take(self, event: Event) -> None:
        match event:
            case LegConnected(leg=leg):
                self.up += 1
                if self._hold:
                    self._settle(self._of[leg])
                else:
                    self._order(self._of[leg].hang_up(leg))
            case LegCleared(leg=leg, cleared=cleared):
                if self._hold or cleared.cause != "local":
                    self.wrong = f"{leg} ended: {cleared}"
                    self.done.set()
                self._settle(self._of.pop(leg))

    def _settle(self, endpoint: Any) -> None:
        self._settled += 1
        if self._settled == self._wanted:
            self.done.set()
        self._next(endpoint)


async def _turn(port: int, pairs: int) -> dict[str, float]:
    agent = SipAgent(HOST)
    await agent.start()
    turns = Turns(agent, port)
    turns.add(AT_ONCE)
    await turns.run(AT_ONCE, False)  # warm: caches, first sockets
    turns.done.clear()
    cpu_s = time.process_time()
    wall_s = await turns.run(pairs, False)
    cpu_s = time.process_time() - cpu_s
    await agent.close()
    return {"wall_s": wall_s, "cpu_s": cpu_s}


async def _held(port: int, pairs: int) -> dict[str, float]:
    agent = SipAgent(HOST)
    await agent.start()
    me = psutil.Process()
    before = me.memory_info().rss
    turns = Turns(agent, port)
    turns.add(pairs)
    wall_s = await turns.run(pairs, True)
    after = me.memory_info().rss
    if turns.wrong:
        raise WorkWrong(turns.wrong)
    await agent.close()
    return {"wall_s": wall_s, "bytes": after - before}


if __name__ == "__main__":
    tell((_turn if sys.argv[1] == "turn" else _held)(int(sys.argv[2]), int(sys.argv[3])))

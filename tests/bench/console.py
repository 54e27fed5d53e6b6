"""Text consoles: a thousand sessions on one core, what each holds, how fast they dial, and what dripping costs.

The devices are a process of their own: a bare server that says a Polycom's words. `python -m tests.bench.console`
is that process.
"""

import asyncio
import gc
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import psutil

from adapters.cli.connection import Connection
from adapters.cli.reply import Ask, Reply, nothing
from adapters.cli.wire import Target
from adapters.endpoints.polycom.adapter import PolycomEndpoint
from adapters.endpoints.polycom.grammar import PolycomGrammar
from adapters.endpoints.polycom.profile import PROFILE
from adapters.events import Event, LegConnected
from adapters.hostkeys import HostKeysInMemory
from adapters.registry import Surroundings
from adapters.trace import Trace
from adapters.values import Address, Control, DialOptions
from tests.bench.figure import Figure, need

QUICK = replace(PROFILE, pace=replace(PROFILE.pace, gap_s=0.0, idle_poll_s=600.0, busy_poll_s=600.0, open_s=120.0))
TO = Address("sip", "8001", "127.0.10.1")
LINE = b"notification:callstatus:outgoing:34:Polycom HDX Demo:192.168.1.101:connected:384:0:videocall\r\r\n"


class _Device(asyncio.Protocol):
    """One session of the bare server."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: Any = transport
        transport.write(b"\r\nHi, my name is : Unit\r\r\nModel: Group\r\r\nSNMP Enabled: True\r\r\n")  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        for command in data.split(b"\r"):
            words = command.split()
            if not words:
                continue
            if words[0] == b"dial":
                far = words[3].strip(b'"')
                self._say(b"dialing manual", b"cs: call[3] chan[0] dialstr[" + far + b"] state[RINGING]")
                self._say(b"notification:callstatus:outgoing:3:x:" + far + b":connected:768:0:videocall")
            elif words[0] == b"callinfo":
                self._say(b"system is not in a call")
            elif words[0] == b"whoami":
                self._say(b"Model: Group", b"SNMP Enabled: True")
            elif words[0] == b"notify":
                self._say(b"notify callstatus success")
            elif words[0] == b"lines":
                self._say(b"callstate registered")
                step = 1 if words[2] == b"1" else len(LINE)
                self.dripping = asyncio.ensure_future(self._drip(int(words[1]), step))
            else:
                self._say(b"callstate registered")

    async def _drip(self, lines: int, step: int) -> None:
        """The same line, whole or byte by byte, one every 20 ms."""
        for _ in range(lines):
            for start in range(0, len(LINE), step):
                self.transport.write(LINE[start : start + step])
                await asyncio.sleep(0)
            await asyncio.sleep(0.02)

    def _say(self, *lines: bytes) -> None:
        self.transport.write(b"".join(line + b"\r\r\n" for line in lines))


async def _serve() -> None:
    server = await asyncio.get_running_loop().create_server(_Device, "127.0.0.1", 0, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


class _Sink:
    """Counts who is connected."""

    def __init__(self, wanted: int) -> None:
        self._wanted = wanted
        self.done = asyncio.Event()

    def __call__(self, event: Event) -> None:
        if isinstance(event, LegConnected):
            self._wanted -= 1
            if not self._wanted:
                self.done.set()


async def _remember(leg: str, memory: object) -> None:
    """The bench's own memory is not what is measured."""


def _endpoints(port: int, count: int, sink: Any) -> list[PolycomEndpoint]:
    surroundings = Surroundings(sink, _remember, lambda: datetime.now(UTC), None)  # type: ignore[arg-type]
    control = Control("unit", "127.0.0.1", port)
    return [PolycomEndpoint(control, surroundings, QUICK) for _ in range(count)]


async def _sessions(port: int, count: int, dialed: int) -> tuple[float, float, float]:
    """Bytes a session, seconds of CPU to open all, seconds from the first dial to the last connected."""
    sink = _Sink(dialed)
    process = psutil.Process()
    warm = _endpoints(port, 1, sink)
    await warm[0].open()
    gc.collect()
    before, cpu = process.memory_info().rss, time.process_time()
    endpoints = _endpoints(port, count, sink)
    for start in range(0, count, 100):
        await asyncio.gather(*(endpoint.open() for endpoint in endpoints[start : start + 100]))
    opened_cpu = time.process_time() - cpu
    gc.collect()
    held = (process.memory_info().rss - before) / count
    began = time.perf_counter()
    options = DialOptions(ring_s=600.0)
    await asyncio.gather(*(e.dial(f"leg-{n}", TO, options) for n, e in enumerate(endpoints[:dialed])))
    async with asyncio.timeout(120):
        await sink.done.wait()
    took = time.perf_counter() - began
    for endpoint in (*endpoints, *warm):
        await endpoint.close()
    return held, opened_cpu, took


async def _lines(port: int, dripped: bool, lines: int) -> float:
    """Microseconds of CPU a line takes, from the socket to its meaning."""
    grammar = PolycomGrammar()
    seen = 0
    enough = asyncio.Event()

    def heard(line: str) -> bool:
        nonlocal seen
        seen += len(grammar.heard(line) or ())
        if seen == lines:
            enough.set()
        return True

    target = Target("unit", "127.0.0.1", port, "", "", HostKeysInMemory())
    connection = await Connection.open(target, "telnet", QUICK, heard, Trace())
    await connection.ask(
        Ask(f"lines {lines} {int(dripped)}", Reply(re.compile("callstate registered")), nothing), "bench"
    )
    began = time.process_time()
    async with asyncio.timeout(120):
        await enough.wait()
    took = time.process_time() - began
    need(seen == lines, f"{seen} of {lines} lines were understood")
    await connection.close()
    return took / lines * 1e6


def measure(quick: bool) -> Iterator[Figure]:
    """Sessions opened, held and dialed over loopback; one line through the whole reading side."""
    count, dialed = (200, 100) if quick else (1000, 500)
    with subprocess.Popen([sys.executable, "-m", "tests.bench.console"], stdout=subprocess.PIPE, text=True) as devices:
        try:
            assert devices.stdout is not None
            port = int(devices.stdout.readline())
            lines = 50 if quick else 150
            whole = min(asyncio.run(_lines(port, False, lines)) for _ in range(2))
            dripped = min(asyncio.run(_lines(port, True, lines)) for _ in range(2))
            held, opened_cpu, took = asyncio.run(_sessions(port, count, dialed))
        finally:
            devices.terminate()
    yield Figure("console.line", whole, "us a line")
    yield Figure("console.drip", dripped, "us a line", 3 * whole)
    yield Figure("console.session", held, "bytes", 40_000)
    yield Figure("console.open", opened_cpu / count * 1000, "ms of one core a session")
    yield Figure("console.dial", took, f"s for {dialed} calls", 2.0)


if __name__ == "__main__":
    asyncio.run(_serve())

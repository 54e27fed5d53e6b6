"""SIPp on loopback: the called party of the pair bench, and the measure that it is held against."""

import csv
import os
import resource
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from tests.bench.figure import need
from tests.support.port import free_port

CALLED_HOST, CALLING_HOST = "127.0.30.1", "127.0.30.3"
_BUFFER = "4194304"
_SIPP = ("sipp", "-nostdin", "-buff_size", _BUFFER, "-timer_resol", "1")
"""With its usual timer of 10 ms it waits more than it works: 15,500 dialogs/s became 25,500."""
_RATE = 50_000
"""Above what SIPp reaches: how many dialogs there are at once is the only limit.
Its own closed loop (-users) sometimes never ends (3.6.1)."""
_AT_ONCE = (100, 300, 1000)
"""How many dialogs at once it is tried with: its best counts."""
_DIALOGS = 12_000
_CALLS_S = 60
_STAT_S = 1
"""How often it writes its counters: the shortest that it knows."""


@dataclass(frozen=True, slots=True)
class Rate:
    """How many dialogs went up and down, in which time, for how many seconds of processor."""

    dialogs: int
    wall_s: float
    cpu_s: float

    @property
    def per_s(self) -> float:
        return self.dialogs / self.wall_s

    @property
    def per_cpu_s(self) -> float:
        return self.dialogs / self.cpu_s


class Called:
    """SIPp's own UAS scenario: rings, answers with its SDP, waits for the BYE.

    `lost` percent of the messages that come and of those that go are thrown away.
    """

    def __init__(self, lost: int = 0) -> None:
        self.port = free_port(CALLED_HOST)
        self._folder = tempfile.TemporaryDirectory(prefix="diemcau-bench-sipp-")
        self._counters = Path(self._folder.name, "counters.csv")
        self._process = subprocess.Popen(
            [*_SIPP, "-sn", "uas", "-aa", "-i", CALLED_HOST, "-p", str(self.port), "-lost", str(lost),
             "-trace_stat", "-stf", str(self._counters), "-fd", str(_STAT_S)],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=self._folder.name,
        )  # fmt: skip
        end = time.monotonic() + 10
        while not self._is_bound():
            need(self._process.poll() is None and time.monotonic() < end, "SIPp's UAS did not come up")
            time.sleep(0.02)

    def _is_bound(self) -> bool:
        """Whether its port stands in the kernel's table of UDP sockets (proc(5), /proc/net/udp)."""
        return any(f":{self.port:04X} " in line for line in Path("/proc/net/udp").read_text().splitlines())

    def left(self, wait_s: float) -> int:
        """How many dialogs it still has, at best, within so many seconds."""
        end = time.monotonic() + wait_s
        fewest: int | None = None
        while fewest != 0 and time.monotonic() < end:
            time.sleep(_STAT_S / 4)
            if self._counters.exists():
                rows = list(csv.DictReader(self._counters.open(), delimiter=";"))
                fewest = int(rows[-1]["CurrentCall"]) if rows and rows[-1]["CurrentCall"] else fewest
        need(fewest is not None, "SIPp's UAS wrote no counters")
        return fewest or 0

    def best(self, quick: bool) -> Rate:
        """SIPp's UAC scenario at its best: with as many dialogs at once as it likes most."""
        tries = [self.measure(at_once, _DIALOGS // 2 if quick else _DIALOGS) for at_once in _AT_ONCE]
        return max(tries, key=lambda rate: rate.per_s)

    def measure(self, at_once: int, dialogs: int) -> Rate:
        """SIPp's UAC scenario as fast as it goes, so many dialogs at a time. Raises WorkWrong for a lost call."""
        environment = {**os.environ, "TERM": "dumb"}
        before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
        calling = subprocess.run(
            [*_SIPP, "-sn", "uac", f"{CALLED_HOST}:{self.port}", "-i", CALLING_HOST,
             "-r", str(_RATE), "-l", str(at_once), "-m", str(dialogs)],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment, cwd=tempfile.gettempdir(),
            timeout=_CALLS_S,
        )  # fmt: skip
        wall_s, after = time.monotonic() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
        need(calling.returncode == 0, f"SIPp's UAC lost calls (status {calling.returncode})")
        cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        return Rate(dialogs, wall_s, cpu_s)

    def __enter__(self) -> "Called":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._process.kill()
        self._process.wait()
        self._folder.cleanup()

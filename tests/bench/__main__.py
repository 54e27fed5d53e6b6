"""`python -m tests.bench`: figures as lines of JSON on stdout, progress on stderr.

Ends with 1 when something did not do its work. A slow figure is a figure, never a failure.
"""

import argparse
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import httpx

from tests.bench import alarm, console, dialing, idle, linecheck, loss, memory, pair, parser, restart, sippy
from tests.bench.figure import Figure, WorkWrong
from tests.bench.place import say

BENCHES: dict[str, Callable[[bool], Iterator[Figure]]] = {
    "dialing": dialing.measure,
    "memory": memory.measure,
    "alarm": alarm.measure,
    "restart": restart.measure,
    "pair": pair.measure,
    "sippy": sippy.measure,
    "idle": idle.measure,
    "loss": loss.measure,
    "parser": parser.measure,
    "linecheck": linecheck.measure,
    "console": console.measure,
}


def _first_line(measure: Callable[[bool], Iterator[Figure]]) -> str:
    return (sys.modules[measure.__module__].__doc__ or "").partition("\n")[0]


def main() -> int:
    words = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    words.add_argument("--only", action="append", choices=list(BENCHES), help="this one; may be repeated")
    words.add_argument("--list", action="store_true", help="which there are")
    words.add_argument("--quick", action="store_true", help="fewer rounds and shorter ones, for a rough look")
    arguments = words.parse_args()
    if arguments.list:
        for name, measure in BENCHES.items():
            print(f"{name:10} {_first_line(measure)}")
        return 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that everything that was started is ended
    wrong = 0
    began = time.monotonic()
    for name in arguments.only or BENCHES:
        say(f"{name}: {_first_line(BENCHES[name])}")
        try:
            for figure in BENCHES[name](arguments.quick):
                print(figure.line(), flush=True)
        except (WorkWrong, OSError, httpx.HTTPError, sqlite3.Error, subprocess.SubprocessError) as error:
            print(f"bench {name}: {type(error).__name__}: {error}", file=sys.stderr)
            wrong = 1
    say(f"done in {time.monotonic() - began:.0f} s")
    return wrong


if __name__ == "__main__":
    sys.exit(main())

"""`python -m adapters.virtual`: a province in a process of its own.

Prints one line of JSON when everything listens: `{"ready": true, "bridge": ..., "room": ...,
"sites": [...]}` with addresses, ports and the secrets made for this start (they are printed
nowhere else). Then it does what lines on its standard input say (see `remote`), and ends when
the input is closed or on SIGTERM.
"""

import argparse
import asyncio
import csv
import json
import signal
import sys
import threading
from collections.abc import Mapping
from pathlib import Path

from adapters.virtual.bridge import USERNAME
from adapters.virtual.province import Province
from adapters.virtual.remote import MAX_LINE, Remote


def _behaviors(text: str) -> str | Mapping[str, str] | None:
    """`demo`, a file (.csv with code,behavior or .json), a JSON object, or one script for everybody."""
    if not text:
        return None
    if text == "demo":
        return text
    path = Path(text)
    if path.suffix == ".csv":
        with path.open(encoding="utf-8", newline="") as file:
            return {row["code"]: row["behavior"] for row in csv.DictReader(file)}
    if path.suffix == ".json":
        text = path.read_text(encoding="utf-8")
    if text.lstrip().startswith("{"):
        table = json.loads(text)
        if not all(isinstance(script, str) for script in table.values()):
            raise ValueError('behaviors in JSON are an object of texts, like {"*": "answer", "qt07": "busy; answer"}')
        return {str(code): script for code, script in table.items()}
    return text


async def _run(arguments: argparse.Namespace) -> int:
    try:
        province = Province(
            arguments.sites,
            behaviors=_behaviors(arguments.behavior),
            consoles=arguments.consoles,
            bridge={"max_members": arguments.max_members, "max_calls": arguments.max_calls},
        )
        await province.start()
    except (ValueError, OSError, KeyError) as wrong:
        print(f"the province cannot start: {wrong}", file=sys.stderr)
        return 2
    loop = asyncio.get_running_loop()
    lines: asyncio.Queue[str | None] = asyncio.Queue()

    def read() -> None:
        for line in iter(lambda: sys.stdin.readline(MAX_LINE + 2), ""):
            loop.call_soon_threadsafe(lines.put_nowait, line)
        loop.call_soon_threadsafe(lines.put_nowait, None)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, lines.put_nowait, None)
    remote = Remote(province)
    if arguments.json:
        print(json.dumps({"ready": True, **province.papers()}, ensure_ascii=False), flush=True)
    else:
        bridge, room = province.main, province.room
        print(
            f"{len(province.endpoints)} sites; bridge {bridge.address('8001')}, "
            f"AMI {bridge.host}:{bridge.ami_port} as {USERNAME} {bridge.secret}; room {room.address} PIN {room.pin}",
            flush=True,
        )
    # a daemon: a process that is told to end does not wait for one more line
    threading.Thread(target=read, name="lines", daemon=True).start()
    while not remote.stopped and (line := await lines.get()) is not None:
        if line.strip():
            print(await remote.line(line), flush=True)
    await province.stop()
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m adapters.virtual", description="A virtual province on loopback")
    parser.add_argument("--sites", type=int, default=41, help="how many sites (1 to 20000)")
    parser.add_argument(
        "--behavior", default="", help="demo, a script for everybody, a JSON object, a .csv or .json file"
    )
    parser.add_argument("--max-members", type=int, default=0, help="members a conference takes; 0 is no limit")
    parser.add_argument("--max-calls", type=int, default=0, help="calls the bridge takes; 0 is no limit")
    parser.add_argument("--consoles", action="store_true", help="vendor endpoints have their control ports")
    parser.add_argument("--json", action="store_true", help="print the ready line as JSON")
    return asyncio.run(_run(parser.parse_args()))


if __name__ == "__main__":
    sys.exit(main())

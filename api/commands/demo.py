"""`diemcau demo`: the whole job on a virtual province, with real calls on loopback, in about half a minute."""

import asyncio
import csv
import io
import json
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import httpx
import typer
from rich.console import Console
from rich.live import Live

from adapters.virtual.inventory import EVERYBODY, behaviors, columns
from api.board import attendance_view, board_view
from api.commands.ground import print_json, refuse, run
from api.commands.stage import ProvinceFailed, ProvinceProcess, Stage, demo_settings, serving
from api.schemas.runs import Board
from api.words import say

app = typer.Typer()

_LOOK_S = 0.3  # between two pictures of the board
_PATIENCE_S = 90.0
_PATIENCE_PER_SITE_S = 0.1
_ENDING_S = 30.0
_ZONE = "Asia/Ho_Chi_Minh"


@dataclass
class Outcome:
    """What the demo found out."""

    board: dict[str, Any]
    expected: frozenset[str]
    seconds_to_all_in: float | None
    calls_left: int = 0
    wrong: list[str] = field(default_factory=list)

    def told(self) -> dict[str, Any]:
        """The one object that `--json` prints."""
        sites = self.board["sites"]
        return {
            "sites": len(sites),
            "connected": sum(site["state"] == "in" for site in sites),
            "absent": [{"code": site["code"], "cause": site["cause"]} for site in sites if site["state"] != "in"],
            "ways": dict(Counter(site["way"] for site in sites if site["state"] == "in")),
            "links": {link["code"]: link["state"] for link in self.board["links"]},
            "seconds_to_all_in": self.seconds_to_all_in,
            "redials": sum(site["redials"] for site in sites),
        }

    @property
    def is_good(self) -> bool:
        """Whether everybody who could be connected was, and nothing of ours was left behind."""
        there = {line["code"] for line in self.board["sites"] + self.board["links"] if line["state"] == "in"}
        return self.expected <= there and not self.wrong


@app.command("demo")
def demo(
    sites: Annotated[int, typer.Option(min=1, max=20_000, help="how many sites the virtual province has")] = 41,
    once: Annotated[bool, typer.Option("--once", help="end by itself: 0 if all that could be in were, else 1")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="only one JSON object on stdout, at the end")] = False,
    port: Annotated[int, typer.Option(min=0, max=65_535, help="of the browser's board; 0: any free one")] = 0,
) -> None:
    """Show the main job: a virtual province is dialed, linked, kept in, hung up and counted. Ctrl-C ends it."""
    try:
        outcome = run(_demo(sites, once=once, as_json=as_json, port=port))
    except ProvinceFailed as error:
        refuse(str(error))
    for text in outcome.wrong:
        sys.stderr.write(text + "\n")
    if as_json:
        print_json(outcome.told())
    raise typer.Exit(0 if outcome.is_good or not once else 1)


async def _demo(sites: int, *, once: bool, as_json: bool, port: int) -> Outcome:
    interrupted = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, interrupted.set)
    say_line: Callable[[str], None] = lambda text: print(text, file=sys.stderr if as_json else sys.stdout, flush=True)  # noqa: E731
    with tempfile.TemporaryDirectory(prefix="diemcau-demo-") as folder:
        settings = demo_settings(Path(folder), port)
        province = await ProvinceProcess.start(sites, consoles=True)
        try:
            async with serving(settings) as stage:
                meeting_id = await book(stage.client, province.papers, settings.language)
                run_id = await run_of(stage.client, meeting_id)
                link = stage.url + stage.console.login_path(f"/runs/{run_id}")
                say_line(f"{say(settings.language, 'The board in a browser (the link works once):')} {link}")
                show = _Show(stage, run_id, settings.language, quiet=as_json)
                expected = _could_be_in(province.papers)
                outcome = await show.watch(expected, _droppers(province.papers), interrupted, once=once)
                if not await show.end():
                    outcome.wrong.append(f"the run did not come to its end within {_ENDING_S:.0f} s")
                if not as_json:
                    await show.print_attendance()
            stats = await province.ask("stats")
            outcome.calls_left = stats["stats"]["calls_up"]
            if outcome.calls_left:
                outcome.wrong.append(f"{outcome.calls_left} calls are still up after the end")
            return outcome
        finally:
            await province.stop()


# --- what the IT staff does -----------------------------------------------------------------------------------------


async def book(client: httpx.AsyncClient, papers: Any, language: str) -> int:
    """Bring the inventory in and book a meeting that begins with the next minute; returns its id."""
    for paper in (papers["bridge"], papers["provincial_bridge"]):
        await _ask(client, "POST", "/bridges", json=paper)
    await _ask(client, "POST", "/rooms", json=papers["room"])
    sheet = io.StringIO()
    writer = csv.DictWriter(sheet, columns())
    writer.writeheader()
    writer.writerows(papers["sites"])
    await _ask(client, "POST", "/sites/import", content=sheet.getvalue().encode(), headers={"Content-Type": "text/csv"})
    start = datetime.now(UTC).replace(second=0, microsecond=0) + timedelta(minutes=1)
    meeting = {
        "title": say(language, "The province meets"),
        "start": start.astimezone(ZoneInfo(_ZONE)).strftime("%Y-%m-%dT%H:%M"),
        "time_zone": _ZONE,
        "duration_min": 60,
        "bridge": papers["bridge"]["name"],
        "sites": "all",
        "links": [papers["room"]["name"]],
        "lead_min": 10,
    }
    booked = await _ask(client, "POST", "/meetings", json=meeting)
    return int(booked.json()["id"])


async def run_of(client: httpx.AsyncClient, meeting_id: int) -> int:
    """The run that the service starts by itself once dialing opens, which is at once."""
    async with asyncio.timeout(_PATIENCE_S):
        while True:
            found = (await _ask(client, "GET", "/runs", params={"meeting": meeting_id})).json()["items"]
            if found:
                return int(found[0]["id"])
            await asyncio.sleep(0.05)


async def _ask(client: httpx.AsyncClient, method: str, path: str, **more: Any) -> httpx.Response:
    answer = await client.request(method, path, **more)
    if answer.is_error:
        raise OSError(f"{method} {path} was refused: {answer.text[:2_000]}")
    return answer


# --- what is to be expected -----------------------------------------------------------------------------------------


def _could_be_in(papers: Any) -> frozenset[str]:
    """The codes of all who let a persistent caller in, and the linked room."""
    scripts = behaviors("demo")
    codes = (site["code"] for site in papers["sites"])
    willing = {code for code in codes if (scripts.get(code) or scripts[EVERYBODY]).settles_in}
    return frozenset(willing | {papers["room"]["name"]})


def _droppers(papers: Any) -> frozenset[str]:
    """The codes of the sites whose call drops once, by the script."""
    scripts = behaviors("demo")
    codes = (site["code"] for site in papers["sites"])
    return frozenset(
        code for code in codes if code in scripts and any(a.drop_s is not None for a in scripts[code].attempts)
    )


# --- what everybody sees --------------------------------------------------------------------------------------------


class _Show:
    """Follows one run over REST and shows it in the terminal."""

    def __init__(self, stage: Stage, run_id: int, language: str, *, quiet: bool) -> None:
        self._client = stage.client
        self._path = f"/runs/{run_id}"
        self._language = language
        self._quiet = quiet
        self._news = asyncio.Event()
        self._over = asyncio.Event()
        self._began_at: datetime | None = None
        self._first_in: dict[str, datetime] = {}

    async def watch(
        self, expected: frozenset[str], droppers: frozenset[str], interrupted: asyncio.Event, *, once: bool
    ) -> Outcome:
        """Show the board until interrupted, until the run is over, or, with `once`, until all is as it should be."""
        following = asyncio.create_task(self._follow())
        stopping = asyncio.create_task(interrupted.wait())
        patience_s = _PATIENCE_S + _PATIENCE_PER_SITE_S * len(expected)
        deadline = asyncio.get_running_loop().time() + patience_s
        wrong: list[str] = []
        try:
            terminal = Console(quiet=self._quiet)
            with Live(console=terminal, auto_refresh=False, vertical_overflow="crop") as screen:
                while True:
                    self._news.clear()
                    board = await self._board()
                    screen.update(board_view(self._language, board, terminal.width), refresh=True)
                    if interrupted.is_set() or self._over.is_set():
                        break
                    if once and self._is_settled(board, expected, droppers):
                        break
                    if once and asyncio.get_running_loop().time() > deadline:
                        wrong.append(f"not everybody was in within {patience_s:.0f} s")
                        break
                    if following.done():
                        await following
                    news = asyncio.create_task(self._news.wait())
                    await asyncio.wait({news, stopping}, timeout=1.0, return_when=asyncio.FIRST_COMPLETED)
                    news.cancel()
                    await asyncio.sleep(0 if interrupted.is_set() else _LOOK_S)
        finally:
            following.cancel()
            stopping.cancel()
        return Outcome(board, expected, self._seconds_to_all_in(expected), wrong=wrong)

    async def end(self) -> bool:
        """End the run over REST and wait until it is over; False when it does not come to its end."""
        answer = await self._client.post(f"{self._path}/end")
        if answer.status_code == httpx.codes.CONFLICT:  # over already
            return True
        answer.raise_for_status()
        try:
            async with asyncio.timeout(_ENDING_S):
                await self._follow()
        except TimeoutError:
            return False
        return True

    async def print_attendance(self) -> None:
        answer = await _ask(self._client, "GET", f"{self._path}/attendance.csv")
        titles, *rows = csv.reader(io.StringIO(answer.text.removeprefix("\ufeff")))
        Console().print(attendance_view(say(self._language, "Attendance"), titles, rows))

    async def _follow(self) -> None:
        """Take in the run's journal as it is streamed, until the run is over."""
        async with self._client.stream("GET", f"{self._path}/events", timeout=None) as stream:
            stream.raise_for_status()
            name = ""
            async for line in stream.aiter_lines():
                if line.startswith("event: "):
                    name = line.removeprefix("event: ")
                elif line.startswith("data: ") and name != "end":
                    self._take(json.loads(line.removeprefix("data: ")))
                if name == "end":
                    break
        self._over.set()
        self._news.set()

    def _take(self, entry: dict[str, Any]) -> None:
        at = datetime.fromisoformat(entry["at"])
        if entry["event"] == "run-claimed":
            self._began_at = at
        elif entry["event"] == "site-in":
            self._first_in.setdefault(entry["participant"], at)
        self._news.set()

    async def _board(self) -> dict[str, Any]:
        answer = await _ask(self._client, "GET", self._path)
        return Board.model_validate_json(answer.content).model_dump()

    def _is_settled(self, board: dict[str, Any], expected: frozenset[str], droppers: frozenset[str]) -> bool:
        lines = {line["code"]: line for line in board["sites"] + board["links"]}
        return all(lines[code]["state"] == "in" for code in expected) and all(
            lines[code]["redials"] > 0 for code in droppers
        )

    def _seconds_to_all_in(self, expected: frozenset[str]) -> float | None:
        if self._began_at is None or not expected <= set(self._first_in):
            return None
        last = max(self._first_in[code] for code in expected)
        return round((last - self._began_at).total_seconds(), 3)

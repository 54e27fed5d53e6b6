"""`diemcau autodial`: start what is due, conduct it to its end, leave. For cron and timers.

It may be called as often as anybody likes and by two hosts at once: an occurrence is claimed
in the database once, and a run has one conductor, which its lease names.
"""

import asyncio
import errno
import re
import signal
import sys
from collections.abc import Sequence
from datetime import timedelta
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from api.commands.ground import BadInput, database_of, print_json, run, settings_or_refuse
from api.conducting import ANY_PORT, conducting
from api.console.view import clock_time, day
from api.logs import start_logging
from api.settings import Settings
from api.words import say
from orchestrator.conductor import Conductor
from orchestrator.desk import Desk
from orchestrator.keys import Keys
from orchestrator.starter import Due
from orchestrator.store.database import Database
from orchestrator.store.journal import JournalBell
from schedules.clock import SystemClock

app = typer.Typer()

_WITHIN = re.compile(r"([0-9]{1,6})(s|m|h)")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours"}
_LONGEST = timedelta(days=7)
_LOOK_S = 1.0


@app.command("autodial")
def autodial(
    within: Annotated[str, typer.Option(help="also what opens within this time, such as 90s, 15m, 2h")] = "0s",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="say what would be dialed, dial nothing")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="one JSON object instead of text")] = False,
) -> None:
    """Start every meeting that is due and conduct it to its end; returns at once when nothing is."""
    settings = settings_or_refuse()
    run(_autodial(settings, within, dry_run=dry_run, as_json=as_json))


async def _autodial(settings: Settings, within: str, *, dry_run: bool, as_json: bool) -> None:
    ahead = _duration(within)
    async with database_of(settings) as database:
        keys, clock, bell = Keys.open_or_create(settings.key_file), SystemClock(), JournalBell()
        if dry_run:
            due = await Conductor(database, clock, Desk(keys, clock.now), bell).due(ahead)
            _tell(settings.language, due, [], as_json=as_json, dry_run=True)
            return
        start_logging(settings)
        try:
            await _conduct(settings, database, keys, bell, ahead, as_json=as_json)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            # a service or an earlier call has the port; calls that we place work from any other
            other = settings.model_copy(update=ANY_PORT)
            await _conduct(other, database, keys, bell, ahead, as_json=as_json)


async def _conduct(
    settings: Settings, database: Database, keys: Keys, bell: JournalBell, ahead: timedelta, *, as_json: bool
) -> None:
    """Conduct what is due, and what nobody conducts any more, until all of it is over or we are told to stop."""
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    async with conducting(settings, database, keys, SystemClock(), bell, bells=False) as conductor:
        due = await conductor.due(ahead)
        started = await conductor.start_due(ahead)
        _tell(settings.language, due, started, as_json=as_json, dry_run=False)
        looks_without_work = 0
        while looks_without_work < 2 and not stopped.is_set():
            try:
                async with asyncio.timeout(_LOOK_S):
                    await stopped.wait()
            except TimeoutError:
                busy = bool(conductor.runners or conductor.leases.held)
                looks_without_work = 0 if busy else looks_without_work + 1


def _duration(text: str) -> timedelta:
    match = _WITHIN.fullmatch(text.strip())
    duration = timedelta(**{_UNITS[match[2]]: int(match[1])}) if match else None
    if duration is None or duration > _LONGEST:
        raise BadInput(f"--within {text!r} is no time; expected a number and s, m or h, such as 15m, at most 168h")
    return duration


def _tell(language: str, due: Sequence[Due], started: Sequence[int], *, as_json: bool, dry_run: bool) -> None:
    if as_json:
        print_json({"dry_run": dry_run, "due": [_json(one) for one in due], "started": list(started)})
        sys.stdout.flush()
        return
    if not due:
        print(say(language, "Nothing is due."), flush=True)
        return
    table = Table(box=None, pad_edge=False)
    for title in (
        say(language, "Meeting"),
        say(language, "When"),
        say(language, "Dialing opens"),
        say(language, "Run"),
    ):
        table.add_column(title)
    table.add_column(say(language, "Sites"), justify="right")
    table.add_column(say(language, "Linked rooms"))
    for one in due:
        zone = one.time_zone
        table.add_row(
            Text(one.title),
            f"{day(language, one.occurrence_at, zone)} {clock_time(one.occurrence_at, zone)}",
            clock_time(one.opens_at, zone),
            str(one.run_id or ""),
            str(one.sites),
            Text(", ".join(one.links)),
        )
    Console().print(table)
    if not dry_run:
        print(say(language, "Started: {runs}", runs=", ".join(map(str, started)) or "–"), flush=True)


def _json(one: Due) -> dict[str, Any]:
    return {
        "meeting": one.meeting_id,
        "title": one.title,
        "occurrence_at": one.occurrence_at.isoformat(),
        "opens_at": one.opens_at.isoformat(),
        "ends_at": one.ends_at.isoformat(),
        "sites": one.sites,
        "links": list(one.links),
        "run": one.run_id,
    }

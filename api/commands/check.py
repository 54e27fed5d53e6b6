"""`diemcau check`: is the line to these sites good? Test calls with sound, and a table of what came back."""

import re
from functools import partial
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from api.checking import checking
from api.commands.ground import BadInput, database_of, print_json, refuse, run, settings_or_refuse
from api.lines import cells, reason_words, verdict_words, why
from api.logs import start_logging
from api.schemas.checks import MOST_SITES, NUMBER, check_out
from api.settings import Settings
from api.words import say
from orchestrator.keys import Keys
from orchestrator.refusal import Refusal
from orchestrator.store.checks import LineCheckRow
from schedules.clock import SystemClock

app = typer.Typer()

BAD, UNKNOWN = 1, 3
_COLORS = {"good": "green", "fair": "yellow", "bad": "red"}


@app.command("check")
def check(
    sites: Annotated[list[str] | None, typer.Argument(metavar="SITE...", help="codes of the sites to call")] = None,
    bridge: Annotated[str, typer.Option(help="call a test number on this bridge")] = "",
    number: Annotated[str, typer.Option(help="the number there, such as 600 for an echo")] = "",
    seconds: Annotated[float | None, typer.Option(min=1, max=60, help="how long the tone is sent")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="one JSON object instead of a table")] = False,
) -> None:
    """Check lines by test calls with sound: loss, jitter, round trip, and a verdict good, fair or bad.

    Exit code 0: all good or fair. 1: at least one is bad. 3: none is bad, but of some nothing is known: nobody
    answered, or not called, because a run has the site in hand. 2: wrong usage.
    """
    settings = settings_or_refuse()
    codes = list(dict.fromkeys(sites or []))
    if bool(bridge) != bool(number):
        refuse("--bridge and --number belong together, such as --bridge main --number 600")
    if not codes and not bridge:
        refuse("no SITE given; expected the code of a site, or --bridge NAME --number 600")
    if number and not re.fullmatch(NUMBER, number):
        refuse(f"--number {number!r} is no number; expected digits or letters, such as 600")
    if len(codes) > MOST_SITES:
        refuse(f"{len(codes)} sites; at most {MOST_SITES} at once")
    quiet = settings.log_level == "info"  # the table says it all
    start_logging(settings.model_copy(update={"log_level": "warning"}) if quiet else settings)
    language = settings.language
    waiting = say(language, "Lines being checked: {n}", n=len(codes) + bool(bridge))
    with Console(stderr=True).status(waiting):  # seen at a terminal only
        rows = run(_check(settings, codes, (bridge, number) if bridge else None, seconds or settings.check_s))
    if as_json:
        shown = [check_out(row, partial(reason_words, language)).model_dump(mode="json") for row in rows]
        print_json({"checks": shown})
    else:
        _print(language, rows)
    verdicts = {row.verdict for row in rows}
    if "bad" in verdicts:
        raise typer.Exit(BAD)
    if verdicts - {"good", "fair"}:
        raise typer.Exit(UNKNOWN)


async def _check(
    settings: Settings, codes: list[str], bridge: tuple[str, str] | None, seconds: float
) -> list[LineCheckRow]:
    async with database_of(settings) as database:
        keys = Keys.open_or_create(settings.key_file)
        async with checking(settings, database, keys, SystemClock()) as checks:
            try:
                begun = await checks.begin(codes, bridge, seconds)
            except Refusal as refusal:
                raise BadInput(str(refusal)) from None
            return await checks.over([row.id for row in begun if row.id is not None])


def _print(language: str, rows: list[LineCheckRow]) -> None:
    table = Table(box=None, pad_edge=False)
    table.add_column(say(language, "Site"))
    table.add_column(say(language, "Line"))
    for title in (
        say(language, "Sent/received"),
        say(language, "Loss"),
        say(language, "Loss there"),
        say(language, "Jitter"),
        say(language, "Round trip"),
        say(language, "Echo"),
    ):
        table.add_column(title, justify="right")
    table.add_column(say(language, "Codec"))
    table.add_column(say(language, "Dialing"), justify="right")
    table.add_column(say(language, "Reason"), overflow="fold")
    for row in rows:
        shown = cells(language, row.figures)
        table.add_row(
            Text(row.code),
            Text(verdict_words(language, row.verdict), style=_COLORS.get(row.verdict, "")),
            *(shown[name] for name in ("packets", "loss", "far_loss", "jitter", "trip", "echo", "codec", "dial")),
            Text(why(language, row.reasons, row.figures)),
        )
    console = Console()
    if not console.is_terminal:
        console.width = 500  # a file or a pipe has no edge to fold at
    console.print(table)

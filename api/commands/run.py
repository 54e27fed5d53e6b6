"""`diemcau runs` and `diemcau report`: what is under way, and who was there."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from api.board import attendance_view
from api.commands.ground import BadInput, database_of, print_json, refuse, run, settings_or_refuse
from api.console.view import day, hour
from api.report import cells, csv_text, titles
from api.schemas.runs import RunInList, attendance_out
from api.settings import Settings
from api.vocabulary import RUN_STATES, meaning, reason
from api.words import say
from orchestrator.attendance import Record, record_of
from orchestrator.board import run_list

app = typer.Typer()


@app.command("runs")
def runs(
    limit: Annotated[int, typer.Option(min=1, max=500, help="how many, newest first")] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="one JSON object instead of a table")] = False,
) -> None:
    """List runs, newest first, with how many sites are in."""
    settings = settings_or_refuse()
    found = run(_runs(settings, limit))
    if as_json:
        print_json({"runs": [RunInList.model_validate(one).model_dump(mode="json") for one in found]})
        return
    language = settings.language
    table = Table(box=None, pad_edge=False)
    for title in (say(language, "Run"), say(language, "Meeting"), say(language, "When"), say(language, "State")):
        table.add_column(title)
    table.add_column(say(language, "Sites in"), justify="right")
    for one in found:
        zone = one["time_zone"]
        hours = f"{hour(one['starts_at'], zone)}–{hour(one['ends_at'], zone)}"
        table.add_row(
            str(one["id"]),
            Text(one["title"]),
            f"{day(language, one['starts_at'], zone)} {hours} {zone}",
            meaning(language, RUN_STATES, one["state"]),
            f"{one['sites_in']}/{one['sites']}",
        )
    Console().print(table)


@app.command("report")
def report(
    run_id: Annotated[int, typer.Argument(metavar="RUN", min=1, help="the run's number, see `diemcau runs`")],
    csv: Annotated[Path | None, typer.Option("--csv", help="write a CSV file; - is standard output")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="one JSON object instead of a table")] = False,
) -> None:
    """Say who was there: first in, last out, gaps, the way, and why somebody was absent."""
    settings = settings_or_refuse()
    language = settings.language
    record = run(_record(settings, run_id))
    if csv is not None:
        text = csv_text(language, record)
        if str(csv) == "-":
            typer.echo(text, nl=False)
            return
        try:
            csv.write_text(text, encoding="utf-8", newline="")
        except OSError as error:
            refuse(f"{csv}: {error.strerror}")
    elif as_json:
        told = attendance_out(record, lambda cause, side, raw: reason(language, cause, side, raw))
        print_json(told.model_dump(mode="json"))
    else:
        zone = record.run.time_zone
        title = f"{say(language, 'Attendance')}: {record.run.title}, {day(language, record.run.starts_at, zone)}"
        rows = [cells(language, line, zone) for line in record.participants]
        Console().print(attendance_view(title, titles(language), rows))


async def _runs(settings: Settings, limit: int) -> list[dict[str, Any]]:
    async with database_of(settings) as database, database.read() as session:
        return await run_list(session, limit=limit)


async def _record(settings: Settings, run_id: int) -> Record:
    async with database_of(settings) as database, database.read() as session:
        record = await record_of(session, run_id, datetime.now(UTC))
    if record is None:
        raise BadInput(f"there is no run {run_id}; `diemcau runs` lists them")
    return record

"""`diemcau import` and `diemcau export`: the inventory as a spreadsheet."""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from api.app import endpoint_families
from api.commands.ground import database_of, print_json, refuse, run, settings_or_refuse
from api.settings import Settings
from orchestrator import sheet
from orchestrator.sheet import Remark
from orchestrator.store.intake import Intake, SheetRefused, take_in
from orchestrator.store.inventory import sites_with_endpoints

app = typer.Typer()


@app.command("import")
def import_sites(
    file: Annotated[Path, typer.Argument(help="the CSV file; - is standard input")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="say what would be done, do nothing")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="one JSON object instead of text")] = False,
) -> None:
    """Take a spreadsheet of sites in: all of it or, with any error, nothing."""
    settings = settings_or_refuse()
    content = _read(file)
    try:
        intake = run(_take_in(settings, content, dry_run))
    except SheetRefused as refused:
        if as_json:
            print_json({"errors": [_json(error) for error in refused.errors]})
        count = len(refused.errors)
        refuse("\n".join([*map(str, refused.errors), f"{file}: {count} errors; nothing of it was taken in"]))
    if as_json:
        notices = [_json(notice) for notice in intake.notices]
        codes = {"created": intake.created, "updated": intake.updated, "unchanged": intake.unchanged}
        print_json({"dry_run": dry_run, **codes, "notices": notices})
        return
    for notice in intake.notices:
        sys.stderr.write(f"{notice}\n")
    would = "would be " if dry_run else ""
    figures = f"{len(intake.created)} created, {len(intake.updated)} updated, {len(intake.unchanged)} left as they are"
    sys.stdout.write(f"sites: {would}{figures}\n")


@app.command("export")
def export_sites(
    file: Annotated[Path | None, typer.Argument(help="where to; standard output if left out")] = None,
) -> None:
    """Write all sites, each with its first endpoint, as a spreadsheet that can be imported again."""
    text, notes = run(_export(settings_or_refuse()))
    if file is None:
        sys.stdout.buffer.write(text.encode())
    else:
        try:
            file.write_bytes(text.encode())
        except OSError as error:
            refuse(f"{file}: {error.strerror}")
    for note in notes:
        sys.stderr.write(note + "\n")


async def _take_in(settings: Settings, content: bytes, dry_run: bool) -> Intake:
    async with database_of(settings) as database:
        read = sheet.read(content, endpoint_families())
        return await take_in(database, read, dry_run=dry_run, time_zone=settings.time_zone)


async def _export(settings: Settings) -> tuple[str, list[str]]:
    async with database_of(settings) as database, database.read() as session:
        sites = await sites_with_endpoints(session, None)
    notes = []
    standby = sum(max(0, len(at.endpoints) - 1) for at in sites)
    if standby:
        notes.append(f"{standby} stand-by endpoints are not in the file, which has one endpoint for each site")
    sealed = sum(
        bool(secret) and not secret.startswith("env:")
        for at in sites
        for secret in [endpoint.endpoint.control_secret for endpoint in at.endpoints[:1]]
    )
    if sealed:
        notes.append(f"{sealed} sealed secrets are not in the file; an import leaves them as they are")
    return sheet.write(sites), notes


def _read(file: Path) -> bytes:
    """At most one byte more than an import takes, so that a huge file is refused, not read."""
    most = sheet.MOST_BYTES + 1
    if str(file) == "-":
        return sys.stdin.buffer.read(most)
    try:
        with file.open("rb") as stream:
            return stream.read(most)
    except OSError as error:
        refuse(f"{file}: {error.strerror}")


def _json(remark: Remark) -> dict[str, Any]:
    complaint = remark.complaint
    return {
        "row": remark.row,
        "column": complaint.path,
        "problem": complaint.problem.format(**complaint.values),
        "expected": complaint.expected.format(**complaint.values),
    }

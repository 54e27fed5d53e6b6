"""Attendance for people: titles, cells and a CSV file that spreadsheets open as it is."""

import csv
from collections.abc import Sequence
from datetime import datetime, timedelta
from io import StringIO
from zoneinfo import ZoneInfo

from api.vocabulary import WAYS, meaning, reason
from api.words import msgid, say
from orchestrator.attendance import Record
from orchestrator.rules.attendance import Attendance

TITLES = (
    msgid("Site"),
    msgid("Name"),
    msgid("Was there"),
    msgid("First in"),
    msgid("Last out"),
    msgid("Time in"),
    msgid("Times away"),
    msgid("Away"),
    msgid("Way"),
    msgid("Tries"),
    msgid("Why absent"),
    msgid("Notes"),
)
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


def titles(language: str) -> list[str]:
    """The column titles."""
    return [say(language, title) for title in TITLES]


def cells(language: str, line: Attendance, zone: str) -> list[str]:
    """One participant's cells, in the order of `TITLES`; times on the clock of `zone`."""
    why = line.absence
    return [
        line.code,
        line.name,
        say(language, "yes") if line.was_there else say(language, "no"),
        _wall(line.first_in_at, zone),
        _wall(line.last_out_at, zone),
        _duration(line.total),
        str(len(line.gaps)),
        "; ".join(
            f"{_clock(gap.from_at, zone)}–{_clock(gap.to_at, zone)} "
            f"{reason(language, gap.reason.cause, gap.reason.side, gap.reason.raw)}".strip()
            for gap in line.gaps
        ),
        ", ".join(meaning(language, WAYS, way) for way in line.ways),
        str(line.attempts),
        reason(language, why.cause, why.side, why.raw) if why else "",
        "; ".join(note.text for note in line.notes),
    ]


def csv_text(language: str, record: Record) -> str:
    """The attendance as CSV (RFC 4180), with a byte order mark so that spreadsheets read it as UTF-8."""
    file = StringIO()
    file.write("\ufeff")
    writer = csv.writer(file)
    writer.writerow(titles(language))
    for line in record.participants:
        writer.writerow(_defused(cells(language, line, record.run.time_zone)))
    return file.getvalue()


def _defused(row: Sequence[str]) -> list[str]:
    # a cell that a spreadsheet would take for a formula is made text (OWASP, "CSV injection")
    return [f"'{cell}" if cell.startswith(_FORMULA) else cell for cell in row]


def _wall(at: datetime | None, zone: str) -> str:
    return at.astimezone(ZoneInfo(zone)).strftime("%Y-%m-%d %H:%M:%S") if at else ""


def _clock(at: datetime, zone: str) -> str:
    return at.astimezone(ZoneInfo(zone)).strftime("%H:%M:%S")


def _duration(total: timedelta) -> str:
    minutes, seconds = divmod(int(total.total_seconds()), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}"

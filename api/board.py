"""The board of a run in a terminal: what is missing first, then who is in, packed to fit one screen."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.columns import Columns
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from api.console.view import clock_time
from api.vocabulary import PARTICIPANT_STATES, RUN_STATES, WAYS, meaning, why
from api.words import say

_STYLES = {
    "in": "bold green",
    "half-in": "bold yellow",
    "ringing": "bold cyan",
    "dialing": "cyan",
    "retrying": "yellow",
    "waiting": "dim",
    "stopped": "magenta",
    "absent": "bold red",
}
_MARKS = {
    "in": "●", "half-in": "◐", "ringing": "◎", "dialing": "→",
    "retrying": "↻", "waiting": "○", "stopped": "■", "absent": "✕",
}  # fmt: skip
_EVIDENCE = {"connected": ("✓", "green"), "in": ("✓", "green"), "unknown": ("?", "dim")}
_WIDE = 110
_MOST_MISSING = 14
_MOST_CODES = 240

_DATE = re.compile(r"^[0-9]{4}-[0-9]{2}-[0-9]{2} ")  # the title says the day

Line = Mapping[str, Any]


def board_view(language: str, board: Mapping[str, Any], width: int = 120) -> RenderableType:
    """The board (see orchestrator.board) as something Rich can print, made for so many columns."""
    zone = board["time_zone"]
    missing = [site for site in board["sites"] if site["state"] != "in"]
    parts: list[RenderableType] = [_summary(language, board)]
    if board["links"]:
        parts.append(_lines(language, say(language, "Linked rooms"), board["links"], zone, width))
    if missing:
        parts.append(_lines(language, say(language, "Not in"), missing, zone, width))
    there = [site for site in board["sites"] if site["state"] == "in"]
    if there:
        parts.append(Text(f"{say(language, 'In')}", style="bold italic"))
        parts.append(_packed(there))
    title = Text(f" {board['title']} · {board['bridge']} · {board['number']} ", style="bold")
    return Panel(Group(*parts), title=title, title_align="left", border_style="blue")


def attendance_view(title: str, titles: Sequence[str], rows: Iterable[Sequence[str]]) -> RenderableType:
    """Attendance (see api.report) as a table for a terminal: a column of the report that nobody needs is left out."""
    cells = [list(row) for row in rows]
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, row_styles=["", "dim"])
    shown = [n for n in range(len(titles)) if n < 2 or any(row[n] not in ("", "0") for row in cells)]
    for n in shown:
        table.add_column(titles[n], no_wrap=True, max_width=26 if n < 2 else None)
    for row in cells:
        name = "" if row[1] == row[0] else row[1]
        table.add_row(*(Text(_DATE.sub("", name if n == 1 else row[n])) for n in shown))
    return table


def _summary(language: str, board: Mapping[str, Any]) -> RenderableType:
    counts = board["counts"]
    text = Text()
    text.append(f" {counts['in']}/{counts['sites']} ", style="bold reverse green")
    text.append(f" {say(language, 'sites in')}   ")
    text.append(meaning(language, RUN_STATES, board["state"]), style="bold")
    text.append("   ")
    for state, mark in _MARKS.items():
        if counts[state]:
            text.append(f"{mark} {counts[state]} ", style=_STYLES[state])
            text.append(f"{meaning(language, PARTICIPANT_STATES, state)}  ")
    return text


def _lines(language: str, title: str, lines: Sequence[Line], zone: str, width: int) -> RenderableType:
    wide = width >= _WIDE
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, expand=True, show_header=False)
    table.add_column(ratio=3 if wide else 2, no_wrap=True, overflow="ellipsis")
    table.add_column(min_width=16, no_wrap=True)
    table.add_column(min_width=21 if wide else 5, no_wrap=True)
    table.add_column(ratio=5, no_wrap=True, overflow="ellipsis")
    if wide:
        table.add_column(min_width=16, no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    table.add_column(min_width=16 if wide else 9, no_wrap=True)
    for line in lines[:_MOST_MISSING]:
        state = line["state"]
        said, style = meaning(language, PARTICIPANT_STATES, state), _STYLES.get(state, "")
        name = "" if line["name"] == line["code"] else line["name"]
        words = [
            Text(f"{line['code']} {name}" if wide else line["code"]),
            Text(f"{_MARKS.get(state, '?')} {said}", style=style),
            _evidence(language, line, wide),
            Text(why(language, line)),
            *([Text(meaning(language, WAYS, line["way"]))] if wide else []),
            Text(f"{line['attempts']}×" + (f"+{line['redials']}" if line["redials"] else "")),
            Text(_when(language, line, zone, wide)),
        ]
        table.add_row(*words)
    if len(lines) > _MOST_MISSING:
        table.add_row(Text(say(language, "and {n} more", n=len(lines) - _MOST_MISSING), style="dim"))
    return table


def _evidence(language: str, line: Line, wide: bool) -> Text:
    """What the endpoint and the bridge say, in this order."""
    text = Text()
    for name, seen in (
        (say(language, "Endpoint"), line["evidence"]["endpoint"]),
        (say(language, "Bridge"), line["evidence"]["bridge"]),
    ):
        mark, style = _EVIDENCE.get(seen, ("–", "yellow"))
        text.append(f"{mark} {name}  " if wide else f"{mark} ", style=style)
    return text


def _when(language: str, line: Line, zone: str, wide: bool) -> str:
    if line["state"] == "in" and line["in_since"]:
        time = clock_time(line["in_since"], zone)
        return say(language, "since {time}", time=time) if wide else time
    if line["next_try_at"] and line["state"] not in ("absent", "stopped"):
        time = clock_time(line["next_try_at"], zone)
        return say(language, "next {time}", time=time) if wide else f"→{time}"
    return ""


def _packed(sites: Sequence[Line]) -> RenderableType:
    codes = [
        Text(site["code"] + ("🔇" if site["muted"] else "") + ("+" * min(site["redials"], 3)), style="green")
        for site in sites[:_MOST_CODES]
    ]
    if len(sites) > _MOST_CODES:
        codes.append(Text(f"+{len(sites) - _MOST_CODES}", style="dim"))
    return Columns(codes, padding=(0, 1))

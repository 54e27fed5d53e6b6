"""Writes the pages of docs/ that are drawn from the code; with --check, says which are stale."""

import inspect
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any

from adapters import registry
from adapters.capabilities import Capability
from adapters.values import LegState
from orchestrator.rules import states

DOCS = Path(__file__).resolve().parents[1] / "docs"
DRAWN = "<!-- Drawn from the code by `make docs`; change the code, not this page. -->"


def meanings(enum: type[StrEnum]) -> Mapping[str, str]:
    """What the comment behind each member says; members without one are not in it."""
    found = re.findall(r'^\s+(\w+) = "[^"]*"[ \t]*(?:#[ \t]*(.*))?$', inspect.getsource(enum), re.MULTILINE)
    return {enum[name].value: meaning for name, meaning in found if meaning}


def diagram(table: Mapping[Any, Iterable[Any]], first: str) -> Iterable[str]:
    """A Mermaid state diagram; names are quoted, because Mermaid takes no hyphens."""
    order = list(table)
    yield "```mermaid"
    yield "stateDiagram-v2"
    yield f"    [*] --> {first}"
    for state in order:
        if "-" in state:
            yield f'    state "{state}" as {state.replace("-", "_")}'
    for state in order:
        for onward in sorted(table[state], key=order.index):
            yield f"    {state.replace('-', '_')} --> {onward.replace('-', '_')}"
        if not table[state]:
            yield f"    {state.replace('-', '_')} --> [*]"
    yield "```"


def state_table(table: Mapping[Any, Iterable[Any]], enum: type[StrEnum]) -> Iterable[str]:
    order = list(table)
    said = meanings(enum)
    yield "| state | means | may become |"
    yield "|---|---|---|"
    for state in order:
        onward = ", ".join(sorted(table[state], key=order.index)) or "nothing: it is over"
        yield f"| {state} | {said.get(state.value, '')} | {onward} |"


def states_page() -> str:
    """docs/states.md: the tables of orchestrator/rules/states.py."""
    lines = [
        "# States",
        "",
        DRAWN,
        "",
        "A state changes only along these arrows (`orchestrator/rules/states.py`).",
    ]
    for title, table, enum in (
        ("Run", states.RUN, states.RunState),
        ("Leg", states.LEG, LegState),
        ("Participant", states.PARTICIPANT, states.ParticipantState),
    ):
        promise = (inspect.getdoc(enum) or "").splitlines()[0]
        lines += ["", f"## {title}", "", promise, "", *diagram(table, next(iter(table))), "", *state_table(table, enum)]
    return "\n".join(lines) + "\n"


def adapters_page() -> str:
    """docs/adapters.md: what each family declares, read from the registry."""
    said = meanings(Capability)
    lines = [
        "# Device families",
        "",
        DRAWN,
        "",
        "What each family declares. A declared capability works (the conformance tests hold every family to it); an",
        "undeclared one raises `NotSupported` before a byte is sent.",
    ]
    for title, table in (("Endpoints", registry.ENDPOINTS), ("Bridges", registry.BRIDGES)):
        families = {family: registry._load(table, title, family) for family in table}
        every = [ability for ability in Capability if any(ability in one.capabilities for one in families.values())]
        lines += ["", f"## {title}", "", "| | " + " | ".join(f"`{name}`" for name in families) + " |"]
        lines.append("|---|" + "---|" * len(families))
        for ability in every:
            marks = " | ".join("yes" if ability in one.capabilities else "" for one in families.values())
            lines.append(f"| {ability}{': ' + said[ability] if ability in said else ''} | {marks} |")
        lines.append("")
        lines += [
            f"- `{name}`: [{(inspect.getdoc(inspect.getmodule(one)) or '').splitlines()[0]}]"
            f"(../{one.__module__.rpartition('.')[0].replace('.', '/')}/README.md)"
            for name, one in families.items()
        ]
    return "\n".join(lines) + "\n"


PAGES: Mapping[str, Callable[[], str]] = {"states.md": states_page, "adapters.md": adapters_page}


def main(arguments: list[str]) -> int:
    check = arguments == ["--check"]
    if arguments and not check:
        print(f"pages: no such option {' '.join(arguments)}; known is --check", file=sys.stderr)
        return 2
    stale = []
    for name, draw in PAGES.items():
        path, drawn = DOCS / name, draw()
        if path.exists() and path.read_text(encoding="utf-8") == drawn:
            continue
        stale.append(f"docs/{name}")
        if not check:
            path.write_text(drawn, encoding="utf-8")
    if check and stale:
        print(f"stale: {', '.join(stale)}; run `make docs` and commit what it writes", file=sys.stderr)
        return 1
    print(f"pages: {len(PAGES)} {'fresh' if check else f'drawn, {len(stale)} changed'}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Writes what is drawn from the code into docs/; with --check, says which pages are stale.

Some pages are drawn whole. In others only what stands between `<!-- drawn: NAME -->` and
`<!-- end -->` is.
"""

import inspect
import re
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping
from enum import StrEnum
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from adapters import registry
from adapters.capabilities import Capability
from adapters.evidence import TOO_THIN
from adapters.sip import third_party
from adapters.values import LegState
from api.app import build
from api.settings import PREFIX, Settings
from orchestrator.rules import states
from scripts import coverage

DOCS = Path(__file__).resolve().parents[1] / "docs"
TESTS = DOCS.parent / "tests"
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
        "undeclared one raises `NotSupported` before a byte is sent. A cell says what the ability rests on: a *real*",
        "*peer* it was seen working with, a *transcript* of a device, the *manual*, or *made up* from what is known.",
    ]
    tables = {
        "Endpoints": registry.ENDPOINTS,
        "Endpoints told by REFER": registry.REFERRERS,
        "Bridges": registry.BRIDGES,
    }
    for title, table in tables.items():
        families = {family: registry._load(table, title, family) for family in table}
        every = [ability for ability in Capability if any(ability in one.capabilities for one in families.values())]
        lines += ["", f"## {title}", "", "| | " + " | ".join(f"`{name}`" for name in families) + " |"]
        lines.append("|---|" + "---|" * len(families))
        for ability in every:
            marks = " | ".join(_mark(one, ability) for one in families.values())
            lines.append(f"| {ability}{': ' + said[ability] if ability in said else ''} | {marks} |")
        lines.append("")
        lines += [
            f"- `{name}`: [{(inspect.getdoc(inspect.getmodule(one)) or '').splitlines()[0]}]"
            f"(../{one.__module__.rpartition('.')[0].replace('.', '/')}/README.md)"
            for name, one in families.items()
        ]
    lines += ["", "## Not there, and why", "", "| device | why |", "|---|---|"]
    lines += [f"| {device} | {why} |" for device, why in TOO_THIN.items()]
    lines += [
        "",
        "## What every family with a control session is held to",
        "",
        "Each sentence is a test, run over every dialect of every such family against its twin; none is ever skipped.",
        "",
        *(f"- {clause}" for clause in _clauses()),
    ]
    return "\n".join(lines) + "\n"


def _mark(family: Any, ability: Capability) -> str:
    """The cell of one ability: what it rests on, where the family says."""
    if ability not in family.capabilities:
        return ""
    package = family.__module__.rpartition(".")[0]
    if find_spec(f"{package}.evidence") is None:
        return "yes"
    return str(import_module(f"{package}.evidence").EVIDENCE[ability].kind)


def _clauses() -> Iterable[str]:
    """The names of the tests, as sentences."""
    for path in sorted((TESTS / "conformance" / "vendor").glob("test_*_clauses.py")):
        for name in re.findall(r"^(?:async )?def test_(\w+)\((?:rig|\n    rig)", path.read_text(), re.MULTILINE):
            yield name.replace("_", " ")


def routes() -> Iterable[str]:
    """A table of every route, from the OpenAPI description."""
    with tempfile.TemporaryDirectory() as folder:
        described = build(Settings(data_dir=Path(folder))).openapi()
    yield "| | path | |"
    yield "|---|---|---|"
    for path, verbs in described["paths"].items():
        for verb, route in verbs.items():
            said = (route.get("description") or route["summary"]).partition("\n")[0]
            yield f"| {verb.upper()} | `{path}` | {said} |"


def settings_table() -> Iterable[str]:
    """A table of every setting: its variable, its default, and the comment behind it."""
    source = inspect.getsource(Settings)
    yield "| variable | default | |"
    yield "|---|---|---|"
    for name, field in Settings.model_fields.items():
        comment = re.search(rf"^    {name}: .*?#[ \t]*(.*)$", source, re.MULTILINE)
        default = "" if field.is_required() or field.default_factory else _plain(field.default)
        yield f"| `{PREFIX}{name.upper()}` | {default} | {comment[1] if comment else ''} |"


def _plain(value: object) -> str:
    if value is None or value == "":
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    return f"`[{', '.join(f'{n:g}' for n in value)}]`" if isinstance(value, tuple) else f"`{value}`"


def pair_table() -> Iterable[str]:
    """Every row of third-party call control."""
    yield "| where | what comes | what is done | where then |"
    yield "|---|---|---|---|"
    for (at, came), (after, actions) in third_party.TABLE.items():
        yield f"| {at} | {came} | {'; '.join(actions)} | {'' if after is at else after} |"


PAGES: Mapping[str, Callable[[], str]] = {
    "states.md": states_page,
    "adapters.md": adapters_page,
    "sip-coverage.md": lambda: coverage.page(DRAWN),
}
PARTS: Mapping[str, Callable[[], Iterable[str]]] = {"routes": routes, "settings": settings_table, "pair": pair_table}
_PART = re.compile(r"(<!-- drawn: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def redrawn(text: str) -> str:
    """`text` with each drawn part as it should be. Raises KeyError for a part nobody draws."""
    return _PART.sub(lambda part: part[1] + "".join(f"{line}\n" for line in PARTS[part[2]]()) + part[3], text)


def main(arguments: list[str]) -> int:
    check = arguments == ["--check"]
    if arguments and not check:
        print(f"pages: no such option {' '.join(arguments)}; known is --check", file=sys.stderr)
        return 2
    drawn = {DOCS / name: draw() for name, draw in PAGES.items()}
    for path in sorted(DOCS.rglob("*.md")):
        text = path.read_text(encoding="utf-8")
        if path not in drawn and _PART.search(text):
            drawn[path] = redrawn(text)
    stale = [path for path, text in drawn.items() if not path.exists() or path.read_text(encoding="utf-8") != text]
    names = ", ".join(f"docs/{path.relative_to(DOCS)}" for path in stale)
    if check and stale:
        print(f"stale: {names}; run `make docs` and commit what it writes", file=sys.stderr)
        return 1
    for path in stale:
        path.write_text(drawn[path], encoding="utf-8")
    print(f"pages: {len(drawn)} {'fresh' if check else f'drawn, changed: {names or None}'}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

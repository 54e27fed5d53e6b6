"""docs/sip-coverage.md: each section of an RFC that tests cover, with those tests.

Tests carry `@pytest.mark.rfc("3261", "17.1.1.2")`; they are read, not run.
"""

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.unit.sip.torture.messages import DROPPED, MESSAGES

ROOT = Path(__file__).resolve().parents[1]


def titles() -> dict[str, tuple[str, dict[str, str]]]:
    """RFC -> what it is about, and its sections that tests name (scripts/rfc-sections.txt)."""
    found: dict[str, tuple[str, dict[str, str]]] = {}
    sections: dict[str, str] = {}
    for line in (ROOT / "scripts" / "rfc-sections.txt").read_text(encoding="utf-8").splitlines():
        number, _, title = line.strip().partition(" ")
        if line.startswith(" "):
            sections[number] = title
        else:
            sections = {}
            found[number] = (title, sections)
    return found


@dataclass(frozen=True, slots=True)
class Cover:
    """One test and one section that it covers."""

    rfc: str
    section: str
    path: str
    test: str


def covers(root: Path = ROOT) -> list[Cover]:
    """What every test says it covers. Raises ValueError for a mark that cannot be read."""
    found: list[Cover] = []
    for path in sorted((root / "tests").rglob("test_*.py")):
        text = path.read_text(encoding="utf-8")
        if "mark.rfc(" in text:
            found += _covers(ast.parse(text), path.relative_to(root).as_posix())
    return found


def _covers(module: ast.Module, path: str) -> Iterator[Cover]:
    for node in ast.walk(module):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        for mark in node.decorator_list:
            if isinstance(mark, ast.Call) and ast.unparse(mark.func) == "pytest.mark.rfc":
                words = [word.value for word in mark.args if isinstance(word, ast.Constant)]
                if len(words) < 2 or len(words) != len(mark.args) or mark.keywords:
                    raise ValueError(f"{path}: {ast.unparse(mark)} at {node.name}; expected rfc('3261', '17.1', ...)")
                rfc, *sections = map(str, words)
                yield from (Cover(rfc, section, path, node.name) for section in sections)


def is_covered(rfc: str, section: str, found: Iterable[Cover]) -> bool:
    """Whether a test covers the section or a part of it."""
    return any(one.rfc == rfc and (one.section == section or one.section.startswith(f"{section}.")) for one in found)


def in_order(section: str) -> tuple[int, ...]:
    return tuple(int(part) for part in section.split("."))


def page(drawn: str) -> str:
    """The whole of docs/sip-coverage.md."""
    found = covers()
    lines = [
        "# SIP: what is covered",
        "",
        drawn,
        "",
        'Each section of an RFC that tests cover. A test says so itself: `@pytest.mark.rfc("3261", "17.1.1.2")`.',
    ]
    for rfc, (title, sections) in sorted(titles().items()):
        lines += ["", f"## RFC {rfc}: {title}", "", "| section | | tests |", "|---|---|---|"]
        for section in sorted({one.section for one in found if one.rfc == rfc}, key=in_order):
            tests = ", ".join(
                f"[{one.test.removeprefix('test_').replace('_', ' ')}](../{one.path})"
                for one in found
                if (one.rfc, one.section) == (rfc, section)
            )
            lines.append(f"| {section} | {sections.get(section, '')} | {tests} |")
        if rfc == "4475":
            lines += ["", *_torture()]
    return "\n".join(lines) + "\n"


def _torture() -> Iterator[str]:
    yield "Each message over UDP, to a user agent that is busy and has no registrar:"
    yield ""
    yield "| message | section | asked for | answered |"
    yield "|---|---|---|---|"
    for one in MESSAGES:
        yield f"| `{one.name}` | {one.section} | {one.asked} | {'nothing' if one.status == DROPPED else one.status} |"

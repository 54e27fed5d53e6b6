"""Every text that is said exists in Vietnamese, with the same placeholders, and no other text does."""

import ast
import string
from collections.abc import Iterator, Mapping
from io import BytesIO
from pathlib import Path

import pytest
from babel.messages.pofile import read_po
from jinja2.ext import babel_extract

import api
import orchestrator
from api.words import catalog, language_of, say

API = Path(api.__file__).parent
ORCHESTRATOR = Path(orchestrator.__file__).parent


REFUSALS = dict.fromkeys(("Refusal", "Taken", "InUse", "Unfit", "Complaint", "__init__"), (1, 2))
"""Where the rooms below give the face templates to say: problem, expected."""


def constants(folder: Path, places: Mapping[str, tuple[int, ...]]) -> Iterator[tuple[str, str]]:
    """(where, text) of every text that stands at one of the `places` of a call, by the function's name."""
    for path in sorted(folder.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
                for place in places.get(name, ()):
                    given = node.args[place] if place < len(node.args) else None
                    if isinstance(given, ast.Constant) and isinstance(given.value, str) and given.value:
                        yield f"{path.name}:{node.lineno}", given.value


def said() -> Iterator[tuple[str, str]]:
    """(where, msgid) of every text in the code and in the templates."""
    yield from constants(ORCHESTRATOR, REFUSALS)
    yield from constants(API, {"say": (1,), "msgid": (0,)})
    for path in sorted(API.rglob("*.html")):
        for line, _, text, _ in babel_extract(BytesIO(path.read_bytes()), ("say", "msgid"), (), {"silent": "false"}):
            yield f"{path.relative_to(API)}:{line}", text[0] if isinstance(text, tuple) else str(text)


def placeholders(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}


def test_every_text_said_has_a_vietnamese_one_with_the_same_placeholders() -> None:
    vietnamese = catalog("vi")
    texts = dict((text, where) for where, text in said())
    assert len(texts) > 1
    missing = {where: text for text, where in texts.items() if not vietnamese.get(text, "").strip()}
    assert missing == {}
    differing = {text for text in texts if placeholders(text) != placeholders(vietnamese[text])}
    assert differing == set()


def test_the_catalog_has_no_text_that_nobody_says_and_none_twice() -> None:
    with (API / "locale" / "vi.po").open("rb") as file:
        ids = [str(entry.id) for entry in read_po(file, locale="vi") if entry.id]
    assert set(ids) - {text for _, text in said()} == set()
    raw = (API / "locale" / "vi.po").read_text(encoding="utf-8")
    assert raw.count("\nmsgid ") - 1 == len(ids), "an entry stands twice"


def test_an_unknown_text_or_language_is_said_in_english() -> None:
    assert say("vi", "never translated {n}", n=3) == "never translated 3"
    assert say("fr", "absent") == "absent"
    assert say("vi", "absent") == "vắng"


@pytest.mark.parametrize(
    ("header", "language"),
    [
        (None, "vi"),
        ("", "vi"),
        ("en", "en"),
        ("en-GB,en;q=0.9", "en"),
        ("fr, en;q=0.8, vi-VN;q=0.9", "vi"),
        ("vi;q=0.1, en;q=0.2", "en"),
        ("en;q=0, vi;q=0.1", "vi"),
        ("*", "vi"),
        ("de-DE, *;q=0.5", "vi"),
        ("x" * 100_000, "vi"),
        ("en;q=9.9, ;;;=, en;q=abc", "vi"),
    ],
)
def test_the_language_is_the_best_the_header_asks_for(header: str | None, language: str) -> None:
    assert language_of(header, "vi") == language

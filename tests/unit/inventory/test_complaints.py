"""Every text in which the rooms below complain is named where the catalog finds it."""

import ast
from collections.abc import Iterator
from pathlib import Path

import orchestrator
from api.complaints import TEXTS
from orchestrator.limits import CODE_WORDS

ROOM = Path(orchestrator.__file__).parent
FILES = [ROOM / "sheet.py", ROOM / "refusal.py", *(ROOM / "store").glob("*.py")]
CALLS = {
    "Complaint",
    "Refusal",
    "Taken",
    "InUse",
    "Unfit",
    "NotThere",
    "_complain",
    "complain",
    "_matching",
    "__init__",
}
NAMES = {"problem", "expected"}


def complained() -> Iterator[str]:
    """Every literal that is given to a complaint, directly or by a local name."""
    for file in FILES:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                called = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
                given = node.args if called in CALLS else []
            elif isinstance(node, ast.Assign):
                targets = [
                    (target, value)
                    for each in node.targets
                    for target, value in (
                        zip(each.elts, node.value.elts, strict=True)
                        if isinstance(each, ast.Tuple) and isinstance(node.value, ast.Tuple)
                        else [(each, node.value)]
                    )
                ]
                given = [value for target, value in targets if isinstance(target, ast.Name) and target.id in NAMES]
            else:
                continue
            for value in given:
                if isinstance(value, ast.Constant) and isinstance(value.value, str) and " " in value.value:
                    yield value.value


def test_every_text_of_a_complaint_is_named_for_the_catalog() -> None:
    said = set(complained()) | {CODE_WORDS}
    assert len(said) > 40
    assert said - set(TEXTS) == set()

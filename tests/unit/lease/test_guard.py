"""No order goes to a device past the lease: `actions` checks before every verb, and nobody else calls one."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import orchestrator
from orchestrator import actions

VERBS = frozenset(
    {
        "dial", "invite", "hang_up", "drop", "adopt", "mute", "open_conference", "end_conference", "send_digits",
        "set_auto_answer",
    }
)  # fmt: skip
MIND = Path(orchestrator.__file__).parent
ACTIONS = Path(actions.__file__)
AUTO_ANSWER = MIND / "auto_answer.py"

Function = ast.FunctionDef | ast.AsyncFunctionDef


def awaited_calls(tree: ast.AST) -> Iterator[ast.Call]:
    """Adapters' verbs are coroutines; what only shares a name with one is not awaited."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Await) and isinstance(node.value, ast.Call):
            yield node.value


def verb_of(call: ast.Call) -> str | None:
    """The adapter's verb that a call is, or None."""
    if isinstance(call.func, ast.Attribute) and call.func.attr in VERBS:
        return call.func.attr
    return None


def is_check(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and ast.unparse(node) in ("self._lease.check()", "check()")


def unguarded(source: str) -> list[str]:
    """Verbs without a check since the function began, or since it last gave way."""
    found = []
    for function in ast.walk(ast.parse(source)):
        if isinstance(function, ast.AsyncFunctionDef):
            found += [f"{function.name}: {verb}" for verb in _unguarded_in(function)]
    return found


def _unguarded_in(function: ast.AsyncFunctionDef) -> Iterator[str]:
    """A check holds until the next await has come back; the two ways of an `if` share the one before it."""
    yield from _walk(function.body, False)[1]


def _walk(statements: list[ast.stmt], checked: bool) -> tuple[bool, list[str]]:
    """Whether the end of `statements` is still checked, and the verbs without a check."""
    found: list[str] = []
    for statement in statements:
        parts = [getattr(statement, name) for name in ("body", "orelse", "finalbody") if getattr(statement, name, None)]
        blocks = [*parts, *(handler.body for handler in getattr(statement, "handlers", []))]
        inner = {id(node) for block in blocks for each in block for node in ast.walk(each)}
        own = [node for node in ast.walk(statement) if id(node) not in inner]
        if any(map(is_check, own)):
            checked = True
        awaits = [node.value for node in own if isinstance(node, ast.Await) and isinstance(node.value, ast.Call)]
        found += [verb for call in awaits if not checked and (verb := verb_of(call))]
        checked = checked and not any(isinstance(node, ast.Await) for node in own)
        ends = []
        for block in blocks:
            end, more = _walk(block, checked)
            ends.append(end)
            found += more
        checked = all(ends) if ends else checked
    return checked, found


def test_every_order_to_a_device_is_checked_first() -> None:
    assert unguarded(ACTIONS.read_text()) == []


def test_the_orders_are_there_to_be_checked() -> None:
    """Should verbs be renamed, this test would check nothing: then it says so."""
    used = {verb for call in awaited_calls(ast.parse(ACTIONS.read_text())) if (verb := verb_of(call))}
    assert used == VERBS - {"send_digits", "set_auto_answer"}, "send_digits is not used yet; the others are"


def test_settings_are_changed_under_the_lease_and_given_back_under_a_claim_of_their_own() -> None:
    """What is owed is given back by whoever has its row, also when the run's process is no more."""
    assert unguarded(AUTO_ANSWER.read_text()) == ["_restore: set_auto_answer", "_restore: mute"]


@pytest.mark.parametrize(
    "body",
    [
        "await self._bridge.drop(leg)",
        "self._lease.check()\n  await sleep(1)\n  await self._bridge.drop(leg)",
        "await self._bridge.drop(leg)\n  self._lease.check()",
        "self._lease.check()\n  if x:\n   await f()\n  else:\n   y()\n  await self._bridge.drop(leg)",
    ],
)
def test_a_missing_check_is_found(body: str) -> None:
    assert unguarded(f"class A:\n async def f(self):\n  {body}\n") == ["f: drop"]


def test_a_check_holds_for_one_order() -> None:
    body = "self._lease.check()\n  await self._bridge.drop(a)\n  await self._bridge.drop(b)"
    assert unguarded(f"class A:\n async def f(self):\n  {body}\n") == ["f: drop"]


def test_nobody_else_in_the_mind_gives_orders() -> None:
    """Of the desk's adapters others may ask rosters and addresses; `mute` and `dial` of the runner are actions."""
    found = [
        f"{path.relative_to(MIND)}:{call.lineno} {ast.unparse(call.func)}"
        for path in sorted(MIND.rglob("*.py"))
        if path not in (ACTIONS, AUTO_ANSWER)
        for call in awaited_calls(ast.parse(path.read_text()))
        if verb_of(call) and ast.unparse(call.func) not in OURS
    ]
    assert found == []


OURS = frozenset({"self._actions.end_conference"})
"""Verbs of `Actions` itself, which check."""

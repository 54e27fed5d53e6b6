"""What is installed: the locks hold hashes, agree with one another, and hold all that a server imports."""

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
PACKAGES = ("api", "orchestrator", "schedules", "adapters", "migrations")
PINNED = re.compile(r"^([a-z0-9._-]+)==(\S+)", re.MULTILINE)


def canonical(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def pins(lock):
    return dict(PINNED.findall((ROOT / lock).read_text()))


def imported():
    """Top-level modules that the packages import, each with one file that does."""
    found = {}
    for package in PACKAGES:
        for file in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text())):
                if isinstance(node, ast.Import):
                    names = [alias.name for alias in node.names]
                elif isinstance(node, ast.ImportFrom) and node.level == 0:
                    names = [node.module]
                else:
                    continue
                for name in names:
                    found.setdefault(name.partition(".")[0], file.relative_to(ROOT))
    return {name: file for name, file in found.items() if name not in sys.stdlib_module_names | set(PACKAGES)}


@pytest.mark.parametrize("lock", ["requirements.lock", "requirements.run.lock"])
def test_a_lock_has_a_hash_for_everything_and_no_address(lock):
    text = (ROOT / lock).read_text()
    assert "://" not in text
    entries = re.split(r"^(?=\S)", text, flags=re.MULTILINE)[1:]
    assert entries
    assert [entry.splitlines()[0] for entry in entries if "--hash=sha256:" not in entry] == []


def test_a_server_gets_the_versions_that_were_tested():
    every = pins("requirements.lock")
    assert {name: every.get(name) for name in pins("requirements.run.lock")} == pins("requirements.run.lock")


def test_everything_that_is_imported_is_declared():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    declared = {canonical(re.match(r"[A-Za-z0-9._-]+", each)[0]) for each in project["dependencies"]}
    # FastAPI hands Starlette and Pydantic on as its own; SQLModel does so with SQLAlchemy
    declared |= {"starlette", "pydantic"}
    owners = packages_distributions()
    undeclared = {
        name: str(file)
        for name, file in imported().items()
        if not {canonical(owner) for owner in owners.get(name, [name])} & declared
    }
    assert undeclared == {}


def test_what_a_database_driver_needs_is_in_the_servers_lock():
    # not imported by name: SQLAlchemy's asyncio side and the drivers behind a URL
    assert {"greenlet", "aiosqlite", "asyncpg", "tzdata"} <= set(pins("requirements.run.lock"))

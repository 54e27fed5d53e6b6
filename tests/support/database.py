"""Fresh, migrated databases of both kinds, made fast: a template is migrated once and copied."""

import asyncio
import itertools
import shutil
from pathlib import Path

import asyncpg

from orchestrator.store.database import Database
from orchestrator.store.migration import migrate

_numbers = itertools.count(1)


def sqlite_url(folder: Path) -> str:
    """The URL of an empty SQLite database in `folder`."""
    return f"sqlite:///{folder / f'test{next(_numbers)}.sqlite3'}"


def migrated_sqlite(folder: Path, template: Path) -> str:
    """The URL of a migrated SQLite database in `folder`; `template` is made at the first call."""
    if not template.exists():
        asyncio.run(_migrate(f"sqlite:///{template}"))
    path = folder / f"test{next(_numbers)}.sqlite3"
    shutil.copyfile(template, path)
    return f"sqlite:///{path}"


class PostgresDatabases:
    """Databases on one server, each for one test."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._has_template = False

    def empty(self) -> str:
        """The URL of an empty database."""
        return self._create("template0")

    def migrated(self) -> str:
        """The URL of a migrated database."""
        if not self._has_template:
            self._create("template0", "migrated")
            asyncio.run(_migrate(self._url.format(name="migrated")))
            self._has_template = True
        return self._create("migrated")

    def drop(self, url: str) -> None:
        """Give a database up, whoever is still connected to it."""
        asyncio.run(self._run(f'DROP DATABASE "{url.partition("@/")[2].partition("?")[0]}" WITH (FORCE)'))

    def _create(self, template: str, name: str = "") -> str:
        name = name or f"test{next(_numbers)}"
        asyncio.run(self._run(f'CREATE DATABASE "{name}" TEMPLATE "{template}"'))
        return self._url.format(name=name)

    async def _run(self, statement: str) -> None:
        connection = await asyncpg.connect(self._url.format(name="postgres"))
        try:
            await connection.execute(statement)
        finally:
            await connection.close()


async def _migrate(url: str) -> None:
    database = Database(url)
    try:
        await migrate(database)
        if database.is_sqlite:  # a copy takes one file, not its write-ahead log
            async with database.engine.connect() as connection:
                await connection.exec_driver_sql("COMMIT")
                await connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    finally:
        await database.close()

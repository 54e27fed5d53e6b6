"""One database, SQLite or PostgreSQL, behind two doors: `read` and `write`."""

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import DateTime, event, text
from sqlalchemy.engine import Connection, Dialect, make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.types import TypeDecorator
from sqlmodel import SQLModel
from sqlmodel.ext.asyncio.session import AsyncSession

_SQLITE_BUSY_MS = 15_000
_POSTGRES_IDLE_MS = 10_000
"""A process that stands still inside a transaction loses it after so long, and with it the rows it held."""

# Constraints have the same names in every database, so that a later revision can change them.
SQLModel.metadata.naming_convention = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}


class Instant(TypeDecorator[datetime]):
    """An aware UTC datetime in every database; SQLite itself would drop the zone."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"{value!r} has no zone; instants are aware UTC")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def async_url(url: str) -> str:
    """`url` with the driver this project uses: sqlite -> aiosqlite, postgresql -> asyncpg.

    Raises ValueError for any other database.
    """
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise ValueError("this is no database URL; use sqlite:///path or postgresql://user@host/name") from None
    drivers = {"sqlite": "sqlite+aiosqlite", "postgresql": "postgresql+asyncpg", "postgres": "postgresql+asyncpg"}
    dialect = parsed.drivername.partition("+")[0]
    if dialect not in drivers:
        raise ValueError(f"database {dialect!r} is not supported; use sqlite:///path or postgresql://user@host/name")
    return parsed.set(drivername=drivers[dialect]).render_as_string(hide_password=False)


class Database:
    """The engine and its sessions.

    `write()` is one transaction, committed at the end of the block and rolled back by an
    exception; on SQLite it takes the write lock at once, so it waits its turn instead of
    failing half-way. No transaction may stay open across device I/O.
    """

    def __init__(self, url: str) -> None:
        self.url = async_url(url)
        self.name = make_url(self.url).render_as_string(hide_password=True)
        self.is_sqlite = self.url.startswith("sqlite")
        options: dict[str, Any] = {} if self.is_sqlite else {"pool_size": 10, "max_overflow": 10, "pool_pre_ping": True}
        self.engine: AsyncEngine = create_async_engine(self.url, **options)
        self._writer = self.engine.execution_options(diemcau_write=True)
        if self.is_sqlite:
            event.listen(self.engine.sync_engine, "connect", _prepare_sqlite)
            event.listen(self.engine.sync_engine, "begin", _begin_sqlite)
        else:
            event.listen(self.engine.sync_engine, "connect", _prepare_postgres)

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncSession]:
        """A session for queries only."""
        async with AsyncSession(self.engine, expire_on_commit=False) as session:
            yield session

    @asynccontextmanager
    async def write(self) -> AsyncIterator[AsyncSession]:
        """A session that is one transaction."""
        async with AsyncSession(self._writer, expire_on_commit=False) as session, session.begin():
            yield session

    @asynccontextmanager
    async def connect_to_write(self) -> AsyncIterator[AsyncConnection]:
        """A bare connection in one transaction, for changes of the schema."""
        async with self._writer.connect() as connection, connection.begin():
            yield connection

    async def close(self) -> None:
        """Give all connections back; one whose server no longer answers is left to the process's end."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_CLOSE_S):
                await self.engine.dispose()


_CLOSE_S = 10.0
_TURN = 0x6469656D  # "diem": the advisory lock of those who change inventory and meetings


async def turn(session: AsyncSession) -> None:
    """Wait until no other transaction changes the inventory or the meetings, and keep others waiting.

    Held to the end of the transaction; safe to repeat. What was checked after it stays true
    until the commit. On SQLite every `write()` is alone already.
    """
    connection = await session.connection()
    if connection.dialect.name == "postgresql":
        await connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _TURN})


def _prepare_sqlite(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # we say BEGIN ourselves (see _begin_sqlite)
    cursor = connection.cursor()
    for pragma in (f"busy_timeout={_SQLITE_BUSY_MS}", "journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _prepare_postgres(connection: Any, _record: object) -> None:
    cursor = connection.cursor()
    cursor.execute(f"SET idle_in_transaction_session_timeout = {_POSTGRES_IDLE_MS}")
    cursor.close()
    connection.commit()


def _begin_sqlite(connection: Connection) -> None:
    write = connection.get_execution_options().get("diemcau_write", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")


SQLITE_VERSION_NEEDED = (3, 35)
"""UPDATE ... RETURNING, used by the lease, came with SQLite 3.35."""

if sqlite3.sqlite_version_info < SQLITE_VERSION_NEEDED:
    raise RuntimeError(f"SQLite {sqlite3.sqlite_version} is too old; 3.35 or newer is needed")

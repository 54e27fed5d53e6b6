"""What every test may ask for, a fresh database of either kind, and what every test finds."""

import logging
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from orchestrator.store.database import Database
from tests.support import postgres
from tests.support.database import PostgresDatabases, migrated_sqlite, sqlite_url


@pytest.fixture(autouse=True)
def warnings_are_logged() -> None:
    """A service that an earlier test began in this process set the level of the whole process."""
    logging.getLogger().setLevel(logging.WARNING)


BOTH = ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)]


@pytest.fixture(scope="session")
def postgres_databases() -> Iterator[PostgresDatabases]:
    """Databases on a server of our own; a missing server is a failure, never a skip."""
    try:
        with postgres.server() as url:
            yield PostgresDatabases(url)
    except postgres.NoPostgres as error:
        pytest.fail(str(error))


@pytest.fixture(params=BOTH)
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a database without tables; each test runs on SQLite and on PostgreSQL."""
    if request.param == "sqlite":
        yield sqlite_url(tmp_path)
        return
    databases: PostgresDatabases = request.getfixturevalue("postgres_databases")
    url = databases.empty()
    yield url
    databases.drop(url)


@pytest.fixture(params=BOTH)
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a migrated database; each test runs on SQLite and on PostgreSQL."""
    if request.param == "sqlite":
        yield request.getfixturevalue("sqlite_database_url")
        return
    databases: PostgresDatabases = request.getfixturevalue("postgres_databases")
    url = databases.migrated()
    yield url
    databases.drop(url)


@pytest.fixture
def sqlite_database_url(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The URL of a migrated SQLite database, for tests in which the kind of database plays no part."""
    return migrated_sqlite(tmp_path, tmp_path_factory.getbasetemp() / "template.sqlite3")


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """A migrated database; each test runs on SQLite and on PostgreSQL."""
    database = Database(database_url)
    yield database
    await database.close()


@pytest.fixture
async def sqlite_database(sqlite_database_url: str) -> AsyncIterator[Database]:
    """A migrated SQLite database."""
    database = Database(sqlite_database_url)
    yield database
    await database.close()

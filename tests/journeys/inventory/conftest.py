"""A running application on either database, and a client with the token."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from schedules.clock import TurnableClock
from tests.support.server import Running, running

NOW = datetime(2026, 11, 30, 1, 0, tzinfo=UTC)


@pytest.fixture
def clock() -> TurnableClock:
    """Monday 30 November 2026, 08:00 in Ho Chi Minh City."""
    return TurnableClock(NOW)


@pytest.fixture
async def service(tmp_path: Path, database_url: str, clock: TurnableClock) -> AsyncIterator[Running]:
    """The application; each test runs on SQLite and on PostgreSQL."""
    async with running(tmp_path / "data", database_url, clock) as service:
        yield service


@pytest.fixture
async def sqlite_service(tmp_path: Path, sqlite_database_url: str, clock: TurnableClock) -> AsyncIterator[Running]:
    """The application on SQLite, for what has nothing to do with the kind of database."""
    async with running(tmp_path / "data", sqlite_database_url, clock) as service:
        yield service


@pytest.fixture
async def client(service: Running) -> AsyncIterator[httpx.AsyncClient]:
    async with service.client() as client:
        yield client


@pytest.fixture
async def sqlite_client(sqlite_service: Running) -> AsyncIterator[httpx.AsyncClient]:
    async with sqlite_service.client() as client:
        yield client

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from api.commands.stage import ProvinceProcess
from tests.ownership.ground import Ground

Opening = Callable[..., Awaitable[Ground]]


@pytest.fixture
async def ground(database_url: str, tmp_path: Path) -> AsyncIterator[Opening]:
    """Opens a ground: `await ground(sites=6, behavior="answer")`; on SQLite and on PostgreSQL."""
    async with AsyncExitStack() as stack:
        yield _opening(database_url, tmp_path, stack)


@pytest.fixture
async def sqlite_ground(sqlite_database_url: str, tmp_path: Path) -> AsyncIterator[Opening]:
    """The same, where the kind of database plays no part."""
    async with AsyncExitStack() as stack:
        yield _opening(sqlite_database_url, tmp_path, stack)


def _opening(url: str, folder: Path, stack: AsyncExitStack) -> Opening:
    async def open_(sites: int = 6, behavior: str = "answer", **furniture: object) -> Ground:
        province = await ProvinceProcess.start(sites, behavior)
        stack.push_async_callback(province.stop)
        made = Ground(url, folder, province, stack)
        await made.furnish(**furniture)  # type: ignore[arg-type]
        return made

    return open_

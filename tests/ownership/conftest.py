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

        async def open_(sites: int = 6, behavior: str = "answer", **furniture: object) -> Ground:
            province = await ProvinceProcess.start(sites, behavior)
            stack.push_async_callback(province.stop)
            made = Ground(database_url, tmp_path, province, stack)
            await made.furnish(**furniture)  # type: ignore[arg-type]
            return made

        yield open_

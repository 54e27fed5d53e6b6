"""What several files of peers ask for."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.peers.sipp.stage import Stage, stage


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Stage]:
    """A stage on which nothing of a call may be left at the end."""
    async with stage(tmp_path) as made:
        yield made
    assert len(made.agent) == 0

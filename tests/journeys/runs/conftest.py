from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.journeys.runs.stand import Stand, standing


@pytest.fixture
async def stand(tmp_path: Path) -> AsyncIterator[Stand]:
    async with standing(tmp_path) as running:
        yield running

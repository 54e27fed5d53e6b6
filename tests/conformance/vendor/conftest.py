"""A rig for every family and dialect."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.conformance.vendor.families import VENDORS
from tests.conformance.vendor.rig import Rig


@pytest.fixture(params=VENDORS, ids=str)
async def rig(request: pytest.FixtureRequest) -> AsyncIterator[Rig]:
    rig = Rig(request.param)
    try:
        yield await rig.start()
    finally:
        await rig.stop()


@pytest.fixture
async def endpoint(rig: Rig) -> Any:
    endpoint = rig.adapter()
    await endpoint.open()
    return endpoint

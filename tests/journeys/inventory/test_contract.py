"""No request that the contract allows, and none that it does not, makes the service fail.

Schemathesis writes requests from the OpenAPI document, good ones and bad ones. No answer
may be an error of ours, and each has to be one that the contract names, in its form. The
number of requests is bounded and the same ones come every time.
"""

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.journeys.inventory.stage import book, stage
from tests.support.server import TOKEN, running

REQUESTS = 10  # for each operation, of each kind
OURS = r"^/api/v1/(sites|endpoints|bridges|rooms|meetings)|^/(healthz|readyz|metrics)$"
HELD = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
ALLOWED, NOT_ALLOWED = schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE


@pytest.fixture
def url(tmp_path: Path, database_url: str) -> Iterator[str]:
    """The application in a thread and loop of its own, for schemathesis is synchronous."""
    started, stop = threading.Event(), threading.Event()
    found: list[str] = []

    async def serve() -> None:
        async with running(tmp_path / "data", database_url) as service, service.client() as client:
            await stage(client)
            await book(client, recurrence="FREQ=WEEKLY;BYDAY=MO")
            found.append(service.url)
            started.set()
            await asyncio.to_thread(stop.wait)

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    try:
        assert started.wait(60), "the application did not start"
        yield found[0]
    finally:
        stop.set()
        thread.join(60)


@pytest.mark.parametrize("mode", [ALLOWED, NOT_ALLOWED], ids=["allowed", "not allowed"])
def test_no_request_makes_it_fail(url: str, mode: schemathesis.GenerationMode) -> None:
    schema = schemathesis.openapi.from_url(f"{url}/api/v1/openapi.json").include(path_regex=OURS)
    headers = {"Authorization": f"Bearer {TOKEN}", "Accept-Language": "en"}
    statuses: dict[str, set[int]] = {}

    def attack(case: schemathesis.Case) -> None:
        answer = case.call_and_validate(headers=headers, timeout=20, checks=HELD)
        statuses.setdefault(case.operation.label, set()).add(answer.status_code)

    bounded = settings(
        max_examples=REQUESTS,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.explicit, Phase.generate],
    )
    for found in schema.get_all_operations():
        operation = found.ok()
        if mode is NOT_ALLOWED and operation.label in UNBOUND:
            continue

        bounded(given(operation.as_strategy(mode))(attack))()
    assert len(statuses) > 20
    if mode is ALLOWED:
        assert {label for label, seen in statuses.items() if 201 in seen} >= {"POST /api/v1/sites"}


UNBOUND = {"GET /healthz", "GET /readyz", "GET /metrics", "GET /api/v1/sites.csv"}
"""Operations without a parameter or body: nothing about a request can be wrong."""

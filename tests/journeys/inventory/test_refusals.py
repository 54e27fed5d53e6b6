"""Every value that cannot be is refused by name, and nothing is kept of it. One application serves all cases."""

from collections.abc import AsyncIterator

import httpx
import pytest
import pytest_asyncio

from schedules.clock import TurnableClock
from tests.journeys.inventory.conftest import NOW
from tests.journeys.inventory.stage import BRIDGE, ENDPOINT, MEETING, ROOM, SITE, book, errors, stage
from tests.support.server import running

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def standing(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[httpx.AsyncClient]:
    folder = tmp_path_factory.mktemp("refusals")
    async with running(folder, clock=TurnableClock(NOW)) as service, service.client() as client:
        await stage(client)
        await book(client)
        yield client


SITES = [
    ({"code": "qt/1"}, "/code"),
    ({"code": ""}, "/code"),
    ({"code": "a" * 33}, "/code"),
    ({"code": 5}, "/code"),
    ({"name": ""}, "/name"),
    ({"name": " "}, "/name"),
    ({"name": "x" * 201}, "/name"),
    ({"name": "a\u0000b"}, "/name"),
    ({"name": None}, "/name"),
    ({"priority": 10}, "/priority"),
    ({"priority": 1.5}, "/priority"),
    ({"time_zone": "Mars/Olympus"}, "/time_zone"),
    ({"contact_email": "nobody"}, "/contact_email"),
    ({"colour/~": "red"}, "/colour~1~0"),
]
ENDPOINTS = [
    ({"site": "nowhere"}, "/site"),
    ({"addresses": []}, "/addresses"),
    ({"addresses": ["qt01"]}, "/addresses/0"),
    ({"addresses": ["sip:a@h"] * 2}, "/addresses"),
    ({"addresses": [f"sip:a{n}@h" for n in range(9)]}, "/addresses"),
    ({"ladder": ["by-hand"]}, "/ladder"),
    ({"ladder": ["third-party"] * 2}, "/ladder"),
    ({"family": "SIP!"}, "/family"),
    ({"control_port": 0}, "/control_port"),
    ({"control_host": "a b"}, "/control_host"),
    ({"control_secret": "env:no way"}, "/control_secret"),
    ({"settings": {"key": "x" * 4000}}, "/settings"),
    ({"settings": {"key": "\u0000"}}, "/settings"),
    ({"settings": [1]}, "/settings"),
    ({"name": "a/b"}, "/name"),
]
BRIDGES = [
    ({"family": "abacus"}, "/family"),
    ({"conference_address": "{number}"}, "/conference_address"),
    ({"conference_address": "sip:{room}@h"}, "/conference_address"),
    ({"pace_per_s": 0}, "/pace_per_s"),
    ({"ports": 0}, "/ports"),
    ({"first_number": 10, "last_number": 9}, "/last_number"),
]
ROOMS = [
    ({"pin": "12a"}, "/pin"),
    ({"pin": "1" * 33}, "/pin"),
    ({"pin": "env:a b"}, "/pin"),
    ({"address": ""}, "/address"),
    ({"backup_address": "tel:113"}, "/backup_address"),
    ({"bridge": "nobody"}, "/bridge"),
    ({"number": "a b"}, "/number"),
]
MEETINGS = [
    ({"recurrence": "FREQ=SOMETIMES"}, "/recurrence"),
    ({"recurrence": "every monday"}, "/recurrence"),
    ({"recurrence": "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30"}, "/recurrence"),
    ({"time_zone": "Asia/Atlantis"}, "/time_zone"),
    ({"start": "2026-13-01T08:00"}, "/start"),
    ({"start": "2026-12-01 08:00"}, "/start"),
    ({"start": "2026-12-01T08:00Z"}, "/start"),
    ({"start": "2026-11-29T08:00", "recurrence": None}, "/start"),  # over already
    ({"start": "2025-11-28T08:00"}, "/start"),  # each look at the dates would begin there
    ({"start": "2026-11-01T08:00", "recurrence": "FREQ=WEEKLY;UNTIL=20261129"}, "/start"),  # no date is left
    ({"start": "2026-11-01T08:00", "recurrence": "FREQ=DAILY;COUNT=3"}, "/start"),
    ({"start": "2027-03-28T02:30", "time_zone": "Europe/Berlin", "recurrence": None}, "/start"),  # left out by DST
    ({"exdates": ["2026-12-07", "never"]}, "/exdates/1"),
    ({"recurrence": None, "exdates": ["2026-12-07"]}, "/exdates"),  # nothing left
    ({"duration_min": 0}, "/duration_min"),
    ({"duration_min": 1441}, "/duration_min"),
    ({"bridge": "nobody"}, "/bridge"),
    ({"sites": ["qt01", "qt99"]}, "/sites/1"),
    ({"sites": "some"}, "/sites"),
    ({"sites": ["qt01", "../etc"]}, "/sites/1"),
    ({"sites": 5}, "/sites"),
    ({"links": ["nowhere"]}, "/links/0"),
    ({"sites": [], "links": []}, "/sites"),
    ({"lead_min": -1}, "/lead_min"),
    ({"title": ""}, "/title"),
]


def cases(path: str, body: dict[str, object], table: list[tuple[dict[str, object], str]]) -> list[object]:
    return [pytest.param(path, body | change, field, id=f"{path}-{change}"[:60]) for change, field in table]


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        *cases("sites", SITE | {"code": "new"}, SITES),
        *cases("endpoints", ENDPOINT, ENDPOINTS),
        *cases("bridges", BRIDGE | {"name": "new"}, BRIDGES),
        *cases("rooms", ROOM | {"name": "new"}, ROOMS),
        *cases("meetings", MEETING, MEETINGS),
    ],
)
async def test_a_bad_value_is_refused_naming_its_field(
    standing: httpx.AsyncClient, path: str, body: dict[str, object], field: str
) -> None:
    before = (await standing.get(f"/api/v1/{path}")).json()
    answer = await standing.post(f"/api/v1/{path}", json=body)
    assert answer.status_code == 422, answer.text
    assert [error[0] for error in errors(answer)] == [field]
    assert all(error["problem"] and error["expected"] for error in answer.json()["errors"])
    assert (await standing.get(f"/api/v1/{path}")).json() == before


async def test_every_bad_field_is_named_at_once(standing: httpx.AsyncClient) -> None:
    body = {"code": "-", "priority": 0, "time_zone": "nowhere", "extra": 1}
    answer = await standing.post("/api/v1/sites", json=body)
    assert sorted(error[0] for error in errors(answer)) == ["/code", "/extra", "/name", "/priority", "/time_zone"]


@pytest.mark.parametrize(
    "query",
    [
        {"from": "2026-12-01"},
        {"from": "0001-01-01T00:00:00+14:00"},
        {"until": "9999-12-31T23:59:59-14:00"},
        {"from": "2026-12-01T00:00"},
        {"limit": "0"},
        {"limit": "501"},
    ],
    ids=str,
)
async def test_a_window_that_cannot_be_is_refused(standing: httpx.AsyncClient, query: dict[str, str]) -> None:
    answer = await standing.get("/api/v1/meetings/1/occurrences", params=query)
    assert (answer.status_code, [error[0] for error in errors(answer)]) == (422, list(query))
    assert answer.json()["errors"][0]["in"] == "query"


@pytest.mark.parametrize(
    "path", ["meetings/0", "meetings/-1", "meetings/99999999999999999999", "sites/%00", "rooms/%0A"]
)
async def test_a_name_that_cannot_be_is_refused(standing: httpx.AsyncClient, path: str) -> None:
    answer = await standing.get(f"/api/v1/{path}")
    assert (answer.status_code, answer.json()["errors"][0]["in"]) == (422, "path")


async def test_a_secret_that_is_refused_is_not_told_again(standing: httpx.AsyncClient) -> None:
    for path, body in (("rooms", ROOM | {"pin": "pin-4711"}), ("endpoints", ENDPOINT | {"control_secret": "env:4711"})):
        answer = await standing.post(f"/api/v1/{path}", json=body)
        assert answer.status_code == 422
        assert "4711" not in answer.text

"""Line checks over REST: begun at once, read until they have a verdict, on record by site."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from orchestrator.store import checks as store
from orchestrator.store.checks import LineCheckRow
from orchestrator.store.database import Database
from orchestrator.store.inventory import Endpoint, Site, add_endpoint, add_site, bridge_by_name, id_of
from orchestrator.store.meetings import Meeting
from orchestrator.store.registrations import RegistrationRow
from orchestrator.store.runs import Participant, Run, add_run
from tests.journeys.checks.conftest import furnish
from tests.support.echo import Echo
from tests.support.server import Running, running

WAIT_S = 60.0


@pytest.fixture
async def service(tmp_path: Path, database_url: str, far: Echo) -> AsyncIterator[Running]:
    async with running(tmp_path / "data", database_url, check_s=2.0, check_ring_s=5.0) as service:
        await furnish(service.services.database, far)
        yield service


@pytest.fixture
async def client(service: Running) -> AsyncIterator[httpx.AsyncClient]:
    async with service.client() as client:
        yield client


async def begin(client: httpx.AsyncClient, **body: object) -> list[dict[str, Any]]:
    answer = await client.post("/api/v1/checks", json=body)
    assert answer.status_code == 202, answer.text
    items: list[dict[str, Any]] = answer.json()["items"]
    return items


async def over(client: httpx.AsyncClient, check_id: int) -> dict[str, Any]:
    async with asyncio.timeout(WAIT_S):
        while True:
            answer = await client.get(f"/api/v1/checks/{check_id}")
            assert answer.status_code == 200, answer.text
            shown: dict[str, Any] = answer.json()
            if shown["verdict"]:
                return shown
            await asyncio.sleep(0.1)  # there is no event to wait for on this side of the wire


async def in_a_run(database: Database, state: str, next_try_at: datetime | None = None, code: str = "qt01") -> int:
    """A run that is under way, with the site in it."""
    now = datetime.now(UTC)
    async with database.write() as session:
        bridge_id = id_of(await bridge_by_name(session, "main"))
        meeting = Meeting(
            title="Giao ban", start="2026-12-01T08:00", time_zone="Asia/Ho_Chi_Minh", duration_min=60,
            bridge_id=bridge_id, created_at=now,
        )  # fmt: skip
        session.add(meeting)
        await session.flush()
        run = Run(
            meeting_id=meeting.id or 0, occurrence_at=now, title="Giao ban", time_zone="Asia/Ho_Chi_Minh",
            bridge_id=bridge_id, number="8001", tag="t", state="live", opens_at=now, starts_at=now,
            ends_at=now + timedelta(hours=1),
        )  # fmt: skip
        who = Participant(run_id=0, kind="site", code=code, name=code, state=state, next_try_at=next_try_at)
        await add_run(session, run, [who])
        assert run.id is not None
        return run.id


async def test_a_check_is_begun_at_once_and_read_when_it_is_over(client: httpx.AsyncClient) -> None:
    one, other = await begin(client, sites=["qt01", "qt17"])
    assert (one["code"], one["verdict"], one["ended_at"], one["figures"]) == ("qt01", "", None, {})
    good, bad = await over(client, one["id"]), await over(client, other["id"])
    assert (good["verdict"], good["why"], good["lost_pct"]) == ("good", "", 0.0)
    assert bad["verdict"] == "bad" and bad["reasons"][0]["name"] in ("one-way", "nothing-comes")
    listed = (await client.get("/api/v1/checks", params={"site": "qt01"})).json()
    assert [item["id"] for item in listed["items"]] == [one["id"]] and listed["next"] is None
    page = (await client.get("/api/v1/checks", params={"limit": 1})).json()
    assert [item["id"] for item in page["items"]] == [other["id"]] and page["next"] == other["id"]


async def test_a_site_is_checked_once_at_a_time(client: httpx.AsyncClient) -> None:
    (first,) = await begin(client, sites=["qt01"])
    (second,) = await begin(client, sites=["qt01"])
    assert (second["verdict"], second["why"]) == ("unchecked", "another check of it is under way")
    assert (await over(client, first["id"]))["verdict"] == "good"
    (third,) = await begin(client, sites=["qt01"])
    assert third["verdict"] == ""
    await over(client, third["id"])


@pytest.mark.parametrize("state", ["waiting", "dialing", "ringing", "half-in", "in", "retrying"])
async def test_a_site_in_a_conference_is_not_called(service: Running, client: httpx.AsyncClient, state: str) -> None:
    run = await in_a_run(service.services.database, state)
    (item,) = await begin(client, sites=["qt01"])
    assert item["verdict"] == "unchecked" and item["why"] == f"not called: run {run} has this site in hand"
    assert item["reasons"][0]["name"] == "in-conference"


async def test_a_site_that_the_run_has_given_up_is_called(service: Running, client: httpx.AsyncClient) -> None:
    await in_a_run(service.services.database, "stopped")
    (item,) = await begin(client, sites=["qt01"])
    assert (await over(client, item["id"]))["verdict"] == "good"


async def test_a_check_gives_way_to_a_run_that_begins(service: Running, client: httpx.AsyncClient) -> None:
    (item,) = await begin(client, sites=["qt01"], seconds=60)
    await in_a_run(service.services.database, "waiting")
    shown = await over(client, item["id"])
    assert (shown["verdict"], shown["why"]) == ("unchecked", "hung up: a conference with this site begins")


async def test_what_an_earlier_process_left_open_is_over_after_its_deadline(
    service: Running, client: httpx.AsyncClient
) -> None:

    long_ago = datetime.now(UTC) - timedelta(days=1)
    async with service.services.database.write() as session:
        row = LineCheckRow(target="site:qt01", kind="site", code="qt01", asked_at=long_ago, deadline_at=long_ago)
        session.add(row)
    (item,) = await begin(client, sites=["qt01"])
    assert item["verdict"] == ""
    assert (await over(client, row.id or 0))["why"] == "stopped before it was over"
    await over(client, item["id"])


async def test_only_the_newest_checks_of_a_site_are_kept(service: Running, client: httpx.AsyncClient) -> None:
    for _ in range(3):
        await begin(client, sites=["qt40"] * 1, bridge="main", number="busy")

    kept = store.KEPT
    for _ in range(kept):
        await begin(client, sites=["qt40"])
    async with service.services.database.read() as session:
        assert len(await store.page_of_checks(session, target="site:qt40", limit=500)) == kept
        assert (await store.latest_checks(session, ["site:qt40"]))["site:qt40"].verdict == "unchecked"


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 422),
        ({"sites": ["qt01"], "bridge": "main"}, 422),
        ({"sites": ["qt01"], "number": "600"}, 422),
        ({"sites": ["qt01"], "seconds": 0.5}, 422),
        ({"sites": ["qt01"], "seconds": 61}, 422),
        ({"bridge": "main", "number": "6 00"}, 422),
        ({"sites": ["qt01", "qt99"]}, 404),
        ({"bridge": "nowhere", "number": "600"}, 404),
    ],
)
async def test_what_cannot_be_is_refused_and_nothing_begun(
    client: httpx.AsyncClient, body: dict[str, object], status: int
) -> None:
    answer = await client.post("/api/v1/checks", json=body)
    assert answer.status_code == status, answer.text
    assert (await client.get("/api/v1/checks")).json()["items"] == []
    assert (await client.get("/api/v1/checks/1")).status_code == 404


@pytest.mark.parametrize(
    ("source", "lives_s", "verdict", "why"),
    [
        ("udp {host}:{port}", 60, "good", ""),
        ("udp {host}:{port}", -60, "bad", "it is not registered: switched off, or cut off from the network"),
        ("tcp {host}:4711", 60, "unchecked", "it is registered over a connection that only the service has"),
    ],
)
async def test_an_endpoint_that_registers_is_called_where_it_was_heard(
    service: Running, client: httpx.AsyncClient, far: Echo, source: str, lives_s: int, verdict: str, why: str
) -> None:
    now = datetime.now(UTC)
    async with service.services.database.write() as session:
        site = await add_site(session, Site(code="qt50", name="Xã 50"))
        endpoint = Endpoint(name="qt50", site_id=id_of(site), family="sip")
        await add_endpoint(session, endpoint, ["sip:echo@sip.example"])
        session.add(
            RegistrationRow(
                endpoint_id=id_of(endpoint),
                address="sip:echo@sip.example",
                since_at=now,
                until_at=now + timedelta(seconds=lives_s),
                bindings=[{"contact": "sip:echo@192.0.2.1"}],
                source=source.format(host=far.host, port=far.port),
            )
        )
    (item,) = await begin(client, sites=["qt50"])
    shown = await over(client, item["id"])
    assert shown["verdict"] == verdict and shown["why"].startswith(why)

"""Meetings over the wire: booked, changed, called off; dates, clashes and refusals."""

from datetime import timedelta

import httpx
import pytest

from schedules.clock import TurnableClock
from tests.journeys.inventory.stage import MEETING, book, stage
from tests.support.server import Running


@pytest.fixture
async def booked(service: Running, client: httpx.AsyncClient) -> httpx.AsyncClient:
    await stage(client)
    return client


async def test_a_meeting_is_booked_read_and_listed(booked: httpx.AsyncClient) -> None:
    answer = await booked.post("/api/v1/meetings", json=MEETING)
    made = answer.json()
    assert answer.headers["location"] == f"/api/v1/meetings/{made['id']}"
    assert made.pop("warnings") == []
    assert {name: made[name] for name in MEETING} == MEETING
    assert (made["lead_min"], made["exdates"], made["over_at"]) == (10, [], None)
    assert (await booked.get(answer.headers["location"])).json() == made
    assert (await booked.get("/api/v1/meetings")).json() == {"items": [made], "next": None}


async def test_links_keep_their_order_and_all_means_all(booked: httpx.AsyncClient) -> None:
    room = {"name": "A phòng khác", "address": "sip:9002@127.0.30.1"}
    assert (await booked.post("/api/v1/rooms", json=room)).status_code == 201
    links = ["Phòng họp tỉnh", "A phòng khác"]
    made = await book(booked, sites="all", links=links)
    assert (made["sites"], made["links"]) == ("all", links)
    changed = await booked.patch(f"/api/v1/meetings/{made['id']}", json={"links": links[::-1], "sites": ["qt03"]})
    assert (changed.json()["sites"], changed.json()["links"]) == (["qt03"], links[::-1])


async def test_occurrences_are_told_with_the_opening_of_dialing(booked: httpx.AsyncClient) -> None:
    made = await book(booked, exdates=["2026-12-14"], lead_min=20)
    path = f"/api/v1/meetings/{made['id']}/occurrences"
    page = (await booked.get(path, params={"from": "2026-12-01T00:00:00Z", "until": "2027-01-01T00:00:00Z"})).json()
    assert [each["wall"] for each in page["items"]] == ["2026-12-07T08:00", "2026-12-21T08:00", "2026-12-28T08:00"]
    assert page["items"][0] == {
        "starts_at": "2026-12-07T01:00:00Z",
        "ends_at": "2026-12-07T02:30:00Z",
        "opens_at": "2026-12-07T00:40:00Z",
        "wall": "2026-12-07T08:00",
    }
    first = (await booked.get(path, params={"limit": 2})).json()
    second = (await booked.get(path, params={"limit": 2, "from": first["next"]})).json()
    walls = [each["wall"] for each in first["items"] + second["items"]]
    assert walls == ["2026-12-07T08:00", "2026-12-21T08:00", "2026-12-28T08:00", "2027-01-04T08:00"]


async def test_a_refused_change_leaves_the_meeting_as_it_was(booked: httpx.AsyncClient) -> None:
    made = await book(booked)
    made.pop("warnings")
    for change in ({"title": "neu", "recurrence": "FREQ=NO"}, {"sites": ["qt03"], "links": ["?"]}, {"sites": ["zz"]}):
        assert (await booked.patch(f"/api/v1/meetings/{made['id']}", json=change)).status_code == 422
    assert (await booked.get(f"/api/v1/meetings/{made['id']}")).json() == made


async def test_a_clash_is_a_warning_and_the_meeting_is_booked(booked: httpx.AsyncClient) -> None:
    first = await book(booked, links=[])
    second = await book(booked, start="2026-12-07T09:00", recurrence=None, sites=["qt02", "qt03"], links=[])
    [warning] = second["warnings"]
    assert (warning["kind"], warning["names"]) == ("site", ["qt02"])
    assert warning["meetings"] == [first["id"], second["id"]]
    assert (warning["starts_at"], warning["ends_at"]) == ("2026-12-07T02:00:00Z", "2026-12-07T02:30:00Z")
    assert "qt02" in warning["text"]
    assert (await booked.get(f"/api/v1/meetings/{second['id']}")).status_code == 200
    moved = await booked.patch(f"/api/v1/meetings/{second['id']}", json={"start": "2026-12-07T09:30"})
    assert moved.json()["warnings"] == []
    everybody = await booked.patch(
        f"/api/v1/meetings/{second['id']}", json={"start": "2026-12-07T08:00", "sites": "all"}
    )
    assert [each["names"] for each in everybody.json()["warnings"]] == [["qt01", "qt02"]]


async def test_more_ports_than_the_bridge_has_are_a_warning(booked: httpx.AsyncClient) -> None:
    first = await book(booked, sites=["qt01"])
    second = await book(booked, sites=["qt02", "qt03"], links=[])
    third = await book(booked, sites=[], links=["Phòng họp tỉnh"], title="x")
    assert (second["warnings"], third["warnings"]) == ([], [])  # five ports: two, two and one
    crowded = await book(booked, sites=[], links=["Phòng họp tỉnh"], recurrence=None)
    [warning] = crowded["warnings"]
    assert (warning["kind"], warning["names"]) == ("ports", ["main"])
    assert warning["meetings"] == [each["id"] for each in (first, second, third, crowded)]


async def test_a_meeting_is_called_off_and_its_record_stays(booked: httpx.AsyncClient, clock: TurnableClock) -> None:
    made = await book(booked)
    path = f"/api/v1/meetings/{made['id']}"
    assert (await booked.delete(path)).status_code == 204
    clock.turn(timedelta(minutes=1))
    assert (await booked.delete(path)).status_code == 204  # safe to repeat
    assert (await booked.get(path)).json()["cancelled_at"] == "2026-11-30T01:00:00Z"
    assert (await booked.get("/api/v1/meetings")).json()["items"] == []
    every = (await booked.get("/api/v1/meetings", params={"cancelled": True})).json()["items"]
    assert [each["id"] for each in every] == [made["id"]]
    assert (await booked.patch(path, json={"title": "x"})).status_code == 422
    again = await book(booked)
    assert again["warnings"] == []  # a meeting that is off wants nothing


async def test_whoever_conducts_is_told_after_the_commit(service: Running, booked: httpx.AsyncClient) -> None:
    told: list[tuple[int, str | None]] = []

    async def listen(meeting_id: int) -> None:
        shown = (await booked.get(f"/api/v1/meetings/{meeting_id}")).json()
        told.append((meeting_id, shown["title"] if shown["cancelled_at"] is None else None))

    service.services.meeting_changed = listen
    made = await book(booked)
    await booked.patch(f"/api/v1/meetings/{made['id']}", json={"title": "Khác"})
    await booked.delete(f"/api/v1/meetings/{made['id']}")
    refused = await booked.post("/api/v1/meetings", json=MEETING | {"bridge": "nobody"})
    assert refused.status_code == 422
    assert told == [(made["id"], MEETING["title"]), (made["id"], "Khác"), (made["id"], None)]


async def test_what_an_open_meeting_needs_cannot_be_taken_out(booked: httpx.AsyncClient, clock: TurnableClock) -> None:
    made = await book(booked, recurrence=None)
    assert made["over_at"] == "2026-12-07T02:30:00Z"
    for path in ("sites/qt01", "rooms/Phòng họp tỉnh", "bridges/main"):
        answer = await booked.delete(f"/api/v1/{path}")
        assert answer.status_code == 409
        assert f"meeting {made['id']} (Giao ban đầu tuần)" in answer.json()["detail"]
    assert (await booked.delete("/api/v1/sites/qt03")).status_code == 204
    clock.turn(timedelta(days=8))  # the meeting is over: only the bridge stands in its record
    assert (await booked.delete("/api/v1/sites/qt01")).status_code == 204
    assert (await booked.delete("/api/v1/rooms/Phòng họp tỉnh")).status_code == 204
    assert (await booked.delete("/api/v1/bridges/main")).status_code == 409
    shown = (await booked.get(f"/api/v1/meetings/{made['id']}")).json()
    assert (shown["sites"], shown["links"]) == (["qt02"], [])

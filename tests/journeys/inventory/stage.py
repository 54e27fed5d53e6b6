"""Bodies that are taken as they stand, and a small province made of them."""

import httpx

SITE = {"code": "qt01", "name": "Văn phòng Tỉnh ủy"}
ENDPOINT = {"name": "qt01", "site": "qt01", "family": "sip", "addresses": ["sip:qt01@127.0.20.1:5060"]}
BRIDGE = {"name": "main", "family": "asterisk", "conference_address": "sip:{number}@127.0.10.1"}
ROOM = {"name": "Phòng họp tỉnh", "address": "sip:9001@127.0.30.1"}
MEETING = {
    "title": "Giao ban đầu tuần",
    "start": "2026-12-07T08:00",
    "time_zone": "Asia/Ho_Chi_Minh",
    "duration_min": 90,
    "recurrence": "FREQ=WEEKLY;BYDAY=MO",
    "bridge": "main",
    "sites": ["qt01", "qt02"],
    "links": ["Phòng họp tỉnh"],
}


async def make(client: httpx.AsyncClient, path: str, body: dict[str, object]) -> dict[str, object]:
    """Post what is taken; returns the answer."""
    answer = await client.post(f"/api/v1/{path}", json=body)
    assert answer.status_code == 201, answer.text
    return answer.json()


async def stage(client: httpx.AsyncClient) -> None:
    """Three sites, a bridge with five ports, a room."""
    for number in (1, 2, 3):
        await make(client, "sites", {"code": f"qt{number:02}", "name": f"Điểm cầu {number}"})
    await make(client, "bridges", BRIDGE | {"ports": 5})
    await make(client, "rooms", ROOM)


async def book(client: httpx.AsyncClient, **changes: object) -> dict[str, object]:
    """Book the meeting with some changes."""
    return await make(client, "meetings", MEETING | changes)


def errors(answer: httpx.Response) -> list[tuple[str, str]]:
    """(path, problem) of every error of a problem document."""
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    return [(error["path"], error["problem"]) for error in answer.json()["errors"]]

"""What a program asks of runs: the list, the board, orders, refusals."""

from datetime import timedelta

import httpx
import pytest
from sqlmodel import col, select

from orchestrator.store.runs import ShardCommand
from tests.journeys.runs.scene import NOON
from tests.journeys.runs.stand import Stand


async def commands(stand: Stand) -> list[ShardCommand]:
    async with stand.scene.database.read() as session:
        return list(await session.exec(select(ShardCommand).order_by(col(ShardCommand.id))))


async def test_the_board_over_rest(stand: Stand) -> None:
    run_id = await stand.scene.run(sites=2)
    await stand.scene.change(
        run_id, "qt01", "leg-cleared", state="retrying", way="bridge-dials", attempts=2, cause="busy", side="far_end",
        raw="486 Busy Here", next_try_at=NOON + timedelta(seconds=30), seen_by_bridge="not-in",
    )  # fmt: skip
    async with stand.client() as client:
        board = (await client.get(f"/api/v1/runs/{run_id}")).raise_for_status().json()
    assert (board["state"], board["counts"]["sites"], board["counts"]["retrying"]) == ("calling", 2, 1)
    site = board["sites"][0]
    assert (site["code"], site["cause"], site["raw"], site["attempts"]) == ("qt01", "busy", "486 Busy Here", 2)
    assert site["evidence"] == {"endpoint": "unknown", "bridge": "not-in"}
    assert site["next_try_at"] == "2026-12-01T01:00:30Z"
    assert board["links"][0]["code"] == "tinh"


async def test_runs_are_listed_newest_first_by_meeting_and_state(stand: Stand) -> None:
    older = await stand.scene.run(sites=1, state="done")
    newer = await stand.scene.run(sites=2, start=NOON + timedelta(days=7))
    await stand.scene.change(newer, "qt01", "site-in", state="in")
    async with stand.client() as client:
        every = (await client.get("/api/v1/runs", params={"limit": 1})).raise_for_status().json()
        assert [(run["id"], run["sites"], run["sites_in"]) for run in every["items"]] == [(newer, 2, 1)]
        rest = (await client.get("/api/v1/runs", params={"limit": 1, "below": every["next"]})).json()
        assert ([run["id"] for run in rest["items"]], rest["next"]) == ([older], None)
        calling = (
            await client.get("/api/v1/runs", params={"state": "calling", "meeting": stand.scene.meeting_id})
        ).json()
        assert [run["id"] for run in calling["items"]] == [newer]
        other = (await client.get("/api/v1/runs", params={"meeting": stand.scene.meeting_id + 1})).json()
        assert other["items"] == []


@pytest.mark.parametrize(
    ("path", "body", "verb", "args"),
    [
        ("end", None, "end", {}),
        ("extend", {"minutes": 15}, "extend", {"minutes": 15}),
        ("call-absent", None, "call-absent", {}),
        ("sites/qt01/redial", None, "redial", {"site": "qt01"}),
        ("sites/qt01/hang-up", None, "hang-up", {"site": "qt01"}),
        ("sites/tinh/mute", None, "mute", {"site": "tinh"}),
        ("sites/qt02/unmute", None, "unmute", {"site": "qt02"}),
    ],
)
async def test_an_order_is_stored_before_the_answer(
    stand: Stand, path: str, body: object, verb: str, args: dict[str, object]
) -> None:
    run_id = await stand.scene.run(sites=2)
    async with stand.client() as client:
        answer = await client.post(f"/api/v1/runs/{run_id}/{path}", json=body)
    (stored,) = await commands(stand)
    assert (answer.status_code, answer.json()) == (202, {"command": stored.id, "verb": verb})
    assert (stored.verb, stored.args, stored.done_at) == (verb, args, None)


async def test_orders_that_make_no_sense_are_refused_and_not_stored(stand: Stand) -> None:
    run_id = await stand.scene.run(sites=1)
    over = await stand.scene.run(sites=1, state="done", start=NOON - timedelta(days=7))

    def said(answer: httpx.Response) -> tuple[int, str]:
        assert answer.headers["content-type"] == "application/problem+json"
        return answer.status_code, answer.json()["detail"]

    async with stand.client() as client:
        assert said(await client.post(f"/api/v1/runs/{run_id}/sites/qt99/redial")) == (404, "there is no site 'qt99'")
        assert said(await client.post("/api/v1/runs/999/end")) == (404, "there is no run 999")
        assert said(await client.post(f"/api/v1/runs/{over}/sites/qt01/redial")) == (409, f"run {over} is over (done)")
        for minutes in (0, -1, 721, "ten", None, 1.5):
            answer = await client.post(f"/api/v1/runs/{run_id}/extend", json={"minutes": minutes})
            assert answer.status_code == 422, minutes
            assert answer.json()["errors"][0]["path"] == "/minutes"
        assert (await client.get("/api/v1/runs", params={"state": "sleeping"})).status_code == 422
        assert (await client.get(f"/api/v1/runs/{2**63}")).status_code == 422
        vietnamese = await client.post("/api/v1/runs/999/end", headers={"Accept-Language": "vi"})
        assert vietnamese.json()["title"] == "Không tìm thấy"
    assert await commands(stand) == []


async def test_nobody_without_the_token_sees_or_orders_anything(stand: Stand) -> None:
    run_id = await stand.scene.run(sites=1)
    async with httpx.AsyncClient(base_url=stand.url, trust_env=False) as stranger:
        for path in ("", f"/{run_id}", f"/{run_id}/events", f"/{run_id}/attendance", f"/{run_id}/attendance.csv"):
            assert (await stranger.get(f"/api/v1/runs{path}")).status_code == 401, path
        assert (await stranger.post(f"/api/v1/runs/{run_id}/end")).status_code == 401
        for path in ("/", f"/runs/{run_id}", f"/runs/{run_id}/stream", f"/runs/{run_id}/attendance.csv"):
            answer = await stranger.get(path)
            assert (answer.status_code, answer.headers["location"].partition("?")[0]) == (303, "/login"), path
    assert await commands(stand) == []

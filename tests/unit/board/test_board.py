"""The board is what the rows say, in few queries."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from orchestrator.board import board
from orchestrator.store.database import Database
from tests.journeys.runs.scene import NOON, Scene, scene


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Scene]:
    database = Database(f"sqlite:///{tmp_path}/board.sqlite3")
    yield await scene(database)
    await database.close()


async def shown(stage: Scene, run_id: int) -> dict[str, Any]:
    async with stage.database.read() as session:
        result = await board(session, run_id, NOON)
    assert result is not None
    return result


async def test_the_board_shows_run_sites_and_links(stage: Scene) -> None:
    run_id = await stage.run(sites=3)
    cursor = await stage.change(
        run_id, "qt02", "site-in", state="in", way="third-party", address="sip:qt02@127.0.20.2:5060",
        seen_by_endpoint="connected", seen_by_bridge="in", muted=False, attempts=2, redials=1, in_since=NOON,
    )  # fmt: skip
    result = await shown(stage, run_id)
    assert (result["id"], result["title"], result["bridge"], result["number"]) == (
        run_id, "Giao ban tháng 12", "main", "8001",
    )  # fmt: skip
    assert (result["starts_at"], result["seen_at"], result["over"]) == (NOON, NOON, False)
    assert result["cursor"] == cursor
    assert [site["code"] for site in result["sites"]] == ["qt01", "qt02", "qt03"]
    assert result["sites"][1] == {
        "kind": "site", "code": "qt02", "name": "Điểm cầu 2", "priority": 5, "state": "in", "way": "third-party",
        "address": "sip:qt02@127.0.20.2:5060", "evidence": {"endpoint": "connected", "bridge": "in"},
        "muted": False, "attempts": 2, "redials": 1, "cause": "", "side": "", "raw": "",
        "stopped_why": "", "in_since": NOON, "next_try_at": None,
    }  # fmt: skip
    assert [link["code"] for link in result["links"]] == ["tinh"]
    assert (result["counts"]["sites"], result["counts"]["in"], result["counts"]["waiting"]) == (3, 1, 2)
    assert result["counts"]["absent"] == 0


async def test_sites_come_by_priority_then_code(stage: Scene) -> None:
    run_id = await stage.run(sites=3)
    await stage.change(run_id, "qt03", priority=1)
    assert [site["code"] for site in (await shown(stage, run_id))["sites"]] == ["qt03", "qt01", "qt02"]


async def test_an_unknown_run_has_no_board_and_a_finished_one_is_over(stage: Scene) -> None:
    run_id = await stage.run()
    await stage.set_run(run_id, state="done", closed_at=NOON + timedelta(hours=1), end_reason="slot over")
    result = await shown(stage, run_id)
    assert (result["over"], result["end_reason"]) == (True, "slot over")
    async with stage.database.read() as session:
        assert await board(session, run_id + 1, NOON) is None


async def test_a_thousand_sites_take_as_many_queries_as_one(stage: Scene) -> None:
    asked: list[str] = []
    event.listen(
        stage.database.engine.sync_engine,
        "before_cursor_execute",
        lambda _c, _cursor, statement, *_rest: asked.append(statement) if "SELECT" in statement else None,
    )
    small, large = await stage.run(sites=1), await stage.run(sites=1000, start=NOON + timedelta(days=7))
    asked.clear()
    await shown(stage, small)
    queries = len(asked)
    result = await shown(stage, large)
    assert len(result["sites"]) == 1000
    assert len(asked) == 2 * queries == 4

"""The journal as server-sent events: in order, live, resumable, ending with the run."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta

import httpx

from orchestrator.store.journal import append
from tests.journeys.runs.scene import NOON
from tests.journeys.runs.stand import Stand


@dataclass
class Told:
    """One event as a client gets it."""

    id: str
    event: str
    data: dict[str, object]


@asynccontextmanager
async def following(client: httpx.AsyncClient, run_id: int, **more: object) -> AsyncIterator[AsyncIterator[Told]]:
    """The events of a stream; comments are passed over."""

    async def events(response: httpx.Response) -> AsyncIterator[Told]:
        fields: dict[str, str] = {}
        async for line in response.aiter_lines():
            if not line and "event" in fields:
                yield Told(fields.get("id", ""), fields["event"], json.loads(fields["data"]))
                fields = {}
            elif line and not line.startswith(":"):
                name, _, value = line.partition(": ")
                fields[name] = value

    async with client.stream("GET", f"/api/v1/runs/{run_id}/events", **more) as response:  # type: ignore[arg-type]
        response.raise_for_status()
        assert response.headers["content-type"].startswith("text/event-stream")
        yield events(response)


async def write(stand: Stand, run_id: int, *events: str) -> None:
    """Journal entries in one transaction, then the bell."""
    async with stand.scene.database.write() as session:
        await append(
            session,
            [
                {"run_id": run_id, "at": NOON, "event": event, "participant": "qt01", "leg": "", "facts": {"n": n}}
                for n, event in enumerate(events)
            ],
        )
    stand.ring(run_id)


async def test_what_was_and_what_comes_is_told_once_in_order(stand: Stand) -> None:
    run_id = await stand.scene.run()
    await write(stand, run_id, "run-claimed", "leg-dialed")
    async with stand.client() as client, following(client, run_id) as events:
        assert [(await anext(events)).event for _ in range(2)] == ["run-claimed", "leg-dialed"]
        await write(stand, run_id, "leg-ringing", "site-in")
        ringing, there = await anext(events), await anext(events)
        assert (ringing.event, there.event) == ("leg-ringing", "site-in")
        assert (there.data["participant"], there.data["at"]) == ("qt01", "2026-12-01T01:00:00+00:00")
        assert there.id == str(there.data["id"])
        await stand.scene.set_run(run_id, state="done", closed_at=NOON)
        stand.ring(run_id)
        assert [event.event async for event in events] == ["run-state", "end"]


async def test_a_client_resumes_where_it_left_off(stand: Stand) -> None:
    run_id = await stand.scene.run()
    await write(stand, run_id, "run-claimed", "leg-dialed", "leg-ringing")
    async with stand.client() as client:
        async with following(client, run_id) as events:
            first = await anext(events)
        async with following(client, run_id, headers={"Last-Event-ID": first.id}) as events:
            assert (await anext(events)).event == "leg-dialed"
        board = (await client.get(f"/api/v1/runs/{run_id}")).json()
        async with following(client, run_id, params={"after": board["cursor"]}) as events:
            await write(stand, run_id, "site-in")
            assert (await anext(events)).event == "site-in"


async def test_a_client_that_comes_back_after_the_end_is_sent_away(stand: Stand) -> None:
    run_id = await stand.scene.run()
    await write(stand, run_id, "run-claimed")
    await stand.scene.set_run(run_id, state="done", closed_at=NOON)
    async with stand.client() as client:
        async with following(client, run_id) as events:
            told = [event async for event in events]
        assert [event.event for event in told] == ["run-claimed", "run-state", "end"]
        again = await client.get(f"/api/v1/runs/{run_id}/events", headers={"Last-Event-ID": told[1].id})
        assert (again.status_code, again.content) == (204, b"")
        assert (await client.get("/api/v1/runs/999/events")).status_code == 404
        wrong = await client.get(f"/api/v1/runs/{run_id}/events", headers={"Last-Event-ID": "yesterday"})
        assert wrong.status_code == 422


async def test_other_runs_do_not_come_in_between(stand: Stand) -> None:
    mine, other = await stand.scene.run(), await stand.scene.run(start=NOON + timedelta(days=7))
    async with stand.client() as client, following(client, mine) as events:
        await write(stand, other, "run-claimed")
        await write(stand, mine, "leg-dialed")
        assert (await anext(events)).event == "leg-dialed"


async def test_entries_of_another_process_come_without_a_bell(stand: Stand) -> None:
    run_id = await stand.scene.run()
    async with stand.client() as client, following(client, run_id) as events:
        await stand.scene.change(run_id, "qt01", "site-in", state="in")  # committed, and nobody rings
        assert (await anext(events)).event == "site-in"


async def test_many_clients_get_a_long_journal_whole(stand: Stand) -> None:
    """More entries than the server keeps for followers, read by clients that start at different places."""
    run_id = await stand.scene.run()
    before, after = 1_200, 4_500
    await write(stand, run_id, *["leg-dialed"] * before)

    async def read(client: httpx.AsyncClient, number: int) -> list[object]:
        async with following(client, run_id, params={"after": number * 100}) as events:
            return [event.data["id"] async for event in events if event.event != "end"]

    async with stand.client() as client:
        readers = [asyncio.create_task(read(client, number)) for number in range(10)]
        await write(stand, run_id, *["leg-cleared"] * after)
        await stand.scene.set_run(run_id, state="done", closed_at=NOON)
        stand.ring(run_id)
        got = await asyncio.gather(*readers)
    for number, ids in enumerate(got):
        assert ids == list(range(number * 100 + 1, before + after + 2))

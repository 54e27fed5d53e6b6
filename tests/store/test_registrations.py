"""Who is registered is one row an address: it outlives processes, and leaves with its endpoint."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import select

from adapters import Registration
from orchestrator.keys import Keys
from orchestrator.registrations import Registrations
from orchestrator.store import inventory, registrations, removal
from orchestrator.store.database import Database
from orchestrator.store.inventory import Bridge, Endpoint, Site, id_of
from orchestrator.store.journal import JournalBell, JournalEntry
from orchestrator.store.meetings import Meeting, book
from orchestrator.store.registrations import RegistrationRow
from orchestrator.store.runs import Participant, Run, add_run

NOW = datetime(2026, 12, 1, 1, tzinfo=UTC)
AOR = "sip:qt05@diem.example"
MINUTE = timedelta(minutes=1)


def here(until: datetime = NOW + 5 * MINUTE, source: str = "udp 192.0.2.7:5060", **more: Any) -> Registration:
    return Registration(NOW, until, source, "phone/1", ({"contact": "sip:qt05@192.0.2.7", **more},))


class Desk:
    """A roll on a database with one endpoint, at a clock that can be turned."""

    def __init__(self, database: Database, folder: Path) -> None:
        self.database = database
        self.keys = Keys.open_or_create(folder / "key", {"QT05": "from the environment"})
        self.now = NOW
        self.registered: list[int] = []

    def roll(self, port: int = 5060) -> Registrations:
        """As each process has one."""
        return Registrations(self.database, self.keys, lambda: self.now, JournalBell(), port, self.registered.append)

    async def furnish(self, address: str = AOR, username: str = "", secret: str = "s3cret") -> Endpoint:
        async with self.database.write() as session:
            site = await inventory.add_site(session, Site(code="qt05", name="Xã 5"))
            endpoint = Endpoint(
                name="e5", site_id=id_of(site), family="sip", control_username=username,
                control_secret=self.keys.seal(secret),
            )  # fmt: skip
            await inventory.add_endpoint(session, endpoint, [address, "h323:qt05@192.0.2.7"])
        return endpoint

    async def rows(self) -> list[RegistrationRow]:
        async with self.database.read() as session:
            return list(await session.exec(select(RegistrationRow)))


@pytest.fixture
def desk(database: Database, tmp_path: Path) -> Desk:
    return Desk(database, tmp_path)


async def test_who_may_register(desk: Desk) -> None:
    await desk.furnish()
    assert await desk.roll().login(AOR) == ("qt05", "s3cret")
    assert await desk.roll().login("sip:qt06@diem.example") is None
    assert await desk.roll().login("sip:qt05@other.example") is None
    assert await desk.roll().login("sip:a b@diem.example") is None


async def test_the_log_in_of_the_inventory_is_asked_for(desk: Desk) -> None:
    await desk.furnish(username="room5", secret="env:QT05")
    assert await desk.roll().login(AOR) == ("room5", "from the environment")


async def test_an_endpoint_without_a_secret_may_not(desk: Desk) -> None:
    await desk.furnish(secret="")
    assert await desk.roll().login(AOR) is None


async def test_a_secret_that_cannot_be_had_lets_nobody_in(desk: Desk) -> None:
    await desk.furnish(secret="env:NOT_SET")
    assert await desk.roll().login(AOR) is None


@pytest.mark.parametrize("address", [AOR, f"{AOR}:5060", f"{AOR}:5070", f"{AOR};transport=tcp"])
async def test_the_address_may_name_our_port(desk: Desk, address: str) -> None:
    await desk.furnish(address)
    assert await desk.roll(port=5070).login(AOR) == ("qt05", "s3cret")


async def test_what_one_process_stores_another_reads(desk: Desk) -> None:
    await desk.furnish()
    assert await desk.roll().load(AOR) == Registration()
    stored = await desk.roll().change(AOR, lambda before: here())
    assert stored == here() and await desk.roll().load(AOR) == here()
    assert await desk.roll().change(AOR, lambda before: here(NOW + 9 * MINUTE)) == here(NOW + 9 * MINUTE)
    assert len(await desk.rows()) == 1


async def test_a_rule_that_refuses_changes_nothing(desk: Desk) -> None:
    await desk.furnish()
    await desk.roll().change(AOR, lambda before: here())

    def refuse(before: Registration) -> Registration:
        raise ValueError("out of order")

    with pytest.raises(ValueError, match="out of order"):
        await desk.roll().change(AOR, refuse)
    assert await desk.roll().load(AOR) == here()


async def test_changes_at_the_same_moment_are_made_one_after_the_other(desk: Desk) -> None:
    await desk.furnish()

    def add(before: Registration) -> Registration:
        return Registration(NOW, NOW + MINUTE, "", "", (*before.bindings, {"contact": len(before.bindings)}))

    await asyncio.gather(*(desk.roll().change(AOR, add) for _ in range(8)))
    assert [row["contact"] for row in (await desk.roll().load(AOR)).bindings] == list(range(8))


async def test_an_address_that_nobody_has_takes_no_registration(desk: Desk) -> None:
    with pytest.raises(LookupError):
        await desk.roll().change(AOR, lambda before: here())


async def test_what_has_run_out_is_taken_out_once_and_says_since_when(desk: Desk) -> None:
    await desk.furnish()
    await desk.roll().change(AOR, lambda before: here())
    await desk.roll().sweep()
    desk.now = NOW + 6 * MINUTE
    await desk.roll().sweep()
    await desk.roll().sweep()
    assert desk.registered == [1, 0, 0]
    gone = await desk.roll().load(AOR)
    assert gone == Registration(None, NOW + 5 * MINUTE) and not gone.is_current(desk.now)


async def test_an_address_that_moved_to_another_endpoint_is_registered_no_more(desk: Desk) -> None:
    endpoint = await desk.furnish()
    await desk.roll().change(AOR, lambda before: here())
    async with desk.database.write() as session:
        await inventory.move_endpoint(session, endpoint, ["sip:else@diem.example"])
        heir = Endpoint(name="e6", site_id=endpoint.site_id, family="sip")
        await inventory.add_endpoint(session, heir, [AOR])
    assert await desk.roll().load(AOR) == Registration()
    await desk.roll().change(AOR, lambda before: here(source="udp 192.0.2.8:5060"))
    assert [(row.endpoint_id, row.source) for row in await desk.rows()] == [(heir.id, "udp 192.0.2.8:5060")]


@pytest.mark.parametrize("whole_site", [False, True])
async def test_it_leaves_with_its_endpoint(desk: Desk, whole_site: bool) -> None:
    endpoint = await desk.furnish()
    await desk.roll().change(AOR, lambda before: here())
    async with desk.database.write() as session:
        if whole_site:
            await removal.remove_site(session, await inventory.site_by_code(session, "qt05"), NOW)
        else:
            await removal.remove_endpoint(session, (await inventory.endpoint_by_name(session, endpoint.name)).endpoint)
    assert await desk.rows() == []


async def test_a_run_is_told_who_comes_and_goes(desk: Desk) -> None:
    await desk.furnish()
    run = await open_run(desk.database)
    await desk.roll().change(AOR, lambda before: here())
    await desk.roll().change(AOR, lambda before: here(NOW + 6 * MINUTE))  # a refresh is no news
    desk.now = NOW + 7 * MINUTE
    await desk.roll().sweep()
    async with desk.database.read() as session:
        entries = [
            (each.run_id, each.event, each.participant, each.facts) for each in await session.exec(select(JournalEntry))
        ]
    assert entries == [
        (run, "endpoint-registered", "qt05", {"endpoint": "e5", "source": "udp 192.0.2.7:5060"}),
        (run, "endpoint-unregistered", "qt05", {"endpoint": "e5"}),
    ]


async def test_the_secret_is_in_no_row(desk: Desk) -> None:
    await desk.furnish()
    await desk.roll().change(AOR, lambda before: here())
    async with desk.database.read() as session:
        found = await registrations.of_endpoints(session, [row.endpoint_id for row in await desk.rows()])
    assert "s3cret" not in repr(found) and "s3cret" not in repr(desk.roll())


async def open_run(database: Database) -> int:
    async with database.write() as session:
        bridge = await inventory.add_bridge(
            session, Bridge(name="main", family="sip", conference_address="sip:{number}@h")
        )
        meeting = Meeting(
            title="Giao ban", start="2026-12-01T08:00", time_zone="Asia/Ho_Chi_Minh", duration_min=60,
            bridge_id=id_of(bridge), created_at=NOW,
        )  # fmt: skip
        meeting = await book(session, meeting, [], [])
        run = Run(
            meeting_id=meeting.id or 0, occurrence_at=NOW, title="Giao ban", time_zone="Asia/Ho_Chi_Minh",
            bridge_id=id_of(bridge), number="8001", tag="dc1-1", state="calling", opens_at=NOW, starts_at=NOW,
            ends_at=NOW + 60 * MINUTE,
        )  # fmt: skip
        await add_run(session, run, [Participant(run_id=0, kind="site", code="qt05", name="Xã 5")])
    return run.id or 0

"""What is stored comes back, in few queries, and what stands in the way is named."""

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import event

from orchestrator.refusal import InUse, NotThere, Taken
from orchestrator.store import inventory, meetings, removal
from orchestrator.store.database import Database
from orchestrator.store.inventory import Bridge, Endpoint, Room, Site, id_of
from orchestrator.store.meetings import Meeting
from orchestrator.store.runs import Leg, Participant, Run, add_run

NOW = datetime(2026, 12, 1, 1, tzinfo=UTC)


@contextmanager
def counted(database: Database) -> Iterator[list[str]]:
    """The SELECTs that go out meanwhile."""
    seen: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        if statement.lstrip().upper().startswith("SELECT"):
            seen.append(statement)

    event.listen(database.engine.sync_engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(database.engine.sync_engine, "before_cursor_execute", note)


async def province(database: Database, sites: int = 3) -> list[int]:
    """Sites s0, s1... each with a first and a stand-by endpoint; their ids."""
    ids = []
    async with database.write() as session:
        for number in range(sites):
            site = await inventory.add_site(session, Site(code=f"s{number}", name="A", priority=9 - number % 9))
            for position in (1, 0):
                name = f"s{number}-{position}"
                endpoint = Endpoint(name=name, site_id=id_of(site), position=position, family="sip")
                await inventory.add_endpoint(session, endpoint, [f"sip:{name}@h", f"h323:{name}@h"])
            ids.append(id_of(site))
    return ids


async def bridge_and_room(database: Database) -> tuple[Bridge, Room]:
    async with database.write() as session:
        bridge = await inventory.add_bridge(
            session, Bridge(name="main", family="sip", conference_address="sip:{number}@h")
        )
        room = await inventory.add_room(session, Room(name="tinh", address="sip:9001@p"))
    return bridge, room


async def meeting_of(
    database: Database, bridge: Bridge, sites: list[int], rooms: list[int], **columns: object
) -> Meeting:
    given = {"title": "Giao ban", "start": "2026-12-01T08:00", "time_zone": "Asia/Ho_Chi_Minh", "duration_min": 60}
    async with database.write() as session:
        meeting = Meeting(**given | {"bridge_id": id_of(bridge), "created_at": NOW} | columns)
        return await meetings.book(session, meeting, sites, rooms)


async def test_sites_come_with_endpoints_and_addresses_in_order(database: Database) -> None:
    ids = await province(database)
    async with database.read() as session:
        found = await inventory.sites_with_endpoints(session, ids[:2])
        assert [at.site.code for at in found] == ["s1", "s0"]  # by priority, then code
        assert [[each.endpoint.name for each in at.endpoints] for at in found] == [["s1-0", "s1-1"], ["s0-0", "s0-1"]]
        assert found[0].endpoints[0].addresses == ("sip:s1-0@h", "h323:s1-0@h")
        assert len(await inventory.sites_with_endpoints(session, None)) == 3
        assert await inventory.sites_with_endpoints(session, []) == []


async def test_a_hundred_sites_take_three_queries(database: Database) -> None:
    ids = await province(database, 100)
    for asked in (ids, None):
        async with database.read() as session:
            with counted(database) as seen:
                assert len(await inventory.sites_with_endpoints(session, asked)) == 100
            assert len(seen) == 3


async def test_more_sites_than_one_query_may_name(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = await province(database, 7)
    monkeypatch.setattr(inventory, "_IN_LIST", 2)
    async with database.read() as session:
        found = await inventory.sites_with_endpoints(session, ids)
        assert [at.site.code for at in found] == [f"s{number}" for number in reversed(range(7))]
        assert len(await inventory.sites_by_codes(session, [f"s{n}" for n in range(9)])) == 7


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("sip:a@h", "sip:a@h:5060", True),
        ("sip:a@H", "sip:a@h", True),
        ("sip:a@h", "sip:a@h;transport=tcp", True),
        ("sips:a@h", "sip:a@h:5061;transport=tls", True),
        ("sip:a@[::1]", "sip:a@[0:0::1]:5060", True),
        ("h323:a@h", "h323:a@h:1720", True),
        ("sip:a@h", "sip:b@h", False),
        ("sip:A@h", "sip:a@h", False),  # the user part is told apart by case (RFC 3261 section 19.1.4)
        ("sip:a@h", "h323:a@h", False),
        ("sip:a@h", "sips:a@h", False),
        ("sip:a@h", "sip:a@h:5070", False),
    ],
)
def test_two_spellings_of_one_address_are_one(one: str, other: str, same: bool) -> None:
    assert (inventory.address_key(one) == inventory.address_key(other)) is same


async def test_an_address_belongs_to_one_endpoint(database: Database) -> None:
    ids = await province(database, 1)
    with pytest.raises(Taken, match=r"sip:s0-1@h:5060 of endpoint new is an address of endpoint s0-1 already"):
        async with database.write() as session:
            endpoint = Endpoint(name="new", site_id=ids[0], family="sip")
            await inventory.add_endpoint(session, endpoint, ["sip:new@h", "sip:s0-1@h:5060"])
    async with database.read() as session:
        with pytest.raises(NotThere):
            await inventory.endpoint_by_name(session, "new")
        assert await inventory.address_owners(session, [inventory.address_key("sip:new@h")]) == {}


async def test_names_are_taken_once(database: Database) -> None:
    await bridge_and_room(database)
    await province(database, 1)
    for add, row in (
        (inventory.add_site, Site(code="s0", name="x")),
        (inventory.add_bridge, Bridge(name="main", family="sip", conference_address="sip:1@h")),
        (inventory.add_room, Room(name="tinh", address="sip:1@h")),
    ):
        with pytest.raises(Taken):
            async with database.write() as session:
                await add(session, row)


async def test_participants_are_the_booked_ones_and_links_keep_their_order(database: Database) -> None:
    ids = await province(database)
    bridge, room = await bridge_and_room(database)
    async with database.write() as session:
        other = await inventory.add_room(session, Room(name="a-room", address="sip:2@p"))
    some = await meeting_of(database, bridge, ids[1:], [id_of(room), id_of(other)])
    everybody = await meeting_of(database, bridge, [], [], all_sites=True)
    async with database.read() as session:
        sites, rooms = await meetings.participants(session, some)
        assert [at.site.code for at in sites] == ["s2", "s1"]
        assert [[each.endpoint.name for each in at.endpoints] for at in sites] == [["s2-0", "s2-1"], ["s1-0", "s1-1"]]
        assert [each.name for each in rooms] == ["tinh", "a-room"]
        sites, rooms = await meetings.participants(session, everybody)
        assert ([at.site.code for at in sites], rooms) == (["s2", "s1", "s0"], [])


async def test_open_meetings_are_neither_cancelled_nor_over(database: Database) -> None:
    bridge, _ = await bridge_and_room(database)
    never = await meeting_of(database, bridge, [], [], recurrence="FREQ=DAILY")
    coming = await meeting_of(database, bridge, [], [], over_at=NOW + timedelta(hours=1))
    over = await meeting_of(database, bridge, [], [], over_at=NOW)
    off = await meeting_of(database, bridge, [], [])
    async with database.write() as session:
        row = await meetings.meeting_by_id(session, int(off.id or 0))
        assert row is not None
        await meetings.cancel(session, row, NOW)
    async with database.read() as session:
        assert [each.id for each in await meetings.open_meetings(session)] == [never.id, coming.id, over.id]
        assert [each.id for each in await meetings.open_meetings(session, NOW)] == [never.id, coming.id]
        found = await meetings.meeting_by_id(session, int(off.id or 0))
        assert found is not None
        assert found.cancelled_at == NOW


async def live_run(database: Database, meeting: Meeting, site: str, endpoint: str) -> Run:
    """A run with one call up."""
    async with database.write() as session:
        run = Run(
            meeting_id=int(meeting.id or 0), occurrence_at=NOW, title=meeting.title, time_zone=meeting.time_zone,
            bridge_id=meeting.bridge_id, number="8000", tag="dcabcd-1", state="live", opens_at=NOW, starts_at=NOW,
            ends_at=NOW + timedelta(hours=1),
        )  # fmt: skip
        people = [
            Participant(run_id=0, kind="site", code=site, name=site),
            Participant(run_id=0, kind="room", code="tinh", name="tinh"),
        ]
        shard = await add_run(session, run, people)
        await session.flush()
        leg = Leg(
            run_id=int(run.id or 0), shard_id=shard, participant_id=int(people[0].id or 0), attempt=1, rung=0,
            way="third-party", endpoint=endpoint, address="sip:a@h", name="dcabcd-1-1-1", state="connected",
            planned_at=NOW, epoch=1,
        )  # fmt: skip
        session.add(leg)
    return run


async def test_what_a_live_run_works_with_stays(database: Database) -> None:
    ids = await province(database, 2)
    bridge, _ = await bridge_and_room(database)
    meeting = await meeting_of(database, bridge, [ids[0]], [], over_at=NOW)
    run = await live_run(database, meeting, "s0", "s0-0")

    async def remove(kind: str) -> None:
        async with database.write() as session:
            if kind == "site":
                await removal.remove_site(session, await inventory.site_by_code(session, "s0"), NOW)
            elif kind == "room":
                await removal.remove_room(session, await inventory.room_by_name(session, "tinh"), NOW)
            elif kind == "bridge":
                await removal.remove_bridge(session, await inventory.bridge_by_name(session, "main"))
            else:
                at = await inventory.endpoint_by_name(session, "s0-0")
                await removal.remove_endpoint(session, at.endpoint)

    for kind in ("endpoint", "site", "room", "bridge"):
        with pytest.raises(InUse, match=rf"run {run.id} \(Giao ban\)"):
            await remove(kind)
    async with database.write() as session:
        for row in (await session.get(Run, run.id), (await session.get(Leg, 1))):
            assert row is not None
            setattr(row, "closed_at" if isinstance(row, Run) else "cleared_at", NOW)
            session.add(row)
    for kind in ("endpoint", "room", "site"):
        await remove(kind)
    with pytest.raises(InUse, match=r"meeting .*, run"):
        await remove("bridge")  # its record names it for ever
    async with database.read() as session:
        assert [at.site.code for at in await inventory.sites_with_endpoints(session, None)] == ["s1"]
        assert await inventory.page_of_endpoints(session, limit=1) != []


async def test_many_users_are_named_up_to_five(database: Database) -> None:
    ids = await province(database, 1)
    bridge, _ = await bridge_and_room(database)
    for _ in range(7):
        await meeting_of(database, bridge, ids, [])
    with pytest.raises(InUse) as caught:
        async with database.write() as session:
            await removal.remove_site(session, await inventory.site_by_code(session, "s0"), NOW)
    assert str(caught.value).count("meeting ") == 5
    assert ", ..." in str(caught.value)


@pytest.fixture
async def second(database_url: str) -> AsyncIterator[Database]:
    """The same database as another process has it."""
    database = Database(database_url)
    yield database
    await database.close()


async def test_a_refused_write_leaves_nothing_behind(database: Database, second: Database) -> None:
    with pytest.raises(RuntimeError):
        async with database.write() as session:
            await inventory.add_site(session, Site(code="half", name="x"))
            raise RuntimeError("the process died here")
    async with second.read() as session:
        assert await inventory.page_of_sites(session) == []


async def test_instants_come_back_in_utc(database: Database, second: Database) -> None:
    bridge, _ = await bridge_and_room(database)
    elsewhere = NOW.astimezone(datetime.fromisoformat("2026-01-01T00:00+07:00").tzinfo)
    meeting = await meeting_of(database, bridge, [], [], over_at=elsewhere)
    async with second.read() as session:
        found = await meetings.meeting_by_id(session, int(meeting.id or 0))
        assert found is not None
        assert (found.over_at, found.over_at and found.over_at.tzinfo) == (NOW, UTC)
    with pytest.raises(Exception, match="has no zone"):
        await meeting_of(database, bridge, [], [], over_at=NOW.replace(tzinfo=None))

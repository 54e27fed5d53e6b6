"""A spreadsheet against a real database: nothing is lost when it fails half-way, ten thousand rows are no trouble."""

import asyncio

import pytest

from orchestrator import sheet
from orchestrator.sheet import COLUMNS
from orchestrator.store import intake, inventory
from orchestrator.store.database import Database
from orchestrator.store.intake import SheetRefused, take_in


def content(*rows: dict[str, str]) -> bytes:
    lines = [",".join(COLUMNS), *(",".join(row.get(column, "") for column in COLUMNS) for row in rows)]
    return "\r\n".join(lines).encode()


def row(code: str, **cells: str) -> dict[str, str]:
    return {"code": code, "name": code, "family": "sip", "addresses": f"sip:{code}@h"} | cells


async def everything(database: Database) -> str:
    async with database.read() as session:
        return sheet.write(await inventory.sites_with_endpoints(session, None))


async def test_what_breaks_half_way_leaves_the_inventory_as_it_was(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await take_in(database, sheet.read(content(row("a"), row("b")), {"sip"}))
    before = await everything(database)

    async def breaks(*_: object) -> None:
        raise ConnectionError("the database went away")

    monkeypatch.setattr(intake, "forget_addresses", breaks)  # sites and endpoints are written, addresses are not
    with pytest.raises(ConnectionError):
        await take_in(database, sheet.read(content(row("a", name="other"), row("c")), {"sip"}))
    assert await everything(database) == before


async def test_imports_of_two_processes_wait_for_one_another(database: Database, database_url: str) -> None:
    others = [Database(database_url) for _ in range(3)]
    zones = [
        content(*(row(f"s{number}", zone=zone, addresses=f"sip:s{number}@h") for number in range(50)))
        for zone in ("A", "B", "C")
    ]
    taken = await asyncio.gather(
        *(take_in(other, sheet.read(file, {"sip"})) for other, file in zip(others, zones, strict=True))
    )
    assert sorted(len(each.created) for each in taken) == [0, 0, 50]
    async with database.read() as session:
        sites = await inventory.page_of_sites(session, limit=100)
        assert (len(sites), len({site.zone for site in sites})) == (50, 1)
    for other in others:
        await other.close()


async def test_of_two_files_that_want_one_address_one_is_refused(database: Database, database_url: str) -> None:
    other = Database(database_url)
    files = [sheet.read(content(row(code, addresses="sip:same@h")), {"sip"}) for code in ("a", "b")]
    ends = await asyncio.gather(
        *(take_in(each, file) for each, file in zip((database, other), files, strict=True)), return_exceptions=True
    )
    [refused] = [end for end in ends if isinstance(end, BaseException)]
    assert isinstance(refused, SheetRefused)
    assert [(error.row, error.complaint.path) for error in refused.errors] == [(2, "addresses")]
    await other.close()


async def test_ten_thousand_sites_come_in_and_again(database: Database) -> None:
    file = content(*(row(f"s{number}", ladder="third-party bridge-dials") for number in range(10_000)))
    read = sheet.read(file, {"sip"})
    assert (len(read.rows), read.errors) == (10_000, [])
    assert len((await take_in(database, read)).created) == 10_000
    again = await take_in(database, sheet.read(file, {"sip"}))
    assert (len(again.unchanged), again.updated) == (10_000, [])
    async with database.read() as session:
        found = await inventory.sites_with_endpoints(session, None)
    assert len(found) == 10_000
    assert all(len(at.endpoints) == 1 and at.endpoints[0].addresses for at in found)

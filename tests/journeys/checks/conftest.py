"""Sites whose lines can be checked: far ends in a process of their own, and the inventory that names them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.store.database import Database
from orchestrator.store.inventory import Bridge, Endpoint, Site, add_bridge, add_endpoint, add_site, id_of
from orchestrator.store.migration import migrate
from tests.support.echo import Echo, echo

SITES = {"qt01": "echo", "qt02": "silent", "qt03": "loss-10", "qt04": "busy", "qt05": "rings", "qt17": "deaf"}
"""Site code -> how its far end behaves."""


@pytest.fixture(scope="session")
def far() -> Iterator[Echo]:
    with echo() as running:
        yield running


async def furnish(database: Database, far: Echo) -> None:
    """The sites, one that has H.323 only, and a bridge with a test number."""
    async with database.write() as session:
        for code, who in SITES.items():
            site = await add_site(session, Site(code=code, name=f"Xã {code}"))
            await add_endpoint(session, Endpoint(name=code, site_id=id_of(site), family="sip"), [far.uri(who)])
        site = await add_site(session, Site(code="qt40", name="Xã H.323"))
        await add_endpoint(session, Endpoint(name="qt40", site_id=id_of(site), family="h323"), ["h323:qt40@192.0.2.9"])
        address = f"sip:{{number}}@{far.host}:{far.port}"
        await add_bridge(session, Bridge(name="main", family="sip", conference_address=address))


async def furnish_folder(folder: Path, far: Echo) -> None:
    """The same in a data folder that no service uses."""
    database = Database(f"sqlite:///{folder / 'diemcau.sqlite3'}")
    try:
        await migrate(database)
        await furnish(database, far)
    finally:
        await database.close()

"""The SIP settings reach the agent, and files that cannot be used stop the start."""

from pathlib import Path

import pytest

from api.conducting import conducting
from api.services import CannotStart
from api.settings import Settings
from orchestrator.keys import Keys
from orchestrator.store.database import Database
from orchestrator.store.journal import JournalBell
from schedules.clock import SystemClock
from tests.support.certificate import Authority


async def port(database: Database, keys: Keys, settings: Settings) -> int | None:
    """Where it takes TLS."""
    opened = conducting(settings, database, keys, SystemClock(), JournalBell(), bells=False)
    async with opened as conductor:
        address = conductor.desk.hands._surroundings.sip.tls_address  # type: ignore[attr-defined]
        return address[1] if address else None


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    return Keys.open_or_create(tmp_path / "key")


async def test_with_a_certificate_tls_is_taken(sqlite_database: Database, keys: Keys, tmp_path: Path) -> None:
    own = Authority(tmp_path).issue("127.0.0.1")
    with_it = {"data_dir": tmp_path, "sip_port": 0, "sip_certificate": own.certificate, "sip_key": own.key}
    assert await port(sqlite_database, keys, Settings(**with_it))
    assert await port(sqlite_database, keys, Settings(data_dir=tmp_path, sip_port=0)) is None


async def test_files_and_servers_that_cannot_be_used_are_named(
    sqlite_database: Database, keys: Keys, tmp_path: Path
) -> None:
    for wrong, words in (
        ({"sip_ca": tmp_path / "none.pem"}, r"none\.pem cannot be used: No such file.*see .*DIEMCAU_SIP_CA"),
        ({"sip_pins": {"a": "12"}}, "is no SHA-256 fingerprint.*DIEMCAU_SIP_PINS"),
        ({"name_servers": ("dns.example",)}, "is no name server.*DIEMCAU_NAME_SERVERS"),
    ):
        settings = Settings(data_dir=tmp_path, sip_port=0, **wrong)
        with pytest.raises(CannotStart, match=words):
            await port(sqlite_database, keys, settings)

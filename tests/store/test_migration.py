"""The revisions make what the models say, in both databases, also when two processes start together."""

import asyncio
import subprocess
import sys

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from orchestrator.store.database import Database
from orchestrator.store.migration import DatabaseUnfit, configuration, metadata, migrate


async def test_models_and_revisions_agree(empty_url: str) -> None:
    database = Database(empty_url)
    await migrate(database)

    def differences(connection: Connection) -> list[object]:
        options = {"compare_type": True, "compare_server_default": True}
        return list(compare_metadata(MigrationContext.configure(connection, opts=options), metadata()))

    async with database.engine.connect() as connection:
        assert await connection.run_sync(differences) == []
    await database.close()


async def test_a_second_upgrade_changes_nothing(empty_url: str) -> None:
    database = Database(empty_url)
    await migrate(database)
    await migrate(database)
    async with database.engine.connect() as connection:
        newest = ScriptDirectory.from_config(configuration()).get_current_head()
        assert (await connection.execute(text("SELECT version_num FROM alembic_version"))).all() == [(newest,)]
    await database.close()


async def test_processes_that_start_together_upgrade_once(empty_url: str) -> None:
    program = (
        "import asyncio, sys\n"
        "from orchestrator.store.database import Database\n"
        "from orchestrator.store.migration import migrate\n"
        "database = Database(sys.argv[1])\n"
        "sys.stdin.readline()\n"
        "asyncio.run(migrate(database))\n"
    )
    processes = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-c", program, empty_url, stdin=subprocess.PIPE, stderr=subprocess.PIPE
        )
        for _ in range(3)
    ]
    ends = await asyncio.gather(*(process.communicate(b"go\n") for process in processes))
    assert [(process.returncode, end[1].decode()) for process, end in zip(processes, ends, strict=True)] == [
        (0, "")
    ] * 3


async def test_a_database_of_a_newer_version_is_refused_and_left_alone(empty_url: str) -> None:
    database = Database(empty_url)
    await migrate(database)
    async with database.connect_to_write() as connection:
        await connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(DatabaseUnfit, match="9999"):
        await migrate(database)
    async with database.engine.connect() as connection:
        assert (await connection.execute(text("SELECT version_num FROM alembic_version"))).all() == [("9999",)]
    await database.close()

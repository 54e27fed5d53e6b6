"""Brings a database to the newest revision, once, however many processes start together."""

import importlib
import pkgutil
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from asyncpg import PostgresError
from sqlalchemy import Connection, MetaData, text
from sqlalchemy.exc import SQLAlchemyError
from sqlmodel import SQLModel

import orchestrator.store
from orchestrator.store.database import Database

SCRIPTS = Path(__file__).resolve().parents[2] / "migrations"
"""The revisions stand beside the packages, in a clone as in an installation."""

_LOCK = 0x6D696772  # "migr"


class DatabaseUnfit(Exception):
    """The database does not answer, or was made by a newer version of the program, or is not ours."""


def metadata() -> MetaData:
    """All tables of the store."""
    for module in pkgutil.iter_modules(orchestrator.store.__path__):
        importlib.import_module(f"{orchestrator.store.__name__}.{module.name}")
    return SQLModel.metadata


def configuration() -> Config:
    """Alembic's settings; there is no file to find."""
    config = Config()
    config.set_main_option("script_location", str(SCRIPTS).replace("%", "%%"))
    return config


async def migrate(database: Database) -> None:
    """Upgrade the schema; returns when the database is at the newest revision. Safe to repeat.

    One transaction holds a lock of the database, so that a second process waits and then
    finds nothing left to do. Raises DatabaseUnfit, and then has changed nothing.
    """
    try:
        async with database.connect_to_write() as connection:
            if not database.is_sqlite:
                await connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
            await connection.run_sync(_upgrade)
    except (SQLAlchemyError, PostgresError, OSError) as error:
        reason = str(getattr(error, "orig", None) or error).partition("\n")[0]
        raise DatabaseUnfit(f"the database {database.name} does not answer: {reason}") from error


def _upgrade(connection: Connection) -> None:
    config = configuration()
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, "head")
    except CommandError as error:
        newest = ScriptDirectory.from_config(config).get_current_head()
        raise DatabaseUnfit(
            f"the database is at a revision this version does not know ({error}); it knows {newest}"
        ) from error

"""What every command stands on: settings, the database, and a way to refuse."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any, NoReturn, TypeVar

import typer
from sqlalchemy.exc import SQLAlchemyError

from api.services import CannotStart
from api.settings import Settings, SettingsWrong, make_data_dir, read_settings
from orchestrator.private_file import PrivateFileBad
from orchestrator.store.database import Database
from orchestrator.store.migration import DatabaseUnfit, migrate

BAD_INPUT = 2

Result = TypeVar("Result")


class BadInput(Exception):
    """What the user gave cannot be; the text says what would be right."""


def refuse(text: str) -> NoReturn:
    """Say on stderr what is wrong and leave with exit code 2."""
    sys.stderr.write(text.rstrip("\n") + "\n")
    raise typer.Exit(BAD_INPUT)


def settings_or_refuse(**given: object) -> Settings:
    """The settings of the environment; bad ones end the command."""
    try:
        return read_settings(**given)
    except SettingsWrong as error:
        refuse(str(error))


def run(work: Coroutine[Any, Any, Result]) -> Result:
    """Run a command's work; what the user can mend ends it with exit code 2."""
    try:
        return asyncio.run(work)
    except (BadInput, CannotStart, PrivateFileBad, DatabaseUnfit) as error:
        refuse(str(error))
    except SQLAlchemyError as error:
        refuse(f"the database does not answer: {str(error).splitlines()[0]}; see DIEMCAU_DATABASE_URL")
    except OSError as error:
        refuse(f"{error.strerror or error}{f': {error.filename}' if error.filename else ''}")


@asynccontextmanager
async def database_of(settings: Settings) -> AsyncIterator[Database]:
    """The installation's database at the newest revision. Raises BadInput for a URL that cannot be."""
    try:
        make_data_dir(settings)
        database = Database(settings.database)
    except ValueError as error:
        raise BadInput(f"DIEMCAU_DATABASE_URL: {error}") from None
    try:
        await migrate(database)
        yield database
    finally:
        await database.close()


def print_json(what: object) -> None:
    """One JSON object on one line of stdout."""
    sys.stdout.write(json.dumps(what, ensure_ascii=False) + "\n")

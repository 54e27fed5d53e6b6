"""Where Alembic meets the store: by the connection it is handed, or by DIEMCAU_DATABASE_URL."""

import asyncio
import os
from typing import Any

from alembic import context
from sqlalchemy import Connection

from orchestrator.store.database import Database, Instant
from orchestrator.store.migration import metadata


def _render(kind: str, item: Any, _context: Any) -> str | bool:
    """Revisions are written in plain SQLAlchemy, so that they do not change with our code."""
    if kind == "type" and isinstance(item, Instant):
        return "sa.DateTime(timezone=True)"
    if kind == "type" and type(item).__module__.startswith("sqlmodel"):
        return "sa.String()"
    return False


def _run(connection: Connection) -> None:
    context.configure(
        connection=connection,
        target_metadata=metadata(),
        render_as_batch=connection.dialect.name == "sqlite",
        render_item=_render,
    )
    with context.begin_transaction():
        context.run_migrations()


async def _connect_and_run() -> None:
    url = os.environ.get("DIEMCAU_DATABASE_URL")
    if not url:
        raise SystemExit("set DIEMCAU_DATABASE_URL to the database that is to be compared or changed")
    database = Database(url)
    try:
        async with database.connect_to_write() as connection:
            await connection.run_sync(_run)
    finally:
        await database.close()


handed = context.config.attributes.get("connection")
if handed is not None:
    _run(handed)
else:
    asyncio.run(_connect_and_run())

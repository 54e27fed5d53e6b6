"""The key or certificate that each device showed first; one that shows another is refused (trust on first use)."""

from collections.abc import Callable
from datetime import datetime

from sqlalchemy import Column, delete
from sqlalchemy.exc import IntegrityError
from sqlmodel import Field, SQLModel, col, select

from orchestrator.store.database import Database, Instant


class HostKey(SQLModel, table=True):
    """What a place (`host:port`) showed first."""

    __tablename__ = "host_key"

    place: str = Field(primary_key=True)
    key: str
    pinned_at: datetime = Field(sa_column=Column(Instant, nullable=False))


class PinnedHostKeys:
    """The pins of an installation, in its database (`adapters.hostkeys.HostKeys`)."""

    def __init__(self, database: Database, now: Callable[[], datetime]) -> None:
        self._database = database
        self._now = now

    async def pinned(self, place: str) -> str | None:
        """The key that this place showed first; None for a place never seen."""
        async with self._database.read() as session:
            return (await session.exec(select(HostKey.key).where(HostKey.place == place))).first()

    async def pin(self, place: str, key: str) -> None:
        """Keep a place's first key; of two processes the first one's stays."""
        try:
            async with self._database.write() as session:
                session.add(HostKey(place=place, key=key, pinned_at=self._now()))
        except IntegrityError:
            return

    async def forget(self, host: str) -> int:
        """Forget what the places of a host showed; how many there were. For a device that was replaced."""
        async with self._database.write() as session:
            found = (await session.exec(select(HostKey.place))).all()
            places = [place for place in found if place.rpartition(":")[0].strip("[]") == host]
            await session.exec(delete(HostKey).where(col(HostKey.place).in_(places)))
        return len(places)

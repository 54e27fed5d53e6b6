"""What happened, in order: an append-only record that console, reports and metrics read."""

from datetime import datetime

from sqlalchemy import JSON, Column
from sqlmodel import Field, SQLModel

from orchestrator.store.database import Instant


class JournalEntry(SQLModel, table=True):
    """One fact of a run. `event` is a machine name such as `leg-connected`."""

    __tablename__ = "journal"

    id: int | None = Field(default=None, primary_key=True)
    run_id: int = Field(foreign_key="run.id", index=True)
    at: datetime = Field(sa_column=Column(Instant, nullable=False))
    event: str
    participant: str = ""  # site code or room name
    leg: str = ""
    facts: dict[str, object] = Field(default_factory=dict, sa_column=Column(JSON, nullable=False))

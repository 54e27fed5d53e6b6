"""What people booked: meetings, who takes part, which rooms are linked."""

from datetime import datetime

from sqlalchemy import JSON, Column
from sqlmodel import Field, SQLModel

from orchestrator.store.database import Instant


class Meeting(SQLModel, table=True):
    """A booking. `start` is wall time in `time_zone`; `recurrence` an RFC 5545 RRULE."""

    id: int | None = Field(default=None, primary_key=True)
    title: str
    start: str  # 2026-12-01T08:00, wall time
    time_zone: str
    duration_min: int
    recurrence: str | None = None
    exdates: list[str] = Field(default_factory=list, sa_column=Column(JSON, nullable=False))
    bridge_id: int = Field(foreign_key="bridge.id", index=True)
    all_sites: bool = False
    lead_min: int = 10
    created_at: datetime = Field(sa_column=Column(Instant, nullable=False))
    cancelled_at: datetime | None = Field(default=None, sa_column=Column(Instant))


class MeetingSite(SQLModel, table=True):
    """A site that takes part in a meeting."""

    __tablename__ = "meeting_site"

    meeting_id: int = Field(foreign_key="meeting.id", primary_key=True)
    site_id: int = Field(foreign_key="site.id", primary_key=True)


class MeetingLink(SQLModel, table=True):
    """A room that a meeting's conference is linked to."""

    __tablename__ = "meeting_link"

    meeting_id: int = Field(foreign_key="meeting.id", primary_key=True)
    room_id: int = Field(foreign_key="room.id", primary_key=True)
    position: int = 0

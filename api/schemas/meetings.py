"""Meetings as they cross the wire."""

from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Discriminator, Field, Tag
from pydantic.config import JsonDict

from api.schemas.problem import Wrong
from api.schemas.values import Body, Code, Name, Title, Zone
from api.words import msgid
from orchestrator.limits import MOST_SITES

_EXAMPLE: JsonDict = {
    "title": "Giao ban đầu tuần",
    "start": "2026-12-07T08:00",
    "time_zone": "Asia/Ho_Chi_Minh",
    "duration_min": 90,
    "recurrence": "FREQ=WEEKLY;BYDAY=MO",
    "exdates": ["2026-12-28"],
    "bridge": "main",
    "sites": ["qt01", "qt02"],
    "links": ["Phòng họp tỉnh"],
    "lead_min": 10,
}
MOST_LINKS = 20


def _tag(value: Any) -> str:
    return "(all)" if isinstance(value, str) else "(codes)"


Sites = Annotated[
    Annotated[Literal["all"], Tag("(all)")] | Annotated[list[Code], Field(max_length=MOST_SITES), Tag("(codes)")],
    Discriminator(_tag),
]
Start = Annotated[
    str,
    Field(
        pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}(:[0-9]{2})?$",
        description="wall time in time_zone",
        examples=["2026-12-01T08:00"],
    ),
]
Minutes = Annotated[int, Field(ge=1, le=1440)]
Lead = Annotated[int, Field(ge=0, le=1440, description="dialing opens so many minutes before the start")]
Recurrence = Annotated[str, Field(min_length=1, max_length=500, description="RFC 5545 RRULE")]
Exdates = Annotated[
    list[Annotated[str, Field(max_length=30)]],
    Field(max_length=1_000, description="wall times, or dates for whole days, that fall out"),
]
Links = Annotated[list[Name], Field(max_length=MOST_LINKS, description="names of rooms, in the order of linking")]


class MeetingNew(Body):
    """A meeting that is to be booked."""

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE]})

    title: Title
    start: Start
    time_zone: Zone | None = Field(default=None, description="null: the installation's")
    duration_min: Minutes
    recurrence: Recurrence | None = None
    exdates: Exdates = Field(default_factory=list)
    bridge: Name
    sites: Sites = Field(default_factory=list)
    links: Links = Field(default_factory=list)
    lead_min: Lead | None = Field(default=None, description="null: the installation's")


class MeetingPatch(Body):
    """What is to change; fields left out stay. Runs that have begun go on as they were booked."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"duration_min": 120, "sites": "all"}]})

    title: Title = Field(default_factory=str)
    start: Start = Field(default_factory=str)
    time_zone: Zone = Field(default_factory=str)
    duration_min: Minutes = Field(default_factory=int)
    recurrence: Recurrence | None = None
    exdates: Exdates = Field(default_factory=list)
    bridge: Name = Field(default_factory=str)
    sites: Sites = Field(default_factory=list)
    links: Links = Field(default_factory=list)
    lead_min: Lead = Field(default_factory=int)


class MeetingShown(BaseModel):
    """A meeting."""

    id: int
    title: str
    start: str
    time_zone: str
    duration_min: int
    recurrence: str | None
    exdates: list[str]
    bridge: str
    sites: list[str] | Literal["all"]
    links: list[str]
    lead_min: int
    created_at: datetime
    cancelled_at: datetime | None
    over_at: datetime | None = Field(description="when its last occurrence ends; null when there is no last one")


class ClashShown(BaseModel):
    """Something that two meetings want at the same time, or more ports than the bridge has."""

    kind: Literal["site", "endpoint", "ports"]
    names: list[str]
    meetings: list[int] = Field(description="the meetings that want it, this one included")
    starts_at: datetime
    ends_at: datetime
    text: str


class MeetingBooked(MeetingShown):
    """A meeting as it was booked, with what it clashes with; it is booked all the same."""

    warnings: list[ClashShown]


class OccurrenceShown(BaseModel):
    """One dated instance of a meeting."""

    starts_at: datetime
    ends_at: datetime
    opens_at: datetime = Field(description="when dialing opens")
    wall: str = Field(description="what a clock on the wall shows at the start", examples=["2026-12-07T08:00"])


_FIRST, _LAST = datetime(2000, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)


def _near_enough(at: datetime) -> datetime:
    try:
        at = at.astimezone(UTC)
    except OverflowError:  # year 1 east of Greenwich
        at = datetime.min.replace(tzinfo=UTC)
    if not _FIRST <= at <= _LAST:
        raise Wrong(msgid("is too far away"), msgid("an instant in the years 2000 to 2199"))
    return at


Instant = Annotated[AwareDatetime, Field(examples=["2026-12-01T01:00:00Z"]), AfterValidator(_near_enough)]

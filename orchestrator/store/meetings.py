"""What people booked: meetings, who takes part, which rooms are linked."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import JSON, Column, delete, or_
from sqlmodel import Field, SQLModel, col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from orchestrator.refusal import NotThere, Unfit
from orchestrator.store.database import Instant, turn
from orchestrator.store.inventory import (
    Bridge,
    Room,
    Site,
    SiteEndpoints,
    sites_with_endpoints,
    sites_with_endpoints_where,
)

_IN_LIST = 10_000
"""How many values one IN () may carry (see inventory)."""


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
    over_at: datetime | None = Field(default=None, sa_column=Column(Instant))  # end of the last one; None: no last one
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


@dataclass(frozen=True, slots=True)
class Booking:
    """A meeting with the names people know its parts by; `sites` is None for all sites."""

    meeting: Meeting
    bridge: str
    sites: tuple[str, ...] | None
    links: tuple[str, ...]


# --- what the mind asks ---------------------------------------------------------------------------------------------


async def open_meetings(session: AsyncSession, now: datetime | None = None) -> list[Meeting]:
    """Meetings that are not cancelled and, where `now` is given, not over yet; by id."""
    query = select(Meeting).where(col(Meeting.cancelled_at).is_(None)).order_by(col(Meeting.id))
    if now is not None:
        query = query.where(or_(col(Meeting.over_at).is_(None), col(Meeting.over_at) > now))
    return list((await session.exec(query)).all())


async def meeting_by_id(session: AsyncSession, meeting_id: int) -> Meeting | None:
    """The meeting, cancelled or not, or None."""
    return await session.get(Meeting, meeting_id)


async def participants(session: AsyncSession, meeting: Meeting) -> tuple[list[SiteEndpoints], list[Room]]:
    """The sites that take part, by priority and code, and the rooms that are linked, in the booked order."""
    if meeting.all_sites:
        sites = await sites_with_endpoints(session, None)
    else:
        invited = select(MeetingSite.site_id).where(MeetingSite.meeting_id == meeting.id)
        sites = await sites_with_endpoints_where(session, col(Site.id).in_(invited))
    rooms = select(Room).join(MeetingLink).where(MeetingLink.meeting_id == meeting.id)
    return sites, list((await session.exec(rooms.order_by(col(MeetingLink.position)))).all())


# --- what the face asks and changes ---------------------------------------------------------------------------------


async def booking(session: AsyncSession, meeting_id: int) -> Booking:
    """One booking, cancelled or not. Raises NotThere."""
    meeting = await meeting_by_id(session, meeting_id)
    if meeting is None:
        raise NotThere("meeting", meeting_id)
    return (await _bookings(session, [meeting]))[0]


async def page_of_bookings(
    session: AsyncSession, after: int = 0, limit: int = 100, cancelled: bool = False
) -> list[Booking]:
    """Bookings in order of id, from the first one behind `after`; with cancelled ones when asked."""
    query = select(Meeting).where(col(Meeting.id) > after).order_by(col(Meeting.id)).limit(limit)
    if not cancelled:
        query = query.where(col(Meeting.cancelled_at).is_(None))
    return await _bookings(session, (await session.exec(query)).all())


async def bookings_of(session: AsyncSession, meetings: Sequence[Meeting]) -> dict[int, frozenset[int] | None]:
    """Meeting id -> ids of the sites that take part, None for all of them."""
    sites: dict[int, set[int]] = {}
    for at in range(0, len(meetings), _IN_LIST):
        ids = [meeting.id for meeting in meetings[at : at + _IN_LIST]]
        query = select(MeetingSite.meeting_id, MeetingSite.site_id).where(col(MeetingSite.meeting_id).in_(ids))
        for meeting_id, site_id in await session.exec(query):
            sites.setdefault(meeting_id, set()).add(site_id)
    return {
        meeting.id: None if meeting.all_sites else frozenset(sites.get(meeting.id, ()))
        for meeting in meetings
        if meeting.id is not None
    }


async def links_of(session: AsyncSession, meetings: Sequence[Meeting]) -> dict[int, int]:
    """Meeting id -> how many rooms are linked."""
    links = dict.fromkeys((_id_of(meeting) for meeting in meetings), 0)
    for meeting_id in await session.exec(select(MeetingLink.meeting_id)):
        if meeting_id in links:
            links[meeting_id] += 1
    return links


async def book(session: AsyncSession, meeting: Meeting, site_ids: Collection[int], room_ids: Sequence[int]) -> Meeting:
    """Keep a new meeting; `site_ids` do not count when it is for all sites."""
    await turn(session)
    session.add(meeting)
    await session.flush()
    await invite(session, meeting, site_ids)
    await link(session, meeting, room_ids)
    return meeting


async def invite(session: AsyncSession, meeting: Meeting, site_ids: Collection[int]) -> None:
    """Have exactly these sites take part; none by name when the meeting is for all sites."""
    await turn(session)
    meeting_id = _id_of(meeting)
    await session.exec(delete(MeetingSite).where(col(MeetingSite.meeting_id) == meeting_id))
    if not meeting.all_sites:
        session.add_all(MeetingSite(meeting_id=meeting_id, site_id=site_id) for site_id in sorted(set(site_ids)))
    await session.flush()


async def link(session: AsyncSession, meeting: Meeting, room_ids: Sequence[int]) -> None:
    """Link exactly these rooms, in this order."""
    await turn(session)
    meeting_id = _id_of(meeting)
    await session.exec(delete(MeetingLink).where(col(MeetingLink.meeting_id) == meeting_id))
    for position, room_id in enumerate(dict.fromkeys(room_ids)):
        session.add(MeetingLink(meeting_id=meeting_id, room_id=room_id, position=position))
    await session.flush()


async def cancel(session: AsyncSession, meeting: Meeting, now: datetime) -> None:
    """Call a meeting off; what was recorded of it stays. Safe to repeat."""
    await turn(session)
    if meeting.cancelled_at is None:
        meeting.cancelled_at = now
        session.add(meeting)
        await session.flush()


def still_on(meeting: Meeting) -> Meeting:
    """The meeting itself. Raises Unfit for one that was called off."""
    if meeting.cancelled_at is not None:
        raise Unfit("", "meeting {meeting} was cancelled", "a new meeting", meeting=meeting.id)
    return meeting


async def _bookings(session: AsyncSession, meetings: Sequence[Meeting]) -> list[Booking]:
    ids = [_id_of(meeting) for meeting in meetings]
    bridge_ids = {meeting.bridge_id for meeting in meetings}
    bridges = dict((await session.exec(select(Bridge.id, Bridge.name).where(col(Bridge.id).in_(bridge_ids)))).all())
    codes: dict[int, list[str]] = {}
    sites = select(MeetingSite.meeting_id, Site.code).join(Site).where(col(MeetingSite.meeting_id).in_(ids))
    for meeting_id, code in await session.exec(sites.order_by(col(Site.code))):
        codes.setdefault(meeting_id, []).append(code)
    names: dict[int, list[str]] = {}
    rooms = select(MeetingLink.meeting_id, Room.name).join(Room).where(col(MeetingLink.meeting_id).in_(ids))
    for meeting_id, name in await session.exec(rooms.order_by(col(MeetingLink.position))):
        names.setdefault(meeting_id, []).append(name)
    return [
        Booking(
            meeting,
            bridges[meeting.bridge_id],
            None if meeting.all_sites else tuple(codes.get(meeting_id, ())),
            tuple(names.get(meeting_id, ())),
        )
        for meeting, meeting_id in zip(meetings, ids, strict=True)
    ]


def _id_of(meeting: Meeting) -> int:
    assert meeting.id is not None, f"{meeting!r} has not been flushed"
    return meeting.id

"""What a booking means in dates: whether it can be, when it is over, what it clashes with."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from zoneinfo import ZoneInfo

from sqlmodel import select
from sqlmodel.ext.asyncio.session import AsyncSession

from orchestrator.store.inventory import Bridge, Site
from orchestrator.store.meetings import Meeting, bookings_of, links_of, open_meetings
from schedules.clashes import Booking, Clash, clashes
from schedules.recurrence import RecurrenceError, check, occurrences
from schedules.rule import wall_time

_EVER = datetime(2300, 1, 1, tzinfo=UTC)
_BEGIN = datetime(1999, 1, 1, tzinfo=UTC)
_LOOKED_AT = timedelta(days=92)
"""How far ahead clashes are looked for."""
_MOST_DATES = 100
MOST_CLASHES = 20


@dataclass(frozen=True, slots=True)
class Slot:
    """One dated instance of a meeting."""

    wall: datetime
    opens_at: datetime
    starts_at: datetime
    ends_at: datetime


def slots(meeting: Meeting, after: datetime, before: datetime, limit: int | None = None) -> Iterable[Slot]:
    """The instances that start from `after` up to, not at, `before`. Raises RecurrenceError."""
    lead, length = timedelta(minutes=meeting.lead_min), timedelta(minutes=meeting.duration_min)
    for found in occurrences(
        meeting.start,
        meeting.time_zone,
        meeting.recurrence,
        meeting.exdates,
        after=after,
        before=before,
        limit=limit,
    ):
        yield Slot(found.wall, found.starts_at - lead, found.starts_at, found.starts_at + length)


def check_times(meeting: Meeting, now: datetime) -> None:
    """Refuse times that cannot be. Sets when the meeting is over. Raises RecurrenceError naming the field.

    A rule may pass over an hour that a zone leaves out (the occurrence moves); a start that
    people typed in does not get to mean another time.
    """
    check(meeting.start, meeting.time_zone, meeting.recurrence, meeting.exdates, duration_min=meeting.duration_min)
    start = wall_time(meeting.start)
    assert start is not None, "check() took it"
    zone = ZoneInfo(meeting.time_zone)
    shown = start.replace(tzinfo=zone).astimezone(UTC).astimezone(zone).replace(tzinfo=None)
    if shown != start:
        problem = f"{meeting.start} does not exist in {meeting.time_zone}, where clocks go forward then"
        raise RecurrenceError("start", problem, f"another time, such as {shown.isoformat(timespec='minutes')}")
    if next(iter(slots(meeting, _BEGIN, _EVER, 1)), None) is None:
        raise RecurrenceError("exdates", "the exceptions take out every date", "at least one date left")
    meeting.over_at = _over_at(meeting)
    if meeting.over_at is not None and meeting.over_at <= now:
        problem = f"the meeting is over since {meeting.over_at.isoformat(timespec='minutes')}"
        raise RecurrenceError("start", problem, "a meeting that has not ended yet")


def _over_at(meeting: Meeting) -> datetime | None:
    """When the last instance ends; None for a rule without an end."""
    rule = (meeting.recurrence or "").upper()
    if rule and "COUNT=" not in rule and "UNTIL=" not in rule:
        return None
    last = None
    for last in slots(meeting, _BEGIN, _EVER):  # noqa: B007 (the last one is wanted)
        pass
    return last.ends_at if last is not None else None


async def clashes_of(session: AsyncSession, meeting: Meeting, now: datetime) -> list[Clash]:
    """What the meeting's next dates clash with; sites and bridges by name, bookings as `meeting id@instant`."""
    codes = dict((await session.exec(select(Site.id, Site.code))).all())
    bridge = await session.get(Bridge, meeting.bridge_id)
    others = [other for other in await open_meetings(session, now) if other.id != meeting.id]
    invited = await bookings_of(session, [meeting, *others])
    linked = await links_of(session, [meeting, *others])
    everybody = frozenset(str(code) for code in codes.values())

    def used(one: Meeting) -> frozenset[str]:
        ids = invited[_id(one)]
        return everybody if ids is None else frozenset(codes[id_] for id_ in ids if id_ in codes)

    dates = list(slots(meeting, now - timedelta(minutes=meeting.duration_min), now + _LOOKED_AT, _MOST_DATES))
    if not dates or bridge is None:
        return []
    mine = used(meeting)
    new = _bookings(meeting, dates, mine, bridge.name, len(mine) + linked[_id(meeting)])
    existing: list[Booking] = []
    for other in others:
        theirs = used(other)
        if other.bridge_id != meeting.bridge_id and not mine & theirs:
            continue
        length = timedelta(minutes=other.duration_min)
        between = slots(other, dates[0].starts_at - length, dates[-1].ends_at, _MOST_DATES)
        name = bridge.name if other.bridge_id == meeting.bridge_id else ""
        existing += _bookings(other, between, theirs, name, len(theirs) + linked[_id(other)])
    return list(islice(clashes(new, existing, ports={bridge.name: bridge.ports}), MOST_CLASHES))


def meetings_in(clash: Clash) -> list[int]:
    """The ids of the meetings that clash."""
    return sorted({int(key.partition("@")[0]) for key in clash.bookings})


def _bookings(
    meeting: Meeting, dates: Iterable[Slot], sites: Collection[str], bridge: str, ports: int
) -> list[Booking]:
    return [
        Booking(
            f"{meeting.id}@{slot.starts_at.isoformat()}",
            slot.starts_at,
            slot.ends_at,
            frozenset(sites),
            ports={bridge: ports} if bridge else {},
        )
        for slot in dates
    ]


def _id(meeting: Meeting) -> int:
    assert meeting.id is not None
    return meeting.id

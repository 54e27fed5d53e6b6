"""What a booking means in dates: whether it can be, when it is over, what it clashes with."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from sqlmodel import select
from sqlmodel.ext.asyncio.session import AsyncSession

from orchestrator.store.inventory import Bridge, Site
from orchestrator.store.meetings import Meeting, bookings_of, links_of, open_meetings
from schedules.clashes import Booking, Clash, clashes
from schedules.recurrence import RecurrenceError, check, occurrences
from schedules.rule import parse_rule, wall_time

_EVER = datetime(2300, 1, 1, tzinfo=UTC)
_BEGIN = datetime(1999, 1, 1, tzinfo=UTC)
_LOOKED_AT = timedelta(days=92)
"""How far ahead clashes are looked for."""
_LONGEST_PAST = timedelta(days=366)
_TICK = timedelta(microseconds=1)
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


def check_times(meeting: Meeting, now: datetime, *, since: datetime | None = None) -> None:
    """Refuse times that cannot be. Sets when the meeting is over. Raises RecurrenceError naming the field.

    A rule may pass over an hour that a zone leaves out (the occurrence moves); a start that
    people typed in does not get to mean another time. Nor may it lie long before the booking
    (`since`; now for a new one): each look at the dates begins there.
    """
    check(meeting.start, meeting.time_zone, meeting.recurrence, meeting.exdates, duration_min=meeting.duration_min)
    start = wall_time(meeting.start)
    assert start is not None, "check() took it"
    zone = ZoneInfo(meeting.time_zone)
    starts_at = start.replace(tzinfo=zone).astimezone(UTC)
    shown = starts_at.astimezone(zone).replace(tzinfo=None)
    if shown != start:
        problem = f"{meeting.start} does not exist in {meeting.time_zone}, where clocks go forward then"
        raise RecurrenceError("start", problem, f"another time, such as {shown.isoformat(timespec='minutes')}")
    earliest = (since or now) - _LONGEST_PAST
    if starts_at < earliest:
        raise RecurrenceError("start", f"{meeting.start} is long past", f"a start from {earliest:%Y-%m-%d} on")
    if next(iter(slots(meeting, _BEGIN, _EVER, 1)), None) is None:
        raise RecurrenceError("exdates", "the exceptions take out every date", "at least one date left")
    length = timedelta(minutes=meeting.duration_min)
    if next(iter(slots(meeting, now - length + _TICK, _EVER, 1)), None) is None:
        raise RecurrenceError("start", "the meeting is over: no date is left", "a meeting that has not ended yet")
    meeting.over_at = _over_at(meeting, zone)


def _over_at(meeting: Meeting, zone: ZoneInfo) -> datetime | None:
    """When the meeting is over for good; None for a rule without an end.

    With UNTIL it is that moment and the length of one instance, without looking at every date.
    """
    length = timedelta(minutes=meeting.duration_min)
    until = parse_rule(meeting.recurrence).until if meeting.recurrence is not None else None
    if until is not None:
        return min(until.replace(tzinfo=until.tzinfo or zone).astimezone(UTC), _EVER) + length
    if meeting.recurrence is not None and "COUNT=" not in meeting.recurrence.upper():
        return None
    last = None
    for last in slots(meeting, _BEGIN, _EVER):  # noqa: B007 (the last one is wanted; COUNT is bounded)
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
    if bridge is None:
        return []

    def used(one: Meeting) -> _Used:
        ids = invited[_id(one)]
        sites = everybody if ids is None else frozenset(codes[id_] for id_ in ids if id_ in codes)
        return _Used(one, sites, len(sites) + linked[_id(one)], one.bridge_id == meeting.bridge_id)

    return await asyncio.to_thread(_find, used(meeting), [used(other) for other in others], now, bridge)


@dataclass(frozen=True, slots=True)
class _Used:
    """What a meeting uses."""

    meeting: Meeting
    sites: frozenset[str]
    ports: int
    on_bridge: bool  # the one that clashes are looked for on

    def booking(self, slot: Slot, bridge: str) -> Booking:
        key = f"{self.meeting.id}@{slot.starts_at.isoformat()}"
        ports = {bridge: self.ports} if self.on_bridge else {}
        return Booking(key, slot.starts_at, slot.ends_at, self.sites, ports=ports)


def _find(new: _Used, others: Iterable[_Used], now: datetime, bridge: Bridge) -> list[Clash]:
    """The first clashes of the next dates; each date is held against what lies around it only."""
    length = timedelta(minutes=new.meeting.duration_min)
    dates = list(slots(new.meeting, now - length + _TICK, now + _LOOKED_AT, _MOST_DATES))
    if not dates:
        return []
    existing: list[Booking] = []
    for other in others:
        if other.on_bridge or new.sites & other.sites:
            since = dates[0].starts_at - timedelta(minutes=other.meeting.duration_min)
            between = slots(other.meeting, since, dates[-1].ends_at, _MOST_DATES)
            existing += [other.booking(slot, bridge.name) for slot in between]
    found: list[Clash] = []
    for slot in dates:
        around = [each for each in existing if each.starts_at < slot.ends_at and slot.starts_at < each.ends_at]
        found += clashes([new.booking(slot, bridge.name)], around, ports={bridge.name: bridge.ports})
        if len(found) >= MOST_CLASHES:
            break
    return found[:MOST_CLASHES]


def meetings_in(clash: Clash) -> list[int]:
    """The ids of the meetings that clash."""
    return sorted({int(key.partition("@")[0]) for key in clash.bookings})


def _id(meeting: Meeting) -> int:
    assert meeting.id is not None
    return meeting.id

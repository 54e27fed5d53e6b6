"""Pure: a wall time, its zone, a rule and its exceptions become dated occurrences.

A rule repeats in *wall time*: "every Monday at 08:00" stays at 08:00 when the zone moves
its clocks (RFC 5545, 3.3.10). What the clocks do to a single occurrence is decided here:

- a wall time that does not exist (spring forward) moves forward by the gap: 02:30
  becomes 03:30 where an hour is left out (RFC 5545, 3.3.5);
- a wall time that exists twice (fall back) means the first of the two;
- two wall times that fall on one instant are one occurrence.

The first occurrence is the first date at or after `start` that the rule gives. COUNT
counts what the rule gives, exceptions included. An exception is a wall date-time, or a
date, which takes out the whole day.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from functools import lru_cache
from heapq import heappop, heappush
from itertools import islice
from zoneinfo import ZoneInfo, available_timezones

from dateutil.rrule import rrule

from schedules.rule import RecurrenceError, Rule, parse_rule, wall_time

__all__ = ["Occurrence", "RecurrenceError", "check", "occurrences"]

FIRST_YEAR, LAST_YEAR = 2000, 2199
LONGEST_MIN = 24 * 60
MOST_EXDATES = 1_000

# The Gregorian calendar repeats, weekdays included, every 400 years. dateutil searches a
# rule that never comes true (30 February) up to the year 9999; run so many years later,
# the search is short, and what it finds is shifted back.
_SHIFT_YEARS = 19 * 400
_SHIFT = timedelta(days=19 * 146_097)


@dataclass(frozen=True, slots=True, order=True)
class Occurrence:
    """One dated instance: the instant, and what a clock on the wall shows then."""

    starts_at: datetime
    wall: datetime


def occurrences(
    start: str,
    time_zone: str,
    recurrence: str | None,
    exdates: Sequence[str] = (),
    *,
    after: datetime,
    before: datetime,
    limit: int | None = None,
) -> Iterator[Occurrence]:
    """The occurrences with `after` <= starts_at < `before`, in order, at most `limit`.

    Found one by one as they are asked for. Raises RecurrenceError, when called, for
    anything that `check` refuses.
    """
    zone = _zone(time_zone)
    first = _start(start)
    rule = parse_rule(recurrence) if recurrence is not None else None
    without = _exceptions(exdates)
    return islice(_distinct(first, zone, rule, without, after, before), limit)


def check(
    start: str,
    time_zone: str,
    recurrence: str | None,
    exdates: Sequence[str] = (),
    *,
    duration_min: int | None = None,
) -> None:
    """Refuse what cannot be booked. Raises RecurrenceError naming the field."""
    zone = _zone(time_zone)
    first = _start(start)
    _exceptions(exdates)
    if duration_min is not None and not 1 <= duration_min <= LONGEST_MIN:
        raise RecurrenceError("duration_min", f"{duration_min} minutes", f"1 to {LONGEST_MIN} minutes")
    if recurrence is not None:
        rule = parse_rule(recurrence)
        if next(_in_order(first, zone, rule), None) is None:
            raise RecurrenceError(
                "recurrence", f"the rule gives no date from {start} on", "a rule that comes true at least once"
            )


def _distinct(
    first: datetime,
    zone: tzinfo,
    rule: Rule | None,
    without: frozenset[datetime | date],
    after: datetime,
    before: datetime,
) -> Iterator[Occurrence]:
    last: datetime | None = None
    for instant, nominal in _in_order(first, zone, rule):
        if instant >= before:
            return
        if instant < after or instant == last:
            continue
        wall = instant.astimezone(zone).replace(tzinfo=None)
        if not any(each in without or each.date() in without for each in (nominal, wall)):
            last = instant
            yield Occurrence(instant, wall)


def _in_order(first: datetime, zone: tzinfo, rule: Rule | None) -> Iterator[tuple[datetime, datetime]]:
    """(instant, wall time by the rule), in the order of instants.

    Wall order is not quite that order: 02:30 that moves to 03:30 comes after 03:15. So
    each is held back until nothing that follows can come before it.
    """
    until = rule.until if rule is not None else None
    held: list[tuple[datetime, datetime]] = []
    for nominal in _walls(first, rule):
        instant = nominal.replace(tzinfo=zone).astimezone(UTC)  # fold 0: the offset before a gap, the first of two
        gap = instant.astimezone(zone).replace(tzinfo=None) - nominal
        floor = instant - gap
        if until is not None and (floor if until.tzinfo else nominal) > until:
            break
        while held and held[0][0] <= floor:
            yield heappop(held)
        if until is None or until.tzinfo is None or instant <= until:
            heappush(held, (instant, nominal))
    while held:
        yield heappop(held)


def _walls(first: datetime, rule: Rule | None) -> Iterator[datetime]:
    """The wall times by the rule alone, up to the last year that can be booked."""
    if rule is None:
        yield first
        return
    shifted = first.replace(year=first.year + _SHIFT_YEARS)
    for found in rrule(dtstart=shifted, **rule.parts):
        wall = found - _SHIFT
        if wall.year > LAST_YEAR:
            return
        yield wall


def _start(start: str) -> datetime:
    first = wall_time(start)
    if first is None or not FIRST_YEAR <= first.year <= LAST_YEAR:
        raise RecurrenceError(
            "start", f"{start!r} is not a wall time", f"YYYY-MM-DDTHH:MM in a year from {FIRST_YEAR} to {LAST_YEAR}"
        )
    return first


def _exceptions(exdates: Sequence[str]) -> frozenset[datetime | date]:
    if len(exdates) > MOST_EXDATES:
        raise RecurrenceError("exdates", f"{len(exdates)} exceptions", f"at most {MOST_EXDATES}")
    without: set[datetime | date] = set()
    for place, text in enumerate(exdates):
        found: datetime | date | None = wall_time(text)
        if found is None:
            found = _date(text)
        if found is None:
            raise RecurrenceError(
                f"exdates[{place}]", f"{text!r} is neither a date nor a wall time", "YYYY-MM-DD or YYYY-MM-DDTHH:MM"
            )
        without.add(found)
    return frozenset(without)


def _date(text: str) -> date | None:
    if len(text) != 10 or not text.isascii():
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


@lru_cache(maxsize=1)
def _zones() -> frozenset[str]:
    return frozenset(available_timezones() - {"localtime", "Factory"})


def _zone(name: str) -> ZoneInfo:
    if name not in _zones():
        raise RecurrenceError(
            "time_zone", f"there is no zone {name[:60]!r}", "a name of the IANA database, such as Asia/Ho_Chi_Minh"
        )
    return ZoneInfo(name)

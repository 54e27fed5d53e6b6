"""Pure: the text of an RFC 5545 RRULE, read strictly and with bounds.

dateutil takes nearly anything and fails late; a booking is refused here, with the part
that is wrong. Not taken: FREQ finer than DAILY (nobody meets every second; each would
be a bomb), BYSECOND, and more than `MOST_A_DAY` occurrences in one day.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from dateutil.rrule import DAILY, FR, MO, MONTHLY, SA, SU, TH, TU, WE, WEEKLY, YEARLY, weekday

LONGEST_TEXT = 500
MOST_A_DAY = 24
MOST_COUNT = 10_000
MOST_INTERVAL = 1_000

_FREQS = {"DAILY": DAILY, "WEEKLY": WEEKLY, "MONTHLY": MONTHLY, "YEARLY": YEARLY}
_DAYS = {"MO": MO, "TU": TU, "WE": WE, "TH": TH, "FR": FR, "SA": SA, "SU": SU}
_WALL = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d)?", re.ASCII)
_UNTIL = re.compile(r"(\d{8})(?:T(\d{6})(Z?))?", re.ASCII)
_NUMBER = re.compile(r"[+-]?\d{1,5}", re.ASCII)
_DAY = re.compile(r"([+-]?\d{1,2})?(MO|TU|WE|TH|FR|SA|SU)", re.ASCII)


class RecurrenceError(ValueError):
    """A booking's time that cannot be: in which `field`, what is wrong, what would be right."""

    def __init__(self, field: str, problem: str, expected: str) -> None:
        super().__init__(f"{field}: {problem}; expected {expected}")
        self.field = field
        self.problem = problem
        self.expected = expected


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule that was accepted: `parts` in dateutil's words, and UNTIL.

    `until` is kept apart because it may be an instant (aware) or a wall time (naive),
    and only who knows the zone can compare it.
    """

    parts: dict[str, Any]
    until: datetime | None


def wall_time(text: str) -> datetime | None:
    """`2026-12-01T08:00` or with seconds; None for anything else, a zone included."""
    if not _WALL.fullmatch(text):
        return None
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


def parse_rule(text: str) -> Rule:
    """Read a rule such as `FREQ=WEEKLY;BYDAY=MO,TH;UNTIL=20270630`. Raises RecurrenceError."""
    if len(text) > LONGEST_TEXT:
        raise _wrong(f"{len(text)} characters", f"at most {LONGEST_TEXT}")
    given: dict[str, str] = {}
    for part in text.upper().removeprefix("RRULE:").split(";"):
        name, equals, value = part.partition("=")
        if not equals or not value:
            raise _wrong(f"{part!r} is not NAME=VALUE", "parts such as FREQ=WEEKLY;BYDAY=MO")
        if name in given:
            raise _wrong(f"{name} is given twice", "each part once")
        given[name] = value
    unknown = [name for name in given if name not in _PARTS]
    if unknown:
        raise _wrong(f"{unknown[0]} is not taken", f"parts out of {', '.join(_PARTS)}")
    if "FREQ" not in given:
        raise _wrong("FREQ is missing", "FREQ=DAILY, WEEKLY, MONTHLY or YEARLY")
    if "COUNT" in given and "UNTIL" in given:
        raise _wrong("both COUNT and UNTIL", "one of them")
    read = {name: _PARTS[name](name, value) for name, value in given.items()}
    _consistent(given, read)
    until = read.pop("UNTIL", None)
    words = {"BYDAY": "byweekday"}
    return Rule({words.get(name, name.lower()): value for name, value in read.items()}, until)


def _consistent(given: dict[str, str], read: dict[str, Any]) -> None:
    """What RFC 5545, 3.3.10 forbids between parts."""
    freq = given["FREQ"]
    if any(day.n for day in read.get("BYDAY", ())) and (freq not in ("MONTHLY", "YEARLY") or "BYWEEKNO" in given):
        raise _wrong(
            f"BYDAY={given['BYDAY']} numbers weekdays in a {freq} rule"
            + (" with BYWEEKNO" if "BYWEEKNO" in given else ""),
            "numbers such as 1MO only with FREQ=MONTHLY or YEARLY and without BYWEEKNO",
        )
    for name, allowed in (
        ("BYWEEKNO", ("YEARLY",)),
        ("BYYEARDAY", ("YEARLY",)),
        ("BYMONTHDAY", ("DAILY", "MONTHLY", "YEARLY")),
    ):
        if name in given and freq not in allowed:
            raise _wrong(f"{name} in a {freq} rule", f"{name} only with FREQ={' or '.join(allowed)}")
    if "BYSETPOS" in given and not any(name.startswith("BY") and name != "BYSETPOS" for name in given):
        raise _wrong("BYSETPOS alone", "BYSETPOS beside another BY part, such as BYDAY")
    a_day = len(set(read.get("BYHOUR", (0,)))) * len(set(read.get("BYMINUTE", (0,))))
    if a_day > MOST_A_DAY:
        raise _wrong(f"{a_day} occurrences a day", f"at most {MOST_A_DAY}")


def _freq(name: str, value: str) -> int:
    if value not in _FREQS:
        raise _wrong(f"FREQ={value[:20]} is not taken", "FREQ=DAILY, WEEKLY, MONTHLY or YEARLY")
    return _FREQS[value]


def _number(low: int, high: int) -> Callable[[str, str], int]:
    def read(name: str, value: str) -> int:
        if not _NUMBER.fullmatch(value) or not low <= int(value) <= high:
            raise _wrong(f"{name}={value[:20]}", f"a number from {low} to {high}")
        return int(value)

    return read


def _numbers(low: int, high: int, *, signed: bool = False) -> Callable[[str, str], tuple[int, ...]]:
    def read(name: str, value: str) -> tuple[int, ...]:
        numbers = []
        for text in value.split(","):
            number = int(text) if _NUMBER.fullmatch(text) else None
            if number is None or not low <= (abs(number) if signed else number) <= high:
                sign = " or the same counted from the end (negative)" if signed else ""
                raise _wrong(f"{name}={text[:20]}", f"numbers from {low} to {high}{sign}")
            numbers.append(number)
        return tuple(numbers)

    return read


def _weekdays(name: str, value: str) -> tuple[weekday, ...]:
    days = []
    for text in value.split(","):
        match = _DAY.fullmatch(text)
        nth = int(match[1]) if match and match[1] else None
        if match is None or (nth is not None and not 1 <= abs(nth) <= 53):
            raise _wrong(f"BYDAY={text[:20]}", "weekdays MO TU WE TH FR SA SU, or numbered such as 1MO, -1FR")
        day = _DAYS[match[2]]
        days.append(day if nth is None else day(nth))
    return tuple(days)


def _week_start(name: str, value: str) -> weekday:
    if value not in _DAYS:
        raise _wrong(f"WKST={value[:20]}", "one of MO TU WE TH FR SA SU")
    return _DAYS[value]


def _until(name: str, value: str) -> datetime:
    """RFC 5545: a date (the whole day counts), a wall time, or an instant in UTC (Z)."""
    match = _UNTIL.fullmatch(value)
    try:
        if match is None:
            raise ValueError
        until = datetime.strptime(match[1] + (match[2] or "235959"), "%Y%m%d%H%M%S")  # noqa: DTZ007 (wall time)
    except ValueError:
        raise _wrong(f"UNTIL={value[:20]}", "YYYYMMDD, YYYYMMDDTHHMMSS or YYYYMMDDTHHMMSSZ") from None
    return until.replace(tzinfo=UTC) if match[3] else until


def _wrong(problem: str, expected: str) -> RecurrenceError:
    return RecurrenceError("recurrence", problem, expected)


_PARTS: dict[str, Callable[[str, str], Any]] = {
    "FREQ": _freq,
    "INTERVAL": _number(1, MOST_INTERVAL),
    "COUNT": _number(1, MOST_COUNT),
    "UNTIL": _until,
    "WKST": _week_start,
    "BYMONTH": _numbers(1, 12),
    "BYWEEKNO": _numbers(1, 53, signed=True),
    "BYYEARDAY": _numbers(1, 366, signed=True),
    "BYMONTHDAY": _numbers(1, 31, signed=True),
    "BYDAY": _weekdays,
    "BYHOUR": _numbers(0, 23),
    "BYMINUTE": _numbers(0, 59),
    "BYSETPOS": _numbers(1, 366, signed=True),
}

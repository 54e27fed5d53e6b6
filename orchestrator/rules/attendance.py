"""Attendance: who was there, when and how, told from the journal alone.

The journal is never edited; a correction is a `note` entry and stands beside the facts.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol


class Fact(Protocol):
    """An entry of the journal, in the order it was written."""

    @property
    def at(self) -> datetime: ...
    @property
    def event(self) -> str: ...
    @property
    def participant(self) -> str: ...
    @property
    def facts(self) -> Mapping[str, object]: ...


class Expected(Protocol):
    """Who should have been there."""

    @property
    def kind(self) -> str: ...
    @property
    def code(self) -> str: ...
    @property
    def name(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a call ended: cause, whose side, the device's own words."""

    cause: str = ""
    side: str = ""
    raw: str = ""


@dataclass(frozen=True, slots=True)
class Gap:
    """A time away between two times in; `reason` is why it began."""

    from_at: datetime
    to_at: datetime
    reason: Reason


@dataclass(frozen=True, slots=True)
class Note:
    """A correction or remark that a person wrote."""

    at: datetime
    text: str


@dataclass(slots=True)
class Attendance:
    """One participant's record. `last_out_at` is None while it is in, and if it never was.

    `total` is the time in, gaps left out. `absence` says why it was never in, or is not
    in now; None while it is in, and when it stayed to the end.
    """

    kind: str
    code: str
    name: str
    first_in_at: datetime | None = None
    last_out_at: datetime | None = None
    total: timedelta = timedelta(0)
    gaps: list[Gap] = field(default_factory=list)
    ways: list[str] = field(default_factory=list)
    attempts: int = 0
    absence: Reason | None = None
    notes: list[Note] = field(default_factory=list)

    @property
    def was_there(self) -> bool:
        return self.first_in_at is not None


class _Story:
    """What the entries so far say of one participant."""

    def __init__(self, who: Expected) -> None:
        self.record = Attendance(who.kind, who.code, who.name)
        self.in_at: datetime | None = None
        self.out_at: datetime | None = None
        self.why_out = Reason()
        self.last_failure = Reason()

    def take(self, fact: Fact) -> None:
        match fact.event:
            case "leg-dialed":
                self.record.attempts += 1
            case "leg-cleared":
                self.last_failure = _telling(_reason(fact.facts), self.last_failure)
            case "site-in":
                self._came(fact.at, str(fact.facts.get("way", "")))
            case "site-out":
                self._left(fact.at, _reason(fact.facts))
            case "site-absent":
                self.last_failure = _telling(_fuller(_reason(fact.facts), self.last_failure), self.last_failure)
            case "note":
                self.record.notes.append(Note(fact.at, str(fact.facts.get("text", ""))))

    def _came(self, at: datetime, way: str) -> None:
        if way and way not in self.record.ways:
            self.record.ways.append(way)
        if self.in_at is not None:  # said again after an adoption: still the same stay
            return
        if self.out_at is not None and at > self.out_at:
            self.record.gaps.append(Gap(self.out_at, at, self.why_out))
        self.record.first_in_at = self.record.first_in_at or at
        self.in_at = at

    def _left(self, at: datetime, why: Reason) -> None:
        if self.in_at is None:
            return
        self.record.total += max(at - self.in_at, timedelta(0))
        self.out_at = max(at, self.in_at)
        self.in_at = None
        self.why_out = _fuller(why, self.last_failure)

    def end(self, until: datetime, over: bool, closing_at: datetime | None) -> Attendance:
        if self.in_at is not None:
            self.record.total += max(until - self.in_at, timedelta(0))
            self.record.last_out_at = max(until, self.in_at) if over else None
        else:
            self.record.last_out_at = self.out_at
            stayed = self.out_at is not None and closing_at is not None and self.out_at >= closing_at
            if not stayed:
                self.record.absence = self.why_out if self.record.was_there else self.last_failure
        return self.record


def attendance(
    expected: Iterable[Expected],
    journal: Iterable[Fact],
    until: datetime,
    *,
    over: bool,
    ends_at: datetime | None = None,
) -> Sequence[Attendance]:
    """One record per expected participant, in the order given.

    `until` is now for a run that goes on, and its end for one that is `over`. Who left after
    the meeting's end (`ends_at`), or after we began to hang up, stayed to the
    end. Entries of others than the expected are passed over.
    """
    stories = [_Story(who) for who in expected]
    by_code: dict[str, list[_Story]] = {}
    for story in stories:
        by_code.setdefault(story.record.code, []).append(story)
    closing_at = ends_at
    for fact in journal:
        if fact.event == "run-state" and fact.facts.get("state") == "closing":
            closing_at = min(closing_at or fact.at, fact.at)
        for story in by_code.get(fact.participant, ()):
            story.take(fact)
    return [story.end(until, over, closing_at) for story in stories]


def _reason(facts: Mapping[str, object]) -> Reason:
    return Reason(*(str(facts.get(key) or "") for key in ("cause", "side", "raw")))


def _telling(reason: Reason, failure: Reason) -> Reason:
    """`reason`, unless it only says that we hung up: what had failed before tells more."""
    return failure if reason.cause == "local" and failure.cause else reason


def _fuller(reason: Reason, failure: Reason) -> Reason:
    """`reason`, or the leg's own account of it where that says more."""
    if not reason.raw and reason.cause in ("", failure.cause):
        return failure
    return reason

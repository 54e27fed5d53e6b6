"""Who the bridge says is in a run's conference, matched to the run's participants."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from adapters import Address, Member, Roster
from orchestrator.rules.reconcile import Kind, Track
from orchestrator.rules.tag import LegName


def leg_of(member: Member, tag: str) -> str | None:
    """The leg name of a run (by its tag) that stands in a roster entry, if any."""
    for mark in member.marks:
        if mark.startswith(tag + "-") and LegName.find(mark) is not None:
            return mark
    return None


def shows(roster: Iterable[Member], tag: str) -> bool:
    """Whether a far room's roster has a call of the run: by its mark, or by the name we gave."""
    whole = re.compile(rf"(?<![0-9A-Za-z]){re.escape(tag)}(?![0-9A-Za-z])")  # run 1 is not run 12
    return any(whole.search(text) for member in roster for text in (*member.marks, member.caller, member.display))


@dataclass(slots=True)
class RosterView:
    """One conference's roster, kept up to date between readings by the bridge's events."""

    members: dict[str, Member] = field(default_factory=dict)
    known: bool = False
    _news: int = 0
    _changed: dict[str, int] = field(default_factory=dict)

    def ask(self) -> int:
        """Call when a reading is asked for; hand the result to `read` with its answer."""
        return self._news

    def read(self, roster: Roster, asked: int) -> None:
        """Take a reading. What an event said since it was asked for stays as the event said."""
        self.known = roster.known
        fresh = {member.id: member for member in roster.members}
        for member_id, news in self._changed.items():
            if news > asked:
                fresh.pop(member_id, None)
                if member_id in self.members:
                    fresh[member_id] = self.members[member_id]
        self.members = fresh
        self._changed.clear()

    def put(self, member: Member) -> None:
        self._note(member.id)
        self.members[member.id] = member

    def drop(self, member_id: str) -> None:
        self._note(member_id)
        self.members.pop(member_id, None)

    def lose(self) -> None:
        """The session is gone: what was read may be stale."""
        self.known = False

    def _note(self, member_id: str) -> None:
        self._news += 1
        self._changed[member_id] = self._news


class Callers:
    """Which participant a call that is not ours belongs to, by the caller's number or address."""

    def __init__(self, tracks: Iterable[Track]) -> None:
        self._tracks: dict[str, Track | None] = {}
        for track in tracks:
            if track.kind is Kind.SITE:
                for rung in track.rungs:
                    try:
                        address = Address.parse(rung.address)
                    except ValueError:
                        continue  # its dialing says so
                    for key in {rung.address, f"{address.user}@{address.host}", address.user} - {""}:
                        other = self._tracks.get(key, track)
                        self._tracks[key] = track if other is track else None  # ambiguous: nobody's

    def track_of(self, member: Member) -> Track | None:
        """The participant whose address the caller shows; None when no one or more than one has it."""
        return self._tracks.get(member.caller)

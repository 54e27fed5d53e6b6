"""What of runs crosses the wire: the list, the board, orders and attendance."""

from collections.abc import Callable
from typing import Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from orchestrator.attendance import Record
from orchestrator.orders import LONGEST_EXTENSION_MIN
from orchestrator.rules.attendance import Attendance, Reason
from orchestrator.rules.states import ParticipantState, RunState


class _Out(BaseModel):
    model_config = ConfigDict(extra="ignore")


class RunHeader(_Out):
    """A run: one live execution of an occurrence."""

    id: int
    meeting_id: int
    title: str
    state: RunState
    bridge: str
    number: str = Field(description="The conference on the bridge.")
    time_zone: str
    opens_at: AwareDatetime
    starts_at: AwareDatetime
    ends_at: AwareDatetime
    closed_at: AwareDatetime | None
    end_reason: str


class RunInList(RunHeader):
    """A run with how many of its sites are in."""

    sites: int
    sites_in: int


class RunPage(_Out):
    """Runs, newest first; ask again with `below=next` while `next` is not null."""

    items: list[RunInList]
    next: int | None


class Evidence(_Out):
    """What each side says of a participant. It is in when both say so, as far as both can say."""

    endpoint: Literal["connected", "not-connected", "unknown"]
    bridge: Literal["in", "not-in", "unknown"]


class ParticipantLine(_Out):
    """A site or a linked room, as it stands now."""

    kind: Literal["site", "room"]
    code: str
    name: str
    priority: int
    state: ParticipantState
    way: str = Field(
        description="endpoint-dials, third-party, refer, bridge-dials or by-hand; empty before the first try."
    )
    address: str
    evidence: Evidence
    muted: bool | None = Field(description="null where the bridge does not say.")
    attempts: int
    redials: int = Field(description="Attempts after it had been in once.")
    cause: str = Field(description="Why the last attempt or call ended; empty while nothing has.")
    side: str
    raw: str = Field(description="The device's own words, such as `486 Busy Here`.")
    stopped_why: str = Field(description="Why it is not dialed again until somebody says so; empty while it is.")
    in_since: AwareDatetime | None
    next_try_at: AwareDatetime | None


class Board(RunHeader):
    """Everything an operator looks at."""

    over: bool
    seen_at: AwareDatetime
    cursor: int = Field(description="Follow `/runs/{id}/events` from here and nothing is missed.")
    counts: dict[str, int] = Field(description="`sites`, and how many of them stand in each state.")
    sites: list[ParticipantLine]
    links: list[ParticipantLine]


class Extension(BaseModel):
    """How much longer a run is to go on."""

    model_config = ConfigDict(extra="forbid")

    minutes: int = Field(ge=1, le=LONGEST_EXTENSION_MIN)


class Accepted(_Out):
    """The order is stored and will be carried out; the journal tells when."""

    command: int
    verb: str


class ReasonOut(_Out):
    """Why a call ended, or why somebody is absent."""

    cause: str
    side: str
    raw: str
    words: str = Field(description="For people, in the language asked for.")


class GapOut(_Out):
    """A time away between two times in."""

    from_at: AwareDatetime
    to_at: AwareDatetime
    reason: ReasonOut


class NoteOut(_Out):
    """A correction or remark."""

    at: AwareDatetime
    text: str


class AttendanceLine(_Out):
    """One participant's record."""

    kind: Literal["site", "room"]
    code: str
    name: str
    was_there: bool
    first_in_at: AwareDatetime | None
    last_out_at: AwareDatetime | None
    total_s: int
    gaps: list[GapOut]
    ways: list[str]
    attempts: int
    absence: ReasonOut | None
    notes: list[NoteOut]


class AttendanceOut(_Out):
    """Who was there, as the journal tells it; final once `over`."""

    run_id: int
    title: str
    state: RunState
    over: bool
    time_zone: str
    starts_at: AwareDatetime
    ends_at: AwareDatetime
    participants: list[AttendanceLine]


def attendance_out(record: Record, words: Callable[[str, str, str], str]) -> AttendanceOut:
    """The record as it goes out; `words` says (cause, side, raw) in the reader's language."""

    def reason_out(why: Reason) -> ReasonOut:
        return ReasonOut(cause=why.cause, side=why.side, raw=why.raw, words=words(why.cause, why.side, why.raw))

    def line_out(line: Attendance) -> dict[str, Any]:
        return {
            "kind": line.kind,
            "code": line.code,
            "name": line.name,
            "was_there": line.was_there,
            "first_in_at": line.first_in_at,
            "last_out_at": line.last_out_at,
            "total_s": round(line.total.total_seconds()),
            "gaps": [{"from_at": g.from_at, "to_at": g.to_at, "reason": reason_out(g.reason)} for g in line.gaps],
            "ways": line.ways,
            "attempts": line.attempts,
            "absence": reason_out(line.absence) if line.absence else None,
            "notes": [{"at": note.at, "text": note.text} for note in line.notes],
        }

    run = record.run
    return AttendanceOut.model_validate(
        {
            "run_id": run.id,
            "title": run.title,
            "state": run.state,
            "over": record.over,
            "time_zone": run.time_zone,
            "starts_at": run.starts_at,
            "ends_at": run.ends_at,
            "participants": [line_out(line) for line in record.participants],
        }
    )

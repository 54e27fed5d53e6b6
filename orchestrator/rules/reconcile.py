"""Wanted against seen, one participant at a time: what to do, and when to look again.

Start, redial, an operator's order, a restart and the end are all this one path. A `Track`
is what is known of one participant; `decide` reads it and says what should happen; the
functions named after events (`dialed`, `connected`, `cleared`...) are the only writers.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from adapters import ClearCause, Cleared, LegState, Member
from orchestrator.rules.plan import OF_THE_ENDPOINT, ONLY_THE_BRIDGE_KNOWS, Rung, Way
from orchestrator.rules.redial import Attempt, NextTry, RedialRules, Stop, next_try
from orchestrator.rules.states import LEG, ParticipantState, may

SETUP_S = 30.0
"""What a set-up may take beyond ringing."""


class Kind(StrEnum):
    """A participant is a site of ours or a room that the conference is linked to."""

    SITE = "site"
    ROOM = "room"


class Why(StrEnum):
    """Why we ourselves bring a call down."""

    OPERATOR = "operator"
    REDIAL = "redial"
    CLOSING = "closing"
    NOT_LET_IN = "not-let-in"
    OVERDUE = "overdue"
    BY_HAND = "by-hand"  # it came in by itself while we were still ringing it


@dataclass(slots=True)
class Call:
    """The leg that a participant has now."""

    name: str
    rung: int
    way: Way
    address: str
    state: LegState
    dialed_at: datetime
    connected_at: datetime | None = None
    admitted_at: datetime | None = None
    missing_since: datetime | None = None  # up, and not in the roster, since then
    member: str = ""  # by refer: the bridge's name of the call that came in for it
    digits_lost_at: datetime | None = None  # taken up while its PIN may have been half entered
    taken_up: bool = False  # an earlier process, or an earlier owner, placed it
    coming_down: Why | None = None
    ordered_down_at: datetime | None = None
    first_ordered_down_at: datetime | None = None

    @property
    def is_up(self) -> bool:
        return self.state is LegState.CONNECTED


@dataclass(slots=True)
class Track:
    """What is known of one participant of a run."""

    id: int
    kind: Kind
    code: str
    name: str
    priority: int
    rungs: Sequence[Rung]
    state: ParticipantState = ParticipantState.WAITING
    call: Call | None = None
    attempts: list[Attempt] = field(default_factory=list)  # since the last fresh start
    tries: int = 0  # all attempts of the run
    redials: int = 0  # those after it had been in
    been_in: bool = False
    member: Member | None = None  # our leg, as the bridge's roster has it
    by_hand: Member | None = None  # somebody else's call for the same site
    far_seen: bool | None = None  # links: the far room's roster shows us (None: it cannot be read)
    pending: NextTry | None = None
    stopped: str = ""  # why it is not dialed again
    last: Cleared | None = None
    in_since: datetime | None = None


@dataclass(frozen=True, slots=True)
class Scene:
    """What holds for all participants of a run at this moment."""

    dialing: bool  # the window is open and the conference can be entered
    closing: bool
    bridge_session: bool  # the bridge's control session is up: it can call and tell
    roster_known: bool  # the roster was read and is kept up to date
    settle_s: float = 20.0  # how long a connected leg may be missing from the roster
    admission_s: float = 60.0  # how long a link must stay up when the far room cannot be read
    ring_s: float = 45.0
    sweep_s: float = 5.0  # how often a hang-up is ordered again


@dataclass(frozen=True, slots=True)
class Dial:
    """Place a call for the participant by this rung."""

    rung: int


@dataclass(frozen=True, slots=True)
class HangUp:
    """Bring the participant's call down."""

    leg: str
    why: Why


Intent = Dial | HangUp


@dataclass(frozen=True, slots=True)
class Decision:
    """The participant's state, what to do for it, and when to look again without an event."""

    state: ParticipantState
    intent: Intent | None = None
    wake_at: datetime | None = None


def endpoint_evidence(track: Track) -> str:
    """What the endpoint's side says: connected, not-connected, or unknown."""
    call = track.call
    if call is None or call.state is LegState.CLEARED:
        return "unknown" if track.by_hand else "not-connected"
    if call.way in ONLY_THE_BRIDGE_KNOWS:
        return "unknown"  # no control session
    return "connected" if call.is_up else "not-connected"


def bridge_evidence(track: Track, scene: Scene) -> str:
    """What the bridge's roster says: in, not-in, or unknown."""
    if track.member is not None or track.by_hand is not None:
        return "in"
    return "not-in" if scene.roster_known else "unknown"


def decide(track: Track, scene: Scene, now: datetime) -> Decision:
    """What the participant's state is and what should be done for it now."""
    call = track.call
    if scene.closing:
        return _decide_closing(track, scene, now)
    if call is not None and call.coming_down is not None:
        return _sweep(track, call, scene, now)
    if call is not None:
        return _decide_call(track, call, scene, now)
    if track.by_hand is not None:
        return Decision(ParticipantState.IN)
    if track.stopped:
        return Decision(ParticipantState.STOPPED)
    waiting = ParticipantState.RETRYING if track.tries else ParticipantState.WAITING
    if not scene.dialing:
        came_by_hand = track.state is ParticipantState.IN and not scene.roster_known  # for all we know
        return Decision(track.state if came_by_hand else waiting)
    if track.pending is not None and track.pending.at > now:
        return Decision(waiting, wake_at=track.pending.at)
    rung = _usable(track, track.pending.rung if track.pending else 0, scene)
    if rung is None:
        return Decision(waiting)  # the bridge's session coming back is an event
    return Decision(waiting, Dial(rung))


def _usable(track: Track, wanted: int, scene: Scene) -> int | None:
    """The wanted rung, or the next one that does not need a bridge session we lack."""
    barred = {a.rung for a in track.attempts if a.barred}
    for step in range(len(track.rungs)):
        rung = (wanted + step) % len(track.rungs)
        if rung not in barred and (scene.bridge_session or track.rungs[rung].way not in ONLY_THE_BRIDGE_KNOWS):
            return rung
    return None


def _decide_closing(track: Track, scene: Scene, now: datetime) -> Decision:
    ended = ParticipantState.IN if track.state is ParticipantState.IN else ParticipantState.ABSENT
    call = track.call
    if call is None:
        return Decision(ended)
    if call.coming_down is None:
        return Decision(ended, HangUp(call.name, Why.CLOSING))
    return Decision(ended, *_again(call, scene, now))


def _sweep(track: Track, call: Call, scene: Scene, now: datetime) -> Decision:
    return Decision(track.state, *_again(call, scene, now))


def _again(call: Call, scene: Scene, now: datetime) -> tuple[Intent | None, datetime | None]:
    """Order the hang-up (again) when it is time; otherwise say when that will be."""
    if call.ordered_down_at is None:
        return HangUp(call.name, call.coming_down or Why.CLOSING), None
    due = call.ordered_down_at + timedelta(seconds=scene.sweep_s)
    return (HangUp(call.name, call.coming_down or Why.CLOSING), None) if now >= due else (None, due)


def _decide_call(track: Track, call: Call, scene: Scene, now: datetime) -> Decision:
    if not call.is_up:
        overdue = overdue_at(call, scene.ring_s)
        state = ParticipantState.RINGING if call.state is LegState.RINGING else ParticipantState.DIALING
        if track.by_hand is not None:
            return Decision(state, HangUp(call.name, Why.BY_HAND))
        if now >= overdue:
            return Decision(state, HangUp(call.name, Why.OVERDUE))
        return Decision(state, wake_at=overdue)
    connected_at = call.connected_at or now
    if track.kind is Kind.ROOM:
        return _decide_link(track, call, connected_at, scene, now)
    if bridge_evidence(track, scene) != "not-in":
        return Decision(ParticipantState.IN)
    settled = (call.missing_since or connected_at) + timedelta(seconds=scene.settle_s)
    if now >= settled:
        return Decision(ParticipantState.HALF_IN, HangUp(call.name, Why.NOT_LET_IN))
    return Decision(ParticipantState.HALF_IN, wake_at=settled)


def overdue_at(call: Call, ring_s: float) -> datetime:
    """When a call that is still not answered has outlived every way it could be."""
    return call.dialed_at + timedelta(seconds=ring_s + SETUP_S)


def _decide_link(track: Track, call: Call, connected_at: datetime, scene: Scene, now: datetime) -> Decision:
    """A link is in when the far room shows it, or has kept it long enough.

    A room that waits for the right PIN has answered and looks connected from here; measured:
    with a wrong one it hangs up after up to 45 s with a normal cause.
    """
    if track.far_seen or (call.admitted_at is not None and track.far_seen is None):
        return Decision(ParticipantState.IN)
    if call.digits_lost_at is not None and call.admitted_at is None:
        shown_by = call.digits_lost_at + timedelta(seconds=scene.sweep_s)
        if now >= shown_by:
            return Decision(ParticipantState.HALF_IN, HangUp(call.name, Why.REDIAL))
        return Decision(ParticipantState.HALF_IN, wake_at=shown_by)
    proven = connected_at + timedelta(seconds=scene.admission_s)
    if now < proven:
        return Decision(ParticipantState.HALF_IN, wake_at=proven)
    if track.far_seen is None:
        return Decision(ParticipantState.IN)
    return Decision(ParticipantState.HALF_IN, HangUp(call.name, Why.NOT_LET_IN))


# --- what happened ---------------------------------------------------------------------


def dialed(track: Track, name: str, rung: int, now: datetime) -> Call:
    """A call is being placed: the track has it from now on."""
    chosen = track.rungs[rung]
    track.call = Call(name, rung, chosen.way, chosen.address, LegState.DIALING, now)
    track.tries += 1
    track.redials += track.been_in
    track.pending = None
    return track.call


def progressed(track: Track, state: LegState, at: datetime) -> bool:
    """The call rang or was answered. False when that is no news (late, repeated, going down)."""
    call = track.call
    if call is None or call.state is state or not may(LEG, call.state, state):  # type: ignore[arg-type]
        return False
    call.state = state
    if state is LegState.CONNECTED:
        call.connected_at = at
        call.missing_since = None if track.member else at
    return True


def seen_in_roster(track: Track, member: Member | None, at: datetime) -> None:
    """The bridge's roster has our leg as `member`, or (None) no longer has it."""
    track.member = member
    if track.call is not None:
        track.call.missing_since = None if member else track.call.missing_since or at


def is_endpoints_call(track: Track, member: Member, came_at: datetime | None) -> bool:
    """Whether a call without a mark, from the participant's endpoint, is the one it was told to make.

    It is when it came in after we told it so, and is the first. When it came is `came_at`, None
    where nobody says: then it is nobody's proof, and stays a call placed by hand, unless the
    endpoint itself says that the call we ordered is up.
    """
    call = track.call
    if call is None or call.way not in OF_THE_ENDPOINT:
        return False
    if call.member:
        return call.member == member.id
    if came_at is None:
        return call.way is Way.ENDPOINT_DIALS and call.is_up
    return came_at >= call.dialed_at


def admitted(track: Track, at: datetime) -> None:
    """The call counts as in from now on; said by `decide`, noted here."""
    track.been_in = True
    track.in_since = track.in_since or at
    if track.call is not None and track.call.admitted_at is None:
        track.call.admitted_at = at


def coming_down(track: Track, why: Why, now: datetime) -> None:
    """The call was ordered down."""
    if track.call is not None:
        track.call.coming_down = track.call.coming_down or why
        track.call.ordered_down_at = now
        track.call.first_ordered_down_at = track.call.first_ordered_down_at or now
        if may(LEG, track.call.state, LegState.CLEARING):  # type: ignore[arg-type]
            track.call.state = LegState.CLEARING


def cleared(
    track: Track, ended: Cleared, at: datetime, rules: RedialRules, jitter: float, *, barred: bool = False
) -> Cleared:
    """The call is over: note the attempt, and when and how to try next.

    Returns how it ended, in the mind's words: what we brought down for a reason says the reason.
    """
    call = track.call
    if call is None:
        return ended
    why = call.coming_down
    track.call, track.member = None, None
    track.far_seen = None if track.far_seen is None else False
    if why is Why.NOT_LET_IN:
        ended = Cleared(ClearCause.NOT_ALLOWED, ended.side, "connected, but never shown in the conference")
    elif why is Why.OVERDUE:
        ended = Cleared(ClearCause.NO_ANSWER, ended.side, ended.raw or "no outcome in time")
    track.last = ended
    if why is Why.OPERATOR:
        track.stopped = "hung up by an operator"
    elif why is Why.REDIAL:
        fresh(track)
    elif why not in (Why.CLOSING, Why.BY_HAND):
        was_in = call.admitted_at is not None
        held_s = (at - call.admitted_at).total_seconds() if call.admitted_at else 0.0
        track.attempts.append(Attempt(call.rung, ended.cause, at, was_in, held_s, barred))
        match next_try(len(track.rungs), track.attempts, rules, jitter):
            case Stop(why=reason):
                track.stopped = reason
            case NextTry() as pending:
                track.pending = pending
    return ended


def fresh(track: Track) -> None:
    """Forget what failed: the next try is now, from the foot of the ladder, if there is one."""
    track.attempts.clear()
    track.pending = None
    if track.rungs:
        track.stopped = ""

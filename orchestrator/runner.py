"""One run: observe, reconcile, act, write down; again and again until it is over."""

import asyncio
import heapq
import time
import zlib
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import structlog

from adapters import (
    ClearCause,
    Cleared,
    ConferenceEnded,
    LegCleared,
    LegConnected,
    LegRinging,
    LegSeen,
    LegState,
    Member,
    MemberChanged,
    MemberJoined,
    MemberLeft,
    OutcomeUnknown,
    SessionGone,
    SessionReady,
    Side,
)
from orchestrator.actions import (
    Actions,
    ConferenceOpened,
    ConferenceTrouble,
    LegFound,
    LinkedRoom,
    News,
    RosterRead,
    VerbFailed,
    cause_of,
)
from orchestrator.desk import Desk
from orchestrator.keys import Keys
from orchestrator.lease import Lease, LeaseLost
from orchestrator.ledger import Ledger
from orchestrator.orders import carry_out
from orchestrator.pace import Pace
from orchestrator.roster import Callers, RosterView, leg_of, shows
from orchestrator.rules import reconcile as rule
from orchestrator.rules.plan import Way
from orchestrator.rules.reconcile import Call, Dial, HangUp, Kind, Scene, Track, Why
from orchestrator.rules.redial import RedialRules
from orchestrator.rules.states import RUN_OVER, ParticipantState, RunState, advance_participant, advance_run
from orchestrator.rules.tag import LegName
from orchestrator.store.inventory import Bridge
from orchestrator.store.runs import Leg, Run, ShardCommand

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class RunTerms:
    """The figures a run is conducted by, in seconds; docs/operating.md lists their settings."""

    redial: RedialRules = field(default_factory=RedialRules)
    ring_s: float = 45.0
    grace_s: float = 60.0
    settle_s: float = 20.0
    admission_s: float = 60.0
    sweep_s: float = 5.0
    roster_s: float = 30.0  # how often the roster is read anew, besides its events
    orders_s: float = 1.0  # how often command rows of other processes are looked for
    breath_s: float = 0.01  # events of so long go into one pass


@dataclass(slots=True)
class Props:
    """What a runner is given: the run's rows, tracks, and the world around it."""

    run: Run
    bridge: Bridge
    tracks: list[Track]
    rooms: dict[str, LinkedRoom]
    legs: list[Leg]
    lease: Lease
    ledger: Ledger
    desk: Desk
    keys: Keys
    pace: Pace
    now: Callable[[], datetime]
    terms: RunTerms
    orders: Callable[[], Awaitable[list[ShardCommand]]]
    installation: str


class Runner:
    """Conducts one shard of a run while its lease holds."""

    def __init__(self, props: Props) -> None:
        self.run = props.run
        self.state = RunState(props.run.state)
        self.tracks = props.tracks
        self.ledger = props.ledger
        self.terms = props.terms
        self.now = props.now
        self._p = props
        self._view = RosterView()
        self._callers = Callers(props.tracks)
        self._by_code = {(t.kind, t.code): t for t in props.tracks}
        self._by_leg: dict[str, Track] = {}
        self._legs_made = len(props.legs)
        self._inbox: deque[News] = deque()
        self._bell = asyncio.Event()
        self._hint = True  # look at the command rows at once: an earlier owner may have left some
        self._orders_at = 0.0
        self._roster_at = 0.0
        self._dirty: set[int] = {t.id for t in props.tracks}
        self._wakes: list[tuple[datetime, int]] = []
        self._ready: list[tuple[int, int, int]] = []
        self._queued: set[int] = set()
        self._by_id = {t.id: t for t in props.tracks}
        self._shown: dict[int, dict[str, object]] = {}
        self._actions = Actions(
            props.run, props.bridge, props.rooms, props.desk, props.keys, props.lease, props.terms.ring_s, self.put
        )
        self._held: list[tuple[Track, Call, Dial | HangUp]] = []
        self._conference_ready = False
        self._opening = False
        self._open_again_at = 0.0
        self._swept_at: dict[str, datetime] = {}

    # --- the loop ------------------------------------------------------------------------

    def put(self, news: News) -> None:
        """Bring news; called by the desk, in the event loop."""
        self._inbox.append(news)
        self._bell.set()

    def look_at_orders(self) -> None:
        """There is an operator's order among the rows."""
        self._hint = True
        self._bell.set()

    async def conduct(self) -> None:
        """Conduct until the run is over or the lease is lost (LeaseLost)."""
        rooms = [(self._p.bridge.name, self.run.number)]
        rooms += [(r.bridge.name, r.room.number) for r in self._p.rooms.values() if r.bridge is not None]
        self._p.desk.listen(self.run.id or 0, self.put, rooms)
        try:
            self._adopt(self.now())
            while not self.is_over:
                await self._pass()
                if self.is_over:
                    break
                await self._wait()
        finally:
            self._p.desk.stop_listening(self.run.id or 0)
            self._actions.cancel()

    @property
    def is_over(self) -> bool:
        return self.state in RUN_OVER

    async def _wait(self) -> None:
        await asyncio.sleep(self.terms.breath_s)
        timeout = self._seconds_to_next()
        if timeout > 0 and not self._bell.is_set():
            try:
                async with asyncio.timeout(timeout):
                    await self._bell.wait()
            except TimeoutError:
                pass
        self._bell.clear()

    def _seconds_to_next(self) -> float:
        now = self.now()
        moments = [self.terms.orders_s, (self._next_run_moment() - now).total_seconds()]
        if self._wakes:
            moments.append((self._wakes[0][0] - now).total_seconds())
        if self._ready:
            moments.append(self._p.pace.wait_s(time.monotonic()))
        return max(0.0, min(moments))

    def _next_run_moment(self) -> datetime:
        if self.state is RunState.DUE:
            return self.run.opens_at
        return self.run.ends_at + timedelta(seconds=self.terms.grace_s)

    async def _pass(self) -> None:
        now = self.now()
        self._observe(now)
        await self._take_orders(now)
        self._move_run(now)
        intents = self._reconcile(now)
        self._account(now)
        try:
            await self.ledger.commit()
        except LeaseLost:
            raise
        except Exception as error:  # the database is away: calls stay up, nothing is ordered, nothing is lost
            log.warning("ledger-waits", run=self.run.id, error=type(error).__name__)
            self._held = intents
            return
        self._held = []
        for track, call, intent in intents:
            if track.call is call:
                self._act(track, call, intent)
        self._refresh_roster()

    # --- observe -------------------------------------------------------------------------

    def _observe(self, now: datetime) -> None:
        while self._inbox:
            news = self._inbox.popleft()
            match news:
                case LegRinging() | LegConnected() | LegCleared():
                    self._leg_news(news, now)
                case LegFound(seen=seen):
                    self._leg_found(seen, now)
                case MemberJoined() | MemberChanged() | MemberLeft():
                    self._member_news(news, now)
                case RosterRead():
                    self._roster_read(news, now)
                case VerbFailed():
                    self._verb_failed(news, now)
                case ConferenceOpened():
                    self._conference_ready = True
                    self._opening = False
                    self.ledger.note("conference-opened", now, number=self.run.number, bridge=self._p.bridge.name)
                    self._touch_all()
                case ConferenceTrouble(why=why):
                    self._opening = False
                    self._open_again_at = time.monotonic() + 2.0
                    self.ledger.note("conference-trouble", now, why=why)
                case SessionGone() | SessionReady():
                    self._session_news(news, now)
                case ConferenceEnded():
                    pass  # its members' own events have said it already

    def _leg_news(self, news: LegRinging | LegConnected | LegCleared, now: datetime) -> None:
        track = self._by_leg.get(news.leg)
        if track is None:
            return
        if isinstance(news, LegCleared):
            self._cleared(track, news.cleared, news.at)
            return
        state = LegState.RINGING if isinstance(news, LegRinging) else LegState.CONNECTED
        if rule.progressed(track, state, news.at):
            moment = {"connected_at": news.at} if state is LegState.CONNECTED else {}
            self.ledger.leg(news.leg, state=state.value, **moment)
            self.ledger.note(f"leg-{state.value}", news.at, track.code, news.leg)
            self._dirty.add(track.id)
            if state is LegState.CONNECTED and track.kind is Kind.ROOM:
                self._actions.start(self._actions.read_far(track.code))

    def _leg_found(self, seen: LegSeen, now: datetime) -> None:
        track = self._by_leg.get(seen.leg)
        if track is None:
            return
        if seen.state is LegState.CLEARED:
            self._cleared(track, Cleared(ClearCause.LOST, Side.UNKNOWN, "no longer up after a restart"), now)
        else:
            self.ledger.note("adopted", now, track.code, seen.leg, state=seen.state.value)
            if rule.progressed(track, seen.state, seen.seen_at):
                moment = {"connected_at": seen.seen_at} if seen.state is LegState.CONNECTED else {}
                self.ledger.leg(seen.leg, state=seen.state.value, **moment)
            self._dirty.add(track.id)
            if track.kind is Kind.ROOM:
                self._actions.start(self._actions.read_far(track.code))

    def _cleared(self, track: Track, ended: Cleared, at: datetime, *, barred: bool = False) -> None:
        call = track.call
        if call is None:
            return
        self._by_leg.pop(call.name, None)
        ended = rule.cleared(track, ended, at, self.terms.redial, _jitter(call.name), barred=barred)
        self.ledger.leg(
            call.name,
            state=LegState.CLEARED.value,
            cleared_at=at,
            cause=ended.cause.value,
            side=ended.side.value,
            raw=ended.raw[:500],
            barred=barred,
            memory=None,
        )
        self.ledger.note(
            "leg-cleared", at, track.code, call.name,
            cause=ended.cause.value, side=ended.side.value, raw=ended.raw[:500], way=call.way.value,
        )  # fmt: skip
        if not track.attempts and call.coming_down is Why.REDIAL:
            self.ledger.participant(track.id, {"forgotten": track.tries})
        self._dirty.add(track.id)

    def _verb_failed(self, failed: VerbFailed, now: datetime) -> None:
        track = self._by_leg.get(failed.leg)
        if track is None or track.call is None:
            return
        error = failed.error
        if failed.verb != "dial":
            log.warning("order-failed", run=self.run.id, leg=failed.leg, verb=failed.verb, why=error.why)
            return
        if isinstance(error, OutcomeUnknown):
            self.ledger.note("outcome-unknown", now, track.code, failed.leg, why=error.why)
            self._look(track, track.call)
            return
        cause, barred = cause_of(error)
        self._cleared(track, Cleared(cause, Side.DEVICE, error.why), now, barred=barred)

    # --- the roster ----------------------------------------------------------------------

    def _member_news(self, news: MemberJoined | MemberChanged | MemberLeft, now: datetime) -> None:
        for code, linked in self._p.rooms.items():
            if linked.bridge and (news.device, news.conference) == (linked.bridge.name, linked.room.number):
                self._change_view(linked.view, news)
                self._far_changed(code)
                return
        self._change_view(self._view, news)
        self._match_member(news.member, now, gone=isinstance(news, MemberLeft))

    @staticmethod
    def _change_view(view: RosterView, news: MemberJoined | MemberChanged | MemberLeft) -> None:
        if isinstance(news, MemberLeft):
            view.drop(news.member.id)
        else:
            view.put(news.member)

    def _far_changed(self, code: str) -> None:
        track = self._by_code.get((Kind.ROOM, code))
        linked = self._p.rooms[code]
        if track is not None:
            track.far_seen = shows(linked.view.members.values(), self.run.tag) if linked.view.known else None
            self._dirty.add(track.id)

    def _match_member(self, member: Member, now: datetime, *, gone: bool) -> None:
        leg = leg_of(member, self.run.tag)
        if leg is not None:
            track = self._by_leg.get(leg)
            if track is not None:
                rule.seen_in_roster(track, None if gone else member, now)
                self._dirty.add(track.id)
            return
        track = self._callers.track_of(member)
        if track is not None and not _is_ours(member):
            track.by_hand = None if gone else member
            self._dirty.add(track.id)

    def _roster_read(self, read: RosterRead, now: datetime) -> None:
        if read.far is not None:
            self._p.rooms[read.far].view.read(read.roster, read.asked)
            self._far_changed(read.far)
            return
        self._view.read(read.roster, read.asked)
        mine: dict[int, Member] = {}
        by_hand: dict[int, Member] = {}
        for member in self._view.members.values():
            leg = leg_of(member, self.run.tag)
            if leg is not None:
                track = self._by_leg.get(leg)
                if track is not None:
                    mine[track.id] = member
                elif self.state not in RUN_OVER:
                    self._orphan(leg, member, now)
            elif not _is_ours(member) and (track := self._callers.track_of(member)):
                by_hand[track.id] = member
        for track in self.tracks:
            if track.member is not mine.get(track.id) or track.by_hand is not by_hand.get(track.id):
                rule.seen_in_roster(track, mine.get(track.id), now)
                track.by_hand = by_hand.get(track.id)
            elif track.call is not None and track.member is None:
                rule.seen_in_roster(track, None, now)
            self._dirty.add(track.id)

    def _orphan(self, leg: str, member: Member, now: datetime) -> None:
        """A call of ours that no participant has any more: put it out, and again if it stays."""
        last = self._swept_at.get(leg)
        if last is None or now - last >= timedelta(seconds=self.terms.sweep_s):
            if last is None:
                self.ledger.note("leg-left-over", now, "", leg)
            self._swept_at[leg] = now
            self._actions.start(self._actions.put_out(leg, member.id))

    def _session_news(self, news: SessionGone | SessionReady, now: datetime) -> None:
        ready = isinstance(news, SessionReady)
        self.ledger.note("device-back" if ready else "device-gone", now, device=news.device)
        for code, linked in self._p.rooms.items():
            if linked.bridge and linked.bridge.name == news.device and linked.bridge.name != self._p.bridge.name:
                if ready:
                    self._actions.start(self._actions.read_far(code))
                else:
                    linked.view.lose()
                    self._far_changed(code)
                return
        if ready:
            self._conference_ready = False  # open it again: the bridge may have restarted
            self._roster_at = 0.0
            self._adopt_on_bridge()
        else:
            self._view.lose()
        self._touch_all()

    # --- orders --------------------------------------------------------------------------

    async def _take_orders(self, now: datetime) -> None:
        if not self._hint and time.monotonic() < self._orders_at:
            return
        self._hint = False
        self._orders_at = time.monotonic() + self.terms.orders_s
        try:
            commands = await self._p.orders()
        except Exception as error:  # rows are read again at the next pass
            log.warning("orders-wait", run=self.run.id, error=type(error).__name__)
            return
        for command in commands:
            result = carry_out(self, command, now)
            self.ledger.note(
                "command-done", now, str(command.args.get("site", "")), verb=command.verb, result=result,
            )  # fmt: skip
            self.ledger.command(command.id or 0, claimed_at=now, epoch=self._p.lease.epoch, done_at=now, result=result)

    def end(self, reason: str, now: datetime) -> None:
        """Bring the run to its end now."""
        self.run.end_reason = reason
        self.run.ends_at = min(self.run.ends_at, now)
        self.ledger.run(end_reason=reason, ends_at=self.run.ends_at)
        self._to(RunState.CANCELLED if self.state is RunState.DUE else RunState.CLOSING, now, reason=reason)

    def extend(self, minutes: int, now: datetime) -> None:
        """Let the run end `minutes` later."""
        self.run.ends_at += timedelta(minutes=minutes)
        self.ledger.run(ends_at=self.run.ends_at)
        self.ledger.note("run-extended", now, minutes=minutes, ends_at=self.run.ends_at.isoformat())

    def participant(self, code: str) -> Track | None:
        """The participant of a site or linked room, by its code."""
        return self._by_code.get((Kind.SITE, code)) or self._by_code.get((Kind.ROOM, code))

    def dial_afresh(self, track: Track) -> None:
        """Dial a participant now, from the foot of its ladder; a call it has is hung up first."""
        if track.call is not None:
            self.bring_down(track, Why.REDIAL)
        else:
            rule.fresh(track)
            self.ledger.participant(track.id, {"forgotten": track.tries})
        self._dirty.add(track.id)

    def bring_down(self, track: Track, why: Why) -> None:
        """Order the participant's call down."""
        if track.call is not None:
            track.call.coming_down = why
            track.call.ordered_down_at = None
            self._dirty.add(track.id)

    def stop(self, track: Track, why: str) -> None:
        """Do not dial this participant again until somebody says so."""
        track.stopped = why
        self._dirty.add(track.id)

    def mute(self, track: Track, on: bool) -> str:
        """Mute or unmute a participant on the bridge; returns what came of it."""
        member = track.member or track.by_hand
        if member is None:
            return "refused: not in the conference"
        self._actions.start(self._actions.mute(member.id, on))
        return "ordered"

    # --- the run's own state -------------------------------------------------------------

    def _to(self, state: RunState, now: datetime, reason: str = "") -> None:
        if state is self.state:
            return
        self.state = advance_run(self.state, state)
        self.run.state = state.value
        changes: dict[str, object] = {"state": state.value}
        if state in RUN_OVER:
            self.run.closed_at = now
            changes["closed_at"] = now
            self.ledger.shard(state="done")
        self.ledger.run(**changes)
        self.ledger.note("run-state", now, state=state.value, reason=reason)
        self._touch_all()

    def _move_run(self, now: datetime) -> None:
        if self.is_over:
            return
        over = now >= self.run.ends_at + timedelta(seconds=self.terms.grace_s)
        if self.state is RunState.DUE:
            if now >= self.run.ends_at:
                self._to(RunState.MISSED, now)
            elif now >= self.run.opens_at:
                self._to(RunState.PREPARING, now)
        if self.state in (RunState.PREPARING, RunState.CALLING, RunState.LIVE, RunState.DEGRADED):
            if over:
                never = self.state is RunState.PREPARING
                self.run.end_reason = self.run.end_reason or ("the conference could not be had" if never else "time")
                self.ledger.run(end_reason=self.run.end_reason)
                self._to(RunState.FAILED if never else RunState.CLOSING, now, reason=self.run.end_reason)
            else:
                self._have_conference()
        if self.state is RunState.PREPARING and self._conference_ready:
            self._to(RunState.CALLING, now)

    def _have_conference(self) -> None:
        if not self._conference_ready and not self._opening and time.monotonic() >= self._open_again_at:
            self._opening = True
            self._actions.start(self._actions.open_conference())

    def _account(self, now: datetime) -> None:
        """Where the run stands after its participants were looked at."""
        if self.state in (RunState.CALLING, RunState.LIVE, RunState.DEGRADED):
            missing = any(t.state not in (ParticipantState.IN, ParticipantState.STOPPED) for t in self.tracks)
            if not missing:
                self._to(RunState.LIVE, now)
            elif self.state is RunState.LIVE or (self.state is RunState.CALLING and now >= self.run.starts_at):
                self._to(RunState.DEGRADED, now)
        elif self.state in (RunState.CLOSING, RunState.LEFTOVER):
            up = [t for t in self.tracks if t.call is not None]
            if not up and not self._dirty:
                self._actions.start(self._actions.end_conference())
                self._to(RunState.DONE, now)
            elif self.state is RunState.CLOSING and any(self._is_stuck(t, now) for t in up):
                for track in up:
                    self.ledger.note("leg-left-over", now, track.code, track.call.name if track.call else "")
                self._to(RunState.LEFTOVER, now)

    def _is_stuck(self, track: Track, now: datetime) -> bool:
        call = track.call
        grace = timedelta(seconds=3 * self.terms.sweep_s)
        return (
            call is not None
            and call.coming_down is not None
            and now >= self.run.ends_at + grace
            and (call.first_ordered_down_at is not None and now >= call.first_ordered_down_at + grace)
        )

    # --- reconcile -----------------------------------------------------------------------

    def _scene(self) -> Scene:
        closing = self.state in (RunState.CLOSING, RunState.LEFTOVER) or self.is_over
        under_way = self.state in (RunState.CALLING, RunState.LIVE, RunState.DEGRADED)
        return Scene(
            dialing=under_way and self.now() < self.run.ends_at,
            closing=closing,
            bridge_session=self._p.desk.is_up(self._p.bridge.name),
            roster_known=self._view.known,
            settle_s=self.terms.settle_s,
            admission_s=self.terms.admission_s,
            ring_s=self.terms.ring_s,
            sweep_s=self.terms.sweep_s,
        )

    def _reconcile(self, now: datetime) -> list[tuple[Track, Call, Dial | HangUp]]:
        while self._wakes and self._wakes[0][0] <= now:
            self._dirty.add(heapq.heappop(self._wakes)[1])
        scene = self._scene()
        intents = self._held
        dirty, self._dirty = self._dirty, set()
        for track_id in dirty:
            self._look_at(self._by_id[track_id], scene, now, intents)
        self._dial_ready(scene, now, intents)
        return intents

    def _look_at(
        self, track: Track, scene: Scene, now: datetime, intents: list[tuple[Track, Call, Dial | HangUp]]
    ) -> None:
        decision = rule.decide(track, scene, now)
        self._enter(track, decision.state, now)
        match decision.intent:
            case HangUp() as intent:
                rule.coming_down(track, intent.why, now)
                self.ledger.leg(intent.leg, state=LegState.CLEARING.value, coming_down=intent.why.value)
                self._wake(track, now + timedelta(seconds=self.terms.sweep_s))
                if track.call is not None:
                    intents.append((track, track.call, intent))
            case Dial() if track.id not in self._queued:
                self._queued.add(track.id)
                heapq.heappush(self._ready, (track.kind is not Kind.ROOM, track.priority, track.id))
        if decision.wake_at is not None:
            self._wake(track, decision.wake_at)
        self._show(track, scene)

    def _wake(self, track: Track, at: datetime) -> None:
        heapq.heappush(self._wakes, (at, track.id))

    def _dial_ready(self, scene: Scene, now: datetime, intents: list[tuple[Track, Call, Dial | HangUp]]) -> None:
        """Dial those whose turn it is, links first, then by priority, at the bridge's pace."""
        granted = self._p.pace.take(len(self._ready), time.monotonic())
        while granted and self._ready:
            track = self._by_id[heapq.heappop(self._ready)[2]]
            self._queued.discard(track.id)
            match rule.decide(track, scene, now).intent:
                case Dial(rung=rung) as intent:
                    granted -= 1
                    intents.append((track, self._plan_leg(track, rung, now), intent))
                    self._show(track, scene)

    def _plan_leg(self, track: Track, rung: int, now: datetime) -> Call:
        self._legs_made += 1
        name = str(LegName(self._p.installation, self.run.id or 0, self._legs_made, self._p.lease.epoch))
        call = rule.dialed(track, name, rung, now)
        self._by_leg[name] = track
        self.ledger.new_leg(
            {
                "run_id": self.run.id,
                "shard_id": self._p.lease.shard_id,
                "participant_id": track.id,
                "attempt": track.tries,
                "rung": rung,
                "way": call.way.value,
                "endpoint": track.rungs[rung].endpoint,
                "address": call.address,
                "name": name,
                "state": LegState.DIALING.value,
                "planned_at": now,
                "dialed_at": now,
                "epoch": self._p.lease.epoch,
                "cause": "", "side": "", "raw": "", "coming_down": "", "barred": False,
            }
        )  # fmt: skip
        self.ledger.note(
            "leg-dialed", now, track.code, name, way=call.way.value, address=call.address, attempt=track.tries
        )
        self._enter(track, ParticipantState.DIALING, now)
        return call

    def _enter(self, track: Track, state: ParticipantState, now: datetime) -> None:
        if state is track.state:
            return
        was, track.state = track.state, advance_participant(track.state, state)
        if state is ParticipantState.IN:
            first = track.call is not None and track.call.admitted_at is None
            rule.admitted(track, now)
            if first and track.call is not None:
                self.ledger.leg(track.call.name, admitted_at=track.call.admitted_at)
                self.ledger.note("leg-admitted", now, track.code, track.call.name)
            way = track.call.way.value if track.call else Way.BY_HAND.value
            self.ledger.note("site-in", now, track.code, track.call.name if track.call else "", way=way)
        elif was is ParticipantState.IN:
            track.in_since = None
            self.ledger.note("site-out", now, track.code, cause=track.last.cause.value if track.last else "")
        if state is ParticipantState.ABSENT:
            self.ledger.note("site-absent", now, track.code, cause=track.last.cause.value if track.last else "")

    def _show(self, track: Track, scene: Scene) -> None:
        """Put what the board shows of a participant into its row, when it changed."""
        call, last = track.call, track.last
        in_now = track.state is ParticipantState.IN
        shown: dict[str, object] = {
            "state": track.state.value,
            "seen_by_endpoint": rule.endpoint_evidence(track),
            "seen_by_bridge": rule.bridge_evidence(track, scene),
            "muted": track.member.muted if track.member else None,
            "attempts": track.tries,
            "redials": track.redials,
            "cause": "" if in_now or last is None else last.cause.value,
            "side": "" if in_now or last is None else last.side.value,
            "raw": "" if in_now or last is None else last.raw[:500],
            "in_since": track.in_since,
            "next_try_at": track.pending.at if track.pending and call is None else None,
            "stopped_why": track.stopped,
        }
        if call is not None:
            shown["way"], shown["address"] = call.way.value, call.address
        elif track.by_hand is not None:
            shown["way"], shown["address"] = Way.BY_HAND.value, track.by_hand.caller
        before = self._shown.setdefault(track.id, {})
        changed = {key: value for key, value in shown.items() if key not in before or before[key] != value}
        if changed:
            before.update(changed)
            self.ledger.participant(track.id, changed)

    def _touch_all(self) -> None:
        self._dirty.update(self._by_id)

    # --- act -----------------------------------------------------------------------------

    def _act(self, track: Track, call: Call, intent: Dial | HangUp) -> None:
        link = track.code if track.kind is Kind.ROOM else None
        if isinstance(intent, Dial):
            self._actions.start(self._actions.dial(call.name, call.way, call.address, name=track.name, link=link))
        else:
            self._actions.start(self._actions.hang_up(call.name, call.way, call.address, link=link))

    def _look(self, track: Track, call: Call) -> None:
        """The order may have reached the device: ask before anything is dialed again."""
        if call.way is Way.BRIDGE_DIALS:
            self._actions.start(self._actions.adopt_on_bridge([call.name], wait_s=1.0))

    def _refresh_roster(self) -> None:
        if self._conference_ready and time.monotonic() >= self._roster_at:
            self._roster_at = time.monotonic() + self.terms.roster_s
            self._actions.start(self._actions.read_roster(self._view))

    # --- take over -----------------------------------------------------------------------

    def _adopt(self, now: datetime) -> None:
        """Pick up the calls that an earlier process, or an earlier owner, left."""
        for leg in self._p.legs:
            if leg.state == LegState.CLEARED.value:
                continue
            track = self._by_id[leg.participant_id]
            if track.call is None:
                continue
            self._by_leg[leg.name] = track
            if track.call.way is Way.BRIDGE_DIALS:
                continue
            if leg.memory is None:
                self._never_placed(track, now)
                continue
            link = track.code if track.kind is Kind.ROOM else None
            self._actions.start(self._actions.adopt(leg.name, leg.memory, leg.address, link=link))
        if self._by_leg:
            self._conference_ready = False

    def _never_placed(self, track: Track, now: datetime) -> None:
        """Written down, but the process ended before the first message: nobody was rung."""
        call = track.call
        if call is not None:
            self._by_leg.pop(call.name, None)
            rule.never_placed(track, now)
            self.ledger.leg(
                call.name, state=LegState.CLEARED.value, cleared_at=now, cause=ClearCause.LOCAL.value,
                side=Side.OURS.value, raw="never placed",
            )  # fmt: skip
            self.ledger.note(
                "leg-cleared", now, track.code, call.name, cause=ClearCause.LOCAL.value, raw="never placed"
            )

    def _adopt_on_bridge(self) -> None:
        legs = [t.call.name for t in self.tracks if t.call is not None and t.call.way is Way.BRIDGE_DIALS]
        if legs:
            self._actions.start(self._actions.adopt_on_bridge(legs))


def _is_ours(member: Member) -> bool:
    """Whether any installation's leg name stands in the entry: then nobody dialed it by hand."""
    return any(LegName.find(mark) for mark in member.marks)


def _jitter(leg: str) -> float:
    """A spread in 0..1 that is the same for a leg after a restart."""
    return zlib.crc32(leg.encode()) / 2**32

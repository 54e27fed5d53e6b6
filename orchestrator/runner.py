"""One run: observe, reconcile, act, write down; again and again until it is over."""

import asyncio
import heapq
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import structlog

from adapters import Capability, ClearCause, LegState, Side
from orchestrator.actions import Actions, LinkedRoom, News
from orchestrator.desk import Desk
from orchestrator.lease import Lease, LeaseLost
from orchestrator.ledger import Ledger
from orchestrator.observer import Observer
from orchestrator.orders import carry_out
from orchestrator.pace import Pace
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
    pace: Pace
    now: Callable[[], datetime]
    terms: RunTerms
    orders: Callable[[], Awaitable[list[ShardCommand]]]
    installation: str


_LAST_LOOK_S = 0.25
"""How often a closing run looks whether its last roster has come."""

Intended = tuple[Track, Call, Dial | HangUp]
"""An intent, and the call that it is about: one that has ended meanwhile is left alone."""


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
        self._by_code = {(t.kind, t.code): t for t in props.tracks}
        self._legs_made = len(props.legs)
        self._inbox: deque[News] = deque()
        self._bell = asyncio.Event()
        self._hint = True  # look at the command rows at once: an earlier owner may have left some
        self._orders_at = 0.0
        self._wakes: list[tuple[datetime, int]] = []
        self._ready: list[tuple[int, int, int]] = []
        self._queued: set[int] = set()
        self._by_id = {t.id: t for t in props.tracks}
        self._shown: dict[int, dict[str, object]] = {}
        self._actions = Actions(
            props.run, props.bridge, props.rooms, props.desk, props.lease, props.terms.ring_s, self.put
        )
        self._seen = Observer(
            props.run, props.bridge, props.tracks, props.rooms, props.ledger, self._actions,
            props.terms.redial, props.terms.sweep_s,
        )  # fmt: skip
        self._held: list[Intended] = []
        self._carried_out: set[int] = set()

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
            while not self.is_over or self.ledger.has_news:
                await self._pass()
                if not self.is_over or self.ledger.has_news:
                    await self._wait()
            if self.state is RunState.DONE:
                await self._actions.end_conference()
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
        if self.state in (RunState.CLOSING, RunState.LEFTOVER):
            moments.append(_LAST_LOOK_S)
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
        while self._inbox:
            self._seen.take(self._inbox.popleft(), now)
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
        self._carried_out.clear()
        if self.state not in (RunState.DUE, *RUN_OVER):
            self._seen.have_roster(self.terms.roster_s)

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
            if command.id in self._carried_out:
                continue  # done, but that is not written yet
            self._carried_out.add(command.id or 0)
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
        self._seen.dirty.add(track.id)

    def bring_down(self, track: Track, why: Why) -> None:
        """Order the participant's call down."""
        if track.call is not None:
            track.call.coming_down = why
            track.call.ordered_down_at = None
            self._seen.dirty.add(track.id)

    def stop(self, track: Track, why: str) -> None:
        """Do not dial this participant again until somebody says so."""
        track.stopped = why
        self._seen.dirty.add(track.id)

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
        self._seen.touch_all()

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
                self._seen.have_conference()
        # without the bridge's session sites can still be dialed by the ways that need none
        if self.state is RunState.PREPARING and (
            self._seen.conference_ready or (self._seen.trouble and self._has_ways_past_the_bridge)
        ):
            self._to(RunState.CALLING, now)

    @property
    def _has_ways_past_the_bridge(self) -> bool:
        return any(rung.way is not Way.BRIDGE_DIALS for track in self.tracks for rung in track.rungs)

    def _account(self, now: datetime) -> None:
        """Where the run stands after its participants were looked at."""
        if self.state in (RunState.CALLING, RunState.LIVE, RunState.DEGRADED):
            missing = any(t.state not in (ParticipantState.IN, ParticipantState.STOPPED) for t in self.tracks)
            if not missing:
                self._to(RunState.LIVE, now)
            elif self.state is RunState.LIVE or (self.state is RunState.CALLING and now >= self.run.starts_at):
                self._to(RunState.DEGRADED, now)
        elif self.state in (RunState.CLOSING, RunState.LEFTOVER):
            self._come_down(now)

    def _come_down(self, now: datetime) -> None:
        """Closing: done when no call of ours is left, as far as the bridge can say too."""
        up = [track for track in self.tracks if track.call is not None]
        if any(track.call.way is Way.BRIDGE_DIALS for track in up if track.call):
            self._seen.have_conference()  # its session is needed to bring them down
        if not up and not self._seen.dirty and self._roster_is_clear():
            self._to(RunState.DONE, now)
        elif self.state is RunState.CLOSING and any(self._is_stuck(track, now) for track in up):
            for track in up:
                self.ledger.note("leg-left-over", now, track.code, track.call.name if track.call else "")
            self._to(RunState.LEFTOVER, now)

    def _roster_is_clear(self) -> bool:
        """Whether a roster asked for after the last call came down shows none of ours.

        A bridge that cannot tell, or whose session is down, holds nothing up.
        """
        if not self._seen.conference_ready or not self._p.desk.is_up(self._p.bridge.name):
            return True
        if Capability.ROSTER not in self._p.desk.bridge(self._p.bridge).capabilities:
            return True
        if self._seen.roster_asked_s <= self._seen.last_cleared_s or self._seen.orphans:
            self._seen.have_roster_again()
            return False
        return True

    def _is_stuck(self, track: Track, now: datetime) -> bool:
        call = track.call
        if call is None or call.first_ordered_down_at is None:
            return False
        return now >= call.first_ordered_down_at + timedelta(seconds=3 * self.terms.sweep_s)

    # --- reconcile -----------------------------------------------------------------------

    def _scene(self) -> Scene:
        closing = self.state in (RunState.CLOSING, RunState.LEFTOVER) or self.is_over
        under_way = self.state in (RunState.CALLING, RunState.LIVE, RunState.DEGRADED)
        return Scene(
            dialing=under_way and self._seen.has_looked and self.now() < self.run.ends_at,
            closing=closing,
            bridge_session=self._p.desk.is_up(self._p.bridge.name),
            roster_known=self._seen.view.known,
            settle_s=self.terms.settle_s,
            admission_s=self.terms.admission_s,
            ring_s=self.terms.ring_s,
            sweep_s=self.terms.sweep_s,
        )

    def _reconcile(self, now: datetime) -> list[Intended]:
        while self._wakes and self._wakes[0][0] <= now:
            self._seen.dirty.add(heapq.heappop(self._wakes)[1])
        scene = self._scene()
        intents = self._held
        dirty, self._seen.dirty = self._seen.dirty, set()
        for track_id in dirty:
            self._look_at(self._by_id[track_id], scene, now, intents)
        self._dial_ready(scene, now, intents)
        return intents

    def _look_at(self, track: Track, scene: Scene, now: datetime, intents: list[Intended]) -> None:
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

    def _dial_ready(self, scene: Scene, now: datetime, intents: list[Intended]) -> None:
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
        self._seen.expect(track, name)
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
        if track.state is ParticipantState.IN:
            cause, side, raw = "", "", ""
        elif last is not None:
            cause, side, raw = last.cause.value, last.side.value, last.raw[:500]
        elif call is None and self._seen.trouble and not scene.bridge_session:
            cause, side, raw = ClearCause.UNREACHABLE.value, Side.BRIDGE.value, self._seen.trouble[:500]
        else:
            cause, side, raw = "", "", ""
        shown: dict[str, object] = {
            "state": track.state.value,
            "seen_by_endpoint": rule.endpoint_evidence(track),
            "seen_by_bridge": rule.bridge_evidence(track, scene),
            "muted": track.member.muted if track.member else None,
            "attempts": track.tries,
            "redials": track.redials,
            "cause": cause,
            "side": side,
            "raw": raw,
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
        self._seen.dirty.update(self._by_id)

    # --- act -----------------------------------------------------------------------------

    def _act(self, track: Track, call: Call, intent: Dial | HangUp) -> None:
        link = track.code if track.kind is Kind.ROOM else None
        if isinstance(intent, Dial):
            self._actions.start(self._actions.dial(call.name, call.way, call.address, name=track.name, link=link))
        else:
            self._actions.start(self._actions.hang_up(call.name, call.way, call.address, link=link))

    # --- take over -----------------------------------------------------------------------

    def _adopt(self, now: datetime) -> None:
        """Pick up the calls that an earlier process, or an earlier owner, left."""
        for leg in self._p.legs:
            if leg.state == LegState.CLEARED.value:
                continue
            track = self._by_id[leg.participant_id]
            if track.call is None:
                continue
            self._seen.expect(track, leg.name)
            if track.call.way is Way.BRIDGE_DIALS:
                continue
            if leg.memory is None:
                # not answered when the other process ended: the same order again repeats the same messages
                self._act(track, track.call, Dial(track.call.rung))
                continue
            link = track.code if track.kind is Kind.ROOM else None
            self._actions.start(self._actions.adopt(leg.name, leg.memory, leg.address, link=link))

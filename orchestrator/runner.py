"""One run: observe, reconcile, act, write down; again and again until it is over."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import structlog

from adapters import Capability, ClearCause, Cleared, LegState, Side
from orchestrator.actions import Actions, LinkedRoom, News
from orchestrator.auto_answer import AutoAnswerLeases
from orchestrator.desk import Desk
from orchestrator.lease import Lease, LeaseLost
from orchestrator.ledger import Ledger, is_unwritable
from orchestrator.observer import Observer
from orchestrator.orders import carry_out
from orchestrator.pace import Pace
from orchestrator.reconciler import Intended, Reconciler
from orchestrator.rules import reconcile as rule
from orchestrator.rules.plan import ONLY_THE_BRIDGE_KNOWS, Rung, Way
from orchestrator.rules.reconcile import Call, Dial, HangUp, Kind, Scene, Track, Why
from orchestrator.rules.redial import RedialRules
from orchestrator.rules.states import RUN_OVER, RunState, advance_run
from orchestrator.store.inventory import Bridge, EndpointAt
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
    orders_s: float = 1.0  # how often a process looks for command rows of others; a run passes as often at least
    breath_s: float = 0.01  # events of so long go into one pass


@dataclass(slots=True)
class Props:
    """What a runner is given: the run's rows, tracks, and the world around it."""

    run: Run
    bridge: Bridge
    tracks: list[Track]
    rooms: dict[str, LinkedRoom]
    endpoints: dict[str, EndpointAt]  # those whose control sessions the run may use
    auto_answers: AutoAnswerLeases
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
_GIVE_UP = timedelta(hours=24)
"""So long after its end what is left over is swept; no call outlives its bridge by more."""
_LEFT_OVER_PACE = 6
"""What is left over is swept so many times more seldom."""


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
        self._inbox: deque[News] = deque()
        self._bell = asyncio.Event()
        self._hint = True  # look at the command rows at once: an earlier owner may have left some
        self._actions = Actions(
            props.run, props.bridge, props.rooms, props.endpoints, props.auto_answers, props.desk,
            props.lease, props.terms.ring_s, self.put,
        )  # fmt: skip
        self._seen = Observer(
            props.run, props.bridge, props.tracks, props.rooms, props.ledger, self._actions,
            props.terms.redial, props.terms.sweep_s,
        )  # fmt: skip
        self._reconciler = Reconciler(
            props.tracks, self._seen, props.ledger, props.lease, props.pace,
            installation=props.installation, run_id=props.run.id or 0, legs_made=len(props.legs),
            sweep_s=props.terms.sweep_s,
        )  # fmt: skip
        self._held: list[Intended] = []  # decided, but not written yet
        self._last_scene: Scene | None = None
        self._given_up = False
        self._carried_out: set[int] = set()
        self._answering_until: datetime | None = None  # so long endpoints were asked to answer by themselves

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
            self._adopt()
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

    @property
    def is_closing(self) -> bool:
        """Whether nothing is dialed any more: the run comes down, or is over."""
        return self.is_over or self.state in (RunState.CLOSING, RunState.LEFTOVER)

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
        moments = [self.terms.orders_s, self._reconciler.seconds_to_next(now)]
        if self.state is RunState.DUE:
            moments.append((self.run.opens_at - now).total_seconds())
        elif self.state is RunState.CLOSING:
            moments.append(_LAST_LOOK_S)
        elif not self.is_closing:
            moments.append((self.run.ends_at + timedelta(seconds=self.terms.grace_s) - now).total_seconds())
        return max(0.0, min(moments))

    async def _pass(self) -> None:
        now = self.now()
        while self._inbox:
            self._seen.take(self._inbox.popleft(), now)
        await self._take_orders(now)
        self._move_run(now)
        scene = self._scene(now)
        if scene != self._last_scene:  # it concerns everybody
            self._last_scene = scene
            self._seen.touch_all()
        intents = self._held
        self._reconciler.decide(scene, now, intents)
        self._account(now)
        try:
            await self.ledger.commit()
        except LeaseLost:
            if self._p.lease.lost:
                raise
            return  # it could not be renewed in time, and is still ours unless somebody takes it
        except Exception as error:
            if is_unwritable(error):
                raise  # it would be refused for ever; the rows tell where the run is
            # the database is away: calls stay up, nothing is ordered, nothing is lost
            log.warning("ledger-waits", run=self.run.id, error=type(error).__name__)
            return
        self._held = []
        for track, call, intent in intents:
            # who was decided to be hung up again before the dialing could be written is not rung for it
            if track.call is call and not (isinstance(intent, Dial) and call.coming_down):
                self._act(track, call, intent)
        self._carried_out.clear()
        if self.state not in (RunState.DUE, *RUN_OVER):
            self._seen.have_roster(self.terms.roster_s)

    # --- orders --------------------------------------------------------------------------

    async def _take_orders(self, now: datetime) -> None:
        if not self._hint:
            return
        self._hint = False
        try:
            commands = await self._p.orders()
        except Exception as error:  # rows are read again at the next pass
            self._hint = True
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
        """Bring the run to its end now; what is left over after its end is given up."""
        if self.is_closing:
            if self.state is RunState.LEFTOVER:
                self._give_up("ended by an operator", now)
            return
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

    def use_bridge(self, row: Bridge) -> None:
        """A bridge's inventory entry changed: what is opened from now on is opened by it."""
        for known in (self._p.bridge, *(linked.bridge for linked in self._p.rooms.values())):
            if known is not None and known.id == row.id:
                for column in Bridge.model_fields:
                    setattr(known, column, getattr(row, column))

    def use_endpoint(self, at: EndpointAt) -> None:
        """An endpoint's inventory entry changed: its next session is opened by it."""
        if at.endpoint.name in self._p.endpoints:
            self._p.endpoints[at.endpoint.name] = at

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
                self._have_auto_answers()
        # without the bridge's session sites can still be dialed by the ways that need none
        if self.state is RunState.PREPARING and (
            self._seen.conference_ready or (self._seen.trouble and self._has_ways_past_the_bridge)
        ):
            self._to(RunState.CALLING, now)

    def _have_auto_answers(self) -> None:
        """Have those endpoints answer by themselves that the inventory says it of, until nothing is dialed any more."""
        until = self.run.ends_at + timedelta(seconds=self.terms.grace_s)
        if until != self._answering_until:
            self._answering_until = until
            for name, at in self._p.endpoints.items():
                if at.endpoint.auto_answer:
                    self._actions.start(self._actions.have_auto_answer(name, until))

    @property
    def _has_ways_past_the_bridge(self) -> bool:
        return any(rung.way not in ONLY_THE_BRIDGE_KNOWS for track in self.tracks for rung in track.rungs)

    def _account(self, now: datetime) -> None:
        """Where the run stands after its participants were looked at."""
        if self.state in (RunState.CALLING, RunState.LIVE, RunState.DEGRADED):
            if not self._reconciler.missing:
                self._to(RunState.LIVE, now)
            elif self.state is RunState.LIVE or (self.state is RunState.CALLING and now >= self.run.starts_at):
                self._to(RunState.DEGRADED, now)
        elif self.state in (RunState.CLOSING, RunState.LEFTOVER):
            self._come_down(now)

    def _come_down(self, now: datetime) -> None:
        """Closing: done when no call of ours is left, as far as the bridge can say too."""
        up = [track for track in self.tracks if track.call is not None]
        if any(track.call.way in ONLY_THE_BRIDGE_KNOWS for track in up if track.call):
            self._seen.have_conference()  # its session is needed to bring them down
        if not up and not self._seen.dirty and (self._given_up or self._roster_is_clear()):
            self._to(RunState.DONE, now)
        elif self.state is RunState.LEFTOVER and now >= self.run.ends_at + _GIVE_UP:
            self._give_up("swept for a day", now)
        elif self.state is RunState.CLOSING and any(self._is_stuck(track, now) for track in up):
            for track in up:
                self.ledger.note("leg-left-over", now, track.code, track.call.name if track.call else "")
            self._to(RunState.LEFTOVER, now)

    def _give_up(self, why: str, now: datetime) -> None:
        """Sweep no more: the bridge is gone for good, or whoever is there wants it so."""
        self._given_up = True
        for track in self.tracks:
            self._seen.cleared(track, Cleared(ClearCause.UNKNOWN, Side.UNKNOWN, f"given up: {why}"), now)

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

    def _scene(self, now: datetime) -> Scene:
        under_way = self.state in (RunState.CALLING, RunState.LIVE, RunState.DEGRADED)
        return Scene(
            dialing=under_way and self._seen.has_looked and now < self.run.ends_at,
            closing=self.is_closing,
            bridge_session=self._p.desk.is_up(self._p.bridge.name),
            roster_known=self._seen.view.known,
            settle_s=self.terms.settle_s,
            admission_s=self.terms.admission_s,
            ring_s=self.terms.ring_s,
            sweep_s=self.terms.sweep_s * (_LEFT_OVER_PACE if self.state is RunState.LEFTOVER else 1),
        )

    # --- act -----------------------------------------------------------------------------

    def _act(self, track: Track, call: Call, intent: Dial | HangUp) -> None:
        link = track.code if track.kind is Kind.ROOM else None
        rung = track.rungs[call.rung]
        if isinstance(intent, Dial):
            self._actions.start(self._actions.dial(call.name, rung, name=track.name, link=link))
        else:
            self._actions.start(self._actions.hang_up(call.name, rung, link=link, member=call.member))

    # --- take over -----------------------------------------------------------------------

    def _adopt(self) -> None:
        """Pick up the calls that an earlier process, or an earlier owner, left."""
        now = self.now()
        memories = {leg.name: leg.memory for leg in self._p.legs if leg.state != LegState.CLEARED.value}
        for track in self.tracks:
            call = track.call
            if call is None:
                continue
            self._seen.expect(track, call.name)
            if call.way is Way.BRIDGE_DIALS:
                continue  # looked for as soon as the bridge's session is up
            memory, rung = memories[call.name], track.rungs[call.rung]
            if memory is not None:
                link = track.code if track.kind is Kind.ROOM else None
                self._actions.start(self._actions.adopt(call.name, memory, rung, link=link, wanted=self._seen.expects))
            elif self._cannot_be_asked_for(rung):
                pass  # the roster tells of it, or it is overdue one day; another order might dial twice
            elif now < rule.overdue_at(call, self.terms.ring_s):
                # not answered when the other process ended: the same order again repeats the same messages
                self._act(track, call, Dial(call.rung))
            else:  # nothing can be left of it, and the same order now would ring anew
                self._seen.cleared(track, Cleared(ClearCause.LOST, Side.OURS, "its set-up was cut short"), now)

    def _cannot_be_asked_for(self, rung: Rung) -> bool:
        """Whether a device was ordered to call that cannot tell a later process of that call."""
        at = self._p.endpoints.get(rung.endpoint)
        if rung.way is not Way.ENDPOINT_DIALS or at is None:
            return False
        return Capability.ADOPT not in self._p.desk.hands.endpoint_capabilities(at.endpoint.family)

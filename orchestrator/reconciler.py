"""Whose turn it is: looks at the participants that news or time concern, and plans their calls."""

import heapq
import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from math import inf

from adapters import ClearCause, LegState, Side
from orchestrator.lease import Lease
from orchestrator.ledger import Ledger
from orchestrator.observer import Observer
from orchestrator.pace import Pace
from orchestrator.rules import reconcile as rule
from orchestrator.rules.plan import Way
from orchestrator.rules.reconcile import Call, Dial, HangUp, Kind, Scene, Track
from orchestrator.rules.states import ParticipantState, advance_participant
from orchestrator.rules.tag import LegName

Intended = tuple[Track, Call, Dial | HangUp]
"""An intent, and the call that it is about: one that has ended meanwhile is left alone."""

_ACCOUNTED_FOR = frozenset({ParticipantState.IN, ParticipantState.STOPPED})


class Reconciler:
    """Decides for the participants of one run; costs nothing for those whom nothing concerns."""

    def __init__(
        self,
        tracks: Sequence[Track],
        seen: Observer,
        ledger: Ledger,
        lease: Lease,
        pace: Pace,
        *,
        installation: str,
        run_id: int,
        legs_made: int,
        sweep_s: float,
    ) -> None:
        self.missing = {track.id for track in tracks if track.state not in _ACCOUNTED_FOR}
        self._by_id = {track.id: track for track in tracks}
        self._seen = seen
        self._ledger = ledger
        self._lease = lease
        self._pace = pace
        self._installation = installation
        self._run_id = run_id
        self._legs_made = legs_made
        self._sweep_s = sweep_s
        self._wakes: list[tuple[datetime, int]] = []
        self._ready: list[tuple[bool, int, int]] = []
        self._queued: set[int] = set()
        self._shown: dict[int, dict[str, object]] = {}

    def decide(self, scene: Scene, now: datetime, intents: list[Intended]) -> None:
        """Look at everybody whom news or time concern; add what is to be done to `intents`.

        What a new call or state means for the rows is in the ledger afterwards.
        """
        while self._wakes and self._wakes[0][0] <= now:
            self._seen.dirty.add(heapq.heappop(self._wakes)[1])
        dirty, self._seen.dirty = self._seen.dirty, set()
        for track_id in dirty:
            self._look_at(self._by_id[track_id], scene, now, intents)
        self._dial_ready(scene, now, intents)

    def seconds_to_next(self, now: datetime) -> float:
        """How long until somebody has to be looked at, or may be dialed."""
        moments = [(self._wakes[0][0] - now).total_seconds()] if self._wakes else []
        if self._ready:
            moments.append(self._pace.wait_s(time.monotonic()))
        return min(moments, default=inf)

    def _look_at(self, track: Track, scene: Scene, now: datetime, intents: list[Intended]) -> None:
        decision = rule.decide(track, scene, now)
        self._enter(track, decision.state, now)
        if scene.closing and track.in_since and track.call is None and track.by_hand is None:
            self._leave(track, now)  # it was in to the end: its state stays so
        match decision.intent:
            case HangUp() as intent:
                rule.coming_down(track, intent.why, now)
                self._ledger.leg(intent.leg, state=LegState.CLEARING.value, coming_down=intent.why.value)
                self._wake(track, now + timedelta(seconds=self._sweep_s))
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
        granted = self._pace.take(len(self._ready), time.monotonic())
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
        name = str(LegName(self._installation, self._run_id, self._legs_made, self._lease.epoch))
        call = rule.dialed(track, name, rung, now)
        self._seen.expect(track, name)
        self._ledger.new_leg(
            {
                "run_id": self._run_id,
                "shard_id": self._lease.shard_id,
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
                "epoch": self._lease.epoch,
                "cause": "", "side": "", "raw": "", "coming_down": "", "barred": False, "member": "",
            }
        )  # fmt: skip
        self._ledger.note(
            "leg-dialed", now, track.code, name, way=call.way.value, address=call.address, attempt=track.tries
        )
        self._enter(track, ParticipantState.DIALING, now)
        return call

    def _enter(self, track: Track, state: ParticipantState, now: datetime) -> None:
        if state is track.state:
            return
        was, track.state = track.state, advance_participant(track.state, state)
        if state in _ACCOUNTED_FOR:
            self.missing.discard(track.id)
        else:
            self.missing.add(track.id)
        if state is ParticipantState.IN:
            first = track.call is not None and track.call.admitted_at is None
            rule.admitted(track, now)
            if first and track.call is not None:
                self._ledger.leg(track.call.name, admitted_at=track.call.admitted_at)
                self._ledger.note("leg-admitted", now, track.code, track.call.name)
            way = track.call.way.value if track.call else Way.BY_HAND.value
            self._ledger.note("site-in", now, track.code, track.call.name if track.call else "", way=way)
        elif was is ParticipantState.IN:
            self._leave(track, now)
        if state is ParticipantState.ABSENT:
            self._ledger.note("site-absent", now, track.code, cause=track.last.cause.value if track.last else "")

    def _leave(self, track: Track, now: datetime) -> None:
        track.in_since = None
        self._ledger.note("site-out", now, track.code, cause=track.last.cause.value if track.last else "")

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
            self._ledger.participant(track.id, changed)

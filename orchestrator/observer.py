"""What devices report, turned into what is known of a run's participants."""

import time
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import structlog

from adapters import (
    AdapterError,
    ClearCause,
    Cleared,
    ConferenceEnded,
    LegCleared,
    LegConnected,
    LegRinging,
    LegSeen,
    LegState,
    LoginRefused,
    Member,
    MemberChanged,
    MemberJoined,
    MemberLeft,
    OutcomeUnknown,
    SessionGone,
    SessionLost,
    SessionReady,
    Side,
    Unreachable,
)
from orchestrator.actions import (
    Actions,
    AutoAnswerTold,
    ConferenceOpened,
    ConferenceTrouble,
    LegFound,
    LinkedRoom,
    News,
    RosterRead,
    VerbFailed,
    cause_of,
)
from orchestrator.ledger import Ledger
from orchestrator.roster import Callers, RosterView, leg_of, shows
from orchestrator.rules import reconcile as rule
from orchestrator.rules.plan import OF_THE_ENDPOINT, Way
from orchestrator.rules.reconcile import Kind, Track, Why
from orchestrator.rules.redial import RedialRules
from orchestrator.rules.tag import LegName
from orchestrator.store.inventory import Bridge
from orchestrator.store.runs import Run
from orchestrator.tracks import jitter

log = structlog.get_logger(__name__)

_OPEN_AGAIN_S = 2.0


class Observer:
    """Takes news one by one; whom they concern is in `dirty` afterwards."""

    def __init__(
        self,
        run: Run,
        bridge: Bridge,
        tracks: Sequence[Track],
        rooms: Mapping[str, LinkedRoom],
        ledger: Ledger,
        actions: Actions,
        redial: RedialRules,
        sweep_s: float,
    ) -> None:
        self.view = RosterView()
        self.dirty: set[int] = {track.id for track in tracks}
        self.conference_ready = False
        self.has_looked = False  # who is in already was read, or cannot be
        self.trouble = ""  # why the conference cannot be opened, while it cannot
        self.orphans: set[str] = set()
        self.last_cleared_s = time.monotonic()
        self.roster_asked_s = 0.0  # when the last roster that came was asked for
        self._run = run
        self._bridge = bridge
        self._tracks = tracks
        self._rooms = rooms
        self._ledger = ledger
        self._actions = actions
        self._redial = redial
        self._sweep_s = sweep_s
        self._callers = Callers(tracks)
        self._by_leg: dict[str, Track] = {}
        self._links = {track.code: track for track in tracks if track.kind is Kind.ROOM}
        self._opening = False
        self._open_again_s = 0.0
        self._reading_s: float | None = None
        self._read_again_s = 0.0
        self._swept_at: dict[str, datetime] = {}
        self._by_hand: dict[int, dict[str, Member]] = {}  # by participant, then by the bridge's name of the call

    def expect(self, track: Track, leg: str) -> None:
        """News of `leg` concern this participant from now on."""
        self._by_leg[leg] = track

    def expects(self, leg: str) -> bool:
        """Whether `leg` is the call of a participant."""
        return leg in self._by_leg

    def touch_all(self) -> None:
        """Something changed that concerns everybody."""
        self.dirty.update(track.id for track in self._tracks)

    def take(self, news: News, now: datetime) -> None:
        """Note what the news mean."""
        match news:
            case LegRinging() | LegConnected() | LegCleared():
                self._leg_news(news)
            case LegFound(seen=seen):
                self._leg_found(seen, now)
            case MemberJoined() | MemberChanged() | MemberLeft():
                self._member_news(news, now)
            case RosterRead():
                self._roster_read(news, now)
            case VerbFailed():
                self._verb_failed(news, now)
            case ConferenceOpened():
                self.conference_ready, self._opening, self.trouble = True, False, ""
                self._ledger.note("conference-opened", now, number=self._run.number, bridge=self._bridge.name)
                self._find_dial_outs()
                self._read_again_s = 0.0
                self.touch_all()
            case ConferenceTrouble(why=why):
                self._opening = False
                self._open_again_s = time.monotonic() + _OPEN_AGAIN_S
                if why != self.trouble:
                    self.trouble, self.has_looked = why, True
                    self._ledger.note("conference-trouble", now, why=why)
                    self.touch_all()
            case SessionGone() | SessionReady():
                self._session_news(news, now)
            case AutoAnswerTold(endpoint=endpoint, error=None):
                self._ledger.note("auto-answer-on", now, endpoint=endpoint)
            case AutoAnswerTold(endpoint=endpoint, error=AdapterError(why=why)):
                self._ledger.note("auto-answer-refused", now, endpoint=endpoint, why=why)
            case ConferenceEnded():
                pass  # its members' own events have said it already

    # --- the conference ------------------------------------------------------------------

    def have_conference(self) -> None:
        """Have the bridge's session and the conference, unless they are there or on their way."""
        if not self.conference_ready and not self._opening and time.monotonic() >= self._open_again_s:
            self._opening = True
            self._actions.start(self._actions.open_conference())

    def have_roster(self, every_s: float) -> None:
        """Read the roster, unless it was read within `every_s` or is being read."""
        now_s = time.monotonic()
        if self.conference_ready and self._reading_s is None and now_s >= self._read_again_s:
            self._read_again_s = now_s + every_s
            self._reading_s = now_s
            self._actions.start(self._actions.read_roster(self.view))

    def have_roster_again(self) -> None:
        """Read the roster as soon as the reading under way, if any, has come."""
        self._read_again_s = min(self._read_again_s, time.monotonic() + 0.2)

    def _find_dial_outs(self) -> None:
        """Ask the bridge about the calls it made for us before this session."""
        legs = [t.call.name for t in self._tracks if t.call is not None and t.call.way is Way.BRIDGE_DIALS]
        if legs:
            self._actions.start(self._actions.adopt_on_bridge(legs))

    # --- calls ---------------------------------------------------------------------------

    def _leg_news(self, news: LegRinging | LegConnected | LegCleared) -> None:
        track = self._by_leg.get(news.leg)
        if track is None:
            return
        if isinstance(news, LegCleared):
            if not _is_in_the_bridges_hands(track):
                self.cleared(track, news.cleared, news.at)
            return
        self._progressed(track, LegState.RINGING if isinstance(news, LegRinging) else LegState.CONNECTED, news.at)

    def _progressed(self, track: Track, state: LegState, at: datetime) -> None:
        if track.call is not None and rule.progressed(track, state, at):
            moment = {"connected_at": at} if state is LegState.CONNECTED else {}
            self._ledger.leg(track.call.name, state=state.value, **moment)
            self._ledger.note(f"leg-{state.value}", at, track.code, track.call.name)
            self.dirty.add(track.id)
            if state is LegState.CONNECTED and track.kind is Kind.ROOM:
                self._actions.start(self._actions.read_far(track.code))

    def _leg_found(self, seen: LegSeen, now: datetime) -> None:
        track = self._by_leg.get(seen.leg)
        if track is None:
            return
        if seen.state is LegState.CLEARED:
            if not _is_in_the_bridges_hands(track):
                why = "no longer known when it was looked for"
                self.cleared(track, Cleared(ClearCause.LOST, Side.UNKNOWN, why), now)
        else:
            self._ledger.note("adopted", now, track.code, seen.leg, state=seen.state.value)
            if rule.progressed(track, seen.state, seen.seen_at):
                moment = {"connected_at": seen.seen_at} if seen.state is LegState.CONNECTED else {}
                self._ledger.leg(seen.leg, state=seen.state.value, **moment)
            self.dirty.add(track.id)
            if track.kind is Kind.ROOM:
                if track.call is not None and track.call.taken_up and self._rooms[track.code].room.pin:
                    track.call.digits_lost_at = now
                self._actions.start(self._actions.read_far(track.code))

    def cleared(self, track: Track, ended: Cleared, at: datetime, *, barred: bool = False) -> None:
        """A call is over: write down how, and what comes next."""
        call = track.call
        if call is None:
            return
        self._by_leg.pop(call.name, None)
        self.last_cleared_s = time.monotonic()
        ended = rule.cleared(track, ended, at, self._redial, jitter(call.name), barred=barred)
        self._ledger.leg(
            call.name,
            state=LegState.CLEARED.value,
            cleared_at=at,
            cause=ended.cause.value,
            side=ended.side.value,
            raw=ended.raw[:500],
            barred=barred,
            memory=None,
        )
        self._ledger.note(
            "leg-cleared", at, track.code, call.name,
            cause=ended.cause.value, side=ended.side.value, raw=ended.raw[:500], way=call.way.value,
        )  # fmt: skip
        if call.coming_down is Why.REDIAL:
            self._ledger.participant(track.id, {"forgotten": track.tries})
        self.dirty.add(track.id)

    def _verb_failed(self, failed: VerbFailed, now: datetime) -> None:
        if failed.verb == "snapshot":
            self._reading_s, self.has_looked = None, True
            log.warning("roster-not-read", run=self._run.id, why=failed.error.why)
        track = self._by_leg.get(failed.leg)
        if track is None or track.call is None:
            return
        error = failed.error
        if failed.verb == "hang-up" and self._is_out_of_sight(track, error):
            self.cleared(track, Cleared(ClearCause.LOST, Side.DEVICE, error.why), now)
            return
        if failed.verb != "dial":
            log.warning("order-failed", run=self._run.id, leg=failed.leg, verb=failed.verb, why=error.why)
            return
        if isinstance(error, OutcomeUnknown):
            self._ledger.note("outcome-unknown", now, track.code, failed.leg, why=error.why)
            if track.call.way is Way.BRIDGE_DIALS:  # look before anything is dialed again
                self._actions.start(self._actions.adopt_on_bridge([failed.leg], wait_s=1.0))
            else:
                link = track.code if track.kind is Kind.ROOM else None
                rung = track.rungs[track.call.rung]
                self._actions.start(self._actions.look(failed.leg, rung, link=link))
            return
        cause, barred = cause_of(error)
        self.cleared(track, Cleared(cause, Side.DEVICE, error.why), now, barred=barred)

    def _is_out_of_sight(self, track: Track, error: AdapterError) -> bool:
        """Whether an endpoint's own call is neither in the conference nor to be asked for at the endpoint.

        Whatever is left of it is not with us, and the next way may be tried.
        """
        assert track.call is not None
        is_away = isinstance(error, Unreachable | SessionLost | LoginRefused)
        return track.call.way is Way.ENDPOINT_DIALS and is_away and self.view.known and track.member is None

    # --- the roster ----------------------------------------------------------------------

    def _member_news(self, news: MemberJoined | MemberChanged | MemberLeft, now: datetime) -> None:
        for code, linked in self._rooms.items():
            if linked.bridge and (news.device, news.conference) == (linked.bridge.name, linked.room.number):
                self._change_view(linked.view, news)
                self._far_changed(code)
        if (news.device, news.conference) == (self._bridge.name, self._run.number):
            self._change_view(self.view, news)
            came_at = news.member.joined_at or (news.at if isinstance(news, MemberJoined) else None)
            self._match_member(news.member, now, came_at, gone=isinstance(news, MemberLeft))

    @staticmethod
    def _change_view(view: RosterView, news: MemberJoined | MemberChanged | MemberLeft) -> None:
        if isinstance(news, MemberLeft):
            view.drop(news.member.id)
        else:
            view.put(news.member)

    def _far_changed(self, code: str) -> None:
        track = self._links.get(code)
        linked = self._rooms[code]
        if track is not None:
            track.far_seen = shows(linked.view.members.values(), self._run.tag) if linked.view.known else None
            self.dirty.add(track.id)

    def _match_member(self, member: Member, now: datetime, came_at: datetime | None, *, gone: bool) -> None:
        leg = leg_of(member, self._run.tag)
        if leg is not None:
            track = self._by_leg.get(leg)
            if track is not None:
                rule.seen_in_roster(track, None if gone else member, now)
                self.dirty.add(track.id)
            return
        track = self._callers.track_of(member)
        if track is not None and not _is_ours(member):
            if rule.is_endpoints_call(track, member, None if gone else came_at):
                self._came_by_itself(track, None if gone else member, now)
                return
            calls = self._by_hand.setdefault(track.id, {})
            if gone:
                calls.pop(member.id, None)
            else:
                calls[member.id] = member
            track.by_hand = next(iter(calls.values()), None)
            self.dirty.add(track.id)

    def _roster_read(self, read: RosterRead, now: datetime) -> None:
        if read.far is not None:
            self._rooms[read.far].view.read(read.roster, read.asked)
            self._far_changed(read.far)
            return
        self.view.read(read.roster, read.asked)
        self.has_looked = True
        self.roster_asked_s, self._reading_s = read.asked_s, None
        self.orphans.clear()
        self._by_hand.clear()
        mine: dict[int, Member] = {}
        for member in self.view.members.values():
            leg = leg_of(member, self._run.tag)
            if leg is not None:
                track = self._by_leg.get(leg)
                if track is not None:
                    mine[track.id] = member
                else:
                    self._orphan(leg, member, now)
            elif not _is_ours(member) and (track := self._callers.track_of(member)):
                if track.id not in mine and rule.is_endpoints_call(track, member, member.joined_at):
                    mine[track.id] = member
                else:
                    self._by_hand.setdefault(track.id, {})[member.id] = member
        self._swept_at = {leg: at for leg, at in self._swept_at.items() if leg in self.orphans}
        for track in self._tracks:
            if track.call is not None and track.call.way in OF_THE_ENDPOINT and (track.call.member or track.id in mine):
                self._came_by_itself(track, mine.get(track.id), now)
            seen, by_hand = mine.get(track.id), next(iter(self._by_hand.get(track.id, {}).values()), None)
            missed = seen is None and track.call is not None and track.call.missing_since is None
            if missed or track.member != seen or track.by_hand != by_hand:
                rule.seen_in_roster(track, seen, now)
                track.by_hand = by_hand
                self.dirty.add(track.id)

    def _came_by_itself(self, track: Track, member: Member | None, now: datetime) -> None:
        """The call that an endpoint was told to make is in the conference as `member`, or (None) has left."""
        call = track.call
        if call is None:
            return
        if member is None and call.way is Way.ENDPOINT_DIALS:
            call.member = ""  # whether it is over the endpoint itself tells
            self._ledger.leg(call.name, member="")
            rule.seen_in_roster(track, None, now)
            self.dirty.add(track.id)
            return
        if member is None:
            ours = Cleared(ClearCause.LOCAL, Side.OURS)
            gone = Cleared(ClearCause.UNKNOWN, Side.UNKNOWN, "left the conference, and nobody says why")
            self._actions.start(self._actions.forget(call.name, track.rungs[call.rung]))
            self.cleared(track, ours if call.coming_down else gone, now)
            return
        if call.member != member.id:
            call.member = member.id
            self._ledger.leg(call.name, member=member.id)
        rule.seen_in_roster(track, member, now)
        self._progressed(track, LegState.CONNECTED, now)
        self.dirty.add(track.id)

    def _orphan(self, leg: str, member: Member, now: datetime) -> None:
        """A call of ours that no participant has any more: put it out, and again if it stays."""
        self.orphans.add(leg)
        last = self._swept_at.get(leg)
        if last is None or now - last >= timedelta(seconds=self._sweep_s):
            if last is None:
                self._ledger.note("leg-left-over", now, "", leg)
            self._swept_at[leg] = now
            self._actions.start(self._actions.put_out(leg, member.id))

    def _session_news(self, news: SessionGone | SessionReady, now: datetime) -> None:
        ready = isinstance(news, SessionReady)
        self._ledger.note("device-back" if ready else "device-gone", now, device=news.device)
        for code, linked in self._rooms.items():
            if linked.bridge and linked.bridge.name == news.device:
                if ready:
                    self._actions.start(self._actions.read_far(code))
                else:
                    linked.view.lose()
                    self._far_changed(code)
        if news.device != self._bridge.name:
            return
        self.conference_ready = False  # it is opened again: the bridge may have restarted
        self._reading_s = None
        if not ready:
            self.view.lose()


def _is_in_the_bridges_hands(track: Track) -> bool:
    """Whether the call is the endpoint's own, nobody controls that, and it is in: only the roster tells of its end."""
    return track.call is not None and track.call.way is Way.REFER and bool(track.call.member)


def _is_ours(member: Member) -> bool:
    """Whether any installation's leg name stands in the entry: then nobody dialed it by hand."""
    return any(LegName.find(mark) for mark in member.marks)

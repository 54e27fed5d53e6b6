"""What a run does to devices: every order passes the lease first, and reports what came of it."""

import asyncio
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import structlog

from adapters import (
    AdapterError,
    Address,
    BridgeAdapter,
    Busy,
    Capability,
    ClearCause,
    ConferenceSpec,
    DialOptions,
    EndpointAdapter,
    Event,
    Garbled,
    LegMemory,
    LegSeen,
    LegState,
    LoginRefused,
    NoFreePorts,
    NotSupported,
    OutcomeUnknown,
    Rejected,
    Roster,
    SessionLost,
    Unreachable,
)
from orchestrator.auto_answer import AutoAnswerLeases
from orchestrator.desk import Desk
from orchestrator.lease import Lease, LeaseLost
from orchestrator.roster import RosterView
from orchestrator.rules.plan import Rung, Way
from orchestrator.store.inventory import Bridge, EndpointAt, Room
from orchestrator.store.runs import Run

log = structlog.get_logger(__name__)

_LOOK_AFTER_S = 1.0
_ASK_AGAIN_S = 5.0
_TAKE_AGAIN_S = 20.0

_CAUSES: dict[type[AdapterError], tuple[ClearCause, bool]] = {
    Unreachable: (ClearCause.UNREACHABLE, False),
    LoginRefused: (ClearCause.NOT_ALLOWED, True),
    SessionLost: (ClearCause.LOST, False),
    Rejected: (ClearCause.NOT_ALLOWED, False),
    Busy: (ClearCause.BUSY, False),
    NoFreePorts: (ClearCause.BRIDGE_FULL, False),
    NotSupported: (ClearCause.NOT_ALLOWED, True),
    Garbled: (ClearCause.UNKNOWN, False),
}


def cause_of(error: AdapterError) -> tuple[ClearCause, bool]:
    """What a failed order means for the leg, and whether its way is barred for this run."""
    return _CAUSES.get(type(error), (ClearCause.UNKNOWN, False))


@dataclass(frozen=True, slots=True)
class VerbFailed:
    """An order about a leg failed."""

    leg: str
    verb: str
    error: AdapterError


@dataclass(frozen=True, slots=True)
class RosterRead:
    """A roster was read; `asked` is the view's answer when it was asked for, at `asked_s`."""

    roster: Roster
    asked: int
    asked_s: float
    far: str | None = None  # the code of the linked room it belongs to; None: our conference


@dataclass(frozen=True, slots=True)
class ConferenceOpened:
    """The conference can be entered."""


@dataclass(frozen=True, slots=True)
class ConferenceTrouble:
    """The bridge could not be opened, or the conference could not be had."""

    why: str


@dataclass(frozen=True, slots=True)
class AutoAnswerTold:
    """Whether an endpoint answers by itself now; `error` says why not."""

    endpoint: str
    error: AdapterError | None = None


@dataclass(frozen=True, slots=True)
class LegFound:
    """A leg that was looked for, as the device reports it."""

    seen: LegSeen


News = Event | VerbFailed | RosterRead | ConferenceOpened | ConferenceTrouble | LegFound | AutoAnswerTold


@dataclass(slots=True)
class LinkedRoom:
    """A linked room, and the bridge on which its roster can be read, if there is one."""

    room: Room
    bridge: Bridge | None
    view: RosterView = field(default_factory=RosterView)


class Actions:
    """The verbs of one run. Each is started with `start` and brings its outcome by `put`."""

    def __init__(
        self,
        run: Run,
        bridge: Bridge,
        rooms: Mapping[str, LinkedRoom],
        endpoints: Mapping[str, EndpointAt],
        auto_answers: AutoAnswerLeases,
        desk: Desk,
        lease: Lease,
        ring_s: float,
        put: Callable[[News], None],
    ) -> None:
        self._run = run
        self._bridge_row = bridge
        self._rooms = rooms
        self._endpoints = endpoints
        self._auto_answers = auto_answers
        self._desk = desk
        self._lease = lease
        self._ring_s = ring_s
        self._put = put
        self._tasks: set[asyncio.Task[None]] = set()
        self._asking: set[str] = set()  # legs that are being taken up

    @property
    def _bridge(self) -> BridgeAdapter:
        return self._desk.bridge(self._bridge_row)

    # --- running them --------------------------------------------------------------------

    def start(self, action: Coroutine[Any, Any, None]) -> None:
        """Run an action beside the loop; what it raises is logged, and never ends the run.

        Whoever waits for an action's news gets them whatever it raises (`_failure`).
        """
        task = asyncio.create_task(action)
        self._tasks.add(task)
        task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if task.cancelled() or task.exception() is None:
            return
        error = task.exception()
        if not isinstance(error, LeaseLost):
            log.error("action-failed", run=self._run.id, error=repr(error), exc_info=error)

    def _failure(self, error: Exception, verb: str, *, sent: bool) -> AdapterError:
        """What an order raised, as an error of the hands; raises LeaseLost when nobody may hear of it."""
        if isinstance(error, AdapterError):
            return error
        if isinstance(error, LeaseLost):
            if self._lease.lost:
                raise error
            return SessionLost("orchestrator", verb, "our lease was not renewed in time; nothing was ordered")
        log.error("fault-of-ours", run=self._run.id, verb=verb, error=type(error).__name__, exc_info=error)
        why = f"a fault of ours ({type(error).__name__}); the log tells more"
        return OutcomeUnknown("orchestrator", verb, why) if sent else Garbled("orchestrator", verb, why)

    def cancel(self) -> None:
        """Stop all actions under way; calls stay as they are."""
        for task in list(self._tasks):
            task.cancel()

    # --- calls ---------------------------------------------------------------------------

    def _address(self) -> Address:
        return self._bridge.expect(self._run.number)

    async def _caller(self, rung: Rung, link: str | None) -> EndpointAdapter:
        """Who makes the calls of the site's endpoint: its control session, or SIP; for a link of our conference."""
        run_id = self._run.id or 0
        if rung.way is Way.ENDPOINT_DIALS:
            at = self._endpoints.get(rung.endpoint)
            if at is None:
                raise NotSupported(rung.endpoint, "open", "it is in the inventory no more")
            return await self._desk.open_endpoint(run_id, at)
        near = self._address() if link is not None else Address.parse(rung.address)
        return self._desk.caller(run_id, near, refer=rung.way is Way.REFER)

    async def dial(self, leg: str, rung: Rung, *, name: str, link: str | None) -> None:
        """Place a call for a participant; `link` is the room's name when it is a link."""
        sent = False
        try:
            options = DialOptions(name, self._ring_s) if link is None else self._link_options(link)
            self._lease.check()
            if rung.way is Way.BRIDGE_DIALS:
                bridge, callee = self._bridge, Address.parse(rung.address)
                sent = True
                await bridge.invite(leg, self._run.number, callee, options)
            else:
                to = Address.parse(rung.address) if link is not None else self._address()
                caller = await self._caller(rung, link)
                self._lease.check()
                sent = True
                await caller.dial(leg, to, self._within(options, rung.endpoint))
        except Exception as error:
            self._put(VerbFailed(leg, "dial", self._failure(error, "dial", sent=sent)))

    def _within(self, options: DialOptions, endpoint: str) -> DialOptions:
        """The options with the most bandwidth that an endpoint's line carries."""
        at = self._endpoints.get(endpoint)
        return options if at is None else replace(options, max_kbps=at.endpoint.max_kbps)

    def _link_options(self, link: str) -> DialOptions:
        """A link shows the run's tag, so that the far roster can prove it, and enters the PIN."""
        room = self._rooms[link].room
        digits = self._desk.secret(room.pin, room.name) + "#" if room.pin else ""
        return DialOptions(f"{self._run.title} [{self._run.tag}]", self._ring_s, digits=digits)

    async def hang_up(self, leg: str, rung: Rung, *, link: str | None, member: str = "") -> None:
        """Bring a call down; `member` is what the bridge calls one that the endpoint makes by itself."""
        try:
            self._lease.check()
            if rung.way is Way.BRIDGE_DIALS:
                await self._bridge.drop(leg)
            elif rung.way is Way.ENDPOINT_DIALS:
                await self._hang_up_at_endpoint(leg, rung, member)
            else:
                caller = await self._caller(rung, link)
                self._lease.check()
                await caller.hang_up(leg)
                if member:
                    self._lease.check()
                    await self._bridge.drop(member)
                else:
                    await self._look(leg, caller)
        except Exception as error:  # it is ordered again
            self._put(VerbFailed(leg, "hang-up", self._failure(error, "hang-up", sent=True)))

    async def _hang_up_at_endpoint(self, leg: str, rung: Rung, member: str) -> None:
        """By the endpoint's control session; where that is away, or knows nothing of the call, by the bridge."""
        try:
            caller = await self._caller(rung, None)
            self._lease.check()
            await caller.hang_up(leg)
            is_known = await self._knows(leg, caller)
        except AdapterError:
            if member:
                self._lease.check()
                await self._bridge.drop(member)
            raise
        if is_known:
            return
        if member:
            self._lease.check()
            await self._bridge.drop(member)
        self._tell_over(leg)

    async def forget(self, leg: str, rung: Rung) -> None:
        """Give up what is ours of a referral whose call has left the conference."""
        try:
            caller = await self._caller(rung, None)
            self._lease.check()
            await caller.hang_up(leg)
        except Exception as error:  # nothing of it is up any more
            log.warning("order-failed", run=self._run.id, leg=leg, why=self._failure(error, "hang-up", sent=False).why)

    async def look(self, leg: str, rung: Rung, *, link: str | None) -> None:
        """Look what became of a call whose order may or may not have gone out."""
        await asyncio.sleep(_LOOK_AFTER_S)
        try:
            await self._look(leg, await self._caller(rung, link))
        except Exception as error:  # then it is overdue one day, and hung up
            log.warning("look-failed", run=self._run.id, leg=leg, why=self._failure(error, "look", sent=False).why)

    async def _look(self, leg: str, caller: EndpointAdapter) -> None:
        """Tell of a call that nobody knows that it is over; what is known is told by its events."""
        if not await self._knows(leg, caller):
            self._tell_over(leg)

    @staticmethod
    async def _knows(leg: str, caller: EndpointAdapter) -> bool:
        return any(seen.leg == leg for seen in await caller.snapshot())

    def _tell_over(self, leg: str) -> None:
        if leg not in self._asking:
            self._put(LegFound(LegSeen(leg, LegState.CLEARED, self._desk.now())))

    async def adopt(
        self, leg: str, memory: LegMemory, rung: Rung, *, link: str | None, wanted: Callable[[str], bool]
    ) -> None:
        """Pick up a call of an earlier process; asks again until somebody answers, or it is over."""
        # a control session that is away says nothing of the endpoint's call
        silence: tuple[type[AdapterError], ...] = (OutcomeUnknown, SessionLost)
        if rung.way is Way.ENDPOINT_DIALS:
            silence += (Unreachable, LoginRefused)
        self._asking.add(leg)
        try:
            while wanted(leg):
                try:
                    self._lease.check()
                    caller = await self._caller(rung, link)
                    self._lease.check()
                    seen = await caller.adopt(leg, memory)
                except Exception as error:
                    failure = self._failure(error, "adopt", sent=True)
                    if not isinstance(failure, silence):
                        self._put(VerbFailed(leg, "dial", failure))
                        return
                    await asyncio.sleep(_ASK_AGAIN_S)
                else:
                    self._put(LegFound(seen))
                    return
        finally:
            self._asking.discard(leg)

    async def adopt_on_bridge(self, legs: Sequence[str], wait_s: float = 0.0) -> None:
        """Look for calls on the bridge: those of an earlier process, or one whose order got no reply."""
        await asyncio.sleep(wait_s)
        try:
            if Capability.INVITE not in self._bridge.capabilities:
                return
            self._lease.check()
            for seen in await self._bridge.adopt(legs):
                self._put(LegFound(seen))
        except Exception as error:  # the session coming back asks again, and what is overdue is hung up
            log.warning("adoption-waits", run=self._run.id, why=self._failure(error, "adopt", sent=False).why)

    async def have_auto_answer(self, endpoint: str, until_at: datetime) -> None:
        """Have an endpoint answer by itself until then; one that is away is asked again."""
        last = ""
        while True:
            try:
                self._lease.check()
                at = self._endpoints[endpoint]
                if await self._auto_answers.take(self._run.id or 0, at, until_at, self._lease.check):
                    self._put(AutoAnswerTold(endpoint))
                    return
            except Exception as error:
                failure = self._failure(error, "auto-answer", sent=True)
                if failure.why != last:
                    self._put(AutoAnswerTold(endpoint, failure))
                last = failure.why
                if isinstance(failure, NotSupported):
                    return
            await asyncio.sleep(_TAKE_AGAIN_S)

    # --- the conference ------------------------------------------------------------------

    async def open_conference(self) -> None:
        """Have the bridge's session and the conference."""
        try:
            self._lease.check()
            adapter = await self._desk.open_bridge(self._bridge_row)
            self._lease.check()
            await adapter.open_conference(ConferenceSpec(self._run.number, self._run.title, self._run.tag))
        except Exception as error:
            self._put(ConferenceTrouble(str(self._failure(error, "open", sent=False))))
            return
        self._put(ConferenceOpened())

    async def end_conference(self) -> None:
        """Give the conference up; whoever is in it and is not ours stays."""
        try:
            self._lease.check()
            await self._bridge.end_conference(self._run.number)
        except Exception as error:
            log.warning("conference-not-ended", run=self._run.id, why=self._failure(error, "end", sent=True).why)

    async def read_roster(self, view: RosterView) -> None:
        """Read who is in our conference; a bridge that cannot tell says just that."""
        asked, asked_s = view.ask(), time.monotonic()
        try:
            self._put(RosterRead(await self._bridge.snapshot(self._run.number), asked, asked_s))
        except Exception as error:
            self._put(VerbFailed("", "snapshot", self._failure(error, "snapshot", sent=False)))

    async def read_far(self, code: str) -> None:
        """Read who is in a linked room, where its bridge can be read."""
        linked = self._rooms[code]
        if linked.bridge is None:
            return
        asked, asked_s = linked.view.ask(), time.monotonic()
        try:
            adapter = await self._desk.open_bridge(linked.bridge)
            self._put(RosterRead(await adapter.snapshot(linked.room.number), asked, asked_s, far=code))
        except Exception as error:  # then staying up is the proof
            why = self._failure(error, "snapshot", sent=False).why
            log.warning("far-roster-not-read", run=self._run.id, room=code, why=why)

    async def mute(self, member: str, on: bool) -> None:
        """Mute or unmute a member; the roster's event says that it is done."""
        try:
            self._lease.check()
            await self._bridge.mute(self._run.number, member, on)
        except AdapterError as error:
            log.warning("mute-failed", run=self._run.id, why=error.why)

    async def put_out(self, leg: str, member: str) -> None:
        """Put a call of ours out of the conference that no participant has any more."""
        try:
            if Capability.DROP not in self._bridge.capabilities:
                return
            self._lease.check()
            await self._bridge.drop(leg)
            self._lease.check()
            await self._bridge.drop(member)
        except AdapterError as error:
            log.warning("left-over-stays", run=self._run.id, leg=leg, why=error.why)

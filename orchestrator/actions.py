"""What a run does to devices: every order passes the lease first, and reports what came of it."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
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
    Event,
    Garbled,
    LegMemory,
    LegSeen,
    LoginRefused,
    NoFreePorts,
    NotSupported,
    OutcomeUnknown,
    Rejected,
    Roster,
    SessionLost,
    Unreachable,
)
from orchestrator.desk import Desk
from orchestrator.lease import Lease, LeaseLost
from orchestrator.roster import RosterView
from orchestrator.rules.plan import Way
from orchestrator.store.inventory import Bridge, Room
from orchestrator.store.runs import Run

log = structlog.get_logger(__name__)

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
    """A roster was read; `asked` is the view's answer when it was asked for."""

    roster: Roster
    asked: int
    far: str | None = None  # the code of the linked room it belongs to; None: our conference


@dataclass(frozen=True, slots=True)
class ConferenceOpened:
    """The conference can be entered."""


@dataclass(frozen=True, slots=True)
class ConferenceTrouble:
    """The bridge could not be opened, or the conference could not be had."""

    why: str


@dataclass(frozen=True, slots=True)
class LegFound:
    """A leg that was looked for, as the device reports it."""

    seen: LegSeen


News = Event | VerbFailed | RosterRead | ConferenceOpened | ConferenceTrouble | LegFound


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
        desk: Desk,
        lease: Lease,
        ring_s: float,
        put: Callable[[News], None],
    ) -> None:
        self._run = run
        self._bridge_row = bridge
        self._rooms = rooms
        self._desk = desk
        self._lease = lease
        self._ring_s = ring_s
        self._put = put
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def _bridge(self) -> BridgeAdapter:
        return self._desk.bridge(self._bridge_row)

    # --- running them --------------------------------------------------------------------

    def start(self, action: Coroutine[Any, Any, None]) -> None:
        """Run an action beside the loop; what it raises is logged, and never ends the run."""
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

    def cancel(self) -> None:
        """Stop all actions under way; calls stay as they are."""
        for task in list(self._tasks):
            task.cancel()

    # --- calls ---------------------------------------------------------------------------

    def _address(self) -> Address:
        return self._bridge.expect(self._run.number)

    def _near(self, address: str, link: str | None) -> Address:
        """Whose calls are made by third party: the site's endpoint, or for a link our conference."""
        return self._address() if link is not None else Address.parse(address)

    async def dial(self, leg: str, way: Way, address: str, *, name: str, link: str | None) -> None:
        """Place a call for a participant; `link` is the room's name when it is a link."""
        try:
            options = DialOptions(name, self._ring_s) if link is None else self._link_options(link)
            self._lease.check()
            if way is Way.BRIDGE_DIALS:
                await self._bridge.invite(leg, self._run.number, Address.parse(address), options)
            else:
                to = Address.parse(address) if link is not None else self._address()
                await self._desk.caller(self._near(address, link)).dial(leg, to, options)
        except AdapterError as error:
            self._put(VerbFailed(leg, "dial", error))

    def _link_options(self, link: str) -> DialOptions:
        """A link shows the run's tag, so that the far roster can prove it, and enters the PIN."""
        room = self._rooms[link].room
        digits = self._desk.secret(room.pin, room.name) + "#" if room.pin else ""
        return DialOptions(f"{self._run.title} [{self._run.tag}]", self._ring_s, digits=digits)

    async def hang_up(self, leg: str, way: Way, address: str, *, link: str | None) -> None:
        """Bring a call down."""
        try:
            self._lease.check()
            if way is Way.BRIDGE_DIALS:
                await self._bridge.drop(leg)
            else:
                await self._desk.caller(self._near(address, link)).hang_up(leg)
        except AdapterError as error:
            self._put(VerbFailed(leg, "hang-up", error))

    async def adopt(self, leg: str, memory: LegMemory, address: str, *, link: str | None, wait_s: float = 0.0) -> None:
        """Pick up a third-party call of an earlier process; asks again until somebody answers."""
        while True:
            await asyncio.sleep(wait_s)
            wait_s = 5.0
            self._lease.check()
            try:
                seen = await self._desk.caller(self._near(address, link)).adopt(leg, memory)
            except OutcomeUnknown:
                continue
            except AdapterError as error:
                self._put(VerbFailed(leg, "dial", error))
                return
            self._put(LegFound(seen))
            return

    async def adopt_on_bridge(self, legs: Sequence[str], wait_s: float = 0.0) -> None:
        """Look for calls on the bridge: those of an earlier process, or one whose order got no reply."""
        await asyncio.sleep(wait_s)
        if Capability.INVITE not in self._bridge.capabilities:
            return
        self._lease.check()
        try:
            for seen in await self._bridge.adopt(legs):
                self._put(LegFound(seen))
        except AdapterError as error:  # the session coming back asks again
            log.warning("adoption-waits", run=self._run.id, why=error.why)

    # --- the conference ------------------------------------------------------------------

    async def open_conference(self) -> None:
        """Have the bridge's session and the conference."""
        try:
            self._lease.check()
            adapter = await self._desk.open_bridge(self._bridge_row)
            self._lease.check()
            await adapter.open_conference(ConferenceSpec(self._run.number, self._run.title, self._run.tag))
        except AdapterError as error:
            self._put(ConferenceTrouble(str(error)))
            return
        self._put(ConferenceOpened())

    async def end_conference(self) -> None:
        """Give the conference up; whoever is in it and is not ours stays."""
        try:
            self._lease.check()
            await self._bridge.end_conference(self._run.number)
        except AdapterError as error:
            log.warning("conference-not-ended", run=self._run.id, why=error.why)

    async def read_roster(self, view: RosterView) -> None:
        """Read who is in our conference; a bridge that cannot tell says just that."""
        asked = view.ask()
        try:
            self._put(RosterRead(await self._bridge.snapshot(self._run.number), asked))
        except AdapterError as error:
            self._put(VerbFailed("", "snapshot", error))

    async def read_far(self, code: str) -> None:
        """Read who is in a linked room, where its bridge can be read."""
        linked = self._rooms[code]
        if linked.bridge is None:
            return
        asked = linked.view.ask()
        try:
            adapter = await self._desk.open_bridge(linked.bridge)
            self._put(RosterRead(await adapter.snapshot(linked.room.number), asked, far=code))
        except AdapterError as error:  # then staying up is the proof
            log.warning("far-roster-not-read", run=self._run.id, room=code, why=error.why)

    async def mute(self, member: str, on: bool) -> None:
        """Mute or unmute a member; the roster's event says that it is done."""
        try:
            self._lease.check()
            await self._bridge.mute(self._run.number, member, on)
        except AdapterError as error:
            log.warning("mute-failed", run=self._run.id, why=error.why)

    async def put_out(self, leg: str, member: str) -> None:
        """Put a call of ours out of the conference that no participant has any more."""
        if Capability.DROP not in self._bridge.capabilities:
            return
        try:
            self._lease.check()
            await self._bridge.drop(leg)
            self._lease.check()
            await self._bridge.drop(member)
        except AdapterError as error:
            log.warning("left-over-stays", run=self._run.id, leg=leg, why=error.why)

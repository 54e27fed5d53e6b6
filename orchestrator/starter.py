"""When runs begin: hangs the bells, claims what is due, writes down what was missed."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from sqlalchemy.exc import IntegrityError

from adapters import Capability
from orchestrator.board import run_list
from orchestrator.desk import Desk
from orchestrator.rules.states import RUN_OVER, ParticipantState, RunState
from orchestrator.rules.tag import run_tag
from orchestrator.store import journal
from orchestrator.store.database import Database, turn
from orchestrator.store.inventory import Bridge, bridge_by_id
from orchestrator.store.journal import JournalBell
from orchestrator.store.meetings import Meeting, meeting_by_id, open_meetings, participants
from orchestrator.store.runs import Run, add_run, claimed_occurrences, numbers_in_use, run_of_occurrence
from orchestrator.tracks import participants_of
from schedules.alarm import Alarm
from schedules.clock import Clock
from schedules.lateness import Lateness, lateness
from schedules.recurrence import Occurrence, occurrences
from schedules.rule import RecurrenceError

log = structlog.get_logger(__name__)

_HORIZON = timedelta(days=366 * 2)
_MOST_SLOTS = 16
_SWEEP_S = 20.0
_LOOK_BACK = timedelta(days=7)
"""How far back a start that nobody made is still written down as missed."""


@dataclass(frozen=True, slots=True)
class Due:
    """An occurrence whose dialing has opened, or opens soon."""

    meeting_id: int
    title: str
    time_zone: str
    occurrence_at: datetime
    opens_at: datetime
    ends_at: datetime
    sites: int = 0
    links: tuple[str, ...] = ()
    run_id: int | None = None  # the run that claimed it already


class NoFreeNumber(Exception):
    """The bridge has no conference number left for another run."""


class Starter:
    """Starts every occurrence once; `begin` has a claimed run conducted, `call_off` ends one that waits."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        desk: Desk,
        bell: JournalBell,
        begin: Callable[[int], Awaitable[object]],
        call_off: Callable[[int], Awaitable[object]],
    ) -> None:
        self.alarm = Alarm(clock)
        self.installation = ""  # its mark stands in every leg name
        self.not_started: dict[int, str] = {}  # meetings that are due, and why they have no run
        self._database = database
        self._clock = clock
        self._desk = desk
        self._bell = bell
        self._begin = begin
        self._call_off = call_off
        self._changed_at: dict[int, datetime] = {}

    async def arm_all(self) -> None:
        """Hang the bell of every meeting's next occurrence, from the rows."""
        now = self._clock.now()
        async with self._database.read() as session:
            meetings = await open_meetings(session, now - _LOOK_BACK)
            ids = [meeting.id or 0 for meeting in meetings]
            claimed = await claimed_occurrences(session, ids, now - 2 * _LOOK_BACK)
        for meeting in meetings:
            self._arm(meeting, now, claimed)
            try:
                await self._record_missed(meeting, now, claimed)
            except Exception as error:  # one that is out of order keeps no other from its bell
                log.error("missed-not-recorded", meeting=meeting.id, why=str(error))

    async def meeting_changed(self, meeting_id: int) -> None:
        """A meeting was booked, changed or cancelled: move its bell, and call off what it no longer has."""
        async with self._database.read() as session:
            meeting = await meeting_by_id(session, meeting_id)
            waiting = await run_list(session, meeting_id=meeting_id, states=[RunState.DUE])
        for run in waiting:
            if meeting is None or not _still_planned(meeting, run["starts_at"]):
                await self._call_off(run["id"])
        self._changed_at[meeting_id] = self._clock.now()
        await self._arm_next(meeting_id)

    async def _arm_next(self, meeting_id: int) -> None:
        """Hang the bell of a meeting's next occurrence, or take it down."""
        now = self._clock.now()
        async with self._database.read() as session:
            meeting = await meeting_by_id(session, meeting_id)
            claimed = await claimed_occurrences(session, [meeting_id], now - 2 * _LOOK_BACK)
        if meeting is None or meeting.cancelled_at is not None:
            self.alarm.disarm(f"meeting-{meeting_id}")
        else:
            self._arm(meeting, now, claimed)

    def _arm(self, meeting: Meeting, now: datetime, claimed: set[tuple[int, datetime]]) -> None:
        key = f"meeting-{meeting.id}"
        for occurrence in _coming(meeting, now, now + _HORIZON):
            if (meeting.id, occurrence.starts_at) not in claimed:
                self.alarm.arm(key, occurrence.starts_at - timedelta(minutes=meeting.lead_min), self._ring)
                return
        self.alarm.disarm(key)

    async def _record_missed(self, meeting: Meeting, now: datetime, claimed: set[tuple[int, datetime]]) -> None:
        """Write down the occurrences whose whole slot went by while nobody was there.

        What lies before a run that took place, or before a change of the meeting, was not missed:
        the rule of today does not tell what was planned then.
        """
        held = (at for meeting_id, at in claimed if meeting_id == meeting.id)
        changed_at = self._changed_at.get(meeting.id or 0, meeting.created_at)
        since = max(now - _LOOK_BACK, meeting.created_at, changed_at, *held)
        for occurrence in _slots(meeting, since, now):
            over = occurrence.starts_at + timedelta(minutes=meeting.duration_min) <= now
            if over and (meeting.id, occurrence.starts_at) not in claimed:
                await self._claim(meeting, occurrence, RunState.MISSED)

    async def _ring(self, key: str) -> None:
        meeting_id = int(key.removeprefix("meeting-"))
        async with self._database.read() as session:
            meeting = await meeting_by_id(session, meeting_id)
        if meeting is not None and meeting.cancelled_at is None:
            await self._start_due(meeting, timedelta(0))
        if meeting_id not in self.not_started:  # else the sweep hangs its bell again; ringing at once would not help
            await self._arm_next(meeting_id)

    async def sweep(self) -> None:
        """Start what no bell rang for: booked by another process, or while this one slept."""
        while True:
            await asyncio.sleep(_SWEEP_S * random.uniform(0.8, 1.2))
            try:
                await self.arm_all()
            except Exception as error:
                log.warning("sweep-waits", error=repr(error))

    async def due(self, within: timedelta) -> list[Due]:
        """What has to be dialed now or opens within `within`, with what is known of it already."""
        now = self._clock.now()
        found: list[Due] = []
        async with self._database.read() as session:
            for meeting in await open_meetings(session, now):
                for occurrence in _coming(meeting, now, now + within + timedelta(minutes=meeting.lead_min, seconds=1)):
                    sites, rooms = await participants(session, meeting)
                    run = await run_of_occurrence(session, meeting.id or 0, occurrence.starts_at)
                    found.append(
                        Due(
                            meeting.id or 0,
                            meeting.title,
                            meeting.time_zone,
                            occurrence.starts_at,
                            occurrence.starts_at - timedelta(minutes=meeting.lead_min),
                            occurrence.starts_at + timedelta(minutes=meeting.duration_min),
                            len(sites),
                            tuple(room.name for room in rooms),
                            run.id if run is not None else None,
                        )
                    )
        return sorted(found, key=lambda due: (due.opens_at, due.meeting_id))

    async def start_due(self, within: timedelta = timedelta(0)) -> list[int]:
        """Claim and begin every occurrence that opens within `within`; the runs that this call claimed.

        A meeting that cannot be started keeps no other from it; `not_started` says why.
        """
        async with self._database.read() as session:
            meetings = await open_meetings(session, self._clock.now())
        return [run_id for meeting in meetings for run_id in await self._start_due(meeting, within)]

    async def _start_due(self, meeting: Meeting, within: timedelta) -> list[int]:
        now = self._clock.now()
        horizon = now + within + timedelta(minutes=meeting.lead_min)
        started: list[int] = []
        for occurrence in _coming(meeting, now, horizon + timedelta(microseconds=1)):
            try:
                run_id = await self._claim(meeting, occurrence)
            except Exception as error:
                self.not_started[meeting.id or 0] = str(error)
                log.error("meeting-not-started", meeting=meeting.id, why=str(error))
                return started
            if run_id is not None:
                started.append(run_id)
                await self._begin(run_id)
        self.not_started.pop(meeting.id or 0, None)
        return started

    async def _claim(self, meeting: Meeting, occurrence: Occurrence, state: RunState = RunState.DUE) -> int | None:
        """Make the occurrence's run; None when it has one already. Any number of bells, one run."""
        starts_at = occurrence.starts_at
        now = self._clock.now()
        for _ in range(3):  # two claims may race for a conference number; the next look sees the other's
            try:
                async with self._database.write() as session:
                    await turn(session)  # claims come one by one, and see the inventory as it stays
                    now_booked = await meeting_by_id(session, meeting.id or 0)
                    if now_booked is None or not _still_planned(now_booked, starts_at):
                        return None  # moved or called off meanwhile
                    meeting = now_booked
                    if await run_of_occurrence(session, meeting.id or 0, starts_at) is not None:
                        return None
                    bridge = await bridge_by_id(session, meeting.bridge_id)
                    if bridge is None:
                        raise LookupError(f"meeting {meeting.id} is on bridge {meeting.bridge_id}, which is not there")
                    sites, rooms = await participants(session, meeting)
                    rows = participants_of(
                        sites,
                        rooms,
                        self._capabilities(bridge.family),
                        self._desk.hands.dialing_families,
                    )
                    over = state in RUN_OVER
                    if over:
                        for row in rows:
                            row.state = ParticipantState.ABSENT
                    run = Run(
                        meeting_id=meeting.id or 0,
                        occurrence_at=starts_at,
                        title=meeting.title,
                        time_zone=meeting.time_zone,
                        bridge_id=bridge.id or 0,
                        number="" if over else _free_number(bridge, await numbers_in_use(session, bridge.id or 0)),
                        tag="",
                        state=state.value,
                        closed_at=now if over else None,
                        opens_at=starts_at - timedelta(minutes=meeting.lead_min),
                        starts_at=starts_at,
                        ends_at=starts_at + timedelta(minutes=meeting.duration_min),
                    )
                    await add_run(session, run, rows, done=over)
                    run.tag = run_tag(self.installation, run.id or 0)
                    facts = {"title": run.title, "number": run.number, "participants": len(rows)}
                    entry = {
                        "run_id": run.id,
                        "at": now,
                        "event": "run-claimed",
                        "participant": "",
                        "leg": "",
                        "facts": facts,
                    }
                    await journal.append(session, [entry])
                self._bell.ring(run.id or 0)
                return run.id
            except IntegrityError:
                continue
        return None

    def _capabilities(self, family: str) -> frozenset[Capability]:
        try:
            return self._desk.hands.bridge_capabilities(family)
        except LookupError:
            return frozenset()  # the run says so, as soon as it wants the bridge


def _slots(meeting: Meeting, since: datetime, before: datetime) -> list[Occurrence]:
    """The meeting's occurrences from `since` up to `before`, at most `_MOST_SLOTS`."""
    try:
        return list(
            occurrences(
                meeting.start,
                meeting.time_zone,
                meeting.recurrence,
                meeting.exdates,
                after=since,
                before=before,
                limit=_MOST_SLOTS,
            )
        )
    except RecurrenceError as error:
        log.error("meeting-cannot-be-read", meeting=meeting.id, why=str(error))
        return []


def _coming(meeting: Meeting, now: datetime, before: datetime) -> list[Occurrence]:
    """The meeting's first occurrences that can still be started, up to `before`."""
    slots = _slots(meeting, now - timedelta(minutes=meeting.duration_min), before)
    return [slot for slot in slots if _may_start(meeting, slot, now)]


def _still_planned(meeting: Meeting, starts_at: datetime) -> bool:
    """Whether the meeting, as it is now, has an occurrence at that instant."""
    return meeting.cancelled_at is None and bool(_slots(meeting, starts_at, starts_at + timedelta(microseconds=1)))


def _may_start(meeting: Meeting, occurrence: Occurrence, now: datetime) -> bool:
    opens_at = occurrence.starts_at - timedelta(minutes=meeting.lead_min)
    ends_at = occurrence.starts_at + timedelta(minutes=meeting.duration_min)
    return lateness(opens_at=opens_at, starts_at=occurrence.starts_at, ends_at=ends_at, now=now) is not Lateness.MISSED


def _free_number(bridge: Bridge, in_use: set[str]) -> str:
    """The lowest conference number of the bridge that no run under way has."""
    for number in range(bridge.first_number, bridge.last_number + 1):
        if str(number) not in in_use:
            return str(number)
    raise NoFreeNumber(
        f"bridge {bridge.name}: all conference numbers {bridge.first_number}..{bridge.last_number} are in use"
    )

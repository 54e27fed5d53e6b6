"""Owns live runs: claims what is due, takes up what is unfinished, hands over when it leaves."""

import asyncio
import random
import secrets
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy.exc import IntegrityError
from sqlmodel.ext.asyncio.session import AsyncSession

from adapters import Address
from orchestrator.actions import LinkedRoom
from orchestrator.desk import Desk
from orchestrator.dispatch import CommandBus, Dispatcher, LocalBus, LocalDispatcher
from orchestrator.lease import Lease, LeaseLost, Leases, LeaseTerms, is_gone
from orchestrator.ledger import Ledger
from orchestrator.memory import LegMemories
from orchestrator.orders import OrderRefused, check
from orchestrator.pace import Pace
from orchestrator.rules.states import RUN_OVER, RunState
from orchestrator.rules.tag import LegName, run_tag
from orchestrator.runner import Props, Runner, RunTerms
from orchestrator.store import journal
from orchestrator.store.database import Database
from orchestrator.store.inventory import Bridge, bridge_by_id, endpoints_with_login, rooms_by_names
from orchestrator.store.journal import JournalBell
from orchestrator.store.meetings import Meeting, meeting_by_id, open_meetings, participants
from orchestrator.store.runs import (
    Participant,
    Run,
    ShardCommand,
    add_command,
    add_run,
    claimed_occurrences,
    load_run,
    mark_of_installation,
    numbers_in_use,
    open_commands,
    open_shards,
    run_of_occurrence,
)
from orchestrator.tracks import participants_of, tracks_of
from schedules.alarm import Alarm
from schedules.clock import Clock
from schedules.lateness import Lateness, lateness
from schedules.recurrence import Occurrence, occurrences
from schedules.rule import RecurrenceError

log = structlog.get_logger(__name__)

_HORIZON = timedelta(days=366 * 2)
_MOST_SLOTS = 16
_SCAN_S = 2.0
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


class Conductor:
    """Conducts this process's share of all runs."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        desk: Desk,
        bell: JournalBell,
        *,
        terms: RunTerms | None = None,
        lease_terms: LeaseTerms | None = None,
        pace_off: bool = False,
    ) -> None:
        self.bell = bell
        self.runners: dict[int, Runner] = {}
        self.desk = desk
        self.leases = Leases(database, clock.now, lease_terms)
        self.memories = LegMemories(database, lambda run_id: self.leases.held.get(f"run-{run_id}"))
        self.alarm = Alarm(clock)
        self._database = database
        self._clock = clock
        self._terms = terms or RunTerms()
        self._pace_off = pace_off
        self._paces: dict[int, Pace] = {}
        self._dispatcher: Dispatcher = LocalDispatcher(self._ticket)
        self._bus: CommandBus = LocalBus()
        self._supervisors: dict[str, asyncio.Task[None]] = {}
        self._side_tasks: list[asyncio.Task[None]] = []
        self._installation = ""
        self._over: dict[int, asyncio.Event] = {}

    # --- life ----------------------------------------------------------------------------

    async def start(self, *, bells: bool = True) -> None:
        """Take up unfinished runs; with `bells`, start every occurrence as it comes due."""
        async with self._database.write() as session:
            self._installation = await mark_of_installation(session, secrets.token_hex(3))
        self.leases.on_lost = lambda lease: self._lose(lease)
        self._side(self.leases.keep_renewing(), "renew")
        self._side(self._hear_orders(), "orders")
        self._side(self._scan(), "scan")
        if bells:
            self.alarm.start()
            self._side(self._sweep(), "sweep")
            await self.arm_all()
        await self._offer_open_shards()

    def _side(self, coroutine: Coroutine[Any, Any, None], name: str) -> None:
        task = asyncio.create_task(coroutine, name=f"conductor-{name}")
        task.add_done_callback(self._side_ended)
        self._side_tasks.append(task)

    def _side_ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled():
            log.critical("side-task-died", task=task.get_name(), exc_info=task.exception())

    @property
    def is_well(self) -> bool:
        """Whether every part of the conductor is running."""
        return bool(self._side_tasks) and not any(task.done() for task in self._side_tasks)

    async def stop(self) -> None:
        """Hand everything over: no more orders, calls stay up, leases are given back."""
        self.alarm.stop()
        for task in self._side_tasks:
            task.cancel()
        await self._dispatcher.close()
        supervisors = list(self._supervisors.values())
        for task in supervisors:
            task.cancel()
        await asyncio.gather(*self._side_tasks, *supervisors, return_exceptions=True)
        self._side_tasks.clear()
        await self.leases.release(list(self.leases.held))
        await self.desk.close()

    # --- when ----------------------------------------------------------------------------

    async def arm_all(self) -> None:
        """Hang the bell of every meeting's next occurrence, from the rows."""
        now = self._clock.now()
        async with self._database.read() as session:
            meetings = await open_meetings(session, now - _LOOK_BACK)
            ids = [meeting.id or 0 for meeting in meetings]
            claimed = await claimed_occurrences(session, ids, now - 2 * _LOOK_BACK)
        for meeting in meetings:
            self._arm(meeting, now, claimed)
            await self._record_missed(meeting, now, claimed)

    async def meeting_changed(self, meeting_id: int) -> None:
        """A meeting was booked, changed or cancelled: move its bell."""
        now = self._clock.now()
        async with self._database.read() as session:
            meeting = await meeting_by_id(session, meeting_id)
            claimed = await claimed_occurrences(session, [meeting_id], now - 2 * _LOOK_BACK)
        if meeting is None or meeting.cancelled_at is not None:
            self.alarm.disarm(f"meeting-{meeting_id}")
        else:
            self._arm(meeting, now, claimed)

    async def bridge_changed(self, name: str) -> None:
        """A bridge's inventory entry changed: its session is opened anew at the next use."""
        await self.desk.forget_bridge(name)
        self._paces.clear()

    def _arm(self, meeting: Meeting, now: datetime, claimed: set[tuple[int, datetime]]) -> None:
        key = f"meeting-{meeting.id}"
        for occurrence in _coming(meeting, now, now + _HORIZON):
            if (meeting.id, occurrence.starts_at) not in claimed:
                self.alarm.arm(key, occurrence.starts_at - timedelta(minutes=meeting.lead_min), self._ring)
                return
        self.alarm.disarm(key)

    async def _record_missed(self, meeting: Meeting, now: datetime, claimed: set[tuple[int, datetime]]) -> None:
        """Write down the occurrences whose whole slot went by while nobody was there."""
        since = max(now - _LOOK_BACK, meeting.created_at)
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
        await self.meeting_changed(meeting_id)

    async def _sweep(self) -> None:
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
        """Claim and begin every occurrence that opens within `within`; the runs that this call claimed."""
        async with self._database.read() as session:
            meetings = await open_meetings(session, self._clock.now())
        return [run_id for meeting in meetings for run_id in await self._start_due(meeting, within)]

    async def _start_due(self, meeting: Meeting, within: timedelta) -> list[int]:
        now = self._clock.now()
        horizon = now + within + timedelta(minutes=meeting.lead_min)
        started: list[int] = []
        for occurrence in _coming(meeting, now, horizon + timedelta(microseconds=1)):
            run_id = await self._claim(meeting, occurrence)
            if run_id is not None:
                started.append(run_id)
                await self._dispatcher.offer(f"run-{run_id}")
        return started

    async def _claim(self, meeting: Meeting, occurrence: Occurrence, state: RunState = RunState.DUE) -> int | None:
        """Make the occurrence's run; None when it has one already. Any number of bells, one run."""
        starts_at = occurrence.starts_at
        now = self._clock.now()
        for _ in range(3):  # two claims may race for a conference number; the next look sees the other's
            try:
                async with self._database.write() as session:
                    if await run_of_occurrence(session, meeting.id or 0, starts_at) is not None:
                        return None
                    bridge = await bridge_by_id(session, meeting.bridge_id)
                    if bridge is None:
                        raise LookupError(f"meeting {meeting.id} is on bridge {meeting.bridge_id}, which is not there")
                    sites, rooms = await participants(session, meeting)
                    rows = participants_of(
                        sites,
                        rooms,
                        self.desk.hands.bridge_capabilities(bridge.family),
                        self.desk.hands.dialing_families,
                    )
                    run = Run(
                        meeting_id=meeting.id or 0,
                        occurrence_at=starts_at,
                        title=meeting.title,
                        time_zone=meeting.time_zone,
                        bridge_id=bridge.id or 0,
                        number=_free_number(bridge, await numbers_in_use(session, bridge.id or 0)),
                        tag="",
                        state=state.value,
                        closed_at=now if state in RUN_OVER else None,
                        opens_at=starts_at - timedelta(minutes=meeting.lead_min),
                        starts_at=starts_at,
                        ends_at=starts_at + timedelta(minutes=meeting.duration_min),
                    )
                    await add_run(session, run, rows, done=state in RUN_OVER)
                    run.tag = run_tag(self._installation, run.id or 0)
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
                self.bell.ring(run.id or 0)
                return run.id
            except IntegrityError:
                continue
        return None

    # --- who -----------------------------------------------------------------------------

    async def _offer_open_shards(self) -> None:
        async with self._database.read() as session:
            shards = await open_shards(session)
        now = self._clock.now()
        for shard in shards:
            if shard.shard_id in self._supervisors:
                continue
            if shard.owner is None or (shard.until is not None and shard.until < now) or is_gone(shard.owner):
                await self._dispatcher.offer(shard.shard_id)

    async def _scan(self) -> None:
        """Take up, from time to time, what nobody conducts."""
        while True:
            await asyncio.sleep(_SCAN_S * random.uniform(0.7, 1.3))
            try:
                await self._offer_open_shards()
            except Exception as error:
                log.warning("scan-waits", error=repr(error))

    async def _ticket(self, shard_id: str) -> None:
        """Conduct a shard, if it can be had. One supervisor per shard and process."""
        if shard_id in self._supervisors:
            return
        async with self._database.read() as session:
            shard = next((s for s in await open_shards(session) if s.shard_id == shard_id), None)
        if shard is None or shard_id in self._supervisors:
            return
        gone = shard.owner if shard.owner is not None and is_gone(shard.owner) else None
        lease = await self.leases.acquire(shard_id, gone=gone)
        if lease is None:
            return
        supervisor = asyncio.create_task(self._supervise(shard.run_id, lease), name=shard_id)
        self._supervisors[shard_id] = supervisor
        supervisor.add_done_callback(lambda _: self._supervisors.pop(shard_id, None))

    async def _supervise(self, run_id: int, lease: Lease) -> None:
        try:
            runner = await self._runner(run_id, lease)
            if runner is None:
                return
            self.runners[run_id] = runner
            log.info("run-taken-up", run=run_id, epoch=lease.epoch, state=runner.state.value)
            await runner.conduct()
            log.info("run-over", run=run_id, state=runner.state.value)
            self._over.setdefault(run_id, asyncio.Event()).set()
        except LeaseLost as error:
            log.warning("run-let-go", run=run_id, why=str(error))
        except asyncio.CancelledError:
            raise
        except Exception:
            # the lease is given back, so the scan takes the run up again; its rows tell where it was
            log.exception("run-stumbled", run=run_id)
            await asyncio.sleep(_SCAN_S)
        finally:
            self.runners.pop(run_id, None)
            if not lease.lost:
                await asyncio.shield(self.leases.release([lease.shard_id]))

    async def _runner(self, run_id: int, lease: Lease) -> Runner | None:
        async with self._database.read() as session:
            rows = await load_run(session, run_id)
            if rows is None:
                return None
            bridge = await bridge_by_id(session, rows.run.bridge_id)
            assert bridge is not None  # a bridge with runs cannot be deleted
            rooms = await self._rooms(session, rows.participants)
            await self._learn_logins(session, bridge)
        shard_id = lease.shard_id

        async def orders() -> list[ShardCommand]:
            async with self._database.read() as session:
                return await open_commands(session, shard_id)

        return Runner(
            Props(
                run=rows.run,
                bridge=bridge,
                tracks=tracks_of(rows.participants, rows.legs, self._terms.redial),
                rooms=rooms,
                legs=rows.legs,
                lease=lease,
                ledger=Ledger(self._database, self.bell, lease, run_id),
                desk=self.desk,
                pace=self._pace_of(bridge),
                now=self._clock.now,
                terms=self._terms,
                orders=orders,
                installation=rows.run.tag.removeprefix("dc").partition("-")[0],
            )
        )

    async def _learn_logins(self, session: AsyncSession, bridge: Bridge) -> None:
        """SIP devices that ask who we are get the log-in of their inventory entry."""
        if bridge.family == "sip" and bridge.control_username:
            host = Address.parse(bridge.conference_address.format(number="0")).host
            self.desk.learn_login(host, bridge.control_username, bridge.control_secret, bridge.name)
        for at in await endpoints_with_login(session, "sip"):
            for address in at.addresses:
                host, endpoint = Address.parse(address).host, at.endpoint
                self.desk.learn_login(host, endpoint.control_username, endpoint.control_secret, endpoint.name)

    def _pace_of(self, bridge: Bridge) -> Pace:
        per_s = None if self._pace_off else bridge.pace_per_s
        return self._paces.setdefault(bridge.id or 0, Pace(per_s))

    @staticmethod
    async def _rooms(session: AsyncSession, rows: list[Participant]) -> dict[str, LinkedRoom]:
        names = [row.code for row in rows if row.kind == "room"]
        rooms = await rooms_by_names(session, names) if names else {}
        linked = {}
        for name, room in rooms.items():
            far = await bridge_by_id(session, room.bridge_id) if room.bridge_id and room.number else None
            linked[name] = LinkedRoom(room, far)
        return linked

    def _lose(self, lease: Lease) -> None:
        supervisor = self._supervisors.get(lease.shard_id)
        if supervisor is not None:
            supervisor.cancel()

    def may_act(self, leg: str) -> bool | None:
        """Whether this process may go on with a leg; None while its lease is past its time and nobody else has it."""
        name = LegName.find(leg)
        return name is not None and self.leases.may_act(f"run-{name.run}")

    async def until_over(self, run_id: int) -> None:
        """Return when a run that this process conducts is over."""
        await self._over.setdefault(run_id, asyncio.Event()).wait()

    # --- orders --------------------------------------------------------------------------

    async def order(self, run_id: int, verb: str, args: Mapping[str, object]) -> int:
        """Accept an operator's order for a run: durable when this returns, its command's id.

        Raises OrderRefused when it makes no sense, LookupError when there is no such run.
        """
        check(verb, args)
        async with self._database.write() as session:
            rows = await load_run(session, run_id)
            if rows is None:
                raise LookupError(f"there is no run {run_id}")
            if RunState(rows.run.state) in RUN_OVER:
                raise OrderRefused(f"run {run_id} is {rows.run.state}; only a run that is under way takes orders")
            site = args.get("site")
            if site is not None and not any(p.code == site for p in rows.participants):
                raise LookupError(f"{site} does not take part in run {run_id}")
            now = self._clock.now()
            command = ShardCommand(shard_id=f"run-{run_id}", verb=verb, args=dict(args), created_at=now)
            command_id = await add_command(session, command)
            entry = {
                "run_id": run_id, "at": now, "event": "command-taken", "participant": str(site or ""), "leg": "",
                "facts": {"verb": verb, "command": command_id},
            }  # fmt: skip
            await journal.append(session, [entry])
        self.bell.ring(run_id)
        await self._bus.publish(f"run-{run_id}")
        return command_id

    async def _hear_orders(self) -> None:
        async for shard_id in self._bus.subscribe():
            runner = self.runners.get(int(shard_id.removeprefix("run-")))
            if runner is not None:
                runner.look_at_orders()


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

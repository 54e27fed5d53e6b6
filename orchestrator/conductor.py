"""Owns live runs: claims what is due, takes up what is unfinished, hands over when it leaves."""

import asyncio
import random
import secrets
import time
from collections.abc import Coroutine, Mapping
from datetime import timedelta
from typing import Any

import structlog
from sqlmodel.ext.asyncio.session import AsyncSession

from adapters import Address
from orchestrator.actions import LinkedRoom
from orchestrator.auto_answer import AutoAnswerLeases
from orchestrator.desk import Desk
from orchestrator.dispatch import CommandBus, Dispatcher, LocalBus, LocalDispatcher
from orchestrator.lease import Lease, LeaseLost, Leases, LeaseTerms, is_gone
from orchestrator.ledger import Ledger
from orchestrator.memory import LegMemories
from orchestrator.orders import OrderRefused, check
from orchestrator.pace import Pace
from orchestrator.refusal import NotThere
from orchestrator.rules.plan import Way
from orchestrator.rules.states import RUN_OVER, RunState
from orchestrator.rules.tag import LegName
from orchestrator.runner import Props, Runner, RunTerms
from orchestrator.starter import Due, Starter
from orchestrator.store import journal
from orchestrator.store.database import Database
from orchestrator.store.inventory import (
    Bridge,
    EndpointAt,
    answering_endpoints,
    bridge_by_id,
    bridge_by_name,
    endpoint_by_name,
    endpoints_by_names,
    endpoints_with_login,
    rooms_by_names,
)
from orchestrator.store.journal import JournalBell
from orchestrator.store.runs import (
    Participant,
    Run,
    ShardCommand,
    add_command,
    load_run,
    mark_of_installation,
    open_commands,
    open_shards,
    shards_with_orders,
    takes_part,
)
from orchestrator.tracks import rungs_of, tracks_of
from schedules.clock import Clock

log = structlog.get_logger(__name__)

_STOP_S = 15.0
"""So long is waited for what is under way when the process ends."""
_SCAN_S = 2.0
_STUMBLE_LIMIT_S = 60.0


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
        self._database = database
        self._clock = clock
        self._terms = terms or RunTerms()
        self._pace_off = pace_off
        self._paces: dict[int, Pace] = {}
        self._dispatcher: Dispatcher = LocalDispatcher(self._ticket)
        self._bus: CommandBus = LocalBus()
        self.starter = Starter(
            database, clock, desk, bell, lambda run_id: self._dispatcher.offer(f"run-{run_id}"), self._call_off
        )
        self.auto_answers = AutoAnswerLeases(database, desk, bell, clock.now)
        self._supervisors: dict[str, asyncio.Task[None]] = {}
        self._side_tasks: list[asyncio.Task[None]] = []
        self._stumbles: dict[str, tuple[int, float]] = {}  # per shard: how often in a row, and when to try again

    # --- life ----------------------------------------------------------------------------

    async def start(self, *, bells: bool = True) -> None:
        """Take up unfinished runs; with `bells`, start every occurrence as it comes due."""
        async with self._database.write() as session:
            self.starter.installation = await mark_of_installation(session, secrets.token_hex(3))
        self.leases.on_lost = lambda lease: self._lose(lease)
        self._side(self.leases.keep_renewing(), "renew")
        self._side(self._hear_orders(), "orders")
        self._side(self._find_orders(), "others-orders")
        self._side(self._scan(), "scan")
        self._side(self.auto_answers.keep(), "auto-answers")
        if bells:
            self.starter.alarm.start()
            self._side(self.starter.sweep(), "sweep")
            await self.starter.arm_all()
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
        self.starter.alarm.stop()
        for task in self._side_tasks:
            task.cancel()
        await self._dispatcher.close()
        supervisors = list(self._supervisors.values())
        for task in supervisors:
            task.cancel()
        tasks = [*self._side_tasks, *supervisors]
        if tasks:  # a database that hangs keeps nobody from stopping
            ended, stuck = await asyncio.wait(tasks, timeout=_STOP_S)
            for task in ended:
                if not task.cancelled():
                    task.exception()
            for task in stuck:
                log.warning("task-not-ended", task=task.get_name(), after_s=_STOP_S)
        self._side_tasks.clear()
        try:
            await self.leases.release(list(self.leases.held))
        except Exception as error:  # the database is away: the leases run out by themselves
            log.warning("leases-not-given-back", error=type(error).__name__)
        await self.desk.close()

    # --- what changes --------------------------------------------------------------------

    async def start_due(self, within: timedelta = timedelta(0)) -> list[int]:
        """Claim and begin every occurrence that opens within `within`; the runs that this call claimed."""
        return await self.starter.start_due(within)

    async def due(self, within: timedelta) -> list[Due]:
        """What has to be dialed now or opens within `within`, with what is known of it already."""
        return await self.starter.due(within)

    async def arm_all(self) -> None:
        """Hang the bell of every meeting's next occurrence, from the rows."""
        await self.starter.arm_all()

    async def meeting_changed(self, meeting_id: int) -> None:
        """A meeting was booked, changed or cancelled: move its bell, and call off what it no longer has."""
        await self.starter.meeting_changed(meeting_id)

    async def _call_off(self, run_id: int) -> None:
        await self.order(run_id, "end", {})

    async def bridge_changed(self, name: str) -> None:
        """A bridge's inventory entry changed: its runs open its session anew."""
        async with self._database.read() as session:
            try:
                row = await bridge_by_name(session, name)
            except NotThere:
                return await self.desk.forget_bridge(name)
        for runner in self.runners.values():
            runner.use_bridge(row)
        self._pace_of(row).per_s = None if self._pace_off else row.pace_per_s
        await self.desk.forget_bridge(name)

    async def endpoint_changed(self, name: str) -> None:
        """An endpoint's inventory entry changed: a session that could not be had is tried anew."""
        async with self._database.read() as session:
            try:
                at = await endpoint_by_name(session, name)
            except NotThere:
                return await self.desk.endpoint_changed(name)
        for runner in self.runners.values():
            runner.use_endpoint(at)
        await self.desk.endpoint_changed(name)

    # --- who -----------------------------------------------------------------------------

    async def _offer_open_shards(self) -> None:
        async with self._database.read() as session:
            shards = await open_shards(session)
        now = self._clock.now()
        for shard in shards:
            if shard.shard_id in self._supervisors or self._must_wait(shard.shard_id):
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
            shard = next(iter(await open_shards(session, shard_id)), None)
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
        began_s = time.monotonic()
        try:
            runner = await self._runner(run_id, lease)
            if runner is None:
                return
            self.runners[run_id] = runner
            log.info("run-taken-up", run=run_id, epoch=lease.epoch, state=runner.state.value)
            await runner.conduct()
            log.info("run-over", run=run_id, state=runner.state.value)
            self._stumbles.pop(lease.shard_id, None)
            await self.auto_answers.run_over(run_id)
            await self.desk.let_go(run_id)
        except LeaseLost as error:
            log.warning("run-let-go", run=run_id, why=str(error))
        except asyncio.CancelledError:
            raise
        except Exception:
            # the lease is given back, so a scan takes the run up again; its rows tell where it was
            log.exception("run-stumbled", run=run_id)
            self._stumbled(lease.shard_id, time.monotonic() - began_s)
        finally:
            self.runners.pop(run_id, None)
            if lease.lost:
                await self.desk.let_go(run_id)
            else:
                await asyncio.shield(self._give_back(lease))

    def _stumbled(self, shard_id: str, held_s: float) -> None:
        """Wait longer each time before a run that stumbles at once is taken up again."""
        times = 0 if held_s > _STUMBLE_LIMIT_S else self._stumbles.get(shard_id, (0, 0.0))[0]
        wait_s = min(_SCAN_S * 2**times, _STUMBLE_LIMIT_S)
        self._stumbles[shard_id] = (times + 1, time.monotonic() + wait_s)

    def _must_wait(self, shard_id: str) -> bool:
        return shard_id in self._stumbles and time.monotonic() < self._stumbles[shard_id][1]

    async def _give_back(self, lease: Lease) -> None:
        try:
            await self.leases.release([lease.shard_id])
        except Exception as error:  # the database is away: it runs out by itself
            log.warning("lease-not-given-back", shard=lease.shard_id, error=type(error).__name__)

    async def _runner(self, run_id: int, lease: Lease) -> Runner | None:
        async with self._database.read() as session:
            rows = await load_run(session, run_id)
            if rows is None:
                return None
            bridge = await bridge_by_id(session, rows.run.bridge_id)
            assert bridge is not None  # a bridge with runs cannot be deleted
            rooms = await self._rooms(session, rows.participants)
            endpoints = await _endpoints(session, rows.participants)
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
                endpoints=endpoints,
                auto_answers=self.auto_answers,
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
            pattern = bridge.conference_address.replace("{number}", "0")
            self._learn_login(pattern, bridge.control_username, bridge.control_secret, bridge.name)
        for at in await endpoints_with_login(session, "sip"):
            for address in at.addresses:
                endpoint = at.endpoint
                self._learn_login(address, endpoint.control_username, endpoint.control_secret, endpoint.name)

    def _learn_login(self, address: str, username: str, sealed: str, name: str) -> None:
        try:
            self.desk.learn_login(Address.parse(address).host, username, sealed, name)
        except ValueError as error:  # no run is kept from its beginning by somebody's odd address
            log.error("login-not-learned", device=name, why=str(error))

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
        """Return when a run is over, as its row says, whoever conducts it."""
        while True:
            async with self._database.read() as session:
                run = await session.get(Run, run_id)
            if run is None or RunState(run.state) in RUN_OVER:
                return
            await self.bell.wait(run_id, 1.0)

    # --- orders --------------------------------------------------------------------------

    async def order(self, run_id: int, verb: str, args: Mapping[str, object]) -> int:
        """Accept an operator's order for a run: durable when this returns, its command's id.

        Raises OrderRefused when it makes no sense, LookupError when there is no such run.
        """
        check(verb, args)
        async with self._database.write() as session:
            run = await session.get(Run, run_id)
            if run is None:
                raise LookupError(f"there is no run {run_id}")
            if RunState(run.state) in RUN_OVER:
                raise OrderRefused(f"run {run_id} is {run.state}; only a run that is under way takes orders")
            site = args.get("site")
            if site is not None and not await takes_part(session, run_id, str(site)):
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
            self._hint(shard_id)

    async def _find_orders(self) -> None:
        """Hint at orders that other processes took: one look at the rows for all runs of this one."""
        while True:
            await asyncio.sleep(self._terms.orders_s)
            if not self.runners:
                continue
            try:
                async with self._database.read() as session:
                    shards = await shards_with_orders(session)
            except Exception as error:
                log.warning("orders-not-seen", error=type(error).__name__)
                continue
            for shard_id in shards:
                self._hint(shard_id)

    def _hint(self, shard_id: str) -> None:
        runner = self.runners.get(int(shard_id.removeprefix("run-")))
        if runner is not None:
            runner.look_at_orders()


async def _endpoints(session: AsyncSession, participants: list[Participant]) -> dict[str, EndpointAt]:
    """The endpoints whose control sessions a run may use: to have them dial, or answer by themselves."""
    rungs = [rung for row in participants for rung in rungs_of(row)]
    named = await answering_endpoints(session, {rung.endpoint for rung in rungs} - {""})
    driven = {rung.endpoint for rung in rungs if rung.way is Way.ENDPOINT_DIALS}
    return named | await endpoints_by_names(session, driven)

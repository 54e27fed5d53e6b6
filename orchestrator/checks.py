"""Line checks on demand: of a site, or of a test number on a bridge; one at a time of each, on record.

A site that a run has in hand is not called, and a check gives way when a run begins: nobody in a
conference is ever rung by us to see whether the line is good.
"""

import asyncio
import contextlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy.exc import SQLAlchemyError
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from adapters import AdapterError, Address, LineChecks, LineEnd, LineOrder, LineReport
from orchestrator.keys import Keys, SecretMissing
from orchestrator.refusal import NotThere
from orchestrator.rules.line import Judgment, LineVerdict, Reason, is_disturbed, judge
from orchestrator.store import checks as store
from orchestrator.store import registrations
from orchestrator.store.checks import LineCheckRow
from orchestrator.store.database import Database, turn
from orchestrator.store.inventory import EndpointAt, Site, bridge_by_name, id_of, sites_with_endpoints_where
from schedules.clock import Clock

log = structlog.get_logger(__name__)

_WATCH_S = 1.0
_SLACK_S = 120.0
_LINE_S = 40.0
"""How long one check takes at most, about, when many wait behind one another."""
_HEARD = re.compile(r"udp (\[[0-9A-Fa-f:.]+\]|[0-9.]+):([0-9]{1,5})", re.ASCII)
"""A datagram can go back to where one came from; a connection is the service's alone."""


@dataclass(frozen=True, slots=True)
class CheckTerms:
    """How long the tone is sent and how long it may ring, and how many calls are up at once (seconds)."""

    seconds: float = 8.0
    ring_s: float = 30.0
    at_once: int = 41
    display: str = "Line check"


@dataclass(frozen=True, slots=True)
class _Target:
    kind: str
    code: str
    endpoint: str = ""
    address: Address | None = None
    login: tuple[str, str] | None = None
    refused: Reason | None = None

    @property
    def key(self) -> str:
        return f"{self.kind}:{self.code}"


class Checks:
    """Does the checks that this process is asked for. `close` gives up what is under way."""

    def __init__(
        self, database: Database, clock: Clock, keys: Keys, line: LineChecks, terms: CheckTerms | None = None
    ) -> None:
        self._database = database
        self._clock = clock
        self._keys = keys
        self._line = line
        self.terms = terms or CheckTerms()
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._sites: dict[str, int] = {}
        self._giving_way: set[int] = set()
        self._watching: asyncio.Task[None] | None = None

    async def close(self) -> None:
        """Hang up what is under way; its rows say so. Safe to repeat."""
        tasks = [*self._tasks.values()]
        if self._watching is not None:
            tasks.append(self._watching)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._tasks.clear()
        self._watching = None

    async def begin(
        self, sites: Sequence[str] = (), bridge: tuple[str, str] | None = None, seconds: float | None = None
    ) -> list[LineCheckRow]:
        """Begin to check these sites, in their order, then a test number on a bridge; returns at once.

        One that cannot be called is on record as `unchecked`, with the reason. Raises NotThere for a site or
        bridge that nobody knows; then nothing is begun.
        """
        seconds = self.terms.seconds if seconds is None else seconds
        now = self._clock.now()
        async with self._database.read() as session:
            targets = await self._site_targets(session, list(dict.fromkeys(sites)), now)
            if bridge is not None:
                targets.append(await _bridge_target(session, *bridge))
            busy = await self._disturbed(session, targets, now, seconds)
        waves = 1 + (len(self._tasks) + len(targets)) // self.terms.at_once
        deadline_at = now + timedelta(seconds=waves * (self.terms.ring_s + seconds + _LINE_S) + _SLACK_S)
        rows = await self._write_down(targets, busy, now, deadline_at)
        for target, row in zip(targets, rows, strict=True):
            if row.ended_at is None and target.address is not None:
                self._start(row, target, LineOrder(
                    target.address, seconds, self.terms.ring_s, display=self.terms.display, login=target.login
                ))  # fmt: skip
        return rows

    async def over(self, check_ids: Sequence[int]) -> list[LineCheckRow]:
        """Wait until these checks, begun here, are over; returns them."""
        running = [self._tasks[check_id] for check_id in check_ids if check_id in self._tasks]
        if running:
            await asyncio.wait(running)
        async with self._database.read() as session:
            return await store.checks_by_ids(session, check_ids)

    # --- whom to call --------------------------------------------------------------------

    async def _site_targets(self, session: AsyncSession, codes: list[str], now: datetime) -> list[_Target]:
        found: dict[str, list[EndpointAt]] = {}
        for at in range(0, len(codes), 1000):
            some = await sites_with_endpoints_where(session, col(Site.code).in_(codes[at : at + 1000]))
            found |= {each.site.code: each.endpoints for each in some}
        missing = next((code for code in codes if code not in found), None)
        if missing is not None:
            raise NotThere("site", missing)
        ids = [id_of(at.endpoint) for endpoints in found.values() for at in endpoints]
        known: dict[int, list[registrations.RegistrationRow]] = {}
        for first in range(0, len(ids), 1000):
            known |= await registrations.of_endpoints(session, ids[first : first + 1000])
        return [self._site_target(code, found[code], known, now) for code in codes]

    def _site_target(
        self,
        code: str,
        endpoints: list[EndpointAt],
        known: dict[int, list[registrations.RegistrationRow]],
        now: datetime,
    ) -> _Target:
        for at in endpoints:
            for text in at.addresses:
                address = Address.parse(text)
                if not address.is_sip:
                    continue
                for row in known.get(id_of(at.endpoint), []):
                    if row.address == f"sip:{address.user}@{address.host}":
                        where = _where(row, address, now)
                        if isinstance(where, Reason):
                            return _Target("site", code, at.endpoint.name, address, refused=where)
                        address = where
                        break
                try:
                    login = self._login(at)
                except SecretMissing as error:
                    log.error("no-secret", device=at.endpoint.name, why=str(error))
                    return _Target("site", code, at.endpoint.name, address, refused=_unchecked("no-secret"))
                return _Target("site", code, at.endpoint.name, address, login)
        name = endpoints[0].endpoint.name if endpoints else ""
        return _Target("site", code, name, refused=_unchecked("no-sip-address"))

    def _login(self, at: EndpointAt) -> tuple[str, str] | None:
        row = at.endpoint
        if row.family != "sip" or not row.control_username:
            return None
        return row.control_username, self._keys.unseal(row.control_secret, row.name)

    async def _disturbed(
        self, session: AsyncSession, targets: Sequence[_Target], now: datetime, seconds: float
    ) -> dict[str, Reason]:
        codes = [target.code for target in targets if target.kind == "site"]
        until_at = now + timedelta(seconds=self.terms.ring_s + seconds)
        busy = {}
        for at in range(0, len(codes), 1000):
            for participant, run in await store.taking_part(session, codes[at : at + 1000]):
                if is_disturbed(participant.state, participant.next_try_at, until_at):
                    busy[participant.code] = _unchecked("in-conference", run=run)
        return busy

    # --- one check -----------------------------------------------------------------------

    async def _write_down(
        self, targets: Sequence[_Target], busy: Mapping[str, Reason], now: datetime, deadline_at: datetime
    ) -> list[LineCheckRow]:
        """One row for each; ended at once where there is a reason not to call."""
        rows = []
        async with self._database.write() as session:
            await turn(session)
            await store.end_overdue(session, now, **_found(Judgment(LineVerdict.UNCHECKED, (_STOPPED,))))
            open_ones = await store.open_targets(session)
            for target in targets:
                refused = target.refused or (busy.get(target.code) if target.kind == "site" else None)
                if refused is None and target.key in open_ones:
                    refused = _unchecked("being-checked")
                open_ones.add(target.key)
                row = LineCheckRow(
                    target=target.key, kind=target.kind, code=target.code, endpoint=target.endpoint,
                    address=str(target.address or ""), asked_at=now, deadline_at=deadline_at,
                )  # fmt: skip
                if refused is not None:
                    row.ended_at = now
                    for name, value in _found(Judgment(refused.verdict, (refused,))).items():
                        setattr(row, name, value)
                rows.append(row)
            session.add_all(rows)
            await session.flush()
            await store.forget_old(session, [row.target for row in rows])
        return rows

    def _start(self, row: LineCheckRow, target: _Target, order: LineOrder) -> None:
        check_id = row.id
        assert check_id is not None
        task = asyncio.get_running_loop().create_task(self._do(check_id, target, order), name=f"check-{check_id}")
        self._tasks[check_id] = task
        if target.kind == "site":
            self._sites[target.code] = check_id
            if self._watching is None:
                self._watching = asyncio.create_task(self._watch(), name="line-checks-give-way")

        def over(_: object) -> None:
            self._tasks.pop(check_id, None)
            self._giving_way.discard(check_id)
            if target.kind == "site" and self._sites.get(target.code) == check_id:
                del self._sites[target.code]

        task.add_done_callback(over)

    async def _do(self, check_id: int, target: _Target, order: LineOrder) -> None:
        try:
            report = await self._line.check(order)
        except AdapterError as error:
            report = LineReport(LineEnd.FAILED, raw=error.why)
        except asyncio.CancelledError:
            why = _GIVEN_WAY if check_id in self._giving_way else _STOPPED
            with contextlib.suppress(SQLAlchemyError):
                await asyncio.shield(self._end(check_id, Judgment(LineVerdict.UNCHECKED, (why,)), None))
            if why is _GIVEN_WAY:
                return
            raise
        judgment = judge(report)
        log.info("line-checked", target=target.key, verdict=judgment.verdict.value, end=report.end.value)
        try:
            await self._end(check_id, judgment, report)
        except SQLAlchemyError as error:  # it is read as stopped when its deadline is past
            log.error("line-check-not-kept", target=target.key, error=type(error).__name__)

    async def _end(self, check_id: int, judgment: Judgment, report: LineReport | None) -> None:
        async with self._database.write() as session:
            await store.end_check(session, check_id, ended_at=self._clock.now(), **_found(judgment, report))

    async def _watch(self) -> None:
        """Give way to runs that begin while a check is under way; ends when none is."""
        try:
            while self._sites:
                await asyncio.sleep(_WATCH_S)
                now = self._clock.now()
                soon = now + timedelta(seconds=_WATCH_S)
                try:
                    async with self._database.read() as session:
                        for participant, run in await store.taking_part(session, list(self._sites)):
                            check = self._sites.get(participant.code)
                            if check is not None and is_disturbed(participant.state, participant.next_try_at, soon):
                                log.info("line-check-gives-way", site=participant.code, run=run)
                                self._giving_way.add(check)
                                self._tasks[check].cancel()
                except SQLAlchemyError as error:
                    log.warning("line-check-watch-waits", error=type(error).__name__)
        finally:
            self._watching = None


def _unchecked(name: str, **values: float) -> Reason:
    return Reason(name, LineVerdict.UNCHECKED, values)


_STOPPED = _unchecked("stopped")
_GIVEN_WAY = _unchecked("given-way")


def _found(judgment: Judgment, report: LineReport | None = None) -> dict[str, Any]:
    return {
        "verdict": judgment.verdict.value,
        "reasons": [
            {"name": each.name, "verdict": each.verdict.value, "values": dict(each.values)} for each in judgment.reasons
        ],
        "figures": report.to_json() if report is not None else {},
        "r": judgment.r,
    }


def _where(row: registrations.RegistrationRow, address: Address, now: datetime) -> Address | Reason:
    """Where an endpoint that registers with us was last heard from, or why it cannot be called."""
    if not row.value.is_current(now):
        return Reason("not-registered", LineVerdict.BAD)
    heard = _HEARD.fullmatch(row.source)
    if heard is None:
        return _unchecked("by-connection")
    return Address("sip", address.user, heard[1], int(heard[2]))


async def _bridge_target(session: AsyncSession, name: str, number: str) -> _Target:
    row = await bridge_by_name(session, name)
    return _Target("bridge", f"{name}/{number}", name, Address.parse(row.conference_address.format(number=number)))

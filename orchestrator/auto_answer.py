"""Endpoints that answer calls by themselves while a meeting's window is open, with the microphone off.

What an endpoint did before is written down before the first byte goes out, and is put back when
the window closes: by this process, or, when it has died, by another one that shares the database.
"""

import asyncio
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

import structlog

from adapters import AdapterError, AutoAnswer, AutoAnswerMode, Capability, EndpointAdapter, NotSupported
from orchestrator.desk import Desk
from orchestrator.store import auto_answer, journal
from orchestrator.store.auto_answer import AutoAnswerLease, Owed
from orchestrator.store.database import Database
from orchestrator.store.inventory import EndpointAt, id_of
from orchestrator.store.journal import JournalBell

log = structlog.get_logger(__name__)

_OURS = AutoAnswer(AutoAnswerMode.ON, muted=True)
_SWEEP_S = 20.0
_GIVING_BACK = timedelta(seconds=60)
"""So long one process has to give a setting back before another one tries."""
_NOBODY = 0
"""Holds the session of an endpoint that is given its setting back: no run's id."""


class AutoAnswerLeases:
    """Takes and gives back for all runs of this process, and for processes that died."""

    def __init__(self, database: Database, desk: Desk, bell: JournalBell, now: Callable[[], datetime]) -> None:
        self._database = database
        self._desk = desk
        self._bell = bell
        self._now = now
        self._due = asyncio.Event()

    async def take(self, run_id: int, at: EndpointAt, until_at: datetime, check: Callable[[], None]) -> bool:
        """Have an endpoint answer by itself until then. Safe to repeat; False: ask again soon.

        `check` raises before an order once the run is another process's.
        A device that cannot answer with the microphone off is muted first; one that can do
        neither is left as it is. Raises what the device raises, NotSupported included.
        """
        adapter = await self._desk.open_endpoint(run_id, at)
        if Capability.AUTO_ANSWER not in adapter.capabilities:
            raise NotSupported(at.endpoint.name, "auto-answer", "the family has no such setting (docs/adapters.md)")
        async with self._database.read() as session:
            there = await auto_answer.lease_of(session, id_of(at.endpoint))
        lease = await self._lease(adapter, run_id, at, until_at, there)
        if lease is None:
            return True
        async with self._database.write() as session:
            if not await auto_answer.keep(session, lease, self._now()):
                return False
        check()
        try:
            await adapter.set_auto_answer(_OURS)
        except NotSupported:
            check()
            await adapter.mute(True)  # raises where it cannot: nobody is listened to unasked
            check()
            await adapter.set_auto_answer(AutoAnswer(AutoAnswerMode.ON))
        if there is None:
            log.info("auto-answer-on", endpoint=at.endpoint.name, run=run_id)
        return True

    @staticmethod
    async def _lease(
        adapter: EndpointAdapter, run_id: int, at: EndpointAt, until_at: datetime, there: AutoAnswerLease | None
    ) -> AutoAnswerLease | None:
        """What is to be written down; None when the endpoint answers so already and nothing is owed."""
        lease = AutoAnswerLease(endpoint_id=id_of(at.endpoint), run_id=run_id, mode="", until_at=until_at)
        if there is not None:
            lease.mode, lease.muted, lease.microphone_muted = there.mode, there.muted, there.microphone_muted
            return lease
        before = await adapter.auto_answer()
        if before == _OURS:
            return None
        lease.mode, lease.muted = before.mode.value, before.muted
        if before.muted is None:  # no such setting: the microphone itself will be switched off
            status = await adapter.status() if Capability.STATUS in adapter.capabilities else None
            lease.microphone_muted = status.microphone_muted if status is not None else None
        return lease

    async def run_over(self, run_id: int) -> None:
        """A run needs nothing any more: what it had is given back now."""
        async with self._database.write() as session:
            await auto_answer.run_over(session, run_id, self._now())
        self._due.set()

    async def keep(self) -> None:
        """Give back what has run out, for ever."""
        while True:
            try:
                await self.give_back()
            except Exception as error:  # the database is away
                log.warning("auto-answer-waits", error=type(error).__name__)
            try:
                async with asyncio.timeout(_SWEEP_S):
                    await self._due.wait()
            except TimeoutError:
                pass
            self._due.clear()

    async def give_back(self) -> None:
        """Give back what has run out and nobody else is giving back."""
        async with self._database.read() as session:
            due = await auto_answer.owed(session, self._now())
        try:
            await asyncio.gather(*(self._give_back(owed) for owed in due))
        finally:
            await self._desk.let_go(_NOBODY)

    async def _give_back(self, owed: Owed) -> None:
        now, name = self._now(), owed.at.endpoint.name
        async with self._database.write() as session:
            if not await auto_answer.claim(session, owed.lease, now, now + _GIVING_BACK):
                return
        try:
            async with asyncio.timeout(_GIVING_BACK.total_seconds() / 2):
                facts = await self._restore(owed)
        except (AdapterError, TimeoutError) as error:  # tried again when the claim has run out
            log.warning("auto-answer-not-restored", endpoint=name, why=getattr(error, "why", "no answer in time"))
            return
        entry = {
            "run_id": owed.lease.run_id, "at": self._now(), "event": "auto-answer-restored",
            "participant": owed.site, "leg": "", "facts": {"endpoint": name, **facts},
        }  # fmt: skip
        async with self._database.write() as session:
            await auto_answer.given_back(session, owed.lease)
            await journal.append(session, [entry])
        self._bell.ring(owed.lease.run_id)

    async def _restore(self, owed: Owed) -> Mapping[str, object]:
        """Put the old setting back, unless somebody has chosen another one meanwhile."""
        adapter, lease = await self._desk.open_endpoint(_NOBODY, owed.at), owed.lease
        found = await adapter.auto_answer()
        if found.mode is AutoAnswerMode.ON:
            await adapter.set_auto_answer(lease.before)
        if lease.microphone_muted is False and Capability.STATUS in adapter.capabilities:
            status = await adapter.status()
            if status.microphone_muted and not status.calls:  # a room that is in a call unmutes itself
                await adapter.mute(False)
        return {"mode": lease.mode if found.mode is AutoAnswerMode.ON else found.mode.value}

"""Keeps what adapters must remember of their legs, many at a time.

A third-party pair has to be in the database before its ACK goes out. Hundreds do so in the
same moment, so their writes share transactions: whoever comes while one is being written
goes into the next.
"""

import asyncio
from collections.abc import Callable

from adapters import LegMemory
from orchestrator.lease import Lease, LeaseLost
from orchestrator.rules.tag import LegName
from orchestrator.store.database import Database
from orchestrator.store.runs import Leg, update_rows


class LegMemories:
    """Stores the memory of legs; `lease_of(run_id)` tells under which lease, if any."""

    def __init__(self, database: Database, lease_of: Callable[[int], Lease | None]) -> None:
        self._database = database
        self._lease_of = lease_of
        self._waiting: dict[str, tuple[LegMemory, list[asyncio.Future[None]]]] = {}
        self._writing = False
        self._writers: set[asyncio.Task[None]] = set()

    async def remember(self, leg: str, memory: LegMemory) -> None:
        """Return once `memory` is committed. Raises LeaseLost when the leg is not ours to keep."""
        stored: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        _, others = self._waiting.get(leg, (memory, []))
        self._waiting[leg] = (memory, [*others, stored])
        if not self._writing:
            self._writing = True
            task = asyncio.create_task(self._write())
            self._writers.add(task)
            task.add_done_callback(self._writers.discard)
        await stored

    async def _write(self) -> None:
        try:
            while self._waiting:
                batch, self._waiting = self._waiting, {}
                by_run: dict[int, dict[str, LegMemory]] = {}
                for leg, (memory, _) in batch.items():
                    name = LegName.find(leg)
                    by_run.setdefault(name.run if name else 0, {})[leg] = memory
                for run_id, memories in by_run.items():
                    error = await self._store(run_id, memories)
                    for leg in memories:
                        for future in batch[leg][1]:
                            if not future.done():
                                future.set_exception(error) if error else future.set_result(None)
        finally:
            self._writing = False

    async def _store(self, run_id: int, memories: dict[str, LegMemory]) -> Exception | None:
        lease = self._lease_of(run_id)
        if lease is None:
            return LeaseLost(f"run {run_id} is not conducted here")
        try:
            lease.check()
            async with self._database.write() as session:
                await lease.fence(session)
                await update_rows(
                    session, Leg, "name", {leg: {"memory": dict(memory)} for leg, memory in memories.items()}
                )
        except Exception as error:  # whoever waits must hear of it; the call is then not completed
            return error
        return None

"""The journal of a run as server-sent events: live, shared by all who follow, resumable by entry id.

One reader a run, however many clients: it wakes when the journal grows in this process and
looks by itself every second for what other processes wrote. A run's journal is written by
the one owner of its lease, so ids of one run become visible in order.
"""

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from sse_starlette import EventSourceResponse, ServerSentEvent

from orchestrator.rules.states import RUN_OVER
from orchestrator.store.database import Database
from orchestrator.store.journal import JournalBell, JournalEntry, since
from orchestrator.store.runs import Run

_KEPT = 4096  # entries a tail holds for clients that are a little behind
_BATCH = 500
_HEARTBEAT_S = 15
_SEND_TIMEOUT_S = 30.0  # a client that takes nothing for this long is let go; it can resume


@dataclass(frozen=True, slots=True)
class Line:
    """An entry as it goes over the wire; serialized once for all clients."""

    id: int
    event: str
    text: str


class _Tail:
    """The newest lines of one run: every line after `floor` is kept."""

    def __init__(self, floor: int) -> None:
        self.floor = self.last = floor
        self.kept: deque[Line] = deque()
        self.over = False
        self.failure: BaseException | None = None
        self.followers = 0
        self.grown = asyncio.Event()
        self.reader: asyncio.Task[None] | None = None

    def grow(self, lines: Sequence[Line]) -> None:
        for line in lines:
            self.kept.append(line)
            self.last = line.id
        while len(self.kept) > _KEPT:
            self.floor = self.kept.popleft().id
        self.wake()

    def wake(self) -> None:
        grown, self.grown = self.grown, asyncio.Event()
        grown.set()

    def after(self, cursor: int) -> list[Line]:
        if cursor >= self.last:
            return []
        newer: list[Line] = []
        for line in reversed(self.kept):
            if line.id <= cursor:
                break
            newer.append(line)
        return newer[::-1]


class Live:
    """Followers of journals in this process."""

    def __init__(self, database: Database, bell: JournalBell, poll_s: float = 1.0) -> None:
        self._database = database
        self._bell = bell
        self._poll_s = poll_s
        self._tails: dict[int, _Tail] = {}
        self.closed = False

    def close(self) -> None:
        """End every stream; clients come back to whoever serves next and resume."""
        self.closed = True
        for tail in self._tails.values():
            tail.wake()

    async def follow(self, run_id: int, after: int = 0) -> AsyncIterator[list[Line]]:
        """Batches of lines with ids above `after`, oldest first, as they come.

        Ends when the run is over and everything was given; for a run that is not there, at once.
        """
        tail = await self._join(run_id)
        cursor = after
        try:
            while True:
                grown = tail.grown  # before looking: what comes in between wakes us
                if cursor < tail.floor:
                    lines = await self._read(run_id, cursor)
                    cursor = lines[-1].id if lines else tail.floor
                else:
                    lines = tail.after(cursor)
                    cursor = max(cursor, tail.last)
                if lines:
                    yield lines
                elif cursor >= tail.last or self.closed:
                    if tail.failure is not None:
                        raise RuntimeError(f"the journal of run {run_id} cannot be read") from tail.failure
                    if tail.over or self.closed:
                        return
                    await grown.wait()
        finally:
            tail.followers -= 1
            if tail.followers == 0 and tail.reader is not None:
                tail.reader.cancel()
                if self._tails.get(run_id) is tail:
                    del self._tails[run_id]

    async def _join(self, run_id: int) -> _Tail:
        tail = self._tails.get(run_id)
        if tail is None:
            tail = self._tails[run_id] = _Tail(0)
            tail.reader = asyncio.create_task(self._keep_reading(run_id, tail), name=f"journal of run {run_id}")
        tail.followers += 1
        return tail

    async def _keep_reading(self, run_id: int, tail: _Tail) -> None:
        try:
            while not tail.over:
                rung = asyncio.create_task(self._bell.wait(run_id, self._poll_s))
                try:
                    await asyncio.sleep(0)  # the bell is listened to before the rows are looked at
                    over = await self._is_over(run_id)  # before the entries: the last one is then among them
                    lines = await self._read(run_id, tail.last)
                    tail.grow(lines)
                    if over and len(lines) < _BATCH:
                        tail.over = True
                        tail.wake()
                    elif len(lines) < _BATCH:
                        await rung
                finally:
                    rung.cancel()
        except Exception as error:
            tail.failure = error
            if self._tails.get(run_id) is tail:  # whoever comes next starts afresh
                del self._tails[run_id]
            tail.wake()

    async def _read(self, run_id: int, after: int) -> list[Line]:
        async with self._database.read() as session:
            return [_line(entry) for entry in await since(session, run_id, after, _BATCH)]

    async def _is_over(self, run_id: int) -> bool:
        async with self._database.read() as session:
            run = await session.get(Run, run_id)
        return run is None or run.state in RUN_OVER


def event_stream(live: Live, run_id: int, after: int) -> EventSourceResponse:
    """The run's journal as an SSE response; event ids are journal ids.

    After the last entry of a run that is over comes one event `end`.
    """

    async def events() -> AsyncIterator[ServerSentEvent]:
        async for lines in live.follow(run_id, after):
            for line in lines:
                yield ServerSentEvent(line.text, event=line.event, id=str(line.id), sep="\n")
        if not live.closed:
            yield ServerSentEvent("{}", event="end", sep="\n")

    return EventSourceResponse(
        events(), ping=_HEARTBEAT_S, sep="\n", send_timeout=_SEND_TIMEOUT_S, headers={"Cache-Control": "no-store"}
    )


def _line(entry: JournalEntry) -> Line:
    assert entry.id is not None
    told = {
        "id": entry.id,
        "at": entry.at.isoformat(),
        "event": entry.event,
        "participant": entry.participant,
        "leg": entry.leg,
        "facts": entry.facts,
    }
    return Line(entry.id, entry.event, json.dumps(told, ensure_ascii=False, separators=(",", ":"), default=str))

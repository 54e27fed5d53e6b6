"""The journal of a run as server-sent events: live, shared by all who follow, resumable by entry id.

One reader a run, however many clients: it wakes when the journal grows in this process and
looks by itself every second for what other processes wrote.

On PostgreSQL an entry can become visible after one with a higher id (an order is accepted
while the run's owner writes), so each look goes back a little; a late entry is sent late,
under the id reached before, and a client's `Last-Event-ID` never goes down.
"""

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from itertools import islice

from sse_starlette import EventSourceResponse, ServerSentEvent

from orchestrator.board import last_entry
from orchestrator.rules.states import RUN_OVER
from orchestrator.store.database import Database
from orchestrator.store.journal import JournalBell, JournalEntry, since
from orchestrator.store.runs import Run

_KEPT = 4096  # entries a tail holds for clients that are a little behind
_BATCH = 500
_LOOK_BACK = 64  # how many entries of a run may be overtaken by a slower transaction
_HEARTBEAT_S = 15
_SEND_TIMEOUT_S = 30.0  # a client that takes nothing for this long is let go; it can resume


@dataclass(frozen=True, slots=True)
class Line:
    """An entry as it goes over the wire; serialized once for all clients.

    `cursor` is the highest id up to here: where a client that has this line resumes.
    """

    id: int
    cursor: int
    event: str
    text: str


class _Tail:
    """The newest lines of one run, numbered as they were seen: `kept[0]` has number `first`."""

    def __init__(self) -> None:
        self.kept: deque[Line] = deque()
        self.first = 0
        self.floor = 0  # cursor of the last line that is no longer kept
        self.last = 0
        self.recent: set[int] = set()  # the highest ids seen; none above the lowest of them is missing
        self.started = False
        self.over = False
        self.failure: BaseException | None = None
        self.followers = 0
        self.grown = asyncio.Event()
        self.reader: asyncio.Task[None] | None = None

    def grow(self, entries: Sequence[JournalEntry]) -> None:
        for entry in entries:
            line = _line(entry, self.last)
            if line.id in self.recent:
                continue
            self.kept.append(line)
            self.recent.add(line.id)
            self.last = line.cursor
        if len(self.recent) > 2 * _LOOK_BACK:
            self.recent = set(sorted(self.recent)[-_LOOK_BACK:])
        while len(self.kept) > _KEPT:
            self.floor = self.kept.popleft().cursor
            self.first += 1
        self.wake()

    def wake(self) -> None:
        grown, self.grown = self.grown, asyncio.Event()
        grown.set()

    @property
    def end(self) -> int:
        """The number that the next line will have."""
        return self.first + len(self.kept)

    def number_after(self, cursor: int) -> int:
        """The number of the first line above `cursor`, which is not below `floor`."""
        number = self.end
        for line in reversed(self.kept):
            if line.cursor <= cursor:
                break
            number -= 1
        return number

    def since(self, number: int) -> list[Line]:
        """The kept lines from `number` on."""
        return list(islice(self.kept, number - self.first, None))


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
        tail = self._join(run_id)
        cursor, number = after, -1
        try:
            while True:
                grown = tail.grown  # before looking: what comes in between wakes us
                lines: list[Line] = []
                waits = not tail.started
                if tail.started and number < tail.first:
                    if cursor < tail.floor:
                        number, lines = -1, await self._read(run_id, cursor)
                        cursor = cursor if lines else tail.floor
                    elif cursor <= tail.last:
                        number = tail.number_after(cursor)
                    else:  # the rows were read further than the tail has come
                        waits = True
                elif tail.started:
                    lines = tail.since(number)
                    number += len(lines)
                    waits = not lines
                if lines:
                    cursor = max(cursor, lines[-1].cursor)
                    yield lines
                elif waits or self.closed:
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

    def _join(self, run_id: int) -> _Tail:
        tail = self._tails.get(run_id)
        if tail is None:
            tail = self._tails[run_id] = _Tail()
            tail.reader = asyncio.create_task(self._keep_reading(run_id, tail), name=f"journal of run {run_id}")
        tail.followers += 1
        return tail

    async def _keep_reading(self, run_id: int, tail: _Tail) -> None:
        try:
            await self._start(run_id, tail)
            while not tail.over:
                rung = asyncio.create_task(self._bell.wait(run_id, self._poll_s))
                try:
                    await asyncio.sleep(0)  # the bell is listened to before the rows are looked at
                    over = await self._is_over(run_id)  # before the entries: the last one is then among them
                    entries = await self._entries(run_id, self._from(tail))
                    tail.grow(entries)
                    if over and len(entries) < _BATCH:
                        tail.over = True
                        tail.wake()
                    elif len(entries) < _BATCH:
                        await rung
                finally:
                    rung.cancel()
        except Exception as error:
            tail.failure = error
            if self._tails.get(run_id) is tail:  # whoever comes next starts afresh
                del self._tails[run_id]
            tail.wake()

    async def _start(self, run_id: int, tail: _Tail) -> None:
        """Begin at the journal's end; who is further behind reads the rows up to there."""
        async with self._database.read() as session:
            tail.floor = tail.last = await last_entry(session, run_id)
            newest = await since(session, run_id, max(0, tail.last - 5 * _LOOK_BACK), _BATCH)
        tail.recent = {entry.id for entry in newest[-_LOOK_BACK:] if entry.id is not None and entry.id <= tail.last}
        tail.started = True
        tail.wake()

    def _from(self, tail: _Tail) -> int:
        if self._database.is_sqlite or not tail.recent:  # SQLite has one writer at a time: ids come in order
            return tail.last
        return min(tail.recent) - 1

    async def _read(self, run_id: int, after: int) -> list[Line]:
        return [_line(entry, after) for entry in await self._entries(run_id, after)]

    async def _entries(self, run_id: int, after: int) -> list[JournalEntry]:
        async with self._database.read() as session:
            return await since(session, run_id, after, _BATCH)

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
                yield ServerSentEvent(line.text, event=line.event, id=str(line.cursor), sep="\n")
        if not live.closed:
            yield ServerSentEvent("{}", event="end", sep="\n")

    return EventSourceResponse(
        events(), ping=_HEARTBEAT_S, sep="\n", send_timeout=_SEND_TIMEOUT_S, headers={"Cache-Control": "no-store"}
    )


def _line(entry: JournalEntry, reached: int) -> Line:
    assert entry.id is not None
    told = {
        "id": entry.id,
        "at": entry.at.isoformat(),
        "event": entry.event,
        "participant": entry.participant,
        "leg": entry.leg,
        "facts": entry.facts,
    }
    return Line(
        entry.id,
        max(entry.id, reached),
        entry.event,
        json.dumps(told, ensure_ascii=False, separators=(",", ":"), default=str),
    )

"""How shards and orders reach their owner: two seams, and their in-process forms.

A ticket or a hint gives no right to act; the lease does. Rows are read again at every
start and pass, so a lost hint costs time, never an order.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Protocol

import structlog

log = structlog.get_logger(__name__)

_CLOSE_S = 2.0


class Dispatcher(Protocol):
    """Offers a shard to whoever may conduct it."""

    async def offer(self, shard_id: str) -> None:
        """Have the shard conducted soon, by this process or another. Offering twice is fine."""
        ...

    async def close(self) -> None:
        """Conduct no more shards here. Safe to repeat."""
        ...


class CommandBus(Protocol):
    """Hints that a shard has open commands."""

    async def publish(self, shard_id: str) -> None:
        """Tell the owner to look at its command rows."""
        ...

    def subscribe(self) -> AsyncIterator[str]:
        """The shard ids hinted at, as they come."""
        ...


class LocalDispatcher:
    """Offers shards to this process alone; a shard has one ticket at a time."""

    def __init__(self, take: Callable[[str], Awaitable[None]]) -> None:
        self._take = take
        self._tickets: dict[str, asyncio.Task[None]] = {}
        self._closed = False

    async def offer(self, shard_id: str) -> None:
        if self._closed or shard_id in self._tickets:
            return
        ticket = self._tickets[shard_id] = asyncio.create_task(self._run(shard_id))
        ticket.add_done_callback(lambda _: self._tickets.pop(shard_id, None))

    async def _run(self, shard_id: str) -> None:
        try:
            await self._take(shard_id)
        except Exception as error:  # the shard stays open in its row, and is offered again
            log.warning("ticket-waits", shard=shard_id, error=type(error).__name__)

    async def close(self) -> None:
        """Take no more offers; return when no ticket is under way, so that nothing is begun afterwards."""
        self._closed = True
        tickets = list(self._tickets.values())
        if tickets:
            _, late = await asyncio.wait(tickets, timeout=_CLOSE_S)
            for ticket in late:  # it waits for a database that does not answer
                ticket.cancel()


class LocalBus:
    """Hints within this process."""

    def __init__(self) -> None:
        self._hints: asyncio.Queue[str] = asyncio.Queue()

    async def publish(self, shard_id: str) -> None:
        self._hints.put_nowait(shard_id)

    async def subscribe(self) -> AsyncIterator[str]:
        while True:
            yield await self._hints.get()

"""How shards and orders reach their owner: two seams, and their in-process forms.

A ticket or a hint gives no right to act; the lease does. Rows are read again at every
start and pass, so a lost hint costs time, never an order.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Protocol


class Dispatcher(Protocol):
    """Offers a shard to whoever may conduct it."""

    async def offer(self, shard_id: str) -> None:
        """Have the shard conducted soon, by this process or another. Offering twice is fine."""
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
    """Offers shards to this process alone."""

    def __init__(self, take: Callable[[str], Awaitable[None]]) -> None:
        self._take = take
        self._tickets: set[asyncio.Task[None]] = set()

    async def offer(self, shard_id: str) -> None:
        ticket = asyncio.ensure_future(self._run(shard_id))
        self._tickets.add(ticket)
        ticket.add_done_callback(self._tickets.discard)

    async def _run(self, shard_id: str) -> None:
        await self._take(shard_id)


class LocalBus:
    """Hints within this process."""

    def __init__(self) -> None:
        self._hints: asyncio.Queue[str] = asyncio.Queue()

    async def publish(self, shard_id: str) -> None:
        self._hints.put_nowait(shard_id)

    async def subscribe(self) -> AsyncIterator[str]:
        while True:
            yield await self._hints.get()

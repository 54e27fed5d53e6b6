"""What carries orders to one device: a logged-in text conversation, or an HTTP session."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

from adapters.control.order import Order

T = TypeVar("T")


class Link(Protocol):
    """A logged-in conversation until it ends."""

    ended: "asyncio.Future[str]"
    """Done when the conversation is over; the result says why."""

    async def ask(self, order: Order[T], verb: str, sent: Callable[[], None] | None = None) -> T:
        """Carry an order and give what its reply means; orders go one at a time, at the device's pace.

        `sent` is called when the first byte may have left. Raises SessionLost before that; after it
        Rejected and Busy with the device's words, NotSupported for an order that this firmware does not know,
        Garbled for a reply nobody can read, and when no reply comes OutcomeUnknown for
        an order that changes something, SessionLost for a question. Cancelled while it waits for its
        turn, nothing is sent; later the reply is still taken off the stream.
        """
        ...

    async def close(self) -> None:
        """End it. Safe to repeat, raises nothing."""
        ...


Connect = Callable[[], Awaitable[Link]]
"""Opens a new conversation. Raises Unreachable, LoginRefused."""

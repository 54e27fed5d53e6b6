"""One order at a time per device, and not faster than it can take them."""

import asyncio


class Turn:
    """A queue of those who want to speak to one device, first come first served.

    `gap_s` is the least time between the sending of two orders.
    """

    __slots__ = ("_free_at", "_gap_s", "_lock")

    def __init__(self, gap_s: float, settle_s: float = 0.0) -> None:
        self._lock = asyncio.Lock()
        self._gap_s = gap_s
        self._free_at = asyncio.get_running_loop().time() + settle_s

    async def take(self) -> None:
        """Return when it is the caller's turn; cancelled before, the turn is the next one's."""
        await self._lock.acquire()
        wait_s = self._free_at - asyncio.get_running_loop().time()
        if wait_s > 0:
            try:
                await asyncio.sleep(wait_s)
            except BaseException:
                self._lock.release()
                raise

    def sent(self) -> None:
        """An order is on its way: the gap begins."""
        self._free_at = asyncio.get_running_loop().time() + self._gap_s

    def give(self) -> None:
        """The reply is in, or given up: the next one's turn."""
        if self._lock.locked():
            self._lock.release()

    @property
    def is_taken(self) -> bool:
        return self._lock.locked()

"""A list that grows while others wait for what will be in it."""

import asyncio
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

T = TypeVar("T")


class Watch(Generic[T]):
    """Facts in the order they were seen; `until` waits without polling."""

    def __init__(self) -> None:
        self.seen: list[T] = []
        self._grown = asyncio.Event()

    def add(self, fact: T) -> None:
        self.seen.append(fact)
        self.wake()

    def wake(self) -> None:
        grown, self._grown = self._grown, asyncio.Event()
        grown.set()

    def __iter__(self) -> Iterator[T]:
        return iter(tuple(self.seen))

    async def until(self, what: str, condition: Callable[[], bool], within_s: float) -> None:
        """Returns once `condition` holds; raises TimeoutError that says what was waited for."""
        try:
            async with asyncio.timeout(within_s):
                while True:
                    grown = self._grown
                    if condition():
                        return
                    await grown.wait()
        except TimeoutError:
            raise TimeoutError(f"waited {within_s:g} s for {what}") from None

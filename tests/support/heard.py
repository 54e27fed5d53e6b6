"""What a device adapter is given in a test: a sink that can be waited for, and a clock."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from adapters.contract import always
from adapters.events import Event, LegCleared

PATIENT_S = 10.0
"""How long a test waits for what must come; never part of pass or fail of something slow."""


class Heard:
    """What an adapter told, and a way to wait for more."""

    def __init__(self, patience_s: float = PATIENT_S) -> None:
        self._patience_s = patience_s
        self.events: list[Event] = []
        self._changed = asyncio.Event()

    def __call__(self, event: Event) -> None:
        self.events.append(event)
        self._changed.set()

    def of(self, *kinds: type) -> list[Any]:
        return [event for event in self.events if isinstance(event, kinds)]

    def about(self, leg: str) -> list[Event]:
        return [event for event in self.events if getattr(event, "leg", None) == leg]

    async def until(self, told: Callable[[], object]) -> None:
        """Wait until `told()` is true; it is asked after every event."""
        async with asyncio.timeout(self._patience_s):
            while not told():
                self._changed.clear()
                await self._changed.wait()

    async def event(self, kind: type, leg: str) -> Any:
        await self.until(lambda: any(isinstance(e, kind) for e in self.about(leg)))
        return next(e for e in self.about(leg) if isinstance(e, kind))

    async def cleared(self, leg: str) -> LegCleared:
        found: LegCleared = await self.event(LegCleared, leg)
        return found


class Surroundings:
    """What an adapter is given besides its device."""

    sip = None
    may_act = staticmethod(always)

    def __init__(self, sink: Heard) -> None:
        self.sink = sink

    @staticmethod
    async def remember(leg: str, memory: object) -> None:
        raise AssertionError("a bridge remembers nothing")

    @staticmethod
    def now() -> datetime:
        return datetime.now(UTC)

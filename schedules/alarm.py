"""The bell: rings a key at an instant. Only this file knows APScheduler.

Rows are the truth, the alarm is only the bell: it keeps nothing on disk, and whoever arms
it does so again after a restart. So a bell may ring twice (the claim in the database
makes that harmless), but it never rings early and never stays silent.
"""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.date import DateTrigger
from apscheduler.triggers.interval import IntervalTrigger

from schedules.clock import Clock

log = logging.getLogger(__name__)

Ring = Callable[[str], Awaitable[None]]
"""Called with the key, in the event loop; what it raises is logged and ends there."""

GLANCE_S = 5
"""How often the scheduler looks at the wall clock again. It sleeps on the monotonic clock,
so after a suspend or a step of the wall clock it would otherwise oversleep by as much."""


@dataclass(frozen=True, slots=True)
class _Bell:
    at: datetime
    ring: Ring


class Alarm:
    """Bells by key, in one event loop. Not safe to use from other threads."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._bells: dict[str, _Bell] = {}
        self._running = False
        self._scheduler = AsyncIOScheduler(timezone=UTC, logger=log.getChild("scheduler"))
        # One line per bell from APScheduler itself would bury the log of a big morning.
        log.getChild("scheduler").setLevel(logging.WARNING)
        logging.getLogger("apscheduler.executors.default").setLevel(logging.WARNING)
        clock.on_turn(self._hang_all)

    def start(self) -> None:
        """Ring from now on, in the running event loop. Bells armed before are kept."""
        if self._running:
            return
        self._running = True
        self._scheduler.start()
        self._scheduler.add_job(_glance, IntervalTrigger(seconds=GLANCE_S), misfire_grace_time=None)
        self._hang_all()

    def stop(self) -> None:
        """Ring no more and forget all bells; rings under way are cancelled. Safe to repeat."""
        self._bells.clear()
        if self._running:
            self._running = False
            self._scheduler.shutdown(wait=False)

    def arm(self, key: str, at: datetime, ring: Ring) -> None:
        """Ring `key` at `at`, once; an instant that has passed rings at once.

        Arming a key again moves its bell; as it hangs already, it costs nothing. Raises
        ValueError for an instant without a zone.
        """
        if at.tzinfo is None:
            raise ValueError(f"bell {key!r}: {at!r} has no zone; bells ring at aware instants")
        bell = _Bell(at.astimezone(UTC), ring)
        if self._bells.get(key) != bell:
            self._bells[key] = bell
            self._hang(key)

    def disarm(self, key: str) -> None:
        """Take the bell down; a ring that has begun goes on. Safe to repeat."""
        if self._bells.pop(key, None) and self._scheduler.get_job(key):
            self._scheduler.remove_job(key)

    def armed(self) -> dict[str, datetime]:
        """The bells that have not rung, soonest first."""
        return {key: bell.at for key, bell in sorted(self._bells.items(), key=lambda item: (item[1].at, item[0]))}

    def _hang_all(self) -> None:
        for key in self._bells:
            self._hang(key)

    def _hang(self, key: str) -> None:
        """Give APScheduler the bell, at the instant of the machine's clock that matches ours."""
        if not self._running:
            return
        bell = self._bells[key]
        machine = datetime.now(UTC)
        self._scheduler.add_job(
            self._ring,
            DateTrigger(machine + (bell.at - self._clock.now())),
            args=(key, bell),
            id=key,
            replace_existing=True,
            misfire_grace_time=None,  # late is better than never
            coalesce=True,
            max_instances=1_000,  # a ring that still runs does not silence the next bell of its key
        )

    async def _ring(self, key: str, bell: _Bell) -> None:
        if self._bells.get(key) is not bell:
            return  # disarmed or moved after APScheduler had taken it up
        if self._clock.now() < bell.at:
            self._hang(key)  # our clock stands still, or was turned back
            return
        del self._bells[key]
        try:
            await bell.ring(key)
        except Exception:
            log.exception("bell %r: what it rang for failed", key)


async def _glance() -> None:
    """Nothing to do: waking up made the scheduler look at the clock."""

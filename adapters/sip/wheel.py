"""One timer wheel for everything that waits: transactions, ring limits, keep-alives.

Arming and disarming cost a dictionary entry each, however many thousands wait; a
cancelled timer leaves nothing behind. Pure: `now` is an argument, in seconds.
"""

from collections.abc import Callable, Iterator

IDLE = -1
"""The slot of who waits for nothing."""


class Timed:
    """Something that can wait on the wheel, once at a time."""

    __slots__ = ("_slot",)
    _slot: int
    """Where it waits; whoever is made begins with `IDLE`."""

    @property
    def armed(self) -> bool:
        return self._slot >= 0

    def expire(self, now: float) -> None:
        """Called by the owner of the wheel when the time has come."""
        raise NotImplementedError


NEVER = 1 << 62
"""The bucket of nothing."""


class Wheel:
    """Buckets of `grain_s`; a timer fires at most one grain and its slack late, never early."""

    __slots__ = ("_buckets", "_done", "grain_s", "soonest")

    def __init__(self, grain_s: float = 0.02) -> None:
        self.grain_s = grain_s
        self._buckets: dict[int, dict[Timed, None]] = {}
        self._done = -1
        self.soonest = NEVER
        """The first bucket in which something may wait: nothing is due before `at(soonest)`."""

    def __bool__(self) -> bool:
        return bool(self._buckets)

    def arm(self, timed: Timed, at: float, slack_s: float = 0.0) -> None:
        """Let it expire at `at`; an earlier arming is forgotten.

        What may come `slack_s` late shares buckets with others: the wheel is turned less often.
        """
        slot = int(at / self.grain_s) + 1
        if slack_s > self.grain_s:
            slot += -slot % int(slack_s / self.grain_s)
        if slot <= self._done:
            slot = self._done + 1
        if timed._slot == slot:
            return
        if timed._slot >= 0:
            self.disarm(timed)
        timed._slot = slot
        bucket = self._buckets.get(slot)
        if bucket is None:
            self._buckets[slot] = {timed: None}
            if slot < self.soonest:
                self.soonest = slot
        else:
            bucket[timed] = None

    def disarm(self, timed: Timed) -> None:
        """Forget it; safe when it does not wait."""
        slot = timed._slot
        if slot < 0:
            return
        timed._slot = IDLE
        bucket = self._buckets.get(slot)
        if bucket is not None:
            bucket.pop(timed, None)
            if not bucket:
                del self._buckets[slot]

    def advance(self, now: float) -> Iterator[Timed]:
        """What has become due by `now`, oldest first; it waits no longer.

        Something disarmed while the iteration runs is not handed out any more.
        """
        last = int(now / self.grain_s)
        gap = last - self._done
        if gap <= 0:
            return
        if gap <= len(self._buckets) + 64:
            slots = [slot for slot in range(self._done + 1, last + 1) if slot in self._buckets]
        else:
            slots = sorted(slot for slot in self._buckets if slot <= last)
        self._done = last
        for slot in slots:
            bucket = self._buckets.get(slot)
            while bucket:
                timed = next(iter(bucket))
                del bucket[timed]
                timed._slot = IDLE
                yield timed
            self._buckets.pop(slot, None)
        self.soonest = min(self._buckets, default=NEVER)

    def at(self, slot: int) -> float:
        """When a bucket is due."""
        return slot * self.grain_s


class Alarm(Timed):
    """One thing to do later."""

    __slots__ = ("_action", "_wheel")

    def __init__(self, wheel: Wheel, action: Callable[[], None]) -> None:
        self._slot = IDLE
        self._wheel = wheel
        self._action = action

    def expire(self, now: float) -> None:
        self._action()

    def cancel(self) -> None:
        """Do not do it. Safe to repeat."""
        self._wheel.disarm(self)

"""How many set-ups a bridge is asked for at once: a steady pace with a small burst."""

from dataclasses import dataclass
from math import inf


@dataclass(slots=True)
class Pace:
    """Allows `per_s` set-ups a second, up to a fifth of a second's worth (at least one) at once.

    `per_s` None allows everything. `now_s` is any steady clock, in seconds.
    """

    per_s: float | None
    _paid_until_s: float = -inf

    def take(self, wanted: int, now_s: float) -> int:
        """How many of `wanted` set-ups may start now; they count as started."""
        if self.per_s is None or wanted <= 0:
            return max(wanted, 0)
        burst = max(1.0, self.per_s / 5)
        earliest = now_s - burst / self.per_s
        self._paid_until_s = max(self._paid_until_s, earliest)
        granted = min(wanted, int((now_s - self._paid_until_s) * self.per_s + 1e-6))
        self._paid_until_s += granted / self.per_s
        return granted

    def wait_s(self, now_s: float) -> float:
        """How long until the next set-up may start."""
        if self.per_s is None:
            return 0.0
        return max(0.0, self._paid_until_s + 1 / self.per_s - now_s)

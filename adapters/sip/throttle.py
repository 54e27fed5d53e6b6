"""How often one source may do something, remembered for a bounded number of sources. Pure."""

from collections import OrderedDict


class Throttle:
    """A bucket of `burst` tokens for every source, filled by `per_s` tokens a second.

    At most `most` sources are remembered; the one that was heard of longest ago is forgotten
    first, so that a flood of made-up sources costs no memory.
    """

    __slots__ = ("_buckets", "_burst", "_most", "_per_s")

    def __init__(self, per_s: float, burst: float, most: int = 10_000) -> None:
        self._per_s = per_s
        self._burst = burst
        self._most = most
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._buckets)

    def has(self, source: str, now_s: float) -> bool:
        """Whether the source has a token left; takes none."""
        return self._tokens(source, now_s) >= 1.0

    def take(self, source: str, now_s: float) -> bool:
        """Take a token; False when the source has none."""
        tokens = self._tokens(source, now_s)
        taken = tokens >= 1.0
        self._buckets[source] = (tokens - 1.0 if taken else tokens, now_s)
        self._buckets.move_to_end(source)
        if len(self._buckets) > self._most:
            self._buckets.popitem(last=False)
        return taken

    def _tokens(self, source: str, now_s: float) -> float:
        known = self._buckets.get(source)
        if known is None:
            return self._burst
        tokens, at_s = known
        return min(self._burst, tokens + max(0.0, now_s - at_s) * self._per_s)

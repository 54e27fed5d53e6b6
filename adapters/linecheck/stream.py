"""Pure: an RTP stream that comes in, counted as RFC 3550 A.1 (sequence), A.3 (loss) and A.8 (jitter) say."""

from dataclasses import dataclass

RATE = 8000
"""Of G.711 and of telephone-event and comfort noise beside it (RFC 3551, 4733, 3389)."""

_MAX_DROPOUT = 3000
_MAX_MISORDER = 100
_WINDOW = 1024
"""How far back a packet is known to have come already."""
_LEAP_S = 5.0
"""A timestamp that leaps further than this is a new clock, not jitter."""
_MOST_SOURCES = 16
_ALONE = 2
"""A source of fewer packets counts only when there is no other (RFC 3550 A.1, probation)."""


@dataclass(slots=True)
class Counts:
    """Packets of one source, or of all."""

    received: int = 0
    expected: int = 0
    late: int = 0
    doubled: int = 0
    longest_loss: int = 0

    @property
    def lost(self) -> int:
        return max(0, self.expected - self.received)

    def add(self, other: "Counts") -> None:
        self.received += other.received
        self.expected += other.expected
        self.late += other.late
        self.doubled += other.doubled
        self.longest_loss = max(self.longest_loss, other.longest_loss)


class Source:
    """One SSRC. `take` every packet of it, in the order of arrival."""

    __slots__ = (
        "_arrived_s",
        "_bad",
        "_base",
        "_before",
        "_cycles",
        "_doubled",
        "_last",
        "_late",
        "_longest",
        "_received",
        "_reported",
        "_seen",
        "_timestamp",
        "jitter_max_s",
        "jitter_s",
    )  # fmt: skip

    def __init__(self, sequence: int) -> None:
        self._before = Counts()  # of numberings that the source has given up
        self.jitter_s = 0.0
        self.jitter_max_s = 0.0
        self._timestamp: int | None = None
        self._arrived_s = 0.0
        self._reported = (0, 0)
        self._begin(sequence)

    def _begin(self, sequence: int) -> None:
        self._base = self._last = sequence
        self._cycles = 0
        self._bad: int | None = None
        self._seen = 0  # bit n: the packet n behind the last one has come
        self._received = self._late = self._doubled = self._longest = 0

    def take(self, sequence: int, timestamp: int, arrived_s: float, *, timed: bool = True) -> bool:
        """Count a packet; whether it is a new one that belongs here.

        `timed` is False for packets whose timestamp is not that of their sending (telephone-event).
        """
        ahead = (sequence - self._last) & 0xFFFF
        if self._received == 0:
            self._seen = 1
        elif ahead == 0:
            self._doubled += 1
            return False
        elif ahead < _MAX_DROPOUT:
            if sequence < self._last:
                self._cycles += 1
            self._longest = max(self._longest, ahead - 1)
            self._seen = ((self._seen << ahead) | 1) & ((1 << _WINDOW) - 1)
            self._last = sequence
        elif ahead <= 0x10000 - _MAX_MISORDER:
            if sequence != self._bad:
                self._bad = (sequence + 1) & 0xFFFF
                return False
            self._before = self.counts  # two in a row: it has begun to number anew
            self._begin(sequence)
            self._seen = 1
        else:
            behind = 0x10000 - ahead
            if self._seen >> behind & 1 or self._highest - behind < self._base:
                self._doubled += 1
                return False
            self._seen |= 1 << behind
            self._late += 1
        self._received += 1
        self._bad = None
        if timed:
            self._time(timestamp, arrived_s)
        return True

    def _time(self, timestamp: int, arrived_s: float) -> None:
        if self._timestamp is not None:
            ticks = (timestamp - self._timestamp) & 0xFFFFFFFF
            if ticks >= 0x80000000:
                ticks -= 0x100000000
            apart_s = abs(arrived_s - self._arrived_s - ticks / RATE)
            if apart_s < _LEAP_S:
                self.jitter_s += (apart_s - self.jitter_s) / 16
                self.jitter_max_s = max(self.jitter_max_s, self.jitter_s)
        self._timestamp, self._arrived_s = timestamp, arrived_s

    @property
    def _highest(self) -> int:
        return (self._cycles << 16) + self._last

    @property
    def highest(self) -> int:
        """The highest sequence number with its cycles, 32 bits, for a report block."""
        return self._highest & 0xFFFFFFFF

    @property
    def counts(self) -> Counts:
        expected = self._highest - self._base + 1 if self._received else 0
        counts = Counts(self._received, expected, self._late, self._doubled, self._longest)
        counts.add(self._before)
        return counts

    def fraction_lost(self) -> int:
        """Loss since the last report, in 256ths (RFC 3550 A.3); each call begins a new interval."""
        counts = self.counts
        expected, received = counts.expected - self._reported[0], counts.received - self._reported[1]
        self._reported = (counts.expected, counts.received)
        lost = expected - received
        return min(255, (lost << 8) // expected) if expected > 0 and lost > 0 else 0


class Stream:
    """Everything that comes to one port: usually one source, another after a bridge has changed its mind."""

    __slots__ = ("current", "sources")

    def __init__(self) -> None:
        self.sources: dict[int, Source] = {}
        self.current: int | None = None

    def take(self, ssrc: int, sequence: int, timestamp: int, arrived_s: float, *, timed: bool = True) -> bool:
        """Count a packet; whether it is a new one."""
        source = self.sources.get(ssrc)
        if source is None:
            if len(self.sources) >= _MOST_SOURCES:
                return False
            source = self.sources[ssrc] = Source(sequence)
        self.current = ssrc
        return source.take(sequence, timestamp, arrived_s, timed=timed)

    @property
    def counts(self) -> Counts:
        """Of all sources; stray single packets are left out where there is a real one."""
        every = [source.counts for source in self.sources.values()]
        real = [counts for counts in every if counts.received >= _ALONE] or every
        total = Counts()
        for counts in real:
            total.add(counts)
        return total

    @property
    def jitter_s(self) -> float | None:
        """Of the source that sent most; None when nothing came."""
        main = self._main
        return None if main is None else main.jitter_s

    @property
    def jitter_max_s(self) -> float | None:
        main = self._main
        return None if main is None else main.jitter_max_s

    @property
    def _main(self) -> Source | None:
        return max(self.sources.values(), key=lambda source: source.counts.received, default=None)

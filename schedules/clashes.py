"""Pure: which bookings want the same site, the same endpoint, or more ports than a bridge has.

Windows are half-open: one that ends at 09:00 does not clash with one that begins at 09:00.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from heapq import heappop, heappush


class Wanted(StrEnum):
    """What two bookings can clash over."""

    SITE = "site"
    ENDPOINT = "endpoint"
    PORTS = "ports"


@dataclass(frozen=True, slots=True)
class Booking:
    """One occurrence and what it uses from `starts_at` up to `ends_at`.

    `key` says which occurrence this is: a candidate takes the place of the existing booking
    that has its key.
    """

    key: str
    starts_at: datetime
    ends_at: datetime
    sites: frozenset[str] = frozenset()
    endpoints: frozenset[str] = frozenset()
    ports: Mapping[str, int] = field(default_factory=dict)  # bridge -> ports wanted

    def __post_init__(self) -> None:
        if self.starts_at.tzinfo is None or self.ends_at.tzinfo is None:
            raise ValueError(f"booking {self.key}: a window is between two aware instants")
        if self.ends_at <= self.starts_at:
            raise ValueError(f"booking {self.key}: it ends at {self.ends_at}, not after its start {self.starts_at}")


@dataclass(frozen=True, slots=True)
class Clash:
    """`bookings` all want `names` between `starts_at` and `ends_at`.

    For ports: `needed` is the most that is wanted at once, `there` what the bridge has.
    """

    over: Wanted
    names: tuple[str, ...]
    bookings: tuple[str, ...]
    starts_at: datetime
    ends_at: datetime
    needed: int = 0
    there: int = 0


def clashes(
    candidates: Iterable[Booking], existing: Iterable[Booking] = (), *, ports: Mapping[str, int | None]
) -> list[Clash]:
    """Every clash that a candidate is part of, in order of time.

    `ports` says how many ports each bridge has; None or a bridge not named: unknown, so
    it never clashes. Work grows with what overlaps, not with the square of all bookings.
    """
    new = list(candidates)
    keys = {booking.key for booking in new}
    everything = new + [booking for booking in existing if booking.key not in keys]
    everything.sort(key=lambda booking: (booking.starts_at, booking.ends_at, booking.key))
    found = [*_shared(everything, keys)]
    for bridge in sorted({bridge for booking in new for bridge in booking.ports}):
        there = ports.get(bridge)
        if there is not None:
            found.extend(_crowded(bridge, there, [b for b in everything if b.ports.get(bridge)], keys))
    return sorted(found, key=lambda clash: (clash.starts_at, clash.over, clash.bookings))


def _shared(ordered: list[Booking], keys: set[str]) -> Iterable[Clash]:
    """Pairs of overlapping bookings with a site or an endpoint in common."""
    active: list[tuple[datetime, int]] = []
    for place, booking in enumerate(ordered):
        while active and active[0][0] <= booking.starts_at:
            heappop(active)
        for _, at in active:
            other = ordered[at]
            if booking.key not in keys and other.key not in keys:
                continue
            until = min(booking.ends_at, other.ends_at)
            for over, names in (
                (Wanted.SITE, booking.sites & other.sites),
                (Wanted.ENDPOINT, booking.endpoints & other.endpoints),
            ):
                if names:
                    yield Clash(over, tuple(sorted(names)), (other.key, booking.key), booking.starts_at, until)
        heappush(active, (booking.ends_at, place))


def _crowded(bridge: str, there: int, ordered: list[Booking], keys: set[str]) -> Iterable[Clash]:
    """Stretches of time in which more ports are wanted than the bridge has."""
    # At one instant leaving comes before entering: touching windows share nothing.
    edges = sorted(
        [(b.ends_at, 0, i) for i, b in enumerate(ordered)] + [(b.starts_at, 1, i) for i, b in enumerate(ordered)]
    )
    inside: set[int] = set()
    wanted = most = 0
    involved: set[str] = set()
    since: datetime | None = None
    for at, entering, place in edges:
        booking = ordered[place]
        if entering:
            inside.add(place)
            wanted += booking.ports[bridge]
        else:
            inside.discard(place)
            wanted -= booking.ports[bridge]
        if wanted > there:
            since = since or at
            most = max(most, wanted)
            involved.update(ordered[i].key for i in inside)
        elif since is not None:
            if involved & keys:
                yield Clash(Wanted.PORTS, (bridge,), tuple(sorted(involved)), since, at, most, there)
            since, most = None, 0
            involved = set()

"""How many calls strangers may begin without acknowledging them: a bound on what a flood of INVITEs costs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from adapters.sip.transaction import Server


@dataclass(frozen=True, slots=True)
class HalfOpen:
    """How many calls strangers may have begun and not acknowledged: each costs memory until it is.

    A flood of INVITEs fills these places and is answered 503 without state beyond; a place is
    free again with the ACK, or after 64*T1.
    """

    of_one: int = 20_000
    """From one address."""
    altogether: int = 50_000


class Opened:
    """Counts the calls that strangers have begun and nobody has acknowledged."""

    __slots__ = ("_by_host", "_count", "bounds")

    def __init__(self, bounds: HalfOpen) -> None:
        self.bounds = bounds
        self._by_host: dict[str, int] = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def more(self, server: Server) -> None:
        """Raises OverflowError when there are too many."""
        host = server.flow.host
        of_one = self._by_host.get(host, 0)
        if of_one >= self.bounds.of_one or self._count >= self.bounds.altogether:
            raise OverflowError(f"{self._count} calls wait for their ACK, {of_one} of them from {host}")
        self._by_host[host] = of_one + 1
        self._count += 1
        server.opened_by = host

    def less(self, server: Server) -> None:
        host, server.opened_by = server.opened_by, ""
        self._count -= 1
        left = self._by_host[host] - 1
        if left:
            self._by_host[host] = left
        else:
            del self._by_host[host]

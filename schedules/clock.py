"""What time it is: the system's clock, and one that tests can turn."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """Somebody who knows the time."""

    def now(self) -> datetime:
        """This instant, aware, in UTC."""
        ...

    def on_turn(self, tell: Callable[[], None]) -> None:
        """Call `tell` whenever the clock was turned by hand, so that bells are hung anew."""
        ...


class SystemClock:
    """The clock of the machine. Nobody turns it through us, so `on_turn` never tells."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def on_turn(self, tell: Callable[[], None]) -> None:
        pass


class TurnableClock:
    """A clock that stands still until it is turned: for tests and for replays."""

    def __init__(self, at: datetime) -> None:
        self._at = _aware(at)
        self._listeners: list[Callable[[], None]] = []

    def now(self) -> datetime:
        return self._at

    def on_turn(self, tell: Callable[[], None]) -> None:
        self._listeners.append(tell)

    def turn(self, by: timedelta) -> None:
        """Move on (or back) by `by`."""
        self.turn_to(self._at + by)

    def turn_to(self, at: datetime) -> None:
        """Show `at` from now on."""
        self._at = _aware(at)
        for tell in self._listeners:
            tell()


def _aware(at: datetime) -> datetime:
    if at.tzinfo is None:
        raise ValueError(f"{at!r} has no zone; a clock shows aware instants")
    return at.astimezone(UTC)

"""What the service has written down, read beside it from its database file: never asked of the service."""

import sqlite3
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from tests.bench.figure import WorkWrong

_LOOK_S = 0.01


class Record:
    """The database of one service, read-only; on SQLite a reader holds no writer up."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection: sqlite3.Connection | None = None

    def ask(self, query: str, *values: object) -> list[tuple]:
        """The rows of a query."""
        if self._connection is None:
            self._connection = sqlite3.connect(f"file:{self._path}?mode=ro", uri=True, isolation_level=None)
        return self._connection.execute(query, values).fetchall()

    def one(self, query: str, *values: object) -> int:
        """The number that a query gives."""
        return int(self.ask(query, *values)[0][0] or 0)

    def until(self, so: Callable[["Record"], bool], within_s: float, what: str) -> float:
        """The instant (time.time) at which it is written that something is so, within 10 ms.

        Looks only after something was committed. Raises WorkWrong with what is there.
        """
        end, seen = time.monotonic() + within_s, -1
        while time.monotonic() < end:
            version = self.one("PRAGMA data_version")
            if version != seen:
                at = time.time()
                if so(self):
                    return at
                seen = version
            time.sleep(_LOOK_S)
        raise WorkWrong(f"not within {within_s:g} s: {what}; there are {self.summary()}")

    def summary(self) -> str:
        """The states of runs and participants, and the events."""
        runs = Counter(row[0] for row in self.ask("SELECT state FROM run"))
        participants = Counter(row[0] for row in self.ask("SELECT state FROM participant"))
        causes = Counter(row[0] for row in self.ask("SELECT raw FROM leg WHERE raw <> ''"))
        events = Counter(row[0] for row in self.ask("SELECT event FROM journal"))
        return (
            f"runs {dict(runs)}, participants {dict(participants)}, raw {causes.most_common(3)}, events {dict(events)}"
        )

    def sites_in(self) -> int:
        """How many participants are in."""
        return self.one("SELECT count(*) FROM participant WHERE state = 'in'")

    def last_entry(self) -> int:
        """The id of the journal's last entry."""
        return self.one("SELECT max(id) FROM journal")

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()


def instant(text: str) -> datetime:
    """An instant as the database keeps it."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)

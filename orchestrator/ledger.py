"""What one pass of a run changes, written in one fenced transaction."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy.exc import DataError, IntegrityError, ProgrammingError, StatementError

from orchestrator.lease import Lease
from orchestrator.store import journal
from orchestrator.store.database import Database
from orchestrator.store.journal import JournalBell
from orchestrator.store.runs import Leg, Participant, Run, Shard, ShardCommand, insert_legs, update_rows

_REFUSED_CLASSES = ("22", "23", "42")
"""SQLSTATE classes by which PostgreSQL says that what is written can never be: data, constraint, syntax."""


def is_unwritable(error: Exception) -> bool:
    """Whether the database is there and will never take this, rather than being away."""
    if isinstance(error, IntegrityError | DataError | ProgrammingError | TypeError | ValueError):
        return True
    if type(error) is StatementError:  # a value that no column can hold
        return True
    state = getattr(getattr(error, "orig", None), "sqlstate", None)
    return isinstance(state, str) and state.startswith(_REFUSED_CLASSES)


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values with what no database can store (NUL, half a surrogate pair) replaced: devices send anything."""
    return {
        key: value.encode(errors="replace").decode().replace("\0", "\ufffd") if isinstance(value, str) else value
        for key, value in values.items()
    }


class Ledger:
    """Collects row changes and journal entries of a run until `commit`.

    What is collected stays collected when the database is away: nothing is lost, and since
    orders are given only after a commit, nothing is done that was not written first.
    """

    def __init__(self, database: Database, bell: JournalBell, lease: Lease, run_id: int) -> None:
        self._database = database
        self._bell = bell
        self._lease = lease
        self._run_id = run_id
        self._start_over()

    def _start_over(self) -> None:
        self._entries: list[dict[str, Any]] = []
        self._new_legs: list[dict[str, Any]] = []
        self._changes: dict[tuple[type[Any], str], dict[Any, dict[str, Any]]] = {}

    @property
    def has_news(self) -> bool:
        """Whether something is collected that is not written yet."""
        return bool(self._entries or self._new_legs or self._changes)

    def note(self, event: str, at: datetime, participant: str = "", leg: str = "", **facts: object) -> None:
        """Add a journal entry; `facts` must be JSON-ready and free of secrets."""
        self._entries.append(
            {
                "run_id": self._run_id,
                "at": at,
                "event": event,
                "participant": participant,
                "leg": leg,
                "facts": _plain(facts),
            }
        )

    def new_leg(self, row: dict[str, Any]) -> None:
        self._new_legs.append(_plain(row))

    def leg(self, name: str, **values: object) -> None:
        self._change(Leg, "name", name, values)

    def participant(self, participant_id: int, values: Mapping[str, object]) -> None:
        self._change(Participant, "id", participant_id, values)

    def run(self, **values: object) -> None:
        self._change(Run, "id", self._run_id, values)

    def shard(self, **values: object) -> None:
        self._change(Shard, "id", self._lease.shard_id, values)

    def command(self, command_id: int, **values: object) -> None:
        self._change(ShardCommand, "id", command_id, values)

    def _change(self, table: type[Any], key: str, value: object, values: Mapping[str, object]) -> None:
        self._changes.setdefault((table, key), {}).setdefault(value, {}).update(_plain(values))

    async def commit(self) -> None:
        """Write everything collected. Raises LeaseLost when it is no longer ours to write."""
        if not self.has_news:
            return
        self._lease.check()
        entries = self._entries
        async with self._database.write() as session:
            await self._lease.fence(session)
            await insert_legs(session, self._new_legs)
            for (table, key), changes in self._changes.items():
                await update_rows(session, table, key, changes)
            await journal.append(session, entries)
        self._start_over()
        if entries:
            self._bell.ring(self._run_id)

"""The board of a run: what is so right now, read from rows only, so that any process can show it."""

from collections import Counter
from collections.abc import Collection
from datetime import datetime
from typing import Any

from sqlalchemy import Row, Select, func, select
from sqlmodel.ext.asyncio.session import AsyncSession

from orchestrator.rules.states import RUN_OVER, ParticipantState
from orchestrator.store.inventory import Bridge
from orchestrator.store.journal import JournalEntry
from orchestrator.store.runs import Participant, Run

_RUNS: Any = Run.__table__  # type: ignore[attr-defined]
_PEOPLE: Any = Participant.__table__  # type: ignore[attr-defined]
_JOURNAL: Any = JournalEntry.__table__  # type: ignore[attr-defined]
_BRIDGES: Any = Bridge.__table__  # type: ignore[attr-defined]
_HEADER = (
    "id", "meeting_id", "title", "state", "number", "time_zone",
    "opens_at", "starts_at", "ends_at", "closed_at", "end_reason",
)  # fmt: skip


async def board(session: AsyncSession, run_id: int, now: datetime) -> dict[str, Any] | None:
    """Everything an operator looks at, or None where there is no such run.

    `cursor` is the journal's last entry that is certainly contained: who follows the journal
    from there misses nothing. Two queries, whatever the size.
    """
    connection = await session.connection()
    head = (await connection.execute(_header(run_id))).mappings().first()
    if head is None:
        return None
    rows = (await connection.execute(_participants(run_id))).all()
    sites = [_line(row) for row in rows if row.kind == "site"]
    links = [_line(row) for row in rows if row.kind == "room"]
    return {
        **head,
        "cursor": head["cursor"] or 0,
        "over": head["state"] in RUN_OVER,
        "seen_at": now,
        "counts": counts(sites),
        "sites": sites,
        "links": links,
    }


async def last_entry(session: AsyncSession, run_id: int) -> int:
    """The id of the newest entry in the run's journal, 0 where it is empty."""
    connection = await session.connection()
    return await connection.scalar(_last_entry(run_id)) or 0


def counts(sites: list[dict[str, Any]]) -> dict[str, int]:
    """How many sites there are, and how many stand in each state; every state is named."""
    by_state = Counter(site["state"] for site in sites)
    return {"sites": len(sites)} | {state.value: by_state.get(state.value, 0) for state in ParticipantState}


def _header(run_id: int) -> Select[Any]:
    cursor = _last_entry(run_id).scalar_subquery()
    return (
        select(*(_RUNS.c[name] for name in _HEADER), _BRIDGES.c.name.label("bridge"), cursor.label("cursor"))
        .join(_BRIDGES, _BRIDGES.c.id == _RUNS.c.bridge_id)
        .where(_RUNS.c.id == run_id)
    )


def _last_entry(run_id: int) -> Select[Any]:
    return select(func.max(_JOURNAL.c.id)).where(_JOURNAL.c.run_id == run_id)


def _participants(run_id: int) -> Select[Any]:
    # columns, not entities: a thousand sites cost a third of the time, and `plan` stays in the database
    shown = (
        "kind", "code", "name", "priority", "state", "way", "address", "seen_by_endpoint", "seen_by_bridge",
        "muted", "attempts", "redials", "cause", "side", "raw", "stopped_why", "in_since", "next_try_at",
    )  # fmt: skip
    return (
        select(*(_PEOPLE.c[name] for name in shown))
        .where(_PEOPLE.c.run_id == run_id)
        .order_by(_PEOPLE.c.kind, _PEOPLE.c.priority, _PEOPLE.c.code)
    )


def _line(row: Row[Any]) -> dict[str, Any]:
    facts = row._mapping
    line: dict[str, Any] = {
        str(name): value for name, value in facts.items() if name not in ("seen_by_endpoint", "seen_by_bridge")
    }
    line["evidence"] = {"endpoint": facts["seen_by_endpoint"], "bridge": facts["seen_by_bridge"]}
    return line


async def run_list(
    session: AsyncSession,
    *,
    meeting_id: int | None = None,
    states: Collection[str] = (),
    below: int | None = None,
    limit: int = 100,
) -> list[dict[str, Any]]:
    """Runs, newest first, with how many of their sites are in.

    `states` empty means any; `below` is the last id of the page before.
    """
    is_site = (_PEOPLE.c.run_id == _RUNS.c.id) & (_PEOPLE.c.kind == "site")
    sites = select(func.count()).where(is_site).scalar_subquery()
    sites_in = select(func.count()).where(is_site & (_PEOPLE.c.state == ParticipantState.IN)).scalar_subquery()
    query = (
        select(
            *(_RUNS.c[name] for name in _HEADER),
            _BRIDGES.c.name.label("bridge"),
            sites.label("sites"),
            sites_in.label("sites_in"),
        )
        .join(_BRIDGES, _BRIDGES.c.id == _RUNS.c.bridge_id)
        .order_by(_RUNS.c.id.desc())
        .limit(limit)
    )
    if meeting_id is not None:
        query = query.where(_RUNS.c.meeting_id == meeting_id)
    if states:
        query = query.where(_RUNS.c.state.in_(sorted(states)))
    if below is not None:
        query = query.where(_RUNS.c.id < below)
    connection = await session.connection()
    return [dict(row) for row in (await connection.execute(query)).mappings()]

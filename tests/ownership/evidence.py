"""Whether only one process at a time gave orders: read from what processes recorded, and from the rows."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from sqlmodel import col, select

from orchestrator.rules.tag import LegName
from orchestrator.store.database import Database
from orchestrator.store.journal import since
from orchestrator.store.runs import Leg, ShardCommand
from tests.ownership.ground import Ground

ORDERS = frozenset(
    {
        *("INVITE", "ACK", "CANCEL", "BYE", "INFO", "UPDATE", "REFER"),
        *("Originate", "Hangup", "ConfbridgeKick", "ConfbridgeMute", "ConfbridgeUnmute", "PlayDTMF"),
    }
)
"""What changes something at a device. OPTIONS, lists and log-ins do not."""


@dataclass(frozen=True, slots=True)
class Act:
    """One order to a device: when, by whom, under which epoch."""

    at: float
    pid: int
    epoch: int
    what: str
    about: str = ""


def acts(record: Path) -> list[Act]:
    """The orders in the record, in the order of time; its run is the only one."""
    if not record.exists():
        return []
    lines = sorted(map(json.loads, record.read_text().splitlines()), key=lambda line: line["at"])
    epochs: dict[int, int] = {}
    found = []
    for line in lines:
        if line["kind"] == "lease":
            epochs[line["pid"]] = line["epoch"]
        elif line["what"] in ORDERS:
            about = f"{line.get('to', '')} {line.get('call', '')}".strip()
            found.append(Act(line["at"], line["pid"], epochs.get(line["pid"], 0), line["what"], about))
    return found


def late(found: Sequence[Act], record: Path) -> list[Act]:
    """The orders given under an epoch that was over: a greater one had been had already."""
    lines = map(json.loads, record.read_text().splitlines())
    leases = sorted((line["at"], line["epoch"]) for line in lines if line["kind"] == "lease")
    return [act for act in found if any(at < act.at and epoch > act.epoch for at, epoch in leases)]


async def epochs_in_rows(database: Database, run_id: int) -> dict[str, list[int]]:
    """The epochs of what was written, each kind in the order of time."""
    async with database.read() as session:
        legs = await session.exec(select(Leg.epoch).where(Leg.run_id == run_id).order_by(col(Leg.id)))
        commands = await session.exec(
            select(ShardCommand.epoch)
            .where(ShardCommand.shard_id == f"run-{run_id}", col(ShardCommand.done_at).is_not(None))
            .order_by(col(ShardCommand.done_at), col(ShardCommand.id))
        )
        dialed = [entry for entry in await since(session, run_id, limit=100_000) if entry.event == "leg-dialed"]
        return {
            "legs": list(legs),
            "commands": [epoch for epoch in commands if epoch is not None],
            "journal": [name.epoch for entry in dialed if (name := LegName.find(entry.leg)) is not None],
        }


def goes_back(epochs: Sequence[int]) -> bool:
    """Whether somebody wrote under an epoch after a greater one had been there."""
    return any(later < earlier for earlier, later in pairwise(epochs))


async def overlaps(ground: Ground) -> list[object]:
    """What was ordered or written under an epoch that was over."""
    rows = await epochs_in_rows(ground.database, 1)
    found: list[object] = [f"{kind}: {epochs}" for kind, epochs in rows.items() if goes_back(epochs)]
    return found + list(late(acts(ground.record), ground.record))

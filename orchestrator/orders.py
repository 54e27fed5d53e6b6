"""Operators' orders to a run: which there are, what they need, and what they do.

Each can be carried out twice without harm, for a take-over may find one half done; `extend`
is written in the same transaction as its completion.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from orchestrator.rules.reconcile import Kind, Track, Why
from orchestrator.rules.states import ParticipantState, RunState
from orchestrator.store.runs import ShardCommand

VERBS = ("end", "extend", "call-absent", "redial", "hang-up", "mute", "unmute")
LONGEST_EXTENSION_MIN = 12 * 60


class OrderRefused(ValueError):
    """An order that cannot be taken; the text says what was wrong and what would be right."""


class Conducted(Protocol):
    """What an order may do to a run (the runner)."""

    tracks: list[Track]
    state: RunState

    @property
    def is_closing(self) -> bool: ...
    def end(self, reason: str, now: datetime) -> None: ...
    def extend(self, minutes: int, now: datetime) -> None: ...
    def participant(self, code: str) -> Track | None: ...
    def dial_afresh(self, track: Track) -> None: ...
    def bring_down(self, track: Track, why: Why) -> None: ...
    def stop(self, track: Track, why: str) -> None: ...
    def mute(self, track: Track, on: bool) -> str: ...


@dataclass(frozen=True, slots=True)
class Order:
    """A checked order."""

    verb: str
    site: str = ""
    minutes: int = 0


def check(verb: str, args: Mapping[str, object]) -> Order:
    """The order, or OrderRefused."""
    if verb not in VERBS:
        raise OrderRefused(f"there is no order {verb!r}; there are {', '.join(VERBS)}")
    if verb == "extend":
        minutes = args.get("minutes")
        if not isinstance(minutes, int) or isinstance(minutes, bool) or not 1 <= minutes <= LONGEST_EXTENSION_MIN:
            raise OrderRefused(f"minutes is {minutes!r}; expected a whole number from 1 to {LONGEST_EXTENSION_MIN}")
        return Order(verb, minutes=minutes)
    if verb in ("end", "call-absent"):
        return Order(verb)
    site = args.get("site")
    if not isinstance(site, str) or not site:
        raise OrderRefused(f"{verb} needs a site code")
    return Order(verb, site=site)


def carry_out(run: Conducted, command: ShardCommand, now: datetime) -> str:
    """Carry an order out on a run; returns what came of it, for the command's row."""
    try:
        order = check(command.verb, command.args)
    except OrderRefused as error:
        return f"refused: {error}"
    if run.is_closing and order.verb in ("extend", "call-absent", "redial"):
        return f"refused: the run is {run.state}, nobody is dialed any more"
    match order.verb:
        case "end":
            run.end("operator", now)
            return "done"
        case "extend":
            run.extend(order.minutes, now)
            return "done"
        case "call-absent":
            absent = [
                t for t in run.tracks if t.kind is Kind.SITE and t.call is None and t.state is not ParticipantState.IN
            ]
            for track in absent:
                run.dial_afresh(track)
            return f"done: {len(absent)}"
    found = run.participant(order.site)
    if found is None:
        return f"refused: {order.site} does not take part"
    match order.verb:
        case "redial":
            run.dial_afresh(found)
        case "hang-up":
            run.stop(found, "hung up by an operator")
            run.bring_down(found, Why.OPERATOR)
        case _:
            return run.mute(found, order.verb == "mute")
    return "done"

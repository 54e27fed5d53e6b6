"""The states of a run, a leg, a link's admission and a participant, as tables.

A state changes only through `advance`; docs/states.md is drawn from these tables.
"""

from collections.abc import Mapping
from enum import StrEnum

from adapters import LegState


class RunState(StrEnum):
    """One live execution of an occurrence, from the claim to the last call down."""

    DUE = "due"  # claimed, dialing not yet open
    PREPARING = "preparing"  # sessions and the conference are being had
    CALLING = "calling"  # dialing, before everybody is in
    LIVE = "live"  # everybody who can be in is in
    DEGRADED = "degraded"  # under way, and somebody is missing
    CLOSING = "closing"  # our legs are being hung up
    DONE = "done"
    LEFTOVER = "leftover"  # over, but something would not come down and is still being swept
    CANCELLED = "cancelled"  # called off before dialing opened
    MISSED = "missed"  # nobody was there to start it in its slot
    FAILED = "failed"  # the conference could not be had at all until the slot ended


class ParticipantState(StrEnum):
    """Where a site or a linked room stands, as the board shows it."""

    WAITING = "waiting"
    DIALING = "dialing"
    RINGING = "ringing"
    HALF_IN = "half-in"  # one side says connected, the other does not (yet)
    IN = "in"
    RETRYING = "retrying"
    STOPPED = "stopped"  # not dialed again until an operator says so
    ABSENT = "absent"  # the run is over and it was not in at the end


_R = RunState
RUN: Mapping[RunState, frozenset[RunState]] = {
    _R.DUE: frozenset({_R.PREPARING, _R.CANCELLED, _R.MISSED, _R.CLOSING}),
    _R.PREPARING: frozenset({_R.CALLING, _R.CLOSING, _R.FAILED}),
    _R.CALLING: frozenset({_R.LIVE, _R.DEGRADED, _R.CLOSING}),
    _R.LIVE: frozenset({_R.DEGRADED, _R.CLOSING}),
    _R.DEGRADED: frozenset({_R.LIVE, _R.CLOSING}),
    _R.CLOSING: frozenset({_R.DONE, _R.LEFTOVER}),
    _R.LEFTOVER: frozenset({_R.DONE}),
    _R.DONE: frozenset(),
    _R.CANCELLED: frozenset(),
    _R.MISSED: frozenset(),
    _R.FAILED: frozenset(),
}

_L = LegState
LEG: Mapping[LegState, frozenset[LegState]] = {
    _L.PLANNED: frozenset({_L.DIALING, _L.CLEARED}),
    _L.DIALING: frozenset({_L.RINGING, _L.CONNECTED, _L.CLEARING, _L.CLEARED}),
    _L.RINGING: frozenset({_L.CONNECTED, _L.CLEARING, _L.CLEARED}),
    _L.CONNECTED: frozenset({_L.CLEARING, _L.CLEARED}),
    _L.CLEARING: frozenset({_L.CLEARED}),
    _L.CLEARED: frozenset(),
}

_P = ParticipantState
PARTICIPANT: Mapping[ParticipantState, frozenset[ParticipantState]] = {
    _P.WAITING: frozenset({_P.DIALING, _P.IN, _P.STOPPED, _P.ABSENT}),
    _P.DIALING: frozenset({_P.RINGING, _P.HALF_IN, _P.IN, _P.RETRYING, _P.STOPPED, _P.ABSENT}),
    _P.RINGING: frozenset({_P.HALF_IN, _P.IN, _P.RETRYING, _P.STOPPED, _P.ABSENT}),
    _P.HALF_IN: frozenset({_P.IN, _P.RETRYING, _P.STOPPED, _P.ABSENT}),
    _P.IN: frozenset({_P.HALF_IN, _P.WAITING, _P.RETRYING, _P.STOPPED, _P.ABSENT}),
    _P.RETRYING: frozenset({_P.DIALING, _P.IN, _P.STOPPED, _P.ABSENT}),
    _P.STOPPED: frozenset({_P.WAITING, _P.RETRYING, _P.DIALING, _P.IN, _P.ABSENT}),
    _P.ABSENT: frozenset(),
}

TABLES: Mapping[str, Mapping[StrEnum, frozenset[StrEnum]]] = {
    "run": RUN,  # type: ignore[dict-item]
    "leg": LEG,  # type: ignore[dict-item]
    "participant": PARTICIPANT,  # type: ignore[dict-item]
}

RUN_OVER = frozenset(state for state, onward in RUN.items() if not onward)
"""Run states that nothing follows."""


class ForbiddenChange(Exception):
    """A state was to change in a way its table does not have: a bug of ours, never of a device."""


def may(table: Mapping[object, frozenset[object]], old: object, new: object) -> bool:
    """Whether the table has an arrow from `old` to `new`; staying is always fine."""
    return old == new or new in table[old]


def advance_participant(old: ParticipantState, new: ParticipantState) -> ParticipantState:
    """`new`, if the participant table allows it; raises ForbiddenChange otherwise."""
    if not may(PARTICIPANT, old, new):  # type: ignore[arg-type]
        raise ForbiddenChange(f"a participant that is {old} cannot become {new}")
    return new


def advance_run(old: RunState, new: RunState) -> RunState:
    """`new`, if the run table allows it; raises ForbiddenChange otherwise."""
    if not may(RUN, old, new):  # type: ignore[arg-type]
        raise ForbiddenChange(f"a run that is {old} cannot become {new}")
    return new

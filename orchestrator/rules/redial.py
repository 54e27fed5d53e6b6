"""After a call ended: try again now, later, another way, or never; by cause.

Figures are the product's defaults; every one can be set for an installation.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import pairwise

from adapters import ClearCause


class Move(StrEnum):
    """What the next try does on the ladder."""

    STAY = "stay"  # the same rung again, after the waiting time
    CLIMB = "climb"  # the next rung, after the waiting time
    CLIMB_NOW = "climb-now"  # the next rung at once while the round has one left, then wait


@dataclass(frozen=True, slots=True)
class Rule:
    """What one cause means for the next try.

    `waits_s` are the waits after the 1st, 2nd... end of this kind since a call last held (None:
    the general schedule); after `stop_after` such ends in a row the operator is asked.
    """

    move: Move
    waits_s: tuple[float, ...] | None = None
    stop_after: int | None = None


@dataclass(frozen=True, slots=True)
class RedialRules:
    """All figures of redialing, in seconds."""

    waits_s: tuple[float, ...] = (30, 30, 60, 120, 240)  # tries at 0, 30 s, 60 s, 2, 4, 8 min
    steady_s: float = 300.0  # ... then every five minutes
    after_drop_s: tuple[float, ...] = (3, 10, 30)
    after_hang_up_s: float = 30.0
    hang_ups_before_asking: int = 2
    declines_before_asking: int = 2
    climb_now_s: float = 0.5
    jitter: float = 0.2
    steady_after_s: float = 60.0  # a call that held this long starts the schedule anew
    rules: Mapping[ClearCause, Rule] = field(default_factory=dict)

    def rule(self, cause: ClearCause, was_in: bool) -> Rule:
        """The rule for a call that ended with `cause`, having been in the conference or not."""
        if cause in self.rules:
            return self.rules[cause]
        if was_in:
            if cause is ClearCause.FAR_END:
                return Rule(Move.STAY, (self.after_hang_up_s,), self.hang_ups_before_asking)
            return Rule(Move.STAY, self.after_drop_s)
        match cause:
            case ClearCause.DECLINED:
                return Rule(Move.STAY, None, self.declines_before_asking)
            case ClearCause.BUSY | ClearCause.BRIDGE_FULL:
                return Rule(Move.STAY)
            case ClearCause.BRIDGE_ENDED:
                return Rule(Move.STAY, self.after_drop_s)
            case ClearCause.NO_ANSWER | ClearCause.FAR_END:
                return Rule(Move.CLIMB)
            case _:
                return Rule(Move.CLIMB_NOW)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One finished try: which rung, how it ended, whether it had been in, for how long."""

    rung: int
    cause: ClearCause
    ended_at: datetime
    was_in: bool = False
    held_s: float = 0.0
    barred: bool = False  # this rung must not be tried again (log-in refused, not supported)


@dataclass(frozen=True, slots=True)
class NextTry:
    """Dial rung `rung` at `at`."""

    at: datetime
    rung: int


@dataclass(frozen=True, slots=True)
class Stop:
    """Do not dial again by yourself; `why` is for the operator."""

    why: str


def next_try(rungs: int, attempts: Sequence[Attempt], rules: RedialRules, jitter: float) -> NextTry | Stop:
    """When and how to try next after the attempts so far (at least one, oldest first).

    `rungs` is the ladder's length; `jitter` in 0..1 spreads the wait by up to `rules.jitter`.
    Attempts before a call that held for `steady_after_s` no longer count.
    """
    barred = {a.rung for a in attempts if a.barred}
    if len(barred) >= rungs:
        return Stop("no way is left that could work: every way was refused for good")
    last = attempts[-1]
    rule = rules.rule(last.cause, last.was_in)
    recent = _recent(attempts, rules)
    in_a_row = _in_a_row(recent)
    if rule.stop_after is not None and in_a_row >= rule.stop_after:
        return Stop("hung up on purpose again" if last.was_in else f"{last.cause} {in_a_row} times in a row")
    rung = last.rung if rule.move is Move.STAY and last.rung not in barred else _next_rung(last.rung, rungs, barred)
    if rule.move is Move.CLIMB_NOW and _round_goes_on(recent, rung, barred, rungs):
        wait = rules.climb_now_s
    else:
        waits = rule.waits_s if rule.waits_s is not None else rules.waits_s
        failures = _of_kind(recent, rule, rules) if rule.waits_s is not None else _rounds(recent, rules)
        wait = waits[failures - 1] if failures <= len(waits) else rules.steady_s
    return NextTry(last.ended_at + timedelta(seconds=wait * (1 + rules.jitter * jitter)), rung)


def _recent(attempts: Sequence[Attempt], rules: RedialRules) -> Sequence[Attempt]:
    """The attempts since (and with) the last call that held long enough to start anew."""
    for index in range(len(attempts) - 1, -1, -1):
        if attempts[index].was_in and attempts[index].held_s >= rules.steady_after_s:
            return attempts[index:]
    return attempts


def _in_a_row(attempts: Sequence[Attempt]) -> int:
    """How many of the last attempts ended the same way."""
    last, count = attempts[-1], 0
    for attempt in reversed(attempts):
        if (attempt.cause, attempt.was_in) != (last.cause, last.was_in):
            break
        count += 1
    return count


def _of_kind(attempts: Sequence[Attempt], rule: Rule, rules: RedialRules) -> int:
    """How many attempts ended in a way that waits like this one, whatever the causes were called."""
    return sum(rules.rule(attempt.cause, attempt.was_in).waits_s == rule.waits_s for attempt in attempts)


def _next_rung(rung: int, rungs: int, barred: set[int]) -> int:
    for step in range(1, rungs + 1):
        candidate = (rung + step) % rungs
        if candidate not in barred:
            return candidate
    return rung


def _round_goes_on(attempts: Sequence[Attempt], rung: int, barred: set[int], rungs: int) -> bool:
    """Whether `rung` has not been tried since the ladder was last begun from its foot."""
    if rung <= attempts[-1].rung:
        return False
    return rungs - len(barred) > 1


def _rounds(attempts: Sequence[Attempt], rules: RedialRules) -> int:
    """How many waits of the general schedule have been used up, this one included.

    Immediate climbs within a round are not waits.
    """
    waits = 1
    for earlier, later in pairwise(attempts):
        climbed_now = rules.rule(earlier.cause, earlier.was_in).move is Move.CLIMB_NOW and later.rung > earlier.rung
        waits += not climbed_now
    return waits

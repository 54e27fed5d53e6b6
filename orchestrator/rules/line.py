"""Is a line good? Pure: what a line check measured, judged by limits that are data.

Sources of the limits: ITU-T G.1010 (loss: 1 % for a videophone, 3 % for conversational voice), G.114 (one-way
delay: 150 ms is good for all, 400 ms the most), Y.1541 class 0 (delay variation 50 ms), E.721 (delay
after dialing: 6 s for 95 % of local calls), G.107 and G.109 (the E-model: R from 80 on satisfies, from 70
on annoys some, below that many).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from math import log2

from adapters import ClearCause, LineEnd, LineReport
from orchestrator.rules.states import ParticipantState


class LineVerdict(StrEnum):
    """What is said of a line, best first."""

    GOOD = "good"
    FAIR = "fair"  # usable; something is to be heard or seen
    BAD = "bad"
    UNANSWERED = "unanswered"  # the device is reached, and nobody took the call: nothing is known of the sound
    UNCHECKED = "unchecked"  # no call was placed, or our own side failed: nothing is known


@dataclass(frozen=True, slots=True)
class LineLimits:
    """From the first figure on a line is fair, from the second on it is bad."""

    loss_pct: tuple[float, float] = (1.0, 3.0)
    jitter_s: tuple[float, float] = (0.030, 0.050)
    trip_s: tuple[float, float] = (0.300, 0.800)
    pause_s: tuple[float, float] = (0.5, 2.0)
    r: tuple[float, float] = (80.0, 70.0)
    post_dial_s: float = 6.0
    heard_pct: float = 2.0  # less of it above silence is silence
    slipped_pct: float = 1.0  # packets that we ourselves were too late for
    least_talk_s: float = 1.0


LIMITS = LineLimits()


@dataclass(frozen=True, slots=True)
class Reason:
    """One thing that is not as it should be: a machine name, and the figures for its text."""

    name: str
    verdict: LineVerdict
    values: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Judgment:
    """A verdict with its reasons, the gravest first; `r` is the E-model's rating, where sound came."""

    verdict: LineVerdict
    reasons: tuple[Reason, ...] = ()
    r: float | None = None


_NOT_TAKEN = frozenset({ClearCause.NO_ANSWER, ClearCause.BUSY, ClearCause.DECLINED, ClearCause.FAR_END})
_GRAVITY = {LineVerdict.BAD: 0, LineVerdict.FAIR: 1, LineVerdict.GOOD: 2}


def judge(report: LineReport, limits: LineLimits = LIMITS) -> Judgment:
    """The verdict on what was measured."""
    if report.end is LineEnd.FAILED:
        return Judgment(LineVerdict.UNCHECKED, (Reason("failed", LineVerdict.UNCHECKED),))
    if report.end is LineEnd.NO_CALL:
        taken = report.cause not in _NOT_TAKEN
        verdict = LineVerdict.BAD if taken else LineVerdict.UNANSWERED
        return Judgment(verdict, (Reason("cause", verdict),))
    if report.cut and report.talked_s < limits.least_talk_s:
        return Judgment(LineVerdict.UNANSWERED, (Reason("cut", LineVerdict.UNANSWERED, {"s": report.talked_s}),))
    reasons = sorted(_reasons(report, limits), key=lambda reason: _GRAVITY[reason.verdict])
    timed = replace(report, jitter_s=None) if _is_busy(report, limits) else report
    rating = r_factor(timed) if report.received else None
    if rating is not None and not any(reason.verdict is LineVerdict.BAD for reason in reasons):
        rated = _beyond(-rating, (-limits.r[0], -limits.r[1]), strictly=True)
        if rated is not None and rated is not (reasons[0].verdict if reasons else None):
            reasons.insert(0, Reason("rating", rated, {"r": rating}))
    return Judgment(reasons[0].verdict if reasons else LineVerdict.GOOD, tuple(reasons), rating)


def _beyond(value: float, bounds: tuple[float, float], *, strictly: bool = False) -> LineVerdict | None:
    over = [value > bound if strictly else value >= bound for bound in bounds]
    return LineVerdict.BAD if over[1] else LineVerdict.FAIR if over[0] else None


def _is_busy(report: LineReport, limits: LineLimits) -> bool:
    """Whether our own machine was too busy for what comes back to say anything about timing."""
    return 100.0 * report.slipped >= limits.slipped_pct * max(1, report.sent + report.slipped)


def _reasons(report: LineReport, limits: LineLimits) -> list[Reason]:
    found: list[Reason] = []

    def note(name: str, verdict: LineVerdict | None, **values: float) -> None:
        if verdict is not None:
            found.append(Reason(name, verdict, values))

    if not report.received:
        arrives = report.far_lost_pct is not None and report.far_lost_pct < 100
        name = "held" if report.held else "one-way" if arrives else "nothing-comes"
        note(name, LineVerdict.BAD)
    if report.far_deaf:
        note("far-deaf", LineVerdict.BAD)
    lost = report.lost_pct
    if lost is not None:
        note("loss", _beyond(lost, limits.loss_pct), pct=lost)
    if report.far_lost_pct is not None:
        note("far-loss", _beyond(report.far_lost_pct, limits.loss_pct), pct=report.far_lost_pct)
    # what we ourselves were late with comes back late from whoever echoes it: its timing is not judged then
    if _is_busy(report, limits):
        note("own-load", LineVerdict.GOOD, n=report.slipped)  # says nothing against the line
    elif report.received:
        if report.jitter_s is not None:
            note("jitter", _beyond(report.jitter_s, limits.jitter_s), ms=1000 * report.jitter_s)
        note("pause", _beyond(report.pause_s, limits.pause_s), s=report.pause_s)
    if report.rtt_s is not None:
        note("delay", _beyond(report.rtt_s, limits.trip_s), ms=1000 * report.rtt_s)
    if report.received and report.heard_pct is not None and report.heard_pct < limits.heard_pct:
        note("silence", LineVerdict.FAIR)
    if report.cut:
        note("cut", LineVerdict.FAIR, s=report.talked_s)
    if report.post_dial_s is not None and report.post_dial_s >= limits.post_dial_s:
        note("slow-dial", LineVerdict.FAIR, s=report.post_dial_s)
    return found


_R_0 = 93.2
"""R of a connection with all defaults (G.107 table 3)."""
_B_PL = 25.1
"""How robust G.711 with packet loss concealment is (G.113 appendix I)."""
_PACKET_S = 0.020


def r_factor(report: LineReport) -> float:
    """The E-model's rating of the worse direction (G.107): loss and delay, all else at its defaults.

    The one-way delay is taken as half of the round trip, one packet, and twice the jitter for the
    buffer that evens it out; where no round trip is known it is left out, so that R is then an upper bound.
    """
    loss = max(report.lost_pct or 0.0, report.far_lost_pct or 0.0)
    delay_ms = 1000 * ((report.rtt_s or 0.0) / 2 + _PACKET_S + 2 * (report.jitter_s or 0.0))
    effective = 95.0 * loss / (loss + _B_PL)
    return max(0.0, min(100.0, _R_0 - _by_delay(delay_ms) - effective))


def _by_delay(delay_ms: float) -> float:
    """Idd of G.107 (7-27)."""
    if delay_ms <= 100:
        return 0.0
    x = log2(delay_ms / 100)
    return float(25 * ((1 + x**6) ** (1 / 6) - 3 * (1 + (x / 3) ** 6) ** (1 / 6) + 2))


def opinion(r: float) -> float:
    """R as a mean opinion score, 1 to 4.5 (G.107 annex B)."""
    if r <= 0:
        return 1.0
    return 4.5 if r >= 100 else 1 + 0.035 * r + r * (r - 60) * (100 - r) * 7e-6


_MAY_CALL = frozenset({ParticipantState.STOPPED, ParticipantState.ABSENT})


def is_disturbed(state: str, next_try_at: datetime | None, until_at: datetime) -> bool:
    """Whether a check that lasts until then would meddle with a run this site takes part in.

    Not where the run has given the site up, or tries again only later: that is when somebody wants to know.
    """
    if state == ParticipantState.RETRYING:
        return next_try_at is None or next_try_at <= until_at
    return state not in _MAY_CALL

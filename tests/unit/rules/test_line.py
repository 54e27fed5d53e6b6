"""Verdicts on lines, from what was measured."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters import ClearCause, LineEnd, LineReport
from orchestrator.rules.line import LineLimits, LineVerdict, is_disturbed, judge, opinion, r_factor

GOOD = LineReport(
    LineEnd.MEASURED, codec="PCMU", post_dial_s=0.1, answer_s=2.0, talked_s=8.0, sent=400, received=400,
    expected=400, jitter_s=0.002, jitter_max_s=0.004, pause_s=0.03, heard_pct=50.0, level_dbov=-16.0, rtt_s=0.02,
    far_lost_pct=0.0, far_jitter_s=0.002,
)  # fmt: skip


def lossy(lost: int) -> LineReport:
    return replace(GOOD, lost=lost, received=400 - lost)


def test_nothing_wrong_is_good() -> None:
    judgment = judge(GOOD)
    assert (judgment.verdict, judgment.reasons) == (LineVerdict.GOOD, ())
    assert judgment.r == pytest.approx(93.2)


@pytest.mark.parametrize(
    ("report", "verdict", "name"),
    [
        (lossy(3), LineVerdict.GOOD, ""),
        (lossy(4), LineVerdict.FAIR, "loss"),
        (lossy(11), LineVerdict.FAIR, "loss"),
        (lossy(12), LineVerdict.BAD, "loss"),
        (replace(GOOD, far_lost_pct=5.0), LineVerdict.BAD, "far-loss"),
        (replace(GOOD, jitter_s=0.029), LineVerdict.GOOD, ""),
        (replace(GOOD, jitter_s=0.030), LineVerdict.FAIR, "jitter"),
        (replace(GOOD, jitter_s=0.050), LineVerdict.BAD, "jitter"),
        (replace(GOOD, rtt_s=0.310), LineVerdict.FAIR, "delay"),
        (replace(GOOD, rtt_s=0.900), LineVerdict.BAD, "delay"),
        (replace(GOOD, pause_s=0.6), LineVerdict.FAIR, "pause"),
        (replace(GOOD, pause_s=3.0), LineVerdict.BAD, "pause"),
        (replace(GOOD, heard_pct=0.0), LineVerdict.FAIR, "silence"),
        (replace(GOOD, cut=True), LineVerdict.FAIR, "cut"),
        (replace(GOOD, cut=True, talked_s=0.4), LineVerdict.UNANSWERED, "cut"),
        (replace(GOOD, post_dial_s=7.0), LineVerdict.FAIR, "slow-dial"),
        (replace(GOOD, far_deaf=True), LineVerdict.BAD, "far-deaf"),
        (replace(GOOD, received=0, expected=0), LineVerdict.BAD, "one-way"),
        (replace(GOOD, received=0, expected=0, far_lost_pct=None), LineVerdict.BAD, "nothing-comes"),
        (replace(GOOD, received=0, expected=0, far_lost_pct=None, held=True), LineVerdict.BAD, "held"),
        (replace(GOOD, slipped=40, jitter_s=0.9, pause_s=0.9), LineVerdict.GOOD, "own-load"),
        (replace(lossy(40), slipped=40), LineVerdict.BAD, "loss"),
    ],
)
def test_each_figure_has_its_limits(report: LineReport, verdict: LineVerdict, name: str) -> None:
    judgment = judge(report)
    assert judgment.verdict is verdict
    assert (judgment.reasons[0].name if judgment.reasons else "") == name


@pytest.mark.parametrize("cause", list(ClearCause))
def test_a_call_that_was_not_taken_is_no_bad_line(cause: ClearCause) -> None:
    judgment = judge(LineReport(LineEnd.NO_CALL, cause))
    not_taken = cause in (ClearCause.NO_ANSWER, ClearCause.BUSY, ClearCause.DECLINED, ClearCause.FAR_END)
    assert judgment.verdict is (LineVerdict.UNANSWERED if not_taken else LineVerdict.BAD)


def test_our_own_failure_says_nothing_about_the_line() -> None:
    assert judge(LineReport(LineEnd.FAILED, raw="gone")).verdict is LineVerdict.UNCHECKED


def test_the_gravest_reason_is_first() -> None:
    judgment = judge(replace(lossy(5), jitter_s=0.2, heard_pct=0.0))
    assert [reason.name for reason in judgment.reasons] == ["jitter", "loss", "silence"]
    assert judgment.reasons[1].values == {"pct": 1.25}


def test_figures_that_are_each_fair_can_be_bad_together() -> None:
    report = replace(GOOD, lost=11, received=389, rtt_s=0.7)
    judgment = judge(report)
    assert (judgment.verdict, judgment.reasons[0].name) == (LineVerdict.BAD, "rating")
    assert judgment.r is not None and judgment.r < 70


def test_limits_are_data() -> None:
    strict = LineLimits(loss_pct=(0.1, 0.2))
    assert judge(lossy(1), strict).verdict is LineVerdict.BAD


@pytest.mark.parametrize(
    ("delay_ms", "r"),
    [(100, 93.2), (150, 93.04), (200, 90.16), (250, 84.28), (300, 78.44), (400, 69.13)],  # by hand from G.107 (7-27)
)
def test_the_rating_falls_with_delay_as_the_e_model_says(delay_ms: float, r: float) -> None:
    report = replace(GOOD, rtt_s=2 * (delay_ms / 1000 - 0.020), jitter_s=0.0)
    assert r_factor(report) == pytest.approx(r, abs=0.02)


def test_opinion_is_of_annex_b() -> None:
    assert opinion(93.2) == pytest.approx(4.41, abs=0.01)
    assert (opinion(-1), opinion(101)) == (1.0, 4.5)
    assert opinion(70) == pytest.approx(3.60, abs=0.01)


@given(
    st.builds(
        LineReport, st.sampled_from(LineEnd), st.none() | st.sampled_from(ClearCause), sent=st.integers(0, 3000),
        received=st.integers(0, 3000), expected=st.integers(0, 3000), lost=st.integers(0, 3000),
        slipped=st.integers(0, 3000), jitter_s=st.none() | st.floats(0, 10), rtt_s=st.none() | st.floats(0, 30),
        far_lost_pct=st.none() | st.floats(0, 100), heard_pct=st.none() | st.floats(0, 100), pause_s=st.floats(0, 60),
    )
)  # fmt: skip
def test_every_report_has_a_verdict_and_every_bad_word_a_reason(report: LineReport) -> None:
    judgment = judge(report)
    assert judgment.reasons or judgment.verdict is LineVerdict.GOOD
    assert judgment.r is None or 0 <= judgment.r <= 100


NOW = datetime(2026, 12, 1, 1, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("state", "next_try_s", "disturbed"),
    [
        ("waiting", None, True),
        ("dialing", None, True),
        ("in", None, True),
        ("half-in", None, True),
        ("retrying", 20, True),
        ("retrying", 300, False),
        ("retrying", None, True),
        ("stopped", None, False),
        ("absent", None, False),
    ],
)
def test_a_run_is_not_disturbed(state: str, next_try_s: float | None, disturbed: bool) -> None:
    next_try_at = None if next_try_s is None else NOW + timedelta(seconds=next_try_s)
    assert is_disturbed(state, next_try_at, NOW + timedelta(seconds=40)) is disturbed

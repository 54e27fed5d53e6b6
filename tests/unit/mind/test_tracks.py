"""A run's rows turned into tracks: what a restart knows is what the process before it knew."""

from datetime import UTC, datetime, timedelta

import pytest

from adapters import ClearCause, Cleared, LegState, Side
from orchestrator.rules import reconcile as rule
from orchestrator.rules.plan import Rung, Way
from orchestrator.rules.reconcile import Kind, Track, Why
from orchestrator.rules.redial import RedialRules
from orchestrator.store.runs import Leg, Participant
from orchestrator.tracks import jitter, tracks_of

NOW = datetime(2026, 12, 1, 1, 0, tzinfo=UTC)
RULES = RedialRules()
RUNGS = (Rung(Way.THIRD_PARTY, "sip:qt01@192.0.2.1"), Rung(Way.BRIDGE_DIALS, "sip:qt01@192.0.2.1"))


class Life:
    """A participant's calls, as one process sees them, and the rows it leaves."""

    def __init__(self) -> None:
        self.track = Track(7, Kind.SITE, "qt01", "Unit", 5, RUNGS)
        self.legs: list[Leg] = []
        self.forgotten = 0
        self.at = NOW

    def call(self, cause: ClearCause, *, held_s: float | None = None, why: Why | None = None) -> None:
        rung = self.track.pending.rung if self.track.pending else 0
        call = rule.dialed(self.track, f"dc7f3a-1-{len(self.legs) + 1}-1", rung, self.at)
        if held_s is not None:
            rule.progressed(self.track, LegState.CONNECTED, self.at)
            rule.admitted(self.track, self.at)
            self.at += timedelta(seconds=held_s)
        if why is not None:
            rule.coming_down(self.track, why, self.at)
        ended = rule.cleared(self.track, Cleared(cause, Side.FAR_END, "raw"), self.at, RULES, jitter(call.name))
        self.legs.append(
            Leg(
                id=len(self.legs) + 1, run_id=1, shard_id="run-1", participant_id=7, attempt=len(self.legs) + 1,
                rung=call.rung, way=call.way.value, address=call.address, name=call.name, state="cleared",
                cause=ended.cause.value, side=ended.side.value, raw=ended.raw,
                coming_down=why.value if why else "", planned_at=call.dialed_at, dialed_at=call.dialed_at,
                connected_at=call.connected_at, admitted_at=call.admitted_at, cleared_at=self.at, epoch=1,
            )
        )  # fmt: skip
        if why is Why.REDIAL:
            self.forgotten = len(self.legs)
        self.at += timedelta(seconds=1)

    def restarted(self) -> Track:
        row = Participant(
            id=7, run_id=1, kind="site", code="qt01", name="Unit", plan={"rungs": [rung.to_json() for rung in RUNGS]},
            state="retrying", attempts=self.track.tries, redials=self.track.redials, stopped_why=self.track.stopped,
            in_since=self.track.in_since, forgotten=self.forgotten,
        )  # fmt: skip
        [track] = tracks_of([row], self.legs, RULES)
        return track


@pytest.mark.parametrize(
    "calls",
    [
        [(ClearCause.BUSY, {})],
        [(ClearCause.NO_ANSWER, {}), (ClearCause.BUSY, {}), (ClearCause.UNREACHABLE, {})],
        [(ClearCause.LOCAL, {})],
        [(ClearCause.LOST, {"held_s": 10.0}), (ClearCause.LOST, {"held_s": 5.0})],
        [(ClearCause.LOST, {"held_s": 600.0}), (ClearCause.BUSY, {})],
        [(ClearCause.LOCAL, {"why": Why.NOT_LET_IN, "held_s": None})],
        [(ClearCause.LOCAL, {"why": Why.OVERDUE})],
        [(ClearCause.LOCAL, {"why": Why.BY_HAND})],
        [(ClearCause.BUSY, {}), (ClearCause.LOCAL, {"why": Why.REDIAL}), (ClearCause.BUSY, {})],
        [(ClearCause.FAR_END, {"held_s": 9.0}), (ClearCause.FAR_END, {"held_s": 9.0})],
        [(ClearCause.LOCAL, {"why": Why.OPERATOR, "held_s": 9.0})],
    ],
)
def test_a_restart_goes_on_with_the_same_tries_redials_and_next_try(
    calls: list[tuple[ClearCause, dict[str, object]]],
) -> None:
    life = Life()
    for cause, how in calls:
        life.call(cause, **how)  # type: ignore[arg-type]
    before, after = life.track, life.restarted()
    assert (after.tries, after.redials, after.been_in) == (before.tries, before.redials, before.been_in)
    assert (after.attempts, after.pending, after.stopped) == (before.attempts, before.pending, before.stopped)
    assert after.last == before.last

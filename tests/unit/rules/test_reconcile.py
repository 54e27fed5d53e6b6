"""Wanted against seen: what is decided for one participant, and what its events change."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from adapters import ClearCause, Cleared, LegState, Member, Side
from orchestrator.rules import reconcile as rule
from orchestrator.rules.plan import Rung, Way
from orchestrator.rules.reconcile import Dial, HangUp, Kind, Scene, Track, Why
from orchestrator.rules.redial import RedialRules
from orchestrator.rules.states import ParticipantState, advance_participant

NOW = datetime(2026, 12, 1, 1, 0, tzinfo=UTC)
RULES = RedialRules()
LIVE = Scene(dialing=True, closing=False, bridge_session=True, roster_known=True)
LEG = "dc7f3a-1-1-1"
OURS = Member("PJSIP/x-1", marks=(LEG,))


def later(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def a_track(*ways: Way, kind: Kind = Kind.SITE) -> Track:
    chosen = ways or (Way.THIRD_PARTY, Way.BRIDGE_DIALS)
    return Track(1, kind, "qt01", "Unit", 1, tuple(Rung(way, "sip:qt01@192.0.2.1") for way in chosen))


def connected(track: Track) -> Track:
    rule.dialed(track, LEG, 0, NOW)
    assert rule.progressed(track, LegState.CONNECTED, NOW)
    return track


def test_a_participant_is_dialed_by_its_first_way_once_dialing_is_open() -> None:
    track = a_track()
    assert rule.decide(track, replace(LIVE, dialing=False), NOW).intent is None
    assert rule.decide(track, LIVE, NOW).intent == Dial(0)


def test_a_call_under_way_is_not_dialed_again() -> None:
    track = a_track()
    rule.dialed(track, LEG, 0, NOW)
    assert rule.decide(track, LIVE, later(5)).intent is None
    rule.progressed(track, LegState.RINGING, NOW)
    assert rule.decide(track, LIVE, later(5)).state is ParticipantState.RINGING


def test_without_the_bridge_session_a_way_that_needs_none_is_taken() -> None:
    cut_off = replace(LIVE, bridge_session=False, roster_known=False)
    assert rule.decide(a_track(Way.BRIDGE_DIALS, Way.THIRD_PARTY), cut_off, NOW).intent == Dial(1)
    assert rule.decide(a_track(Way.BRIDGE_DIALS), cut_off, NOW).intent is None


def test_without_the_bridge_session_nobody_is_told_to_call() -> None:
    cut_off = replace(LIVE, bridge_session=False, roster_known=False)
    assert rule.decide(a_track(Way.REFER, Way.THIRD_PARTY), cut_off, NOW).intent == Dial(1)
    assert rule.decide(a_track(Way.REFER), cut_off, NOW).intent is None


def test_who_comes_in_after_being_told_is_ours_and_nobody_else() -> None:
    track = a_track(Way.REFER)
    came, other = Member("PJSIP/x-9", caller="qt01"), Member("PJSIP/x-10", caller="qt01")
    assert not rule.is_endpoints_call(track, came, NOW)  # nobody was told
    rule.dialed(track, LEG, 0, NOW)
    assert not rule.is_endpoints_call(track, came, later(-1))  # was there before
    assert not rule.is_endpoints_call(track, came, None)  # nobody says when
    assert rule.is_endpoints_call(track, came, later(1))
    assert track.call is not None
    track.call.member = came.id
    assert rule.is_endpoints_call(track, came, None)
    assert not rule.is_endpoints_call(track, other, later(2))
    third_party = a_track(Way.THIRD_PARTY)
    rule.dialed(third_party, LEG, 0, NOW)
    assert not rule.is_endpoints_call(third_party, came, later(1))


def test_a_call_that_an_endpoint_was_told_to_make_is_known_to_the_bridge_alone() -> None:
    track = connected(a_track(Way.REFER))
    rule.seen_in_roster(track, Member("PJSIP/x-9", caller="qt01"), NOW)
    assert (rule.endpoint_evidence(track), rule.bridge_evidence(track, LIVE)) == ("unknown", "in")


def test_a_site_is_in_only_when_both_sides_say_so() -> None:
    track = connected(a_track())
    assert rule.decide(track, LIVE, later(1)).state is ParticipantState.HALF_IN
    rule.seen_in_roster(track, OURS, later(1))
    assert rule.decide(track, LIVE, later(1)).state is ParticipantState.IN
    assert (rule.endpoint_evidence(track), rule.bridge_evidence(track, LIVE)) == ("connected", "in")


def test_a_bridge_that_cannot_tell_is_unknown_never_guessed() -> None:
    track = connected(a_track())
    blind = replace(LIVE, roster_known=False)
    assert rule.bridge_evidence(track, blind) == "unknown"
    assert rule.decide(track, blind, later(1)).state is ParticipantState.IN


def test_a_call_that_the_roster_never_shows_is_brought_down_and_another_way_tried() -> None:
    track = connected(a_track())
    assert rule.decide(track, LIVE, later(LIVE.settle_s - 1)).intent is None
    assert rule.decide(track, LIVE, later(LIVE.settle_s)).intent == HangUp(LEG, Why.NOT_LET_IN)
    rule.coming_down(track, Why.NOT_LET_IN, later(20))
    ended = rule.cleared(track, Cleared(ClearCause.LOCAL, Side.OURS), later(20), RULES, 0.0)
    assert ended.cause is ClearCause.NOT_ALLOWED
    assert track.pending is not None
    assert track.pending.rung == 1


def test_leaving_the_roster_starts_the_settling_anew() -> None:
    track = connected(a_track())
    rule.seen_in_roster(track, OURS, later(1))
    rule.admitted(track, later(1))
    rule.seen_in_roster(track, None, later(100))
    assert rule.decide(track, LIVE, later(101)) == rule.Decision(
        ParticipantState.HALF_IN, wake_at=later(100 + LIVE.settle_s)
    )


def test_a_silent_set_up_is_brought_down_when_overdue() -> None:
    track = a_track()
    rule.dialed(track, LEG, 0, NOW)
    overdue = LIVE.ring_s + rule.SETUP_S
    assert rule.decide(track, LIVE, NOW).wake_at == later(overdue)
    assert rule.decide(track, LIVE, later(overdue)).intent == HangUp(LEG, Why.OVERDUE)


def test_a_call_somebody_placed_by_hand_is_in_and_never_ours_to_dial_or_hang_up() -> None:
    track = a_track()
    track.by_hand = Member("PJSIP/x-9", caller="qt01")
    assert rule.decide(track, LIVE, NOW) == rule.Decision(ParticipantState.IN)
    closing = replace(LIVE, dialing=False, closing=True)
    track.state = ParticipantState.IN
    assert rule.decide(track, closing, NOW).intent is None


def test_dialed_is_not_let_in_a_link_counts_after_staying_up() -> None:
    track = connected(a_track(Way.BRIDGE_DIALS, kind=Kind.ROOM))
    rule.seen_in_roster(track, OURS, NOW)
    assert rule.decide(track, LIVE, later(59)).state is ParticipantState.HALF_IN
    assert rule.decide(track, LIVE, later(60)).state is ParticipantState.IN


def test_a_link_counts_at_once_when_the_far_room_shows_it_and_never_when_it_does_not() -> None:
    track = connected(a_track(Way.BRIDGE_DIALS, kind=Kind.ROOM))
    track.far_seen = False
    assert rule.decide(track, LIVE, later(30)).state is ParticipantState.HALF_IN
    assert rule.decide(track, LIVE, later(60)).intent == HangUp(LEG, Why.NOT_LET_IN)
    track.far_seen = True
    assert rule.decide(track, LIVE, later(30)).state is ParticipantState.IN


def test_a_link_taken_up_with_its_pin_half_entered_is_dialed_anew_unless_the_far_room_shows_it() -> None:
    track = connected(a_track(Way.BRIDGE_DIALS, kind=Kind.ROOM))
    assert track.call is not None
    track.call.digits_lost_at = later(3)
    track.far_seen = False
    assert rule.decide(track, LIVE, later(7)).intent is None
    assert rule.decide(track, LIVE, later(8)).intent == HangUp(LEG, Why.REDIAL)
    track.far_seen = True
    assert rule.decide(track, LIVE, later(8)).state is ParticipantState.IN


def test_closing_hangs_up_and_repeats_until_the_call_is_gone() -> None:
    track = connected(a_track())
    closing = replace(LIVE, dialing=False, closing=True)
    assert rule.decide(track, closing, NOW).intent == HangUp(LEG, Why.CLOSING)
    rule.coming_down(track, Why.CLOSING, NOW)
    assert rule.decide(track, closing, later(1)).intent is None
    assert rule.decide(track, closing, later(closing.sweep_s)).intent == HangUp(LEG, Why.CLOSING)
    rule.cleared(track, Cleared(ClearCause.LOCAL, Side.OURS), later(6), RULES, 0.0)
    assert track.call is None
    assert track.pending is None


def test_who_was_in_at_the_end_is_not_absent() -> None:
    closing = replace(LIVE, dialing=False, closing=True)
    track = a_track()
    track.state = ParticipantState.IN
    assert rule.decide(track, closing, NOW).state is ParticipantState.IN
    track.state = ParticipantState.RETRYING
    assert rule.decide(track, closing, NOW).state is ParticipantState.ABSENT


def test_an_operators_hang_up_stops_the_dialing_and_a_redial_resumes_it() -> None:
    track = connected(a_track())
    rule.coming_down(track, Why.OPERATOR, NOW)
    rule.cleared(track, Cleared(ClearCause.LOCAL, Side.OURS), NOW, RULES, 0.0)
    assert rule.decide(track, LIVE, later(1_000)).state is ParticipantState.STOPPED
    rule.fresh(track)
    assert rule.decide(track, LIVE, later(1_000)).intent == Dial(0)


def test_events_out_of_order_or_repeated_change_nothing() -> None:
    track = connected(a_track())
    assert not rule.progressed(track, LegState.RINGING, later(1))
    assert not rule.progressed(track, LegState.CONNECTED, later(1))
    rule.coming_down(track, Why.CLOSING, later(2))
    assert not rule.progressed(track, LegState.CONNECTED, later(3))


@pytest.mark.parametrize("was_in", [True, False])
def test_redials_count_only_tries_after_it_had_been_in(was_in: bool) -> None:
    track = a_track()
    rule.dialed(track, LEG, 0, NOW)
    if was_in:
        rule.progressed(track, LegState.CONNECTED, NOW)
        rule.admitted(track, NOW)
    rule.cleared(track, Cleared(ClearCause.LOST, Side.NETWORK), later(10), RULES, 0.0)
    rule.dialed(track, "dc7f3a-1-2-1", 0, later(13))
    assert (track.tries, track.redials) == (2, int(was_in))


def test_who_came_in_by_hand_and_leaves_is_dialed_like_anybody_who_waits() -> None:
    track = a_track()
    track.by_hand = Member("PJSIP/x-9", caller="qt01")
    track.state = advance_participant(track.state, rule.decide(track, LIVE, NOW).state)
    assert track.state is ParticipantState.IN
    track.by_hand = None
    decision = rule.decide(track, LIVE, NOW)
    assert decision.intent == Dial(0)
    assert advance_participant(track.state, decision.state) is ParticipantState.WAITING


def test_who_comes_in_by_hand_while_being_rung_is_rung_no_longer() -> None:
    track = a_track()
    rule.dialed(track, LEG, 0, NOW)
    rule.progressed(track, LegState.RINGING, NOW)
    track.by_hand = Member("PJSIP/x-9", caller="qt01")
    assert rule.decide(track, LIVE, NOW).intent == HangUp(LEG, Why.BY_HAND)
    rule.coming_down(track, Why.BY_HAND, NOW)
    rule.cleared(track, Cleared(ClearCause.LOCAL, Side.OURS), NOW, RULES, 0.0)
    assert (track.attempts, track.pending, track.stopped) == ([], None, "")
    assert rule.decide(track, LIVE, NOW).state is ParticipantState.IN
    track.by_hand = None
    assert rule.decide(track, LIVE, NOW).intent == Dial(0)


def test_a_call_that_is_up_is_not_hung_up_for_one_placed_by_hand_beside_it() -> None:
    track = connected(a_track())
    rule.seen_in_roster(track, OURS, NOW)
    track.by_hand = Member("PJSIP/x-9", caller="qt01")
    assert rule.decide(track, LIVE, NOW) == rule.Decision(ParticipantState.IN)


@pytest.mark.parametrize(
    "state", [ParticipantState.DIALING, ParticipantState.RINGING, ParticipantState.HALF_IN, ParticipantState.IN]
)
def test_who_has_no_call_any_more_is_not_shown_with_one_when_dialing_is_over(state: ParticipantState) -> None:
    grace = replace(LIVE, dialing=False)
    track = a_track()
    track.tries, track.state = 1, state
    assert rule.decide(track, grace, NOW).state is ParticipantState.RETRYING
    advance_participant(state, ParticipantState.RETRYING)


def test_who_came_in_by_hand_stays_in_after_a_restart_until_the_roster_was_read() -> None:
    track = a_track()
    track.state = ParticipantState.IN
    unread = replace(LIVE, dialing=False, roster_known=False)
    assert rule.decide(track, unread, NOW).state is ParticipantState.IN


def test_an_order_to_dial_does_not_make_a_way_where_there_is_none() -> None:
    track = Track(1, Kind.SITE, "qt01", "Unit", 1, (), stopped="there is no way to reach it")
    rule.fresh(track)
    assert rule.decide(track, LIVE, NOW).state is ParticipantState.STOPPED


def test_what_an_endpoint_calls_by_its_control_session_is_known_by_its_own_name_in_the_roster() -> None:
    track = a_track(Way.ENDPOINT_DIALS)
    came = Member("PJSIP/x-9", caller="qt01")
    rule.dialed(track, LEG, 0, NOW)
    assert rule.is_endpoints_call(track, came, later(1))
    assert not rule.is_endpoints_call(track, came, later(-1))  # was there before
    assert not rule.is_endpoints_call(track, came, None)  # nobody says when, and the endpoint not that it is up
    rule.progressed(track, LegState.CONNECTED, later(2))
    assert rule.is_endpoints_call(track, came, None)
    assert rule.endpoint_evidence(track) == "connected"

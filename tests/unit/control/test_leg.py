"""Which of a device's calls are ours: bound by name or number, forward only, cleared once, others left alone."""

import pytest

from adapters.causes import ClearCause, Cleared, Side
from adapters.control.leg import MOST_CALLS, Leg, Legs, Step, is_party, party
from adapters.control.order import CallSeen
from adapters.values import Address, LegState

TO = Address.parse("sip:conf@mcu.example:5060")
BUSY = Cleared(ClearCause.BUSY, Side.FAR_END, "cause 17")
D, R, C, E, X = LegState.DIALING, LegState.RINGING, LegState.CONNECTED, LegState.CLEARING, LegState.CLEARED


def ordered(legs: Legs, name: str = "leg", at: float = 0.0, to: Address = TO) -> Leg:
    leg = legs.order(name, to, at)
    leg.is_sent = True
    return leg


def steps(happened: list[tuple[Leg, Step]]) -> list[Step]:
    return [step for _, step in happened]


@pytest.mark.parametrize(
    ("far", "is_it"),
    [
        ("conf@mcu.example", True),
        ("sip:Conf@MCU.example:5060", True),
        ('"sip:conf@mcu.example;gruu;opaque=x"', True),
        ("conf", True),
        ("mcu.example", True),
        ("conf2@mcu.example", False),
        ("", False),
        ("10.0.0.1", False),
    ],
)
def test_a_number_is_known_however_the_device_writes_it(far: str, is_it: bool) -> None:
    assert is_party(far, TO) is is_it


def test_an_alias_behind_a_gateway_is_known_too() -> None:
    assert is_party("10.0.0.5##9001", Address.parse("h323:9001@10.0.0.5"))
    assert party("sip:[2001:db8::1]") == "[2001:db8::1]"


def test_a_call_is_bound_by_its_number_and_moves_forward_only() -> None:
    legs = Legs()
    leg = ordered(legs)
    assert steps(legs.heard(CallSeen("3", D, "conf@mcu.example", True))) == [Step.NAMED]
    assert steps(legs.heard(CallSeen("3", R))) == [Step.RANG]
    assert steps(legs.heard(CallSeen("3", C))) == [Step.CONNECTED]
    assert legs.heard(CallSeen("3", R)) == [] and leg.state is C
    assert steps(legs.heard(CallSeen("3", X, cleared=BUSY))) == [Step.CLEARED]
    assert legs.heard(CallSeen("3", X, cleared=BUSY)) == [] and leg.cleared == BUSY and len(legs) == 0


def test_a_call_that_names_nobody_yet_is_waited_for() -> None:
    legs = Legs()
    leg = ordered(legs)
    assert legs.heard(CallSeen("3", D, "", True)) == [] and leg.call is None
    assert steps(legs.heard(CallSeen("3", R, "conf@mcu.example"))) == [Step.NAMED, Step.RANG]
    assert legs.foreign == ()


def test_one_that_ends_without_ever_naming_anybody_ends_our_order() -> None:
    legs = Legs()
    ordered(legs)
    legs.heard(CallSeen("3", D, "", True))
    assert steps(legs.heard(CallSeen("3", X, cleared=BUSY))) == [Step.NAMED, Step.CLEARED]


def test_a_call_made_by_hand_is_nobodys_leg() -> None:
    legs = Legs()
    legs.heard(CallSeen("1", C, "conf@mcu.example", True))  # there before our order, to the same room
    leg = ordered(legs)
    assert legs.heard(CallSeen("1", C, "conf@mcu.example", True)) == []
    assert legs.heard(CallSeen("2", R, "conf@mcu.example", False)) == [], "it comes in"
    assert legs.heard(CallSeen("4", D, "other@mcu.example", True)) == [], "to somebody else"
    assert leg.call is None and {call.id for call in legs.foreign} == {"1", "2", "4"}
    legs.heard(CallSeen("4", X))
    assert {call.id for call in legs.foreign} == {"1", "2"}


def test_a_name_that_comes_with_the_reply_takes_up_what_was_told_before_it() -> None:
    legs = Legs()
    leg = legs.order("leg", TO, 0.0)  # the notification is faster than our note that it was sent
    legs.heard(CallSeen("7", C, "elsewhere", True))
    assert steps(legs.name(leg, "7")) == [Step.NAMED, Step.CONNECTED]
    assert legs.foreign == () and legs.name(leg, "8") == []


def test_what_a_whole_list_does_not_show_is_over() -> None:
    legs = Legs()
    leg = ordered(legs, at=1.0)
    legs.heard(CallSeen("3", C, "conf@mcu.example", True))
    assert legs.listed([], asked_at=0.5, now=2.0, unseen_s=20) == [], "the list was asked for before the call"
    assert steps(legs.listed([], asked_at=1.5, now=2.0, unseen_s=20)) == [Step.CLEARED]
    assert leg.cleared == Cleared(ClearCause.UNKNOWN, Side.UNKNOWN)


def test_an_order_that_no_list_ever_shows_did_not_come_about() -> None:
    legs = Legs()
    ordered(legs, at=1.0)
    assert legs.listed([], asked_at=2.0, now=2.0, unseen_s=20) == []
    assert steps(legs.listed([], asked_at=21.0, now=21.0, unseen_s=20)) == [Step.CLEARED]


def test_our_own_wish_is_the_cause_whatever_the_device_says() -> None:
    legs = Legs()
    leg = ordered(legs)
    legs.heard(CallSeen("3", C, "conf@mcu.example", True))
    leg.ending = Cleared(ClearCause.LOCAL, Side.OURS)
    legs.heard(CallSeen("3", E, cleared=BUSY))
    assert legs.is_ending
    legs.heard(CallSeen("3", X, cleared=BUSY))
    assert leg.cleared == Cleared(ClearCause.LOCAL, Side.OURS)


def test_a_device_that_names_no_calls_means_the_one_it_has() -> None:
    legs = Legs(tells_ids=False)
    leg = ordered(legs)
    assert steps(legs.heard(CallSeen("", R))) == [Step.NAMED, Step.RANG] and leg.call == ""
    assert steps(legs.listed([], asked_at=1.0, now=1.0, unseen_s=20)) == [Step.CLEARED]


def test_a_device_gone_mad_fills_no_memory() -> None:
    legs = Legs()
    for number in range(10 * MOST_CALLS):
        legs.heard(CallSeen(str(number), C, "x", True))
    assert len(legs.foreign) == MOST_CALLS
    legs.listed((CallSeen(str(n), C) for n in range(10 * MOST_CALLS)), 1.0, 1.0, 20)
    assert len(legs.foreign) <= MOST_CALLS

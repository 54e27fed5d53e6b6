"""Who is who in a roster: ours by the whole tag, strangers by their exact caller."""

import pytest

from adapters import Member
from orchestrator.roster import Callers, leg_of, shows
from orchestrator.rules.plan import Rung, Way
from orchestrator.rules.reconcile import Kind, Track

TAG = "dc7f3a-1"


def a_site(code: str, *addresses: str) -> Track:
    return Track(1, Kind.SITE, code, code, 5, tuple(Rung(Way.THIRD_PARTY, address) for address in addresses))


@pytest.mark.parametrize(
    "member",
    [
        Member("PJSIP/x-1", marks=("dc7f3a-1-4-1",)),
        Member("PJSIP/x-1", caller="dc7f3a-1-4-1"),
        Member("PJSIP/x-1", display="Giao ban [dc7f3a-1]"),
    ],
)
def test_a_far_room_shows_a_run_by_its_whole_tag(member: Member) -> None:
    assert shows([member], TAG)


@pytest.mark.parametrize(
    "member",
    [
        Member("PJSIP/x-1", marks=("dc7f3a-12-4-1",)),
        Member("PJSIP/x-1", caller="dc7f3a-12-4-1"),
        Member("PJSIP/x-1", display="Giao ban [dc7f3a-12]"),
        Member("PJSIP/x-1", display="[adc7f3a-1]"),
    ],
)
def test_the_call_of_another_run_in_a_shared_far_room_is_not_ours(member: Member) -> None:
    assert not shows([member], TAG)
    assert leg_of(member, TAG) is None


def test_a_stranger_is_a_participant_only_by_its_exact_caller_and_nobody_when_two_have_it() -> None:
    one, two = a_site("qt01", "sip:unit@192.0.2.1"), a_site("qt02", "sip:unit@192.0.2.2")
    callers = Callers([one, two])
    assert callers.track_of(Member("x", caller="unit@192.0.2.1")) is one
    assert callers.track_of(Member("x", caller="unit")) is None
    assert callers.track_of(Member("x", caller="unit@192.0.2.11")) is None
    assert callers.track_of(Member("x", caller="")) is None


def test_an_address_that_cannot_be_read_keeps_nobody_else_from_being_known() -> None:
    odd, good = a_site("qt01", "what is this"), a_site("qt02", "sip:qt02@192.0.2.2")
    assert Callers([odd, good]).track_of(Member("x", caller="qt02")) is good

"""Clashes: what overlaps is found, what only touches is not."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schedules.clashes import Booking, Clash, Wanted, clashes

EIGHT = datetime(2026, 12, 1, 1, 0, tzinfo=UTC)


def at(hours):
    return EIGHT + timedelta(hours=hours)


def booking(key, begins, ends, sites=(), endpoints=(), **ports):
    return Booking(key, at(begins), at(ends), frozenset(sites), frozenset(endpoints), ports)


def test_two_meetings_that_want_one_site_at_one_time_clash_for_as_long_as_both_last():
    one = booking("a", 0, 2, ["qt01", "qt02", "qt03"])
    two = booking("b", 1, 3, ["qt03", "qt02", "qt09"])
    assert clashes([two], [one], ports={}) == [Clash(Wanted.SITE, ("qt02", "qt03"), ("a", "b"), at(1), at(2))]


def test_windows_that_touch_do_not_clash():
    one = booking("a", 0, 1, ["qt01"], ["codec"], main=40)
    two = booking("b", 1, 2, ["qt01"], ["codec"], main=40)
    assert clashes([one, two], ports={"main": 41}) == []


def test_the_same_hour_with_other_sites_is_no_clash():
    assert clashes([booking("a", 0, 1, ["qt01"])], [booking("b", 0, 1, ["qt02"])], ports={}) == []


def test_one_endpoint_that_serves_two_sites_clashes_by_itself():
    found = clashes([booking("a", 0, 1, ["qt01"], ["codec"]), booking("b", 0, 1, ["qt02"], ["codec"])], ports={})
    assert [(each.over, each.names) for each in found] == [(Wanted.ENDPOINT, ("codec",))]


def test_a_meeting_that_is_changed_does_not_clash_with_what_it_was():
    assert clashes([booking("a", 0, 2, ["qt01"])], [booking("a", 0, 1, ["qt01"])], ports={}) == []


def test_clashes_among_others_are_not_the_candidates_fault():
    others = [booking("b", 0, 1, ["qt01"], main=50), booking("c", 0, 1, ["qt01"], main=60)]
    assert clashes([booking("a", 2, 3, ["qt01"], main=5)], others, ports={"main": 100}) == []


def test_ports_clash_only_while_more_are_wanted_than_there_are():
    three = [booking("a", 0, 3, main=40), booking("b", 1, 4, main=40), booking("c", 2, 5, main=41)]
    assert clashes(three, ports={"main": 121}) == []
    assert clashes(three, ports={"main": 100}) == [
        Clash(Wanted.PORTS, ("main",), ("a", "b", "c"), at(2), at(3), needed=121, there=100)
    ]
    assert clashes(three, ports={"main": 80}) == [
        Clash(Wanted.PORTS, ("main",), ("a", "b", "c"), at(2), at(4), needed=121, there=80)
    ]


def test_a_handover_at_full_load_is_no_clash():
    one, two = booking("a", 0, 1, main=100), booking("b", 1, 2, main=100)
    assert clashes([two], [one], ports={"main": 100}) == []


def test_ports_of_a_bridge_that_does_not_say_never_clash():
    both = [booking("a", 0, 1, main=10_000), booking("b", 0, 1, main=10_000)]
    assert clashes(both, ports={"main": None}) == []
    assert clashes(both, ports={}) == []


def test_one_booking_can_be_too_big_for_a_bridge():
    assert clashes([booking("a", 0, 1, main=41)], ports={"main": 40})[0].needed == 41


@pytest.mark.parametrize("ends", [EIGHT, EIGHT - timedelta(hours=1), datetime(2026, 12, 2)])
def test_a_window_that_is_none_is_refused(ends):
    with pytest.raises(ValueError, match="booking a"):
        Booking("a", EIGHT, ends)


spans = st.lists(
    st.tuples(st.integers(0, 20), st.integers(1, 8), st.sets(st.integers(0, 3)), st.integers(1, 9)), max_size=8
)


@settings(max_examples=200, deadline=None)
@given(spans, st.integers(0, 8), st.integers(1, 20))
def test_agrees_with_looking_at_every_hour(drawn, new, there):
    every = [
        booking(f"m{i}", b, b + d, [f"s{n}" for n in names], main=wanted)
        for i, (b, d, names, wanted) in enumerate(drawn)
    ]
    mine, others = every[:new], every[new:]
    found = clashes(mine, others, ports={"main": there})

    pairs, crowded = set(), {}
    keys = {each.key for each in mine}
    for hour in range(30):
        inside = [each for each in every if each.starts_at <= at(hour) < each.ends_at]
        for one in inside:
            for two in inside:
                if one.key < two.key and {one.key, two.key} & keys and one.sites & two.sites:
                    pairs.add((one.key, two.key, tuple(sorted(one.sites & two.sites))))
        if sum(each.ports["main"] for each in inside) > there:
            crowded[hour] = {each.key for each in inside}

    assert {(*sorted(each.bookings), each.names) for each in found if each.over is Wanted.SITE} == pairs
    said = {
        hour
        for each in found
        if each.over is Wanted.PORTS
        for hour in range(30)
        if each.starts_at <= at(hour) < each.ends_at
    }
    assert said <= set(crowded)
    assert {hour for hour, inside in crowded.items() if inside & keys} <= said

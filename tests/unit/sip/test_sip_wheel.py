"""The timer wheel: never early, at most a grain late, nothing left of what was disarmed."""

from hypothesis import given
from hypothesis import strategies as st

from adapters.sip.wheel import Alarm, Wheel


def alarm(wheel: Wheel, rung: list[float], name: float) -> Alarm:
    return Alarm(wheel, lambda: rung.append(name))


@given(st.lists(st.floats(0, 100), max_size=30), st.lists(st.floats(0, 110), max_size=20))
def test_everything_expires_once_and_in_time(dues: list[float], looks: list[float]) -> None:
    wheel = Wheel(0.02)
    rung: list[float] = []
    list(wheel.advance(0.0))
    for due in dues:
        wheel.arm(alarm(wheel, rung, due), due)
    for now in [*sorted(looks), 200.0]:
        before = len(rung)
        for timed in wheel.advance(now):
            timed.expire(now)
        assert all(due <= now for due in rung[before:])
        assert all(due > now - 0.0201 for due in dues if due not in rung)
    assert sorted(rung) == sorted(dues)
    assert not wheel


@given(st.lists(st.tuples(st.floats(0, 100), st.floats(0, 3)), max_size=30))
def test_what_may_be_late_is_late_by_no_more_than_that(dues: list[tuple[float, float]]) -> None:
    wheel = Wheel(0.02)
    rung: list[float] = []
    for number, (due, slack_s) in enumerate(dues):
        wheel.arm(alarm(wheel, rung, number), due, slack_s)
    while wheel:
        now = wheel.at(wheel.soonest) + 1e-9
        assert [timed for timed in wheel.advance(now - 0.0201)] == []
        before = len(rung)
        for timed in wheel.advance(now):
            timed.expire(now)
        assert all(dues[int(number)][0] <= now <= sum(dues[int(number)]) + 0.0201 for number in rung[before:])
        assert len(rung) > before
    assert sorted(rung) == list(range(len(dues)))


def test_what_was_disarmed_or_armed_anew_keeps_no_old_place() -> None:
    wheel, rung = Wheel(), []
    one, two = alarm(wheel, rung, 1.0), alarm(wheel, rung, 2.0)
    wheel.arm(one, 1.0)
    wheel.arm(one, 3.0)
    wheel.arm(two, 2.0)
    two.cancel()
    two.cancel()
    assert list(wheel.advance(2.9)) == []
    assert list(wheel.advance(3.1)) == [one]
    assert not wheel
    assert not one.armed


def test_an_alarm_can_silence_another_of_the_same_moment() -> None:
    wheel, rung = Wheel(), []
    second = alarm(wheel, rung, 2.0)
    first = Alarm(wheel, second.cancel)
    wheel.arm(first, 1.0)
    wheel.arm(second, 1.0)
    for timed in wheel.advance(5.0):
        timed.expire(5.0)
    assert rung == []
    assert not wheel


def test_an_alarm_can_set_itself_again() -> None:
    wheel, rung = Wheel(), []

    def again() -> None:
        rung.append(len(rung))
        wheel.arm(repeating, 10.0)

    repeating = Alarm(wheel, again)
    wheel.arm(repeating, 1.0)
    for timed in wheel.advance(5.0):
        timed.expire(5.0)
    assert rung == [0]
    assert repeating.armed

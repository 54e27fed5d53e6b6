"""The table of third-party call control: what must hold however things come (RFC 3725)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.sip.third_party import ENDS, HALF, TABLE, WHOLE, Came, Do, Step, step

_CAME = st.lists(st.sampled_from(list(Came)), max_size=30)


def walk(start: Step, *came: Came) -> tuple[Step, list[Do]]:
    at, done = start, []
    for event in came:
        at, actions = step(at, event)
        done += actions
    return at, done


@pytest.mark.rfc("3725", "4.1")
def test_flow_one() -> None:
    assert walk(Step.CALLING, Came.NEAR_ANSWERED, Came.FAR_ANSWERED, Came.STORED) == (
        Step.UP,
        [Do.OFFER_TO_FAR, Do.STORE, Do.ACK_FAR, Do.ANSWER_NEAR, Do.TELL_UP],
    )


@pytest.mark.rfc("3725", "4.3")
def test_flow_three() -> None:
    came = (Came.NEAR_ANSWERED, Came.STORED, Came.FAR_ANSWERED, Came.NEAR_AGREED_OTHERWISE, Came.STORED)
    assert walk(Step.CALLING_HELD, *came) == (
        Step.UP,
        [Do.STORE, Do.HOLD_NEAR, Do.ASK_FAR, Do.REOFFER_TO_NEAR, Do.STORE, Do.ANSWER_FAR, Do.ACK_NEAR, Do.TELL_UP],
    )


@pytest.mark.rfc("3725", "6")
def test_a_far_side_that_rings_long() -> None:
    came = (Came.NEAR_ANSWERED, Came.PATIENCE_OVER, Came.STORED, Came.FAR_ANSWERED, Came.STORED)
    parked = [Do.OFFER_TO_FAR, Do.STORE, Do.HOLD_NEAR, Do.STORE, Do.ACK_FAR, Do.REOFFER_TO_NEAR]
    assert walk(Step.CALLING, *came, Came.NEAR_AGREED, Came.STORED) == (
        Step.UP,
        [*parked, Do.STORE, Do.ACK_NEAR, Do.TELL_UP],
    )
    assert walk(Step.CALLING, *came, Came.NEAR_AGREED_OTHERWISE, Came.FAR_AGREED, Came.STORED) == (
        Step.UP,
        [*parked, Do.ACK_NEAR, Do.REOFFER_TO_FAR, Do.STORE, Do.ACK_FAR, Do.TELL_UP],
    )


@pytest.mark.rfc("3725", "4.4")
def test_flow_four_is_where_a_near_side_leads_that_wants_an_offer() -> None:
    for start in (Step.CALLING, Step.CALLING_HELD):
        came = (Came.NEAR_WANTS_OFFER, Came.NEAR_ANSWERED, Came.STORED, Came.FAR_ANSWERED)
        assert walk(start, *came, Came.NEAR_AGREED_OTHERWISE, Came.STORED) == (
            Step.UP,
            [
                Do.OFFER_HOLE_TO_NEAR,
                Do.STORE,
                Do.HOLD_NEAR,
                Do.ASK_FAR,
                Do.REOFFER_TO_NEAR,
                Do.STORE,
                Do.ANSWER_FAR,
                Do.ACK_NEAR,
                Do.TELL_UP,
            ],
        )


def test_a_far_side_that_wants_an_offer_finds_the_near_side_as_if_parked() -> None:
    held = (Came.NEAR_ANSWERED, Came.STORED, Came.FAR_WANTS_OFFER)
    assert walk(Step.CALLING_HELD, *held)[0] is Step.PARKED
    at, done = walk(Step.CALLING_HELD, *held, Came.FAR_ANSWERED, Came.STORED, Came.NEAR_AGREED, Came.STORED)
    assert at is Step.UP
    assert done[3:5] == [Do.OFFER_HELD_TO_FAR, Do.STORE]


@pytest.mark.parametrize("at", list(Step))
@pytest.mark.parametrize("came", [Came.NEAR_WANTS_OFFER, Came.FAR_WANTS_OFFER])
def test_a_second_refusal_of_that_kind_is_the_end(at: Step, came: Came) -> None:
    if (at, came) in TABLE:
        after = TABLE[at, came][0]
        assert (after, came) not in TABLE, "no way round leads back to itself"
    elif at is not Step.DOWN:
        assert step(at, came) == (Step.DOWN, (Do.LEAVE,))


def test_what_rings_is_stored_where_the_near_half_is_stored() -> None:
    stored = {at for at, came in TABLE if came is Came.FAR_RINGS}
    assert stored == {Step.PARKED, Step.ASKING}
    assert stored == {TABLE[at, Came.STORED][0] for at in HALF}
    for at in set(Step) - stored:
        assert step(at, Came.FAR_RINGS) == (at, ())


@pytest.mark.rfc("3261", "14.1")
def test_glare_waits_and_asks_again_wherever_something_was_asked() -> None:
    asks = {Do.REOFFER_TO_NEAR, Do.REOFFER_TO_FAR, Do.REOFFER_PLAIN_TO_NEAR}
    for after, actions in TABLE.values():
        if asks & set(actions):
            assert TABLE[after, Came.GLARE] == (after, (Do.WAIT,))
            again, repeated = TABLE[after, Came.WAITED]
            assert again is after
            assert asks & set(repeated)


def test_the_far_side_answers_while_the_near_half_is_being_stored() -> None:
    came = (Came.NEAR_ANSWERED, Came.PATIENCE_OVER, Came.FAR_ANSWERED, Came.STORED)
    assert walk(Step.CALLING, *came)[0] is Step.UP


def test_every_state_is_reached_and_every_state_can_be_left_for_down() -> None:
    reached = {Step.CALLING, Step.CALLING_HELD}
    while True:
        more = {step(at, came)[0] for at in reached for came in Came} - reached
        if not more:
            break
        reached |= more
    assert reached == set(Step)
    for at in set(Step) - {Step.DOWN}:
        assert step(at, Came.OVER) == (Step.DOWN, (Do.LEAVE,))


def test_nothing_is_acknowledged_that_a_later_process_would_not_know_of() -> None:
    acks = {Do.ACK_FAR, Do.ANSWER_NEAR, Do.ANSWER_FAR, Do.HOLD_NEAR}
    for (at, came), (_, actions) in TABLE.items():
        if acks & set(actions):
            assert came is Came.STORED, at
    for at in HALF | WHOLE:
        assert (at, Came.STORED) in TABLE
    for at in WHOLE:
        after, actions = TABLE[at, Came.STORED]
        assert after is Step.UP
        assert actions[-1] is Do.TELL_UP


@given(st.sampled_from([Step.CALLING, Step.CALLING_HELD]), _CAME)
def test_whatever_comes_it_is_told_up_once_and_ended_once(start: Step, came: list[Came]) -> None:
    at, ups, leaves = start, 0, 0
    for event in came:
        before = at
        at, actions = step(at, event)
        ups += actions.count(Do.TELL_UP)
        leaves += actions.count(Do.LEAVE)
        assert (Do.LEAVE in actions) == (at is Step.DOWN and before is not Step.DOWN)
        if before is Step.DOWN:
            assert at is Step.DOWN
            assert set(actions) <= {Do.NOT_NOW}
    assert ups <= 1
    assert leaves == (at is Step.DOWN)


@given(st.sampled_from([Step.CALLING, Step.CALLING_HELD]), _CAME)
def test_every_wish_gets_its_answer(start: Step, came: list[Came]) -> None:
    at, waiting = start, False
    for event in came:
        if event in (Came.NEAR_WISHES, Came.FAR_WISHES) and waiting:
            continue  # the pair refuses a second one itself
        before = at
        at, actions = step(at, event)
        if event in (Came.NEAR_WISHES, Came.FAR_WISHES):
            waiting = True
        if {Do.GRANT, Do.DENY, Do.NOT_NOW, Do.LEAVE} & set(actions):
            waiting = False
        assert waiting == (at in (Step.NEAR_CHANGES, Step.FAR_CHANGES)), (before, event)


def test_a_refused_wish_does_not_end_the_pair() -> None:
    assert Came.FAR_DISAGREED in ENDS
    assert walk(Step.UP, Came.NEAR_WISHES, Came.FAR_DISAGREED) == (Step.UP, [Do.WISH_TO_FAR, Do.DENY])
    assert walk(Step.UP, Came.FAR_WISHES, Came.NEAR_WISHES) == (Step.FAR_CHANGES, [Do.WISH_TO_NEAR, Do.NOT_NOW])

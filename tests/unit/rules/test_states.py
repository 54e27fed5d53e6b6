"""The tables of states: closed, connected, and the only way a state changes."""

from enum import StrEnum

import pytest

from orchestrator.rules.states import (
    RUN_OVER,
    TABLES,
    ForbiddenChange,
    ParticipantState,
    RunState,
    advance_participant,
    advance_run,
)


@pytest.mark.parametrize("name", TABLES)
def test_a_table_names_every_state_and_only_states(name: str) -> None:
    table = TABLES[name]
    kind = type(next(iter(table)))
    assert issubclass(kind, StrEnum)
    assert set(table) == set(kind)
    assert all(onward <= set(kind) for onward in table.values())


@pytest.mark.parametrize("name", TABLES)
def test_every_state_can_be_reached_from_the_first(name: str) -> None:
    table = TABLES[name]
    reached, frontier = set(), [next(iter(table))]
    while frontier:
        state = frontier.pop()
        if state not in reached:
            reached.add(state)
            frontier += table[state]
    assert reached == set(table)


def test_a_run_that_is_over_stays_over() -> None:
    for state in RUN_OVER:
        for other in set(RunState) - {state}:
            with pytest.raises(ForbiddenChange, match=state):
                advance_run(state, other)


def test_staying_is_always_allowed() -> None:
    assert all(advance_run(state, state) is state for state in RunState)


def test_an_absent_participant_is_final() -> None:
    with pytest.raises(ForbiddenChange, match="absent cannot become in"):
        advance_participant(ParticipantState.ABSENT, ParticipantState.IN)

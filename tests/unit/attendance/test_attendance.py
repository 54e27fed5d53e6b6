"""Attendance is told from the journal: stays, gaps, ways, reasons."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.rules.attendance import Gap, Reason, attendance

T0 = datetime(2026, 12, 1, 1, 0, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)


@dataclass
class Who:
    code: str
    kind: str = "site"
    name: str = ""


@dataclass
class Entry:
    at: datetime
    event: str
    participant: str = "qt01"
    facts: dict[str, object] = field(default_factory=dict)


def entry(seconds: float, event: str, participant: str = "qt01", **facts: object) -> Entry:
    return Entry(at(seconds), event, participant, facts)


def record(journal: list[Entry], until: float = 100, *, over: bool = True):  # type: ignore[no-untyped-def]
    (one,) = attendance([Who("qt01")], journal, at(until), over=over)
    return one


def test_a_stay_to_the_end_has_no_gap_and_no_reason() -> None:
    one = record(
        [
            entry(1, "leg-dialed", way="third-party"),
            entry(3, "site-in", way="third-party"),
            entry(90, "run-state", participant="", state="closing"),
            entry(91, "site-out", cause="local", side="ours"),
        ]
    )
    assert (one.first_in_at, one.last_out_at, one.total) == (at(3), at(91), timedelta(seconds=88))
    assert (one.gaps, one.ways, one.attempts, one.absence) == ([], ["third-party"], 1, None)


def test_a_drop_and_return_by_another_way_is_a_gap_with_its_reason() -> None:
    one = record(
        [
            entry(0, "leg-dialed"),
            entry(2, "site-in", way="third-party"),
            entry(20, "site-out", cause="lost", side="network", raw="481"),
            entry(23, "leg-dialed"),
            entry(30, "site-in", way="bridge-dials"),
        ]
    )
    assert one.gaps == [Gap(at(20), at(30), Reason("lost", "network", "481"))]
    assert one.total == timedelta(seconds=18 + 70)
    assert (one.ways, one.attempts) == (["third-party", "bridge-dials"], 2)
    assert one.last_out_at == at(100), "no site-out was written: in until the run's end"


def test_who_never_came_is_absent_for_the_last_reason() -> None:
    one = record(
        [
            entry(0, "leg-dialed"),
            entry(1, "leg-cleared", cause="busy", side="far_end", raw="SIP 486 Busy Here"),
            entry(30, "leg-dialed"),
            entry(75, "leg-cleared", cause="no_answer", side="far_end", raw="SIP 480"),
            entry(90, "site-absent"),
        ]
    )
    assert not one.was_there
    assert (one.attempts, one.absence) == (2, Reason("no_answer", "far_end", "SIP 480"))
    assert (one.first_in_at, one.last_out_at, one.total) == (None, None, timedelta(0))


def test_our_own_hanging_up_at_the_end_is_no_reason_where_there_is_a_better_one() -> None:
    tried = [
        entry(0, "leg-dialed"),
        entry(5, "leg-cleared", cause="busy", side="far_end", raw="486"),
        entry(30, "leg-dialed"),
        entry(40, "run-state", participant="", state="closing"),
        entry(41, "leg-cleared", cause="local", side="ours"),
        entry(41, "site-absent", cause="local"),
    ]
    assert record(tried).absence == Reason("busy", "far_end", "486")
    assert record(tried[2:]).absence == Reason("local", "ours"), "still ringing when the run ended"


def test_who_left_early_is_absent_for_the_reason_it_left() -> None:
    one = record(
        [
            entry(2, "site-in"),
            entry(50, "site-out", cause="far_end", side="far_end"),
            entry(60, "leg-cleared", cause="busy"),
            entry(90, "run-state", participant="", state="closing"),
        ]
    )
    assert (one.last_out_at, one.absence) == (at(50), Reason("far_end", "far_end"))


def test_a_site_out_without_cause_takes_that_of_its_leg() -> None:
    one = record([entry(2, "site-in"), entry(5, "leg-cleared", cause="lost"), entry(5, "site-out")])
    assert one.absence == Reason("lost")


def test_while_the_run_goes_on_a_stay_is_open() -> None:
    one = record([entry(2, "site-in")], until=10, over=False)
    assert (one.last_out_at, one.total, one.absence) == (None, timedelta(seconds=8), None)


def test_being_in_said_again_after_an_adoption_is_the_same_stay() -> None:
    one = record([entry(2, "site-in"), entry(40, "site-in", way="third-party"), entry(60, "site-out")])
    assert (one.first_in_at, one.total, one.gaps) == (at(2), timedelta(seconds=58), [])


def test_corrections_stand_beside_the_facts() -> None:
    one = record([entry(2, "site-in"), entry(5, "note", text="came at 08:00, wrong room")])
    assert [note.text for note in one.notes] == ["came at 08:00, wrong room"]
    assert one.first_in_at == at(2)


def test_a_room_named_like_a_site_and_a_stranger_do_no_harm() -> None:
    both = attendance(
        [Who("tinh"), Who("tinh", kind="room")],
        [entry(1, "site-in", "tinh"), entry(1, "site-in", "x")],
        at(9),
        over=True,
    )
    assert [(one.kind, one.was_there) for one in both] == [("site", True), ("room", True)]


events = st.lists(
    st.tuples(
        st.integers(-5, 60),
        st.sampled_from(["site-in", "site-out", "leg-dialed", "leg-cleared", "site-absent", "note", "made-up"]),
    ),
    max_size=40,
)


@given(events, st.booleans())
def test_any_journal_gives_a_sound_record(steps: list[tuple[int, str]], over: bool) -> None:
    """Also with a clock that was set back: no negative time, no gap before the first stay."""
    one = record([entry(seconds, event) for seconds, event in steps], until=60, over=over)
    assert one.total >= timedelta(0)
    assert all(gap.to_at > gap.from_at for gap in one.gaps)
    assert one.was_there == any(event == "site-in" for _, event in steps)
    assert one.attempts == sum(event == "leg-dialed" for _, event in steps)
    if not one.was_there:
        assert one.last_out_at is None and not one.gaps and one.absence is not None

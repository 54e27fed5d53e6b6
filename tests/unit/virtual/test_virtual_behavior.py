"""The script language of virtual devices: what it means, and what it says of a wrong word."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.virtual.behavior import MAX_TEXT, Act, Attempt, Behavior, BehaviorError, Refers
from adapters.virtual.inventory import behaviors, columns, demo_behaviors, papers

ANSWER = Attempt(answers=True)


@pytest.mark.parametrize(
    ("script", "attempts"),
    [
        ("answer", [ANSWER]),
        ("ring 3; answer", [Attempt(rings=True, ring_s=3, answers=True)]),
        ("Rings 3 s;  answers ;", [Attempt(rings=True, ring_s=3, answers=True)]),
        ("busy x2; answer", [Attempt(code=486), Attempt(code=486), ANSWER]),
        ("busy twice; answer", [Attempt(code=486), Attempt(code=486), ANSWER]),
        ("busy 3 times; answer", [Attempt(code=486)] * 3 + [ANSWER]),
        ("busy once; answer; busy", [Attempt(code=486), ANSWER, Attempt(code=486)]),
        ("ring 1; busy", [Attempt(rings=True, ring_s=1, code=486)]),
        ("answer; drop 20; answer", [Attempt(answers=True, drop_s=20), ANSWER]),
        ("ring 2; answer; drop after 8", [Attempt(rings=True, ring_s=2, answers=True, drop_s=8)]),
        ("answer; drops after 5 s x2; answer", [Attempt(answers=True, drop_s=5)] * 2 + [ANSWER]),
        ("never answers", [Attempt(rings=True)]),
        ("decline", [Attempt(code=603)]),
        ("not found", [Attempt(code=404)]),
        ("unavailable", [Attempt(code=480)]),
        ("ring 40; no answer", [Attempt(rings=True, ring_s=40, code=480)]),
        ("reject 488 x2; answer", [Attempt(code=488)] * 2 + [ANSWER]),
        ("unreachable x3; answer", [Attempt(responds=False)] * 3 + [ANSWER]),
        ("answer; silent death", [Attempt(answers=True, die_s=0)]),
        ("answer; silent death after 8", [Attempt(answers=True, die_s=8)]),
        ("answer; die 8 for 5; answer", [Attempt(answers=True, die_s=8, back_s=5), ANSWER]),
        ("answer; ring 1; answer", [ANSWER, Attempt(rings=True, ring_s=1, answers=True)]),
    ],
)
def test_a_script_becomes_attempts(script: str, attempts: list[Attempt]) -> None:
    assert list(Behavior.parse(script).attempts) == attempts


@pytest.mark.parametrize(
    ("script", "named"),
    [
        ("", "empty behavior"),
        (" ; ;", "empty behavior"),
        ("rng 3; answer", "'rng'"),
        ("ring x; answer", "'x'"),
        ("ring; answer", "'nothing'"),
        ("ring -1; answer", "'-1'"),
        ("ring nan; answer", "'nan'"),
        ("ring 1e9; answer", "'1e9'"),
        ("ring 3", "ends in a ring"),
        ("ring 3; ring 2; busy", "rings twice"),
        ("ring 3; unreachable", "comes after a ring"),
        ("drop 5", "was not answered"),
        ("busy; die 5", "was not answered"),
        ("busy x0", "'x0'"),
        ("busy twenty", "'twenty'"),
        ("busy x999; answer", "'x999'"),
        ("reject 200", "'200'"),
        ("reject", "''"),
        ("answer now", "'now'"),
        ("answer; drop", "'nothing'"),
        ("answer; die 3 for ever", "'ever'"),
        ("refer", "empty behavior"),
        ("refer sometimes; answer", "'sometimes'"),
        ("answer; refer", "another step"),
        ("refer; refer; answer", "another step"),
        (";".join(["busy x200"] * 2), "more than 200"),
        ("x" * (MAX_TEXT + 1), "characters"),
    ],
)
def test_a_wrong_script_is_refused_by_its_wrong_word(script: str, named: str) -> None:
    with pytest.raises(BehaviorError) as wrong:
        Behavior.parse(script)
    assert named in str(wrong.value)


@given(st.text(alphabet="ring answer busy drop die x;0123456789.-", max_size=60))
def test_any_text_is_read_or_refused_clearly(text: str) -> None:
    try:
        behavior = Behavior.parse(text)
    except BehaviorError as wrong:
        assert "expected" in str(wrong) or "more than" in str(wrong)
    else:
        assert behavior.attempts
        for attempt in behavior.attempts:
            acts = [*attempt.before_answer(10.0), *attempt.after_answer(20.0)]
            assert acts == sorted(acts, key=lambda due: due[0]) or attempt.drop_s is not None


def test_the_last_attempt_repeats() -> None:
    behavior = Behavior.parse("busy twice; ring 1; answer")
    assert [behavior.attempt(n).code for n in range(5)] == [486, 486, 0, 0, 0]
    assert behavior.settles_in
    assert not Behavior.parse("answer; drop 5").settles_in
    assert not Behavior.parse("never answers").settles_in


@pytest.mark.parametrize(
    ("script", "refers"),
    [
        ("answer", Refers.NOT),
        ("refer; busy; answer", Refers.TAKES),
        ("Refer  inside; answer", Refers.INSIDE),
        ("refer untold; answer", Refers.UNTOLD),
        ("refer mute; answer", Refers.MUTE),
    ],
)
def test_whether_it_can_be_told_to_call_stands_at_the_beginning(script: str, refers: Refers) -> None:
    assert Behavior.parse(script).refers is refers


def test_acts_fall_due_at_given_instants() -> None:
    attempt = Behavior.parse("ring 2; answer; die 8 for 5; answer").attempt(0)
    assert list(attempt.before_answer(100.0)) == [(100.0, Act.RING), (102.0, Act.ANSWER)]
    assert list(attempt.after_answer(102.0)) == [(110.0, Act.DIE), (115.0, Act.COME_BACK)]
    assert list(Behavior.parse("ring 1; busy").attempt(0).before_answer(5.0)) == [(5.0, Act.RING), (6.0, Act.REJECT)]
    assert list(Behavior.parse("unreachable").attempt(0).before_answer(5.0)) == []
    assert list(Behavior.parse("never answers").attempt(0).before_answer(5.0)) == [(5.0, Act.RING)]


def test_the_demo_has_one_site_that_never_answers_and_all_others_get_in() -> None:
    read = behaviors("demo")
    assert [code for code, behavior in read.items() if not behavior.settles_in] == ["qt38"]
    assert set(demo_behaviors()) - {"*"} <= {row["code"] for row in papers(41)}
    assert sum(any(a.drop_s is not None for a in b.attempts) for b in read.values()) >= 1
    assert sum(any(a.code == 486 for a in b.attempts) for b in read.values()) >= 3


def test_a_wrong_script_names_its_site() -> None:
    with pytest.raises(BehaviorError, match=r"site qt07.*'jump'"):
        behaviors({"qt07": "jump"})


@pytest.mark.parametrize("sites", [1, 41, 42, 5000])
def test_any_number_of_sites_have_papers_of_their_own(sites: int) -> None:
    rows = list(papers(sites))
    assert len(rows) == sites
    assert len({row["code"] for row in rows}) == len({row["name"] for row in rows}) == sites
    assert all(list(row) == columns() for row in rows)


@pytest.mark.parametrize("sites", [0, -1, 20_001])
def test_a_province_of_an_impossible_size_is_refused(sites: int) -> None:
    with pytest.raises(ValueError, match="expected 1 to 20000"):
        list(papers(sites))

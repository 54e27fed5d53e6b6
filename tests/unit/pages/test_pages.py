"""Drawn pages: what is between the marks follows the code, what is around them stays."""

from enum import StrEnum

import pytest

from scripts import pages


class Light(StrEnum):
    RED = "red"  # stop
    OFF_DUTY = "off-duty"


@pytest.fixture
def docs(tmp_path, monkeypatch):
    monkeypatch.setattr(pages, "DOCS", tmp_path)
    monkeypatch.setattr(pages, "PAGES", {"whole.md": lambda: "all of it\n"})
    monkeypatch.setattr(pages, "PARTS", {"lights": lambda: iter(["| red |", "| green |"])})
    return tmp_path


def test_a_drawn_part_is_replaced_and_the_rest_stays():
    text = "before\n<!-- drawn: lights -->\nold\n<!-- end -->\nafter <!-- end -->\n"
    expected = "before\n<!-- drawn: lights -->\n| red |\n<!-- end -->\nafter <!-- end -->\n"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pages, "PARTS", {"lights": lambda: ["| red |"]})
        assert pages.redrawn(text) == expected
        assert pages.redrawn(expected) == expected


def test_a_part_that_nobody_draws_is_an_error():
    with pytest.raises(KeyError):
        pages.redrawn("<!-- drawn: nothing -->\n<!-- end -->\n")


def test_check_names_stale_pages_and_writes_nothing(docs, capsys):
    (docs / "part.md").write_text("<!-- drawn: lights -->\n<!-- end -->\n")
    (docs / "plain.md").write_text("nothing drawn\n")
    assert pages.main(["--check"]) == 1
    told = capsys.readouterr().err
    assert "docs/whole.md" in told and "docs/part.md" in told and "plain" not in told
    assert not (docs / "whole.md").exists()

    assert pages.main([]) == 0
    assert (docs / "whole.md").read_text() == "all of it\n"
    assert "| green |" in (docs / "part.md").read_text()
    assert pages.main(["--check"]) == 0


def test_an_option_that_is_none_is_refused(capsys):
    assert pages.main(["--chekc"]) == 2
    assert "--check" in capsys.readouterr().err


def test_meanings_come_from_the_comments():
    assert pages.meanings(Light) == {"red": "stop"}


def test_a_diagram_has_names_that_mermaid_takes():
    drawn = list(pages.diagram({Light.RED: {Light.OFF_DUTY}, Light.OFF_DUTY: set()}, Light.RED))
    assert '    state "off-duty" as off_duty' in drawn
    assert "    red --> off_duty" in drawn
    assert "    off_duty --> [*]" in drawn


def test_the_tables_of_states_have_every_state():
    page = pages.states_page()
    for table in pages.states.TABLES.values():
        for state in table:
            assert f"| {state} |" in page

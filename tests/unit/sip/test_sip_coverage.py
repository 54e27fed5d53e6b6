"""The sections that must be covered are, and what tests name are sections that there are."""

import ast

import pytest

from scripts import coverage

MUST = {
    "3261": ("8", "9", "10", "11", "12", "13", "14", "15", "17", "18", "19", "22", "26.2"),  # 16 is a proxy's
    "2976": ("2",),
    "3263": ("4.1", "4.2", "4.3"),
    "3264": ("5", "6", "8"),
    "3311": ("5.1", "5.2"),
    "3327": ("5.3",),
    "3515": ("2.1", "2.4.1", "2.4.4", "2.4.5", "2.4.7"),
    "3581": ("3", "4"),
    "3725": ("4.1", "4.3", "4.4", "6", "7"),
    "4028": ("7.1", "7.2", "7.3", "7.4", "9", "10"),
    "4475": ("3.1.1", "3.1.2", "3.2", "3.3", "3.4"),
    "4488": ("4",),
    "5626": ("3.5.1",),
    "5923": ("8",),
    "6026": ("7.1", "7.2"),
    "6086": ("4.2",),
    "7616": ("3.3", "3.4"),
    "8760": ("2.1", "2.3", "2.4"),
}


@pytest.fixture(scope="module")
def found() -> list[coverage.Cover]:
    return coverage.covers()


@pytest.mark.parametrize(("rfc", "section"), [(rfc, section) for rfc, all_of in MUST.items() for section in all_of])
def test_a_section_that_must_be_covered_is(rfc: str, section: str, found: list[coverage.Cover]) -> None:
    assert coverage.is_covered(rfc, section, found)


def test_every_section_that_a_test_names_has_a_title_and_every_title_a_test(found: list[coverage.Cover]) -> None:
    named = {(one.rfc, one.section) for one in found}
    titled = {(rfc, section) for rfc, (_, sections) in coverage.titles().items() for section in sections}
    assert named - titled == set()
    assert titled - named == set()


def test_a_longer_number_is_no_part_of_a_section() -> None:
    found = [coverage.Cover("3261", "15.1.2", "tests/x.py", "test_x")]
    assert coverage.is_covered("3261", "15", found)
    assert coverage.is_covered("3261", "15.1", found)
    assert not coverage.is_covered("3261", "1", found)
    assert not coverage.is_covered("3261", "15.1.2.1", found)
    assert not coverage.is_covered("3263", "15", found)


@pytest.mark.parametrize("mark", ["rfc('3261')", "rfc('3261', SECTION)", "rfc('3261', section='1')", "rfc()"])
def test_a_mark_that_cannot_be_read_is_named(mark: str) -> None:
    module = ast.parse(f"@pytest.mark.{mark}\ndef test_x() -> None: ...")
    with pytest.raises(ValueError, match="test_x"):
        list(coverage._covers(module, "tests/x.py"))

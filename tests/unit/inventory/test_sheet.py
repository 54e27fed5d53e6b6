"""The spreadsheet, cell by cell: what goes out comes back, what is wrong is named."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator import limits, sheet
from orchestrator.rules.plan import LADDER_WORDS
from orchestrator.sheet import COLUMNS
from orchestrator.store.inventory import Endpoint, EndpointAt, Site, SiteEndpoints


def file(*rows: dict[str, str], columns: tuple[str, ...] = COLUMNS) -> bytes:
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    writer.writerow(columns)
    writer.writerows([row.get(column, "") for column in columns] for row in rows)
    return out.getvalue().encode()


GOOD = {"code": "qt01", "name": "Văn phòng", "family": "sip", "addresses": "sip:qt01@127.0.20.1"}


def found(content: bytes) -> list[tuple[int, str]]:
    return [(error.row, error.complaint.path) for error in sheet.read(content, {"sip", "h323"}).errors]


@pytest.mark.parametrize(
    ("cells", "column"),
    [
        ({"code": ""}, "code"),
        ({"code": "qt 01"}, "code"),
        ({"code": "a" * 33}, "code"),
        ({"name": ""}, "name"),
        ({"name": "a\nb"}, "name"),
        ({"name": "a\x07b"}, "name"),
        ({"name": "x" * 201}, "name"),
        ({"zone": "x" * 101}, "zone"),
        ({"priority": "0"}, "priority"),
        ({"priority": "one"}, "priority"),
        ({"priority": "1.0"}, "priority"),
        ({"priority": "٣"}, "priority"),  # an Arabic digit is a digit for Python
        ({"contact_email": "a@b@c"}, "contact_email"),
        ({"family": "Cisco"}, "family"),
        ({"control_host": "http://x"}, "control_host"),
        ({"control_host": "h", "control_port": "65536"}, "control_port"),
        ({"control_port": "23"}, "control_host"),
        ({"control_secret": "letmein"}, "control_secret"),
        ({"control_secret": "env:"}, "control_secret"),
        ({"addresses": "qt01"}, "addresses"),
        ({"addresses": ""}, "addresses"),
        ({"addresses": "sip:a@h sip:a@h"}, "addresses"),
        ({"addresses": "tel:113"}, "addresses"),
        ({"addresses": " ".join(f"sip:a{n}@h" for n in range(9))}, "addresses"),
        ({"ladder": "by-hand"}, "ladder"),
        ({"ladder": "third-party third-party"}, "ladder"),
        ({"addresses": "h323:a@h", "ladder": "third-party"}, "ladder"),
        ({"addresses": "sip:192.0.2.7", "ladder": "refer"}, "ladder"),
        ({"max_kbps": "10"}, "max_kbps"),
        ({"max_kbps": "1e3"}, "max_kbps"),
        ({"family": "", "addresses": "sip:a@h"}, "family"),
    ],
)
def test_a_bad_cell_is_named_by_row_and_column_with_what_would_be_right(cells: dict[str, str], column: str) -> None:
    content = file(GOOD | {"code": "first", "addresses": "sip:first@h"}, GOOD | cells)
    assert found(content) == [(3, column)]
    [error] = sheet.read(content, {"sip"}).errors
    assert str(error).startswith(f"row 3, {column}: ")
    assert "; expected " in str(error)
    assert "letmein" not in str(error)


def test_every_bad_cell_of_every_row_is_told_at_once() -> None:
    bad = {"code": "-", "name": "", "priority": "x", "ladder": "fly", "addresses": "here", "family": "sip"}
    columns = ["code", "name", "priority", "addresses", "ladder"]
    assert sorted(found(file(bad, GOOD, bad))) == sorted((row, column) for row in (2, 4) for column in columns)


def test_codes_and_addresses_stand_once() -> None:
    content = file(
        GOOD, GOOD | {"addresses": "sip:b@h"}, GOOD | {"code": "qt03", "addresses": "sip:qt01@127.0.20.1:5060"}
    )
    assert found(content) == [(3, "code"), (4, "addresses")]
    assert "address of qt01 in row 2 already" in str(sheet.read(content, {"sip"}).errors[1])


def test_columns_are_all_there_and_no_others() -> None:
    without = tuple(column for column in COLUMNS if column != "zone")
    assert found(file(GOOD, columns=without)) == [(1, "zone")]
    assert found(file(GOOD, columns=(*COLUMNS, "colour"))) == [(1, "colour")]
    assert found(file(GOOD, columns=(*COLUMNS, "code"))) == [(1, "code")]
    assert found(file({"name": "x"}, columns=("name",)))[-1] == (1, "max_kbps")
    shuffled = tuple(reversed(COLUMNS))
    assert found(file(GOOD, columns=shuffled)) == []


def test_a_byte_order_mark_blank_rows_and_spaces_are_taken() -> None:
    content = b"\xef\xbb\xbf" + file(
        GOOD | {"name": "  Văn phòng "}, {}, GOOD | {"code": "b", "addresses": " sip:b@h "}
    )
    read = sheet.read(content, {"sip"})
    assert (read.errors, [(row.row, row.code, row.name) for row in read.rows]) == (
        [],
        [(2, "qt01", "Văn phòng"), (4, "b", "Văn phòng")],
    )


def test_one_name_has_one_spelling() -> None:
    decomposed = "Va\u0306n pho\u0300ng"
    assert sheet.read(file(GOOD | {"name": decomposed}), {"sip"}).rows[0].name == "Văn phòng"


def test_a_family_without_an_adapter_is_a_notice_and_says_what_is_left() -> None:
    rows = [
        GOOD | {"code": f"s{n}", "addresses": f"sip:s{n}@h", "family": family, "ladder": ladder}
        for n, (family, ladder) in enumerate(
            [("cisco", "endpoint-dials bridge-dials"), ("cisco", ""), ("cisco", "endpoint-dials"), ("sip", "")]
        )
    ]
    read = sheet.read(file(*rows), {"sip"})
    assert read.errors == []
    assert [str(notice).partition("; ")[2] or str(notice) for notice in read.notices] == [
        "site s0 is reached by bridge-dials",
        "site s1 is reached by third-party bridge-dials",
        "row 4, family: family cisco has no adapter yet and the ladder of site s2 has no other way",
    ]


def line(text: str) -> str:
    """`text` as it would be stored; what cannot be stored is no site's name."""
    try:
        return limits.one_line(text)
    except ValueError:
        return "x"


NAMES = (st.text(max_size=60) | st.text("=+-@'\t\" ,;\r\nab", max_size=12)).map(line).filter(bool)
CODES = st.from_regex(limits.CODE, fullmatch=True)


@st.composite
def provinces(draw: st.DrawFn) -> list[SiteEndpoints]:
    """Sites as they may stand in the database."""
    sites = []
    for number, code in enumerate(draw(st.lists(CODES, unique=True, min_size=1, max_size=5))):
        site = Site(
            id=number, code=code, name=draw(NAMES), zone=draw(NAMES | st.just("")), contact_role=draw(NAMES),
            priority=draw(st.integers(1, 9)),
        )  # fmt: skip
        at = SiteEndpoints(site)
        if draw(st.booleans()):
            host = draw(st.sampled_from(["", "192.0.2.1", "codec.example"]))
            endpoint = Endpoint(
                id=number, name=code, site_id=number, family=draw(st.sampled_from(["sip", "cisco"])), control_host=host,
                control_port=draw(st.none() | st.integers(1, 65535)) if host else None, control_username=draw(NAMES),
                control_secret=draw(st.sampled_from(["", "env:SECRET", "fernet:gAAAA"])),
                ladder=draw(st.lists(st.sampled_from(LADDER_WORDS), unique=True)),
                max_kbps=draw(st.none() | st.integers(limits.LEAST_KBPS, limits.MOST_KBPS)),
            )  # fmt: skip
            addresses = tuple(f"{scheme}:u{number}@192.0.2.{number}" for scheme in ("sip", "h323"))
            at.endpoints.append(EndpointAt(endpoint, addresses))
        sites.append(at)
    return sites


@given(provinces())
def test_what_goes_out_comes_back(sites: list[SiteEndpoints]) -> None:
    text = sheet.write(sites)
    read = sheet.read(text.encode(), {"sip"})
    assert read.errors == []
    for row, at in zip(read.rows, sites, strict=True):
        for column in ("code", "name", "zone", "priority", "contact_role", "contact_email"):
            assert getattr(row, column) == getattr(at.site, column)
        if at.endpoints:
            endpoint = at.endpoints[0].endpoint
            for column in ("family", "control_host", "control_port", "control_username", "max_kbps"):
                assert getattr(row, column) == getattr(endpoint, column)
            assert list(row.ladder) == endpoint.ladder
            assert row.addresses == at.endpoints[0].addresses
            assert row.control_secret == (endpoint.control_secret if endpoint.control_secret[:4] == "env:" else "")
        else:
            assert row.family == ""


@given(provinces())
def test_no_cell_that_goes_out_is_a_formula(sites: list[SiteEndpoints]) -> None:
    for row in csv.reader(io.StringIO(sheet.write(sites), newline="")):
        assert not any(cell[:1] in tuple("=+-@\t\r") and cell for cell in row)


@given(
    st.binary(max_size=400) | st.text(alphabet="abc,;\"'\r\n=", max_size=200).map(lambda text: file() + text.encode())
)
def test_no_bytes_make_it_fail(content: bytes) -> None:
    read = sheet.read(content, {"sip"})
    assert read.errors or read.rows
    assert all(str(error) for error in read.errors)

"""The inventory as a spreadsheet: CSV (RFC 4180, UTF-8) in and out, every error with its row and column.

Row 1 is the header, as a spreadsheet counts. One row is a site with its first endpoint.
A cell that a spreadsheet would take for a formula goes out with an apostrophe before it
and loses it on its way in (OWASP, "CSV Injection").
"""

import csv
import io
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from orchestrator import limits
from orchestrator.keys import env_name
from orchestrator.refusal import Complaint
from orchestrator.rules.plan import LADDER_WORDS, USUAL_LADDER, Way
from orchestrator.store.inventory import SiteEndpoints, address_key

COLUMNS = (
    "code",
    "name",
    "zone",
    "priority",
    "contact_role",
    "contact_email",
    "family",
    "control_host",
    "control_port",
    "control_username",
    "control_secret",
    "addresses",
    "ladder",
    "max_kbps",
)
REQUIRED = ("code", "name")
MOST_BYTES = 10_000_000
MOST_ROWS = limits.MOST_SITES
DEFAULT_PRIORITY = 5

_FORMULA = re.compile(r"'*[=+\-@\t\r]")
_ESCAPED = re.compile(r"'+[=+\-@\t\r]")


@dataclass(frozen=True, slots=True)
class Remark:
    """Something about one cell: `complaint.path` is the column, empty for the whole row."""

    row: int
    complaint: Complaint

    def __str__(self) -> str:
        return f"row {self.row}, {self.complaint}"


@dataclass(frozen=True, slots=True)
class SheetRow:
    """One row that was read: a site and, unless `family` is empty, its endpoint."""

    row: int
    code: str
    name: str
    zone: str
    priority: int
    contact_role: str
    contact_email: str
    family: str
    control_host: str
    control_port: int | None
    control_username: str
    control_secret: str
    addresses: tuple[str, ...]
    keys: tuple[str, ...]  # address_key of each address
    ladder: tuple[str, ...]
    max_kbps: int | None


@dataclass(frozen=True, slots=True)
class Sheet:
    """What a file says. With `errors` its rows are not to be used."""

    rows: list[SheetRow] = field(default_factory=list)
    errors: list[Remark] = field(default_factory=list)
    notices: list[Remark] = field(default_factory=list)


def read(content: bytes, families: Collection[str]) -> Sheet:
    """Read a file whole. `families` are those that have an adapter; another one is a notice."""
    sheet = Sheet()
    text = _decode(content, sheet)
    if text is None:
        return sheet
    records = _records(text, sheet)
    header = next(records, (1, []))[1]
    columns = _columns(header, sheet)
    codes: dict[str, int] = {}
    keys: dict[str, tuple[int, str]] = {}
    for number, record in records:
        if not any(cell.strip() for cell in record):
            continue
        if number > MOST_ROWS + 1:
            _complain(sheet, number, "", "the file has more than {most} rows", "a smaller file", most=MOST_ROWS)
            break
        if len(record) != len(header):
            problem, expected = "the row has {found} cells", "{cells} cells, as in the header"
            _complain(sheet, number, "", problem, expected, found=len(record), cells=len(header))
            continue
        cells = _Cells(sheet, number, dict(zip(columns, record, strict=True)))
        row = cells.row(families)
        _once(sheet, row, codes, keys)
        sheet.rows.append(row)
    if not codes and not sheet.errors:
        _complain(sheet, 1, "", "the file has no rows", "a header and a row for every site")
    return sheet


def write(sites: Iterable[SiteEndpoints]) -> str:
    """The file of these sites: what `read` takes back as it was. Sealed secrets stay here: their cell is empty."""
    out = io.StringIO(newline="")
    writer = csv.writer(out)  # the csv module's own dialect is RFC 4180: CRLF, quotes where they are needed
    writer.writerow(COLUMNS)
    for at in sites:
        site = at.site
        cells: list[object] = [
            site.code, site.name, site.zone, site.priority, site.contact_role, site.contact_email
        ]  # fmt: skip
        if at.endpoints:
            endpoint = at.endpoints[0].endpoint
            secret = endpoint.control_secret if endpoint.control_secret.startswith("env:") else ""
            cells += [
                endpoint.family, endpoint.control_host, endpoint.control_port, endpoint.control_username, secret,
                " ".join(at.endpoints[0].addresses), " ".join(endpoint.ladder), endpoint.max_kbps,
            ]  # fmt: skip
        else:
            cells += [""] * (len(COLUMNS) - len(cells))
        writer.writerow(["" if cell is None else _escape(str(cell)) for cell in cells])
    return out.getvalue()


def _escape(cell: str) -> str:
    return "'" + cell if _FORMULA.match(cell) else cell


def _decode(content: bytes, sheet: Sheet) -> str | None:
    if len(content) > MOST_BYTES:
        _complain(sheet, 1, "", "the file has {found} bytes", "at most {most}", found=len(content), most=MOST_BYTES)
        return None
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        row = content.count(b"\n", 0, error.start) + 1
        problem = "line {line} is not UTF-8 text"
        _complain(sheet, row, "", problem, "a file saved as “CSV UTF-8”", line=row)
        return None


def _records(text: str, sheet: Sheet) -> Iterator[tuple[int, list[str]]]:
    """(row number, cells); what cannot be read ends the file with an error."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    number = 0
    while True:
        number += 1
        try:
            record = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            problem = "the row cannot be read ({reason}), nor what follows it"
            expected = 'cells with commas, quotes or line breaks in "quotes", a quote inside doubled'
            _complain(sheet, number, "", problem, expected, reason=str(error))
            return
        yield number, record


def _columns(header: Sequence[str], sheet: Sheet) -> list[str]:
    names = [name.strip() for name in header]
    if not any(names):
        _complain(sheet, 1, "", "the row is empty", "the columns {columns}", columns=" ".join(COLUMNS))
        return names
    if len(names) == 1 and names[0].count(";") > 2:
        _complain(sheet, 1, "", "the cells are separated by semicolons", "commas")
        return names
    for at, name in enumerate(names):
        if name not in COLUMNS:
            expected = "the columns {columns}"
            problem = "column {number} has the unknown name {name}"
            values = {"number": at + 1, "name": repr(name[:40]), "columns": " ".join(COLUMNS)}
            _complain(sheet, 1, name[:40], problem, expected, **values)
        elif name in names[:at]:
            _complain(sheet, 1, name, "the column is there twice", "every column once")
    for name in COLUMNS:
        if name not in names:
            expected = "{missing} among the names in the first row"
            _complain(sheet, 1, name, "the column is missing", expected, missing=name)
    return names


def _once(sheet: Sheet, row: SheetRow, codes: dict[str, int], keys: dict[str, tuple[int, str]]) -> None:
    """Every code and every address stands in the file once."""
    if row.code:
        first = codes.setdefault(row.code, row.row)
        if first != row.row:
            problem = "{code} stands in row {first} already"
            _complain(sheet, row.row, "code", problem, "every code once", code=row.code, first=first)
    for address, key in zip(row.addresses, row.keys, strict=True):
        first, code = keys.setdefault(key, (row.row, row.code))
        if first != row.row:
            problem = "{address} of {code} is the address of {other} in row {first} already"
            values = {"address": address, "code": row.code, "other": code, "first": first}
            _complain(sheet, row.row, "addresses", problem, "every address at one endpoint only", **values)


def _complain(sheet: Sheet, row: int, column: str, problem: str, expected: str, **values: object) -> None:
    sheet.errors.append(Remark(row, Complaint(column, problem, expected, values)))


class _Cells:
    """The cells of one row; each is read by itself, so that all errors of the row are found."""

    def __init__(self, sheet: Sheet, number: int, cells: dict[str, str]) -> None:
        self._sheet = sheet
        self._number = number
        self._cells = cells

    def row(self, families: Collection[str]) -> SheetRow:
        addresses = self._addresses()
        row = SheetRow(
            row=self._number,
            code=self._matching("code", limits.CODE, limits.CODE_WORDS),
            name=self._text("name", limits.NAME_LENGTH),
            zone=self._text("zone", limits.SHORT_LENGTH),
            priority=self._number_in("priority", limits.FIRST_PRIORITY, limits.LAST_PRIORITY) or DEFAULT_PRIORITY,
            contact_role=self._text("contact_role", limits.SHORT_LENGTH),
            contact_email=self._matching("contact_email", limits.EMAIL, "an address such as it@site.example"),
            family=self._matching("family", limits.FAMILY, "a word of small letters, such as sip"),
            control_host=self._matching("control_host", limits.HOST, "a host name or an IP address"),
            control_port=self._number_in("control_port", 1, 65535),
            control_username=self._text("control_username", limits.SHORT_LENGTH),
            control_secret=self._secret(),
            addresses=addresses,
            keys=tuple(address_key(address) for address in addresses),
            ladder=self._ladder(),
            max_kbps=self._number_in("max_kbps", limits.LEAST_KBPS, limits.MOST_KBPS),
        )
        self._consistent(row)
        if row.family and row.family not in families:
            self._notice_family(row)
        return row

    def complain(self, column: str, problem: str, expected: str, **values: object) -> None:
        _complain(self._sheet, self._number, column, problem, expected, **values)

    def _cell(self, column: str) -> str:
        cell = self._cells.get(column, "")
        if _ESCAPED.match(cell):
            cell = cell[1:]
        try:
            cell = limits.one_line(cell)
        except ValueError as error:
            self.complain(column, "{reason}", "one line of text", reason=str(error))
            return ""
        if not cell and column in REQUIRED and column in self._cells:
            self.complain(column, "the cell is empty", "a value")
        return cell

    def _text(self, column: str, longest: int) -> str:
        text = self._cell(column)
        if len(text) > longest:
            self.complain(column, "{found} characters", "at most {most}", found=len(text), most=longest)
        return text

    def _matching(self, column: str, pattern: str, expected: str) -> str:
        text = self._cell(column)
        if text and re.fullmatch(pattern, text) is None:
            self.complain(column, "{found} does not fit", expected, found=repr(text[:60]))
            return ""
        return text

    def _number_in(self, column: str, low: int, high: int) -> int | None:
        text = self._cell(column)
        if not text:
            return None
        if re.fullmatch(r"[0-9]{1,9}", text, re.ASCII) is None or not low <= int(text) <= high:
            expected = "a whole number from {low} to {high}"
            self.complain(column, "{found} does not fit", expected, found=repr(text[:60]), low=low, high=high)
            return None
        return int(text)

    def _secret(self) -> str:
        text = self._cell("control_secret")
        if text:
            try:
                env_name(text)
            except ValueError:
                problem = "a secret does not belong into a file that is sent around"
                self.complain(
                    "control_secret", problem, "env:NAME of an environment variable that holds it, or nothing"
                )
                return ""
        return text

    def _list(self, column: str, most: int, read: Callable[[str], str | None]) -> tuple[str, ...]:
        words = self._cell(column).split()
        if len(words) > most:
            self.complain(column, "{found} entries", "at most {most}", found=len(words), most=most)
            return ()
        values = [value for value in map(read, words) if value is not None]
        for value in sorted({value for value in values if values.count(value) > 1}):
            self.complain(column, "{value} stands here twice", "every entry once", value=value)
        return tuple(dict.fromkeys(values))

    def _addresses(self) -> tuple[str, ...]:
        def read(word: str) -> str | None:
            try:
                return limits.address(word)
            except ValueError:
                expected = "addresses such as sip:room@192.0.2.10:5060 or h323:room@192.0.2.10, a blank between two"
                self.complain("addresses", "{found} is not an address", expected, found=repr(word[:80]))
                return None

        return self._list("addresses", limits.MOST_ADDRESSES, read)

    def _ladder(self) -> tuple[str, ...]:
        def read(word: str) -> str | None:
            if word in LADDER_WORDS:
                return word
            expected = "words out of {words}, a blank between two"
            values = {"found": repr(word[:40]), "words": " ".join(LADDER_WORDS)}
            self.complain("ladder", "{found} is not a way to reach a site", expected, **values)
            return None

        return self._list("ladder", 2 * len(LADDER_WORDS), read)

    def _consistent(self, row: SheetRow) -> None:
        """What the cells of a row mean together."""
        given = {column: cell for column, cell in self._cells.items() if cell.strip()}
        device = [column for column in COLUMNS[COLUMNS.index("family") + 1 :] if column in given]
        if "family" in self._cells and "family" not in given and device:
            problem = "the cell is empty, but {columns} describe an endpoint"
            self.complain("family", problem, "the endpoint's family, such as sip", columns=" ".join(device))
        if "family" in given and "addresses" in self._cells and "addresses" not in given:
            self.complain("addresses", "the cell is empty", "at least one address of the endpoint")
        if row.control_port and "control_host" in self._cells and "control_host" not in given:
            self.complain("control_host", "the cell is empty, but there is a port", "the host the port belongs to")
        is_sip = any(key.startswith("sip:") for key in row.keys)
        if Way.THIRD_PARTY in row.ladder and row.addresses and not is_sip:
            self.complain("ladder", "third-party needs a sip: address", "a sip: address, or a ladder without it")
        if (
            Way.REFER in row.ladder
            and row.addresses
            and not any(key.startswith(("sip:", "sips:")) and "@" in key for key in row.addresses)
        ):
            problem = "refer needs a sip: address with a user name: by it the bridge's list shows who came"
            self.complain("ladder", problem, "an address such as sip:room@192.0.2.10, or a ladder without it")

    def _notice_family(self, row: SheetRow) -> None:
        ways = " ".join(way for way in row.ladder or USUAL_LADDER if way != Way.ENDPOINT_DIALS)
        problem = "family {family} has no adapter yet; site {code} is reached by {ways}"
        if not ways:
            problem = "family {family} has no adapter yet and the ladder of site {code} has no other way"
        values = {"family": row.family, "code": row.code, "ways": ways}
        self._sheet.notices.append(Remark(self._number, Complaint("family", problem, "", values)))

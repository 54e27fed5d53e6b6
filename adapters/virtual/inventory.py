"""The province on paper: rows like those of an inventory file, and the table of behaviors.

The first 41 sites are those of `sites.csv`, the sample inventory; further ones are made from
`commune.csv` and `unit.csv`. Names and behaviors are data, here is only how they are read.
"""

import csv
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files

from adapters.virtual.behavior import Behavior, BehaviorError

MAX_SITES = 20_000
EVERYBODY = "*"

_H323_EVERY = 40
_KBPS = ("2048", "768", "1920", "1024")


def _table(name: str) -> list[dict[str, str]]:
    with files("adapters.virtual").joinpath(name).open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


@cache
def _samples() -> tuple[Mapping[str, str], ...]:
    return tuple(_table("sites.csv"))


def columns() -> list[str]:
    """The columns of an inventory row, in order."""
    return list(_samples()[0])


def papers(sites: int) -> Iterator[dict[str, str]]:
    """The inventory rows of the first `sites` units, their addresses still those of the sample.

    Raises ValueError outside 1..20,000.
    """
    if not 1 <= sites <= MAX_SITES:
        raise ValueError(f"a province of {sites} sites; expected 1 to {MAX_SITES}")
    for sample in _samples()[:sites]:
        yield dict(sample)
    communes, units = _table("commune.csv"), _table("unit.csv")
    for index in range(sites - len(_samples())):
        number = len(_samples()) + 1 + index
        commune = communes[index % len(communes)]
        kind = index // len(communes)
        unit = units[kind % len(units)]
        again = kind // len(units)
        h323 = number % _H323_EVERY == 0
        yield {
            "code": f"qt{number}",
            "name": f"{unit['unit']} {commune['commune']}" + (f" - khu {again + 1}" if again else ""),
            "zone": commune["zone"],
            "priority": unit["priority"],
            "contact_role": "Cán bộ CNTT",
            "contact_email": f"cntt@qt{number}.example",
            "family": "h323" if h323 else "sip",
            "control_host": "",
            "control_port": "",
            "control_username": "",
            "control_secret": "",
            "addresses": f"h323:qt{number}@127.0.0.1" if h323 else f"sip:qt{number}@127.0.0.1",
            "ladder": "bridge-dials" if h323 else "third-party bridge-dials",
            "max_kbps": _KBPS[number % len(_KBPS)],
        }


@cache
def demo_behaviors() -> Mapping[str, str]:
    """The weather of the demo: site code -> script; `*` is everybody else."""
    return {row["code"]: row["behavior"] for row in _table("behavior.csv")}


def behaviors(scripts: str | Mapping[str, str] | None) -> Mapping[str, Behavior]:
    """Read scripts: one for everybody, or by site code with `*` for the rest.

    None means everybody answers at once, `"demo"` the demo's table. Raises BehaviorError
    that names the site.
    """
    if scripts is None:
        scripts = {}
    elif scripts == "demo":
        scripts = demo_behaviors()
    elif isinstance(scripts, str):
        scripts = {EVERYBODY: scripts}
    read: dict[str, Behavior] = {}
    for code, script in {EVERYBODY: "answer", **scripts}.items():
        try:
            read[code] = Behavior.parse(script)
        except BehaviorError as error:
            raise BehaviorError(f"site {code}: {error}") from None
    return read

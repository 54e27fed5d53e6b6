"""The virtual province in a process of its own, so that its work is not counted as ours."""

import json
import subprocess
import sys
from types import TracebackType
from typing import Any

from tests.bench.figure import need
from tests.bench.place import ROOT

SPARE = 20
"""One in about 23 sites has H.323 only and cannot be called by third party."""

Row = dict[str, str]


class Province:
    """At least `sites` SIP sites that answer at once, and a bridge; its papers are in `papers`."""

    def __init__(self, sites: int) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "adapters.virtual", "--json", "--behavior", "answer",
             "--sites", str(sites + sites // 10 + SPARE)],
            cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        self._sites = sites
        self.papers: dict[str, Any] = self._read()

    def rows(self, way: str) -> list[Row]:
        """The inventory rows of `sites` SIP sites that are reached in one way only."""
        rows = [row for row in self.papers["sites"] if "sip:" in row["addresses"]][: self._sites]
        need(len(rows) == self._sites, f"the province has {len(rows)} SIP sites, not {self._sites}")
        bare = {"family": "sip", "ladder": way, **{key: "" for key in rows[0] if key.startswith("control_")}}
        return [{**row, **bare, "addresses": _sip_only(row["addresses"])} for row in rows]

    def do(self, what: str, **more: object) -> dict[str, Any]:
        """Say a line of `adapters.virtual.remote`; returns its answer."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"do": what, **more}) + "\n")
        self._process.stdin.flush()
        return self._read()

    def stats(self) -> dict[str, Any]:
        stats: dict[str, Any] = self.do("stats")["stats"]
        return stats

    def need_each_rung_once(self, sites: int, what: str) -> None:
        """Every one of `sites` was rung exactly once and is in a call now. Raises WorkWrong."""
        stats = self.stats()
        totals = {key: stats[key] for key in ("rings", "calls_up", "doubles", "rooms")}
        twice = [code for code, site in stats["sites"].items() if site["rings"] > 1 or site["most_calls"] > 1]
        need(not twice and stats["never_rung_twice"], f"{what}: rung twice: {', '.join(twice[:5])}; {totals}")
        need(stats["rings"] == sites == stats["calls_up"], f"{what}: expected {sites} calls; {totals}")
        members = sum(count for room, count in stats["rooms"].items() if room.startswith("mcu/"))
        need(members == sites, f"{what}: expected {sites} in the bridge's rooms; {totals}")

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        need(bool(line), "the virtual province ended")
        said: dict[str, Any] = json.loads(line)
        need("error" not in said, f"the virtual province says: {said.get('error')}")
        return said

    def close(self) -> None:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()

    def __enter__(self) -> "Province":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


def _sip_only(addresses: str) -> str:
    return " ".join(address for address in addresses.split() if address.startswith("sip:"))

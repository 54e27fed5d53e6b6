"""Leg names: the tag by which devices, and we after a restart, know our own calls."""

import re
from dataclasses import dataclass

_LEG_NAME = re.compile(
    r"(?P<tag>dc(?P<installation>[0-9a-f]{4,8})-(?P<run>\d{1,18}))-(?P<leg>\d{1,9})-(?P<epoch>\d{1,18})"
)


@dataclass(frozen=True, slots=True)
class LegName:
    """`dc<installation>-<run>-<leg>-<epoch>`: which installation, run, leg of the run, and lease epoch."""

    installation: str
    run: int
    leg: int
    epoch: int

    def __str__(self) -> str:
        return f"{run_tag(self.installation, self.run)}-{self.leg}-{self.epoch}"

    @classmethod
    def find(cls, text: str) -> "LegName | None":
        """The leg name that `text` is, or None."""
        match = _LEG_NAME.fullmatch(text)
        if match is None:
            return None
        return cls(match["installation"], int(match["run"]), int(match["leg"]), int(match["epoch"]))


def run_tag(installation: str, run: int) -> str:
    """The part that all leg names of a run begin with."""
    return f"dc{installation}-{run}"

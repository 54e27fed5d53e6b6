"""One line of the bench: what was measured, and what it is held against."""

import json
from dataclasses import dataclass
from math import ceil


class WorkWrong(Exception):
    """What was measured did not do its work, so its time means nothing."""


@dataclass(frozen=True, slots=True)
class Figure:
    """A measured value; `reference` is an aim, or another program measured in the same run."""

    name: str
    value: float
    unit: str
    reference: float | None = None

    def line(self) -> str:
        """The figure as a line of JSON; `ratio` is value / reference."""
        ratio = self.value / self.reference if self.reference else None
        return json.dumps(
            {
                "name": self.name,
                "value": _short(self.value),
                "unit": self.unit,
                "reference": None if self.reference is None else _short(self.reference),
                "ratio": None if ratio is None else _short(ratio),
            }
        )


def _short(number: float) -> float:
    """Four digits are more than a bench knows."""
    return float(f"{number:.4g}")


def need(fact: bool, what: str) -> None:
    """Go on only if the work was right. Raises WorkWrong."""
    if not fact:
        raise WorkWrong(what)


def percentile(values: list[float], percent: float) -> float:
    """The smallest value that `percent` of all values do not exceed (nearest rank)."""
    ordered = sorted(values)
    return ordered[max(0, ceil(len(ordered) * percent / 100) - 1)]

"""Who leaves in the grace after the meeting's end stayed to its end."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest

from orchestrator.rules.attendance import attendance

ENDS = datetime(2026, 12, 1, 2, 0, tzinfo=UTC)


@dataclass
class Who:
    code: str = "qt01"
    kind: str = "site"
    name: str = ""


@dataclass
class Entry:
    at: datetime
    event: str
    participant: str = "qt01"
    facts: dict[str, object] = field(default_factory=dict)


@pytest.mark.parametrize(("left_s", "absence"), [(-1, "far_end"), (0, None), (20, None)])
def test_leaving_after_the_meetings_end_is_no_absence(left_s: int, absence: str | None) -> None:
    left_at = ENDS + timedelta(seconds=left_s)
    journal = [
        Entry(ENDS - timedelta(hours=1), "site-in"),
        Entry(left_at, "site-out", facts={"cause": "far_end"}),
        Entry(ENDS + timedelta(seconds=60), "run-state", "", {"state": "closing"}),
    ]
    [one] = attendance([Who()], journal, ENDS + timedelta(seconds=61), over=True, ends_at=ENDS)
    assert one.last_out_at == left_at
    assert (one.absence.cause if one.absence else None) == absence

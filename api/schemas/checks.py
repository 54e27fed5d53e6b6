"""Line checks as they cross the wire."""

from collections.abc import Callable
from typing import Any

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator

from api.schemas.problem import Wrong
from api.schemas.values import Body, Code, Name
from api.words import msgid
from orchestrator.rules.line import opinion
from orchestrator.store.checks import LineCheckRow

MOST_SITES = 10_000
NUMBER = r"[0-9A-Za-z*#_.+-]{1,64}"


class CheckNew(Body):
    """Which lines to check: of these sites, and of a test number on a bridge."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"sites": ["qt17"], "seconds": 8}]})

    sites: list[Code] = Field(default=[], max_length=MOST_SITES)
    bridge: Name | None = Field(default=None, description="with `number`: a test number there, such as an echo")
    number: str = Field(default="", pattern=f"^(?:{NUMBER})?$")
    seconds: float | None = Field(
        default=None, ge=1, le=60, allow_inf_nan=False, description="how long the tone is sent"
    )

    @model_validator(mode="after")
    def _something(self) -> "CheckNew":
        if not self.sites and self.bridge is None:
            raise Wrong(msgid("names no line"), msgid("sites, or a bridge with a number"))
        if (self.bridge is None) != (not self.number):
            raise Wrong(msgid("has a bridge or a number alone"), msgid("both of them, or none"))
        return self


class ReasonShown(BaseModel):
    """One thing that is not as it should be."""

    name: str
    verdict: str
    values: dict[str, float]
    said: str


class CheckShown(BaseModel):
    """One check. `verdict` is empty while it is under way; figures are null where nothing is known."""

    id: int
    kind: str = Field(description="site or bridge")
    code: str = Field(description="the site's code, or bridge/number")
    endpoint: str
    address: str
    asked_at: AwareDatetime
    ended_at: AwareDatetime | None
    verdict: str = Field(description="good, fair, bad, unanswered, unchecked; empty while it is under way")
    why: str
    reasons: list[ReasonShown]
    r: float | None = Field(description="the E-model's rating (ITU-T G.107), 93 at best with G.711")
    mos: float | None = Field(description="the same as a mean opinion score (G.107 annex B)")
    lost_pct: float | None
    figures: dict[str, Any] = Field(description="what was measured; seconds and percent")


class ChecksBegun(BaseModel):
    """The checks that were asked for, in the order asked."""

    items: list[CheckShown]


class CheckPage(BaseModel):
    """Checks, newest first."""

    items: list[CheckShown]
    next: int | None = Field(default=None, description="give it as `below` for the page behind; null on the last one")


def check_out(row: LineCheckRow, said: Callable[[str, Any, Any], str]) -> CheckShown:
    """A row for the wire; `said` puts a reason into words."""
    figures = row.figures
    expected = figures.get("expected") or 0
    reasons = [ReasonShown(**each, said=said(each["name"], each["values"], figures)) for each in row.reasons]
    return CheckShown(
        id=row.id or 0,
        kind=row.kind,
        code=row.code,
        endpoint=row.endpoint,
        address=row.address,
        asked_at=row.asked_at,
        ended_at=row.ended_at,
        verdict=row.verdict,
        why="; ".join(each.said for each in reasons),
        reasons=reasons,
        r=row.r,
        mos=None if row.r is None else round(opinion(row.r), 2),
        lost_pct=100 * figures["lost"] / expected if expected else None,
        figures=figures,
    )

"""A problem document (RFC 9457) as it crosses the wire."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from orchestrator.refusal import Complaint


class Wrong(ValueError):
    """A schema's own finding: a template of what is wrong, one of what would be right, their values."""

    def __init__(self, problem: str, expected: str, **values: object) -> None:
        super().__init__(problem)
        self.complaint = Complaint("", problem, expected, values)


class ProblemError(BaseModel):
    """One value that is wrong: where, what, and what would be right."""

    model_config = ConfigDict(populate_by_name=True)

    path: str = Field(description="JSON pointer into the body, or the parameter's name", examples=["/addresses/0"])
    problem: str = Field(examples=["sip:qt02@192.0.2.2 of endpoint qt09 is an address of endpoint qt02 already"])
    expected: str = Field(examples=["every address once, at one endpoint only"])
    where: Literal["query", "path", "header", "cookie"] | None = Field(
        default=None, alias="in", description="where the parameter stands; absent for the body"
    )
    row: int | None = Field(default=None, description="row of a spreadsheet; 1 is the header")
    column: str | None = Field(default=None, description="column of a spreadsheet; empty for the whole row")


class Problem(BaseModel):
    """What was wrong, where, and what would be right."""

    type: str = Field(examples=["urn:diemcau:problem:taken"], description="a machine name that does not change")
    title: str
    status: int
    detail: str = ""
    instance: str = ""
    errors: list[ProblemError] = Field(default_factory=list)

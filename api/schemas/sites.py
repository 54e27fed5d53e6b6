"""Sites as they cross the wire."""

from pydantic import BaseModel, ConfigDict, Field
from pydantic.config import JsonDict

from api.schemas.problem import ProblemError
from api.schemas.values import Body, Code, Email, Line, Priority, Title, Zone

_EXAMPLE: JsonDict = {
    "code": "qt01",
    "name": "Văn phòng Tỉnh ủy",
    "zone": "Hải Lăng",
    "priority": 1,
    "contact_role": "Cán bộ CNTT",
    "contact_email": "cntt@qt01.example",
    "time_zone": "Asia/Ho_Chi_Minh",
}


class SiteNew(Body):
    """A site that is to be created."""

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE]})

    code: Code
    name: Title
    zone: Line = ""
    priority: Priority = 5
    contact_role: Line = ""
    contact_email: Email = ""
    time_zone: Zone | None = Field(default=None, description="null: the installation's")


class SitePatch(Body):
    """What is to change; fields left out stay."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"name": "Văn phòng Tỉnh ủy", "priority": 2}]})

    name: Title = Field(default_factory=str)
    zone: Line = Field(default_factory=str)
    priority: Priority = Field(default_factory=int)
    contact_role: Line = Field(default_factory=str)
    contact_email: Email = Field(default_factory=str)
    time_zone: Zone = Field(default_factory=str)


class SiteShown(BaseModel):
    """A site with the names of its endpoints, the first one first."""

    code: str
    name: str
    zone: str
    priority: int
    contact_role: str
    contact_email: str
    time_zone: str
    endpoints: list[str]


class ImportShown(BaseModel):
    """What a spreadsheet did, or with `dry_run` would do; codes of sites."""

    dry_run: bool
    created: list[str]
    updated: list[str]
    unchanged: list[str]
    notices: list[ProblemError] = Field(description="worth knowing, by row; the sites were taken in")

"""Endpoints as they cross the wire; their secret goes in and never comes out."""

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field
from pydantic.config import JsonDict

from api.schemas.values import (
    Body,
    Code,
    DialAddresses,
    Family,
    FamilySettings,
    Host,
    Kbps,
    Ladder,
    Line,
    Name,
    Port,
    Secret,
)

_EXAMPLE: JsonDict = {
    "name": "qt03",
    "site": "qt03",
    "family": "sip",
    "addresses": ["sip:qt03@192.0.2.3:5060", "h323:qt03@192.0.2.3"],
    "ladder": ["third-party", "bridge-dials"],
    "max_kbps": 1920,
}


class EndpointNew(Body):
    """An endpoint that is to be created."""

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE]})

    name: Name
    site: Code
    position: int = Field(default=0, ge=0, le=99, description="0 is the site's first endpoint, others stand by")
    family: Family
    control_host: Host = ""
    control_port: Port | None = None
    control_username: Line = ""
    control_secret: Secret = ""
    addresses: DialAddresses = Field(min_length=1)
    ladder: Ladder = Field(default_factory=list)
    max_kbps: Kbps | None = None
    auto_answer: bool = Field(default=False, description="answer calls muted while a meeting's window is open")
    settings: FamilySettings = Field(default_factory=dict)


class EndpointPatch(Body):
    """What is to change; fields left out stay."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"addresses": ["sip:qt03@192.0.2.33"]}]})

    site: Code = Field(default_factory=str)
    position: int = Field(default_factory=int, ge=0, le=99)
    family: Family = Field(default_factory=str)
    control_host: Host = Field(default_factory=str)
    control_port: Port | None = None
    control_username: Line = Field(default_factory=str)
    control_secret: Secret = Field(default_factory=str)
    addresses: DialAddresses = Field(default_factory=list, min_length=1)
    ladder: Ladder = Field(default_factory=list)
    max_kbps: Kbps | None = None
    auto_answer: bool = Field(default=False, description="answer calls muted while a meeting's window is open")
    settings: FamilySettings = Field(default_factory=dict)


class RegistrationShown(BaseModel):
    """Whether an endpoint is registered with us.

    `since_at` is null when it is not; then `until_at` is when it was last. `source` is where it was
    last heard from, `product` what it says it is.
    """

    address: str
    is_registered: bool
    since_at: datetime | None
    until_at: datetime | None
    source: str
    product: str


class EndpointShown(BaseModel):
    """An endpoint; `has_adapter` is false for a family that only others can dial for.

    `registrations` are empty for one that never registered with us.
    """

    name: str
    site: str
    position: int
    family: str
    has_adapter: bool
    control_host: str
    control_port: int | None
    control_username: str
    has_secret: bool
    addresses: list[str]
    ladder: list[str]
    max_kbps: int | None
    auto_answer: bool
    settings: dict[str, Any]
    registrations: list[RegistrationShown]

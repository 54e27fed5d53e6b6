"""Bridges as they cross the wire; their secret goes in and never comes out."""

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic.config import JsonDict

from api.schemas.problem import Wrong
from api.schemas.values import Body, Family, FamilySettings, Host, Line, Name, Port, Secret
from api.words import msgid
from orchestrator import limits

_EXAMPLE: JsonDict = {
    "name": "main",
    "family": "asterisk",
    "control_host": "192.0.2.10",
    "control_port": 5038,
    "control_username": "diemcau",
    "control_secret": "env:MAIN_BRIDGE_SECRET",
    "conference_address": "sip:{number}@192.0.2.10:5060",
    "first_number": 8000,
    "last_number": 8999,
    "ports": 120,
    "pace_per_s": 5,
}


def _conference_address(text: str) -> str:
    expected = msgid("an address such as sip:{number}@192.0.2.10:5060, with {number} for the conference's number")
    filled = text.replace("{number}", "8000")
    try:
        if "{" in filled or "}" in filled:
            raise ValueError
        limits.address(filled)
    except ValueError:
        raise Wrong(msgid("is not an address"), expected, number="{number}") from None
    return text


ConferenceAddress = Annotated[
    str,
    Field(max_length=limits.ADDRESS_LENGTH, description="`{number}` stands for the conference's number"),
    AfterValidator(_conference_address),
]
Number = Annotated[int, Field(ge=1, le=999_999_999)]
Ports = Annotated[int, Field(ge=1, le=100_000)]
Pace = Annotated[float, Field(ge=0.1, le=1_000, allow_inf_nan=False, description="set-ups a second; null: no limit")]


class BridgeNew(Body):
    """A bridge that is to be created."""

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE]})

    name: Name
    family: Family
    control_host: Host = ""
    control_port: Port | None = None
    control_username: Line = ""
    control_secret: Secret = ""
    conference_address: ConferenceAddress
    first_number: Number = 8000
    last_number: Number = 8999
    ports: Ports | None = None
    pace_per_s: Pace | None = 5.0
    settings: FamilySettings = Field(default_factory=dict)


class BridgePatch(Body):
    """What is to change; fields left out stay."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"ports": 200, "pace_per_s": None}]})

    family: Family = Field(default_factory=str)
    control_host: Host = Field(default_factory=str)
    control_port: Port | None = None
    control_username: Line = Field(default_factory=str)
    control_secret: Secret = Field(default_factory=str)
    conference_address: ConferenceAddress = Field(default_factory=str)
    first_number: Number = Field(default_factory=int)
    last_number: Number = Field(default_factory=int)
    ports: Ports | None = None
    pace_per_s: Pace | None = None
    settings: FamilySettings = Field(default_factory=dict)


class BridgeShown(BaseModel):
    """A bridge."""

    name: str
    family: str
    control_host: str
    control_port: int | None
    control_username: str
    has_secret: bool
    conference_address: str
    first_number: int
    last_number: int
    ports: int | None
    pace_per_s: float | None
    settings: dict[str, Any]

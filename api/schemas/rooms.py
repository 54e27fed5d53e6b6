"""Rooms on other people's bridges as they cross the wire; their PIN goes in and never comes out."""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic.config import JsonDict

from api.schemas.problem import Wrong
from api.schemas.values import Body, DialAddress, DialAddressOrNone, Name
from api.words import msgid
from orchestrator.keys import env_name

_EXAMPLE: JsonDict = {
    "name": "Phòng họp tỉnh",
    "address": "sip:9001@198.51.100.7",
    "backup_address": "sip:9001@198.51.100.8",
    "pin": "env:PROVINCE_PIN",
}


def _pin(text: str) -> str:
    digits = all(digit in "0123456789*#" for digit in text)
    if digits and len(text) <= 32:
        return text
    try:
        env_name(text)
    except ValueError:
        raise Wrong(msgid("is no PIN"), msgid("at most 32 digits, * or #, or env:NAME")) from None
    return text


Pin = Annotated[
    str,
    Field(max_length=200, description="sealed when it is stored and never shown again; env:NAME names a variable"),
    AfterValidator(_pin),
]
RoomNumber = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{0,64}$", description="its conference on `bridge`")]


class RoomNew(Body):
    """A room that is to be created. With `bridge` and `number` its roster proves that a link was let in."""

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE]})

    name: Name
    address: DialAddress
    backup_address: DialAddressOrNone = ""
    pin: Pin = ""
    bridge: Name | None = Field(default=None, description="a bridge of the inventory that we may read")
    number: RoomNumber = ""


class RoomPatch(Body):
    """What is to change; fields left out stay."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"backup_address": "sip:9001@198.51.100.8"}]})

    address: DialAddress = Field(default_factory=str)
    backup_address: DialAddressOrNone = Field(default_factory=str)
    pin: Pin = Field(default_factory=str)
    bridge: Name | None = None
    number: RoomNumber = Field(default_factory=str)


class RoomShown(BaseModel):
    """A room."""

    name: str
    address: str
    backup_address: str
    has_pin: bool
    bridge: str | None
    number: str

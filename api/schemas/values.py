"""The values that several schemas share, with their bounds."""

import json
from typing import Annotated, Any

from fastapi import Path, Query
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from api.schemas.problem import Wrong
from api.words import msgid
from orchestrator import limits
from orchestrator.keys import env_name
from orchestrator.rules.plan import LADDER_WORDS

LARGEST_ID = 2**31 - 1
MOST_A_PAGE = 500
_MOST_SETTINGS_CHARACTERS = 4_000


class Body(BaseModel):
    """What a client sends: a field nobody knows is refused."""

    model_config = ConfigDict(extra="forbid", str_max_length=100_000)


def _one_line(text: str) -> str:
    try:
        return limits.one_line(text)
    except ValueError:
        raise Wrong(msgid("has a line break or a control character"), msgid("one line of text")) from None


def _filled(text: str) -> str:
    if not text:
        raise Wrong(msgid("is empty"), msgid("a value"))
    return text


def _name(text: str) -> str:
    # checked here and not by a pattern, for pydantic's and a client's regular expressions differ on Unicode
    if not text or not text[0].isalnum() or "/" in text:
        raise Wrong(msgid("does not fit"), msgid("a name that begins with a letter or digit, without a slash"))
    return text


def _address(text: str) -> str:
    try:
        return limits.address(text)
    except ValueError:
        expected = msgid("an address such as sip:room@192.0.2.10:5060 or h323:room@192.0.2.10")
        raise Wrong(msgid("is not an address"), expected) from None


def _address_or_none(text: str) -> str:
    return _address(text) if text else ""


def _zone(name: str) -> str:
    if name not in limits.time_zones():
        raise Wrong(msgid("{zone} is no time zone"), msgid("a name such as Asia/Ho_Chi_Minh"), zone=name[:60])
    return name


def _secret(text: str) -> str:
    if text.startswith("env:"):
        try:
            env_name(text)
        except ValueError:
            raise Wrong(msgid("names no environment variable"), msgid("env:NAME, or the secret itself")) from None
    return text


def _each_once(values: list[str]) -> list[str]:
    twice = sorted({value for value in values if values.count(value) > 1})
    if twice:
        raise Wrong(msgid("{value} stands here twice"), msgid("every entry once"), value=twice[0])
    return values


def _ladder(words: list[str]) -> list[str]:
    for word in words:
        if word not in LADDER_WORDS:
            expected = msgid("words out of {words}")
            values = {"found": word[:40], "words": " ".join(LADDER_WORDS)}
            raise Wrong(msgid("{found} is not a way to reach a site"), expected, **values)
    return _each_once(words)


def _settings(settings: dict[str, Any]) -> dict[str, Any]:
    try:
        characters = len(json.dumps(settings, ensure_ascii=True))
    except (ValueError, RecursionError):
        characters = _MOST_SETTINGS_CHARACTERS + 1
    if characters > _MOST_SETTINGS_CHARACTERS:
        expected = msgid("at most {most} characters of JSON")
        raise Wrong(msgid("is too large"), expected, most=_MOST_SETTINGS_CHARACTERS)
    if "\\u0000" in json.dumps(settings):
        raise Wrong(msgid("has a line break or a control character"), msgid("text without NUL"))
    return settings


Line = Annotated[str, Field(max_length=limits.SHORT_LENGTH), AfterValidator(_one_line)]
Title = Annotated[
    str, Field(min_length=1, max_length=limits.NAME_LENGTH), AfterValidator(_one_line), AfterValidator(_filled)
]
Code = Annotated[str, Field(pattern=f"^{limits.CODE}$", description=limits.CODE_WORDS)]
Name = Annotated[
    str,
    Field(min_length=1, max_length=limits.SHORT_LENGTH, description="begins with a letter or digit, has no slash"),
    AfterValidator(_one_line),
    AfterValidator(_name),
]
Family = Annotated[str, Field(pattern=f"^{limits.FAMILY}$")]
Email = Annotated[str, Field(max_length=320, pattern=f"^(?:{limits.EMAIL})?$")]
Host = Annotated[str, Field(max_length=255, pattern=f"^(?:{limits.HOST})?$")]
Port = Annotated[int, Field(ge=1, le=65535)]
Zone = Annotated[str, Field(max_length=64, examples=["Asia/Ho_Chi_Minh"]), AfterValidator(_zone)]
Priority = Annotated[int, Field(ge=limits.FIRST_PRIORITY, le=limits.LAST_PRIORITY, description="1 is dialed first")]
DialAddress = Annotated[
    str, Field(max_length=limits.ADDRESS_LENGTH, examples=["sip:room@192.0.2.10:5060"]), AfterValidator(_address)
]
DialAddressOrNone = Annotated[str, Field(max_length=limits.ADDRESS_LENGTH), AfterValidator(_address_or_none)]
DialAddresses = Annotated[
    list[DialAddress],
    Field(max_length=limits.MOST_ADDRESSES, description="in order of preference"),
    AfterValidator(_each_once),
]
Ladder = Annotated[
    list[Annotated[str, Field(max_length=40)]],
    Field(
        max_length=len(LADDER_WORDS),
        description=f"ways to reach it, best first, out of {' '.join(LADDER_WORDS)}; empty for the usual ones",
        examples=[["third-party", "bridge-dials"]],
    ),
    AfterValidator(_ladder),
]
Kbps = Annotated[int, Field(ge=limits.LEAST_KBPS, le=limits.MOST_KBPS)]
Secret = Annotated[
    str,
    Field(max_length=1_000, description="sealed when it is stored and never shown again; env:NAME names a variable"),
    AfterValidator(_secret),
]
FamilySettings = Annotated[
    dict[str, Any], Field(max_length=50, description="the family's own keys, see its card"), AfterValidator(_settings)
]

CodeInPath = Annotated[str, Path(pattern=f"^{limits.CODE}$", examples=["qt01"])]
NameInPath = Annotated[
    str,
    Path(min_length=1, max_length=limits.SHORT_LENGTH, examples=["main"]),
    AfterValidator(_one_line),
    AfterValidator(_name),
]
IdInPath = Annotated[int, Path(ge=1, le=LARGEST_ID)]
Limit = Annotated[int, Query(ge=1, le=MOST_A_PAGE, description="how many at most")]
After = Annotated[
    str,
    Query(max_length=limits.NAME_LENGTH, description="`next` of the page before"),
    AfterValidator(_one_line),
]

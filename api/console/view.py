"""Templates and what they need: words, wall times, one look for every page."""

from collections.abc import Callable, Mapping
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from babel.dates import format_date
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from api.orders import RUN_VERBS, SITE_VERBS
from api.vocabulary import (
    BRIDGE_EVIDENCE,
    ENDPOINT_EVIDENCE,
    EVENTS,
    PARTICIPANT_STATES,
    RUN_STATES,
    WAYS,
    meaning,
    reason,
    why,
)
from api.words import LANGUAGES, say

FOLDER = Path(__file__).parent


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(FOLDER / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.globals.update(
        PARTICIPANT_STATES=PARTICIPANT_STATES,
        BEST_FIRST=("in", "half-in", "ringing", "dialing", "retrying", "waiting", "stopped", "absent"),
        RUN_STATES=RUN_STATES,
        WAYS=WAYS,
        ENDPOINT_EVIDENCE=ENDPOINT_EVIDENCE,
        BRIDGE_EVIDENCE=BRIDGE_EVIDENCE,
        EVENTS=EVENTS,
        ORDERS=RUN_VERBS | SITE_VERBS,
        LANGUAGES=LANGUAGES,
    )
    return environment


def clock_time(at: datetime | None, zone: str) -> str:
    """`08:01:03` as a clock on the wall of `zone` shows it; empty for None."""
    return at.astimezone(ZoneInfo(zone)).strftime("%H:%M:%S") if at else ""


def hour(at: datetime, zone: str) -> str:
    """`08:01`, in `zone`."""
    return at.astimezone(ZoneInfo(zone)).strftime("%H:%M")


def day(language: str, at: datetime, zone: str) -> str:
    """The date in `zone`, as people of that language write it."""
    return format_date(at.astimezone(ZoneInfo(zone)), format="full", locale=language)


def speaker(language: str) -> dict[str, Callable[..., str]]:
    """The words a template says, bound to a language."""
    return {
        "say": lambda text, **values: say(language, text, **values),
        "meaning": lambda table, name: meaning(language, table, name),
        "reason": lambda line: reason(language, line["cause"], line["side"], line["raw"]),
        "why": lambda line: why(language, line),
        "clock_time": clock_time,
        "hour": hour,
        "day": lambda at, zone: day(language, at, zone),
    }


def render(template: str, language: str, values: Mapping[str, Any]) -> str:
    """One template's text in a language."""
    return _environment().get_template(template).render(**speaker(language), language=language, **values)


@cache
def part(template: str, macro: str, language: str) -> Callable[..., str]:
    """A macro of a template as a function, for rendering one row at a time."""
    module = _environment().get_template(template).make_module({**speaker(language), "language": language})
    function: Callable[..., str] = getattr(module, macro)
    return function

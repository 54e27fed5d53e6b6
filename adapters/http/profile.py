"""Data: how a family is connected to by HTTP, and its pace."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from adapters.control.pace import Pace


@dataclass(frozen=True, slots=True)
class HttpProfile:
    """`ports` by scheme; the first is the default."""

    ports: Mapping[str, int]
    username: str = ""
    """The account that is used where none is given."""
    pace: Pace = field(default_factory=Pace)

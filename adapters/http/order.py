"""Pure: orders to a device that is spoken to by HTTP, and what an answer can be besides a good one.

An `Action` is one request; a `Talk` is a short conversation that means one thing, such as looking at
a call before ending it the right way.
"""

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from adapters.control.order import Order

T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Request:
    """What is sent. Secrets stand in `headers` and `body`."""

    method: str
    target: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back; the names of the headers are in lower case."""

    status: int
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    body: bytes = field(default=b"", repr=False)

    def all(self, name: str) -> tuple[str, ...]:
        """Every value of one header."""
        return tuple(value for known, value in self.headers if known == name)


class Refused(Exception):
    """The device says no, in its words."""


class Unknown(Exception):
    """This firmware has no such action."""


class NotNow(Exception):
    """The device cannot do it at the moment."""


class SessionOver(Exception):
    """The device does not know our session any more; what was asked was not done."""


class Action(Order[T_co], Generic[T_co]):
    """One action with its fields; `read` is given what the answer holds and raises ValueError for what it is not."""

    __slots__ = ("fields", "name", "read")

    def __init__(
        self,
        name: str,
        fields: Mapping[str, Any] | None = None,
        read: Callable[[Any], T_co] | None = None,
        *,
        changes: bool = False,
        deadline_s: float | None = None,
    ) -> None:
        super().__init__(changes=changes, deadline_s=deadline_s)
        self.name = name
        self.fields = fields or {}
        self.read: Callable[[Any], Any] = read or _nothing


Steps = Generator[Action[Any], Any, T_co]


class Talk(Order[T_co], Generic[T_co]):
    """Several actions in a row, nobody else's between them.

    `steps()` yields actions and is given what each one's answer means; a Rejected is thrown into it.
    """

    __slots__ = ("steps",)

    def __init__(self, steps: Callable[[], Steps[T_co]], *, changes: bool = False) -> None:
        super().__init__(changes=changes)
        self.steps = steps


def _nothing(said: Any) -> None:
    """For an action whose answer says only that it was taken."""

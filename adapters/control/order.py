"""Pure: what is asked of a device, and what a device lets us see.

A grammar turns a verb of the contract into an `Order`; a link (a text conversation, an HTTP
session) carries it and gives back what its reply means.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from adapters.causes import Cleared
from adapters.values import AutoAnswer, LegState

T_co = TypeVar("T_co", covariant=True)


class Order(Generic[T_co]):
    """One thing asked of a device, whose reply means a `T_co`.

    `changes` says that the device does something: without a reply the outcome is unknown,
    and the mind looks before it asks again.
    """

    __slots__ = ("changes", "deadline_s")

    def __init__(self, *, changes: bool = False, deadline_s: float | None = None) -> None:
        self.changes = changes
        self.deadline_s = deadline_s  # None: what the profile says


@dataclass(frozen=True, slots=True)
class CallSeen:
    """A call as the device shows it: in a notification, or as one entry of its list.

    `id` is the device's own name of the call ("" for a device that has at most one and
    names none); `state` None tells that something else changed. `far` is the other
    party as the device writes it; `outgoing` None where it does not say. `cleared` is why
    it ended, where that is told.
    """

    id: str
    state: LegState | None
    far: str = ""
    outgoing: bool | None = None
    cleared: Cleared | None = None
    name: str = ""


@dataclass(frozen=True, slots=True)
class RoomSeen:
    """What is set in the room; None where this reply does not say."""

    microphone_muted: bool | None = None
    volume: int | None = None
    auto_answer: AutoAnswer | None = None
    asleep: bool | None = None
    sharing: bool | None = None


@dataclass(frozen=True, slots=True)
class LookAgain:
    """Something changed that only the device's lists show in full: they are read now."""


Report = CallSeen | LookAgain
"""What an unsolicited line can mean."""

Reports = Sequence[Report]

"""What a line check is asked to do, and what it found: plain values, and their form on the pipe."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from enum import StrEnum
from typing import Any, Protocol

from adapters.causes import ClearCause
from adapters.values import Address

VERSION = 1
"""Of what goes over the pipe; both ends name it, and neither goes on with another."""

LONGEST_LINE = 16_384
"""Bytes of one line on the pipe."""

SHORTEST_S, LONGEST_S = 1.0, 60.0
"""How long one check may send sound."""

LONGEST_RING_S = 120.0
_MOST_WORDS = 200


class LineEnd(StrEnum):
    """What became of a check."""

    MEASURED = "measured"  # a call came about, and sound was sent
    NO_CALL = "no-call"  # none came about; the cause says why
    FAILED = "failed"  # our own side could not do it; nothing is known of the line


@dataclass(frozen=True, slots=True)
class LineOrder:
    """Whom to call, how long to let it ring, how long to send the tone.

    `login` is the SIP user and secret for a far end that asks; it is never printed.
    """

    address: Address
    seconds: float = 8.0
    ring_s: float = 30.0
    user: str = "diemcau"
    display: str = ""
    login: tuple[str, str] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if not self.address.is_sip:
            raise ValueError(f"{self.address} is no SIP address; the line check calls by SIP")
        if not SHORTEST_S <= self.seconds <= LONGEST_S:
            raise ValueError(f"{self.seconds:g} s of sound; expected {SHORTEST_S:g} to {LONGEST_S:g}")
        if not 1.0 <= self.ring_s <= LONGEST_RING_S:
            raise ValueError(f"{self.ring_s:g} s of ringing; expected 1 to {LONGEST_RING_S:g}")

    @property
    def longest_s(self) -> float:
        """How long this check can take, with everything."""
        return self.ring_s + self.seconds

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "address": str(self.address), "login": list(self.login) if self.login else None}

    @classmethod
    def from_json(cls, said: Mapping[str, Any]) -> "LineOrder":
        """The order again. Raises ValueError, KeyError, TypeError."""
        login = said["login"]
        return cls(
            Address.parse(str(said["address"])),
            float(said["seconds"]),
            float(said["ring_s"]),
            str(said["user"]),
            str(said["display"]),
            (str(login[0]), str(login[1])) if login else None,
        )


@dataclass(frozen=True, slots=True)
class LineReport:
    """What was measured; None and "" where nothing is known. Percentages are 0 to 100.

    *Lost*, *late*, *doubled* and *jitter* are of what came to us (RFC 3550 A.1, A.3, A.8);
    `far_...` is what the far end's receiver reports say of what we sent.
    """

    end: LineEnd
    cause: ClearCause | None = None
    status: int = 0  # the SIP response that ended it
    raw: str = ""  # the far end's words, or ours for `failed`
    peer: str = ""  # what the far end says it is
    codec: str = ""
    post_dial_s: float | None = None  # from the INVITE to the first sign of ringing or answering
    answer_s: float | None = None  # from the INVITE to the answer
    talked_s: float = 0.0  # how long sound was sent
    cut: bool = False  # the far end hung up before the time was over
    held: bool = False  # the far end's description says that it sends nothing
    sent: int = 0
    received: int = 0
    expected: int = 0
    lost: int = 0
    longest_loss: int = 0  # packets in a row
    late: int = 0
    doubled: int = 0
    jitter_s: float | None = None
    jitter_max_s: float | None = None
    pause_s: float = 0.0  # the longest time in which nothing came
    heard_pct: float | None = None  # share of the sound that is above silence
    level_dbov: float | None = None  # of the loudest part
    rtt_s: float | None = None
    rtt_max_s: float | None = None
    echo_s: float | None = None  # our own tone came back after so long
    far_lost_pct: float | None = None
    far_jitter_s: float | None = None
    far_deaf: bool = False  # its reports come and know of nothing from us
    pace_error_pct: float = 0.0  # how far from 50 packets a second we were
    slipped: int = 0  # packets of ours that were too late to be sent

    @property
    def lost_pct(self) -> float | None:
        """Loss of what came; None where nothing was to come."""
        return 100.0 * self.lost / self.expected if self.expected else None

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, said: Mapping[str, Any]) -> "LineReport":
        """The report again. Raises ValueError, KeyError, TypeError for one that was not made by `to_json`."""
        given: dict[str, Any] = {}
        for each in fields(cls):
            value = said[each.name]
            if each.name == "end":
                value = LineEnd(value)
            elif each.name == "cause":
                value = None if value is None else ClearCause(value)
            elif not isinstance(value, int | float | str | None):
                raise TypeError(f"{each.name} is {type(value).__name__}")
            given[each.name] = value
        return cls(**given)


def failed(why: str) -> LineReport:
    """A check that could not be done, for a reason of ours."""
    return LineReport(LineEnd.FAILED, raw=words(why))


def words(said: str) -> str:
    """What a device said, fit to be stored and shown: bounded, printable, text."""
    said = said[: 4 * _MOST_WORDS].encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return "".join(char for char in said if char.isprintable())[:_MOST_WORDS]


def line(message: Mapping[str, Any]) -> bytes:
    """One message as it goes over the pipe."""
    return json.dumps(message, separators=(",", ":")).encode() + b"\n"


def message(data: bytes) -> dict[str, Any]:
    """One line of the pipe. Raises ValueError when it is no JSON object."""
    said = json.loads(data)
    if not isinstance(said, dict):
        raise ValueError("a line on the pipe is no JSON object")
    return said


class LineChecks(Protocol):
    """Does line checks; many at once."""

    async def check(self, order: LineOrder) -> LineReport:
        """Do one; returns when it is over. Raises Busy when too many wait already."""
        ...

    async def close(self) -> None:
        """End what is going on; its callers are told `failed`. Safe to repeat."""
        ...

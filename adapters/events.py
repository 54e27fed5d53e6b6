"""What devices report. Every event is a past-tense fact, stamped when it was seen.

`leg` is the name the mind gave when it ordered the call; `device` is `Control.name`.
"""

from dataclasses import dataclass
from datetime import datetime

from adapters.causes import Cleared
from adapters.values import Member


@dataclass(frozen=True, slots=True)
class LegRinging:
    """The far side is alerting people."""

    leg: str
    at: datetime


@dataclass(frozen=True, slots=True)
class LegConnected:
    """The call is answered on every side this device can see."""

    leg: str
    at: datetime


@dataclass(frozen=True, slots=True)
class LegCleared:
    """The call is over, or never came about. Emitted once per leg, and last."""

    leg: str
    at: datetime
    cleared: Cleared


@dataclass(frozen=True, slots=True)
class MemberJoined:
    """The bridge has somebody new in a conference."""

    device: str
    conference: str
    member: Member
    at: datetime


@dataclass(frozen=True, slots=True)
class MemberChanged:
    """A member's mute state or name changed; `member` is the whole new entry."""

    device: str
    conference: str
    member: Member
    at: datetime


@dataclass(frozen=True, slots=True)
class MemberLeft:
    """The bridge no longer has this member."""

    device: str
    conference: str
    member: Member
    at: datetime


@dataclass(frozen=True, slots=True)
class ConferenceEnded:
    """The conference is gone from the bridge."""

    device: str
    conference: str
    at: datetime


@dataclass(frozen=True, slots=True)
class SessionGone:
    """Our control session dropped. Legs may live on; nothing can be said of them."""

    device: str
    at: datetime
    reason: str


@dataclass(frozen=True, slots=True)
class SessionReady:
    """The control session is up again; rosters must be read anew."""

    device: str
    at: datetime


LegEvent = LegRinging | LegConnected | LegCleared
Event = LegEvent | MemberJoined | MemberChanged | MemberLeft | ConferenceEnded | SessionGone | SessionReady

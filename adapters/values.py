"""What crosses the wall between the mind and the hands: plain frozen values.

Instants are aware UTC datetimes and end in `_at`; durations are seconds and end in `_s`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

_ADDRESS = re.compile(
    r"(?P<scheme>sips?|h323):(?:(?P<user>[^@\s:;/?<>\"]+)@)?"
    r"(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?)"
    r"(?::(?P<port>[0-9]{1,5}))?(?:;transport=(?P<transport>udp|tcp|tls))?",
    re.ASCII,
)


@dataclass(frozen=True, slots=True)
class Address:
    """Where a call can be placed: `sip:`, `sips:` or `h323:` with user, host and port.

    `str(address)` is the form that went in; comparing two addresses compares all parts.
    """

    scheme: str
    user: str
    host: str
    port: int | None = None
    transport: str | None = None

    @classmethod
    def parse(cls, text: str) -> "Address":
        """Read `scheme:[user@]host[:port][;transport=udp|tcp|tls]`.

        Raises ValueError that says what is wrong and what would be right.
        """
        match = _ADDRESS.fullmatch(text.strip())
        if match is None:
            raise ValueError(
                f"{text!r} is not an address; expected like sip:room@192.0.2.10:5060 or h323:room@192.0.2.10"
            )
        port = int(match["port"]) if match["port"] else None
        if port is not None and not 0 < port < 65536:
            raise ValueError(f"{text!r}: port {port} is outside 1..65535")
        if match["transport"] and match["scheme"] == "h323":
            raise ValueError(f"{text!r}: an h323 address takes no transport")
        return cls(match["scheme"], match["user"] or "", match["host"].lower(), port, match["transport"])

    @property
    def is_sip(self) -> bool:
        return self.scheme in ("sip", "sips")

    def __str__(self) -> str:
        user = f"{self.user}@" if self.user else ""
        port = f":{self.port}" if self.port else ""
        transport = f";transport={self.transport}" if self.transport else ""
        return f"{self.scheme}:{user}{self.host}{port}{transport}"


@dataclass(frozen=True, slots=True)
class Control:
    """How a device is reached and what the family needs to know of it.

    `name` is the inventory name (it stands in errors and logs); `secret` is the opened
    credential and is never printed; `settings` are the family's own keys (its README card).
    """

    name: str
    host: str = ""
    port: int | None = None
    username: str = ""
    secret: str = field(default="", repr=False)
    addresses: tuple[Address, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Identity:
    """What a device says it is; empty text where it does not say."""

    make: str = ""
    model: str = ""
    firmware: str = ""
    serial: str = ""


class LegState(StrEnum):
    """One call, from intent to end; `cleared` is reached once and is the last."""

    PLANNED = "planned"
    DIALING = "dialing"
    RINGING = "ringing"
    CONNECTED = "connected"
    CLEARING = "clearing"
    CLEARED = "cleared"


LegMemory = Mapping[str, Any]
"""JSON-ready facts that let a later process pick up a leg (a SIP pair's dialogs...)."""


@dataclass(frozen=True, slots=True)
class LegSeen:
    """A leg as the device reports it, stamped with when it was asked."""

    leg: str
    state: LegState
    seen_at: datetime


@dataclass(frozen=True, slots=True)
class DialOptions:
    """How a call is to be placed.

    `display` is the name shown to people; `ring_s` how long it may ring; `digits` are
    DTMF digits sent to the dialed party once it has answered (a PIN with its `#`),
    `digits_delay_s` after the answer. `max_kbps` and `video` are wishes: a device
    that cannot be told of one (no Capability.RATE) calls as it is set.
    """

    display: str = ""
    ring_s: float = 45.0
    max_kbps: int | None = None
    digits: str = field(default="", repr=False)
    digits_delay_s: float = 2.0
    video: bool = True


class AutoAnswerMode(StrEnum):
    """What an endpoint does with a call that comes in."""

    OFF = "off"
    ON = "on"
    DO_NOT_DISTURB = "do-not-disturb"


@dataclass(frozen=True, slots=True)
class AutoAnswer:
    """Whether calls are answered unasked, and then with the microphone off; None: no such setting."""

    mode: AutoAnswerMode
    muted: bool | None = None


@dataclass(frozen=True, slots=True)
class CallStatus:
    """One call of an endpoint as it shows it; `leg` is empty for a call that we did not place.

    `far` is the other party as the device writes it, `outgoing` None where it does not say.
    """

    leg: str
    state: LegState
    far: str = ""
    outgoing: bool | None = None


@dataclass(frozen=True, slots=True)
class EndpointStatus:
    """All that an endpoint shows of itself now; None is what it does not say.

    `volume` is in percent of the device's range.
    """

    seen_at: datetime
    calls: tuple[CallStatus, ...] = ()
    microphone_muted: bool | None = None
    volume: int | None = None
    auto_answer: AutoAnswer | None = None
    asleep: bool | None = None
    sharing: bool | None = None


@dataclass(frozen=True, slots=True)
class ConferenceSpec:
    """The conference wanted on a bridge: its number there and what people call it."""

    number: str
    title: str
    tag: str


@dataclass(frozen=True, slots=True)
class Member:
    """One entry of a bridge's roster.

    `id` is the bridge's own name of it (good for `drop` and `mute`); `marks` are the
    texts in which a tag of ours may stand (channel id, caller number); `caller` is the far
    party as the bridge shows it; None means the bridge does not say.
    """

    id: str
    marks: tuple[str, ...] = ()
    caller: str = ""
    display: str = ""
    muted: bool | None = None
    joined_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Roster:
    """Who is in a conference; `known` is False where the bridge cannot say."""

    conference: str
    members: tuple[Member, ...]
    seen_at: datetime
    known: bool = True


@dataclass(frozen=True, slots=True)
class Ports:
    """Port capacity of a bridge; None where it does not say."""

    total: int | None = None
    used: int | None = None

"""What a virtual Asterisk is made of: channels, rooms, orders to call, and its words for why a call ended.

Sources: tests/transcripts/asterisk_twin (captured), channels/chan_pjsip.c and main/channel.c
for the codes that were not seen.
"""

import asyncio
import uuid
from collections.abc import Mapping
from dataclasses import dataclass

from adapters.virtual.exchange import NORMAL, Line

CAUSES: dict[int, int] = {
    NORMAL: 16,
    401: 21,
    403: 21,
    404: 1,
    407: 21,
    408: 18,
    410: 22,
    420: 3,
    480: 19,
    483: 19,
    484: 28,
    485: 1,
    486: 17,
    488: 58,
    500: 38,
    501: 21,
    502: 27,
    503: 34,
    504: 102,
    600: 17,
    603: 21,
    604: 1,
    606: 58,
}
"""Q.850 number for a final SIP code, as chan_pjsip maps it (channels/chan_pjsip.c hangup_sip2cause)."""

CAUSE_TEXTS: dict[int, str] = {
    0: "Unknown",
    1: "Unallocated (unassigned) number",
    3: "No route to destination",
    16: "Normal Clearing",
    17: "User busy",
    18: "No user responding",
    19: "User alerting, no answer",
    21: "Call Rejected",
    22: "Number changed",
    27: "Destination out of order",
    28: "Invalid number format",
    34: "Circuit/channel congestion",
    38: "Network out of order",
    58: "Bearer capability not available",
    102: "Recover on timer expiry",
    127: "Interworking, unspecified",
}


def cause_of(code: int) -> int:
    """The Q.850 cause of a SIP code; an unlisted one is interworking or, from 500, congestion."""
    return CAUSES.get(code, 34 if 500 <= code < 600 else 127)


class Channel:
    """One call of the bridge, with everything an AMI channel block shows."""

    __slots__ = (
        "action_id",
        "answered_at",
        "application",
        "block",
        "caller",
        "caller_name",
        "connected",
        "connected_name",
        "context",
        "data",
        "dial_string",
        "exten",
        "h323",
        "has_pbx",
        "joined_at",
        "line",
        "made_at",
        "muted",
        "name",
        "order",
        "pin",
        "priority",
        "room",
        "state",
        "timer",
        "uniqueid",
    )

    def __init__(self, name: str, uniqueid: str, state: str, context: str, exten: str, made_at: float) -> None:
        self.name = name
        self.uniqueid = uniqueid
        self.state = state
        self.context = context
        self.exten = exten
        self.made_at = made_at
        self.priority = 1
        self.caller = self.caller_name = ""
        self.connected = self.connected_name = ""
        self.application = self.data = ""
        self.dial_string = ""
        self.action_id = ""
        self.line: Line | None = None
        self.order: Order | None = None
        self.room: Room | None = None
        self.pin: PinPrompt | None = None
        self.timer: asyncio.TimerHandle | None = None
        self.answered_at = self.joined_at = 0.0
        self.h323 = name.startswith("OOH323/")
        self.has_pbx = False
        self.muted = False
        self.block = ""  # the rendered channel block, for as long as nothing changed

    def still(self) -> None:
        """Stop whatever was due."""
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None


@dataclass(slots=True)
class PinPrompt:
    """How far a caller is with its PIN."""

    room: str
    tries: int = 0
    typed: str = ""
    failing: bool = False


@dataclass(frozen=True, slots=True)
class Order:
    """An Originate: whom to call, how long, and what to do with the answer."""

    action_id: str
    channel: str
    channel_id: str
    application: str
    data: str
    context: str
    exten: str
    caller: str
    caller_name: str
    timeout_s: float
    variables: Mapping[str, str]
    has_caller_id: bool
    video: bool


class Room:
    """One ConfBridge conference."""

    __slots__ = ("count", "locked", "members", "name", "uniqueid", "video")

    def __init__(self, name: str) -> None:
        self.name = name
        self.uniqueid = str(uuid.uuid4())
        self.members: dict[str, Channel] = {}  # by channel name
        self.count = 0  # channels in the bridge, its announcer included
        self.locked = False
        self.video = "none"

"""What Asterisk's events and list lines say about calls and conferences.

Pure. The order of these events is not promised: OriginateResponse was seen before the last
Newstate and DialEnd, and a failed one both before and after its Hangup
(tests/transcripts/asterisk).
"""

from collections.abc import Callable
from dataclasses import dataclass

from adapters.bridges.asterisk.grammar import Kind, Packet


@dataclass(frozen=True, slots=True)
class Party:
    """A channel as an event shows it: `channel` is its name, `uniqueid` the id we gave or Asterisk made."""

    channel: str
    uniqueid: str
    caller_number: str = ""
    caller_name: str = ""
    connected_number: str = ""
    connected_name: str = ""
    state: str = ""

    @property
    def is_announcer(self) -> bool:
        """Whether it is ConfBridge's own voice or recorder, which is nobody."""
        return self.channel.startswith(("CBAnn/", "CBRec/"))


@dataclass(frozen=True, slots=True)
class ChannelMade:
    party: Party


@dataclass(frozen=True, slots=True)
class Progressed:
    """The far side gave a sign of life: `ringing`, or anything short of it."""

    uniqueid: str
    ringing: bool


@dataclass(frozen=True, slots=True)
class Answered:
    uniqueid: str


@dataclass(frozen=True, slots=True)
class DialOver:
    """The dialing ended: ANSWER, BUSY, NOANSWER, CONGESTION, CHANUNAVAIL, CANCEL."""

    uniqueid: str
    status: str


@dataclass(frozen=True, slots=True)
class HangupAsked:
    """Somebody wants the channel gone; `by_far_end` when the party itself hung up."""

    uniqueid: str
    by_far_end: bool


@dataclass(frozen=True, slots=True)
class HungUp:
    """The channel is gone: Q.850 `cause`, its words, and for SIP the status code in `tech`."""

    party: Party
    cause: int | None
    text: str
    tech: int | None


@dataclass(frozen=True, slots=True)
class Originated:
    """The verdict on an asynchronous Originate; a failed one has no channel to name."""

    action_id: str
    uniqueid: str
    success: bool
    reason: int | None


@dataclass(frozen=True, slots=True)
class Joined:
    conference: str
    party: Party
    muted: bool | None
    answered_s: int | None = None


@dataclass(frozen=True, slots=True)
class Left:
    conference: str
    party: Party


@dataclass(frozen=True, slots=True)
class MuteChanged:
    conference: str
    party: Party
    on: bool


@dataclass(frozen=True, slots=True)
class RoomEnded:
    conference: str


@dataclass(frozen=True, slots=True)
class ChannelListed:
    """One line of CoreShowChannels; `conference` where the channel is in ConfBridge, `bridged` once it is in."""

    party: Party
    conference: str
    bridged: bool


Meaning = (
    ChannelMade
    | Progressed
    | Answered
    | DialOver
    | HangupAsked
    | HungUp
    | Originated
    | Joined
    | Left
    | MuteChanged
    | RoomEnded
)


def party(packet: Packet, prefix: str = "") -> Party:
    """The channel block of an event; `prefix` is `Dest` in the Dial events."""
    return Party(
        channel=packet.get(f"{prefix}Channel"),
        uniqueid=packet.get(f"{prefix}Uniqueid"),
        caller_number=packet.get(f"{prefix}CallerIDNum"),
        caller_name=packet.get(f"{prefix}CallerIDName"),
        connected_number=packet.get(f"{prefix}ConnectedLineNum"),
        connected_name=packet.get(f"{prefix}ConnectedLineName"),
        state=packet.get(f"{prefix}ChannelStateDesc"),
    )


def _new_state(packet: Packet) -> Meaning | None:
    state = packet.get("ChannelStateDesc")
    if state == "Up":
        return Answered(packet.get("Uniqueid"))
    if state in ("Ring", "Ringing", "Pre-ring"):
        return Progressed(packet.get("Uniqueid"), True)
    return None


_MEANINGS: dict[str, Callable[[Packet], Meaning | None]] = {
    "Newchannel": lambda p: ChannelMade(party(p)),
    "Newstate": _new_state,
    "DialState": lambda p: Progressed(p.get("DestUniqueid"), p.get("DialStatus") == "RINGING"),
    "DialEnd": lambda p: DialOver(p.get("DestUniqueid"), p.get("DialStatus")),
    "HangupRequest": lambda p: HangupAsked(p.get("Uniqueid"), True),
    "SoftHangupRequest": lambda p: HangupAsked(p.get("Uniqueid"), False),
    "Hangup": lambda p: HungUp(party(p), p.number("Cause"), p.get("Cause-txt"), p.number("TechCause")),
    "OriginateResponse": lambda p: Originated(
        p.action_id, p.get("Uniqueid"), p.get("Response") == "Success", p.number("Reason")
    ),
    "ConfbridgeJoin": lambda p: Joined(p.get("Conference"), party(p), p.flag("Muted")),
    "ConfbridgeLeave": lambda p: Left(p.get("Conference"), party(p)),
    "ConfbridgeMute": lambda p: MuteChanged(p.get("Conference"), party(p), True),
    "ConfbridgeUnmute": lambda p: MuteChanged(p.get("Conference"), party(p), False),
    "ConfbridgeEnd": lambda p: RoomEnded(p.get("Conference")),
}

LIST_EVENTS = frozenset(
    {
        "ConfbridgeList",
        "ConfbridgeListComplete",
        "ConfbridgeListRooms",
        "ConfbridgeListRoomsComplete",
        "CoreShowChannel",
        "CoreShowChannelsComplete",
    }
)
WANTED = frozenset(_MEANINGS) | LIST_EVENTS | {"FullyBooted", "Shutdown"}
"""The events that say something to us; the rest is skipped before it is parsed."""


def read(packet: Packet) -> Meaning | None:
    """What an event says about a call or a conference; None for everything else."""
    make = _MEANINGS.get(packet.name) if packet.kind is Kind.EVENT else None
    return make(packet) if make else None


def listed_member(packet: Packet) -> Joined:
    """One line of ConfbridgeList."""
    return Joined(packet.get("Conference"), party(packet), packet.flag("Muted"), packet.number("AnsweredTime"))


def listed_room(packet: Packet) -> tuple[str, int]:
    """One line of ConfbridgeListRooms: the room and how many are in it."""
    return packet.get("Conference"), packet.number("Parties") or 0


def listed_channel(packet: Packet) -> ChannelListed:
    """One line of CoreShowChannels."""
    in_room = packet.get("Application") == "ConfBridge"
    room = packet.get("ApplicationData").partition(",")[0] if in_room else ""
    return ChannelListed(party(packet), room, bool(packet.get("BridgeId")))


NOBODY_MESSAGES = frozenset({"No active conferences.", "No Conference by that name found."})
"""How ConfBridge says that a room is empty: as an error."""

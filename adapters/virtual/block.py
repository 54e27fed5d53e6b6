"""How a virtual Asterisk's channels and rooms look as lines of AMI packets. Pure.

Text ends in CRLF, ready to be joined. A channel's own block is rendered once and kept until
the channel changes: one join is told in a dozen events. Fields and their order are those of
captured packets (tests/transcripts/asterisk_twin).
"""

import re

from adapters.virtual.channel import Channel, Room

UNKNOWN = "<unknown>"

_STATES = {"Down": 0, "Ring": 4, "Ringing": 5, "Up": 6}
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def shown(value: str) -> str:
    """A value that cannot break out of its line."""
    return _CONTROL.sub("", value)


def of_channel(channel: Channel) -> str:
    """The channel block."""
    if not channel.block:
        channel.block = (
            f"Channel: {shown(channel.name)}\r\nChannelState: {_STATES[channel.state]}\r\n"
            f"ChannelStateDesc: {channel.state}\r\nCallerIDNum: {shown(channel.caller) or UNKNOWN}\r\n"
            f"CallerIDName: {shown(channel.caller_name) or UNKNOWN}\r\n"
            f"ConnectedLineNum: {shown(channel.connected) or UNKNOWN}\r\n"
            f"ConnectedLineName: {shown(channel.connected_name) or UNKNOWN}\r\nLanguage: en\r\n"
            f"AccountCode: {'ast_h323' if channel.h323 else ''}\r\nContext: {shown(channel.context)}\r\n"
            f"Exten: {shown(channel.exten)}\r\nPriority: {channel.priority}\r\n"
            f"Uniqueid: {shown(channel.uniqueid)}\r\nLinkedid: {shown(channel.uniqueid)}\r\n"
        )
    return channel.block


def of_dialed(channel: Channel) -> str:
    """The channel block of the Dial events: every name begins with Dest."""
    return "".join(f"Dest{line}\r\n" for line in of_channel(channel).split("\r\n") if line)


def of_room(room: Room) -> str:
    """The bridge block."""
    return (
        f"BridgeUniqueid: {room.uniqueid}\r\nBridgeType: base\r\nBridgeTechnology: softmix\r\n"
        f"BridgeCreator: ConfBridge\r\nBridgeName: {room.name}\r\nBridgeNumChannels: {room.count}\r\n"
        f"BridgeVideoSourceMode: {room.video}\r\n"
    )


def room_line(room: Room) -> str:
    """One entry of ConfbridgeListRooms."""
    locked = "Yes" if room.locked else "No"
    return f"Conference: {room.name}\r\nParties: {len(room.members)}\r\nMarked: 0\r\nLocked: {locked}\r\nMuted: No\r\n"


def member_line(room: Room, channel: Channel, now: float) -> str:
    """One entry of ConfbridgeList. Nobody talks: there is no sound here."""
    muted = "Yes" if channel.muted else "No"
    return (
        f"Conference: {room.name}\r\nAdmin: No\r\nMarkedUser: No\r\nWaitMarked: No\r\nEndMarked: No\r\n"
        f"EndMarkedAny: No\r\nWaiting: No\r\nMuted: {muted}\r\nTalking: No\r\n"
        f"AnsweredTime: {_since(channel.answered_at, now)}\r\n{of_channel(channel)}"
    )


def channel_line(channel: Channel, now: float) -> str:
    """One entry of CoreShowChannels."""
    seconds = _since(channel.made_at, now)
    application, data = _running(channel)
    return (
        f"{of_channel(channel)}Application: {application}\r\nApplicationData: {data}\r\n"
        f"Duration: {seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}\r\n"
        f"BridgeId: {channel.room.uniqueid if channel.room else ''}\r\n"
    )


def status_line(channel: Channel, now: float) -> str:
    """One entry of Status, without its ActionID (which comes last there)."""
    application, data = _running(channel)
    return (
        f"Privilege: Call\r\n{of_channel(channel)}Type: {channel.name.partition('/')[0]}\r\nDNID: \r\n"
        f"EffectiveConnectedLineNum: {shown(channel.connected) or UNKNOWN}\r\n"
        f"EffectiveConnectedLineName: {shown(channel.connected_name) or UNKNOWN}\r\nTimeToHangup: 0\r\n"
        f"BridgeID: {channel.room.uniqueid if channel.room else ''}\r\n"
        f"Application: {application}\r\nData: {data}\r\nNativeformats: (ulaw)\r\nReadformat: slin\r\n"
        "Readtrans: (ulaw@8000)->(slin@8000)\r\nWriteformat: slin\r\nWritetrans: (slin@8000)->(ulaw@8000)\r\n"
        f"Callgroup: 0\r\nPickupgroup: 0\r\nSeconds: {_since(channel.answered_at, now)}\r\n"
    )


def _since(at: float, now: float) -> int:
    return max(0, int(now - at)) if at else 0


def _running(channel: Channel) -> tuple[str, str]:
    return channel.application or "AppDial2", shown(channel.data) or "(Outgoing Line)"

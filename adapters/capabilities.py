"""What a device can do beyond the verbs that every device has.

A declared capability works; an undeclared one raises `NotSupported` before a byte
is sent (the third law of the hands, docs/architecture.md).
"""

from enum import StrEnum


class Capability(StrEnum):
    """One ability that a family declares."""

    # endpoints
    DIAL = "dial"  # the endpoint can be made to call
    ADOPT = "adopt"  # a leg survives our restart and can be picked up from its memory
    REFER = "refer"  # the call it is made to place is its own: only the bridge hears of its end, and ends it
    RATE = "rate"  # a call's bandwidth can be chosen; without it max_kbps is not sent
    STATUS = "status"  # the endpoint tells of all its calls, also those placed by hand
    ANSWER = "answer"  # a call that comes in can be answered by order
    AUTO_ANSWER = "auto-answer"  # whether calls are answered unasked can be read and set
    VOLUME = "volume"
    PRESET = "preset"  # a stored camera position can be recalled
    CONTENT = "content"  # sending of the second picture can be started and stopped
    WAKE = "wake"
    TEXT = "text"  # a line of text can be shown on the room's screen
    # bridges
    INVITE = "invite"  # the bridge can call
    ROSTER = "roster"  # the bridge can say who is in
    DROP = "drop"  # the bridge can put one member out
    LOCK = "lock"
    LAYOUT = "layout"
    RECORD = "record"
    # both
    MUTE = "mute"
    DTMF = "dtmf"
    H323 = "h323"  # calls can be placed to h323: addresses
    SIP = "sip"  # calls can be placed to sip:/sips: addresses
    VIDEO = "video"

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
    ANSWER = "answer"
    AUTO_ANSWER = "auto-answer"
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

"""What the abilities of the family rest on."""

from adapters.capabilities import Capability
from adapters.evidence import Basis, Evidence, Kind

EVIDENCE: Basis = {
    Capability.DIAL: Evidence(Kind.MANUAL, "the answer names the call; it says only that dialing began"),
    Capability.SIP: Evidence(Kind.MANUAL),
    Capability.H323: Evidence(Kind.MANUAL, "an alias behind a gateway is dialed as `alias@host` (made up)"),
    Capability.RATE: Evidence(Kind.MANUAL, "64 to 6000"),
    Capability.VIDEO: Evidence(Kind.MANUAL),
    Capability.ADOPT: Evidence(Kind.MADE_UP, "by the call id in `xStatus Call`"),
    Capability.STATUS: Evidence(Kind.MANUAL),
    Capability.ANSWER: Evidence(Kind.MANUAL),
    Capability.AUTO_ANSWER: Evidence(Kind.MANUAL, "with its own setting for the microphone; no Do-Not-Disturb"),
    Capability.MUTE: Evidence(Kind.MANUAL),
    Capability.VOLUME: Evidence(Kind.MANUAL, "a setting in TC, a command in CE"),
    Capability.DTMF: Evidence(Kind.MANUAL, "32 digits at once"),
    Capability.PRESET: Evidence(Kind.MANUAL, "1 to 15 of all cameras in TC, 1 to 35 of one in CE"),
    Capability.CONTENT: Evidence(Kind.MANUAL),
    Capability.WAKE: Evidence(Kind.MANUAL),
    Capability.TEXT: Evidence(Kind.MANUAL, "`Message Alert` in TC, `UserInterface Message Alert` in CE"),
}

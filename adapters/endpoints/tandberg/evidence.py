"""What the abilities of the family rest on."""

from adapters.capabilities import Capability
from adapters.evidence import Basis, Evidence, Kind

EVIDENCE: Basis = {
    Capability.DIAL: Evidence(Kind.MANUAL, "the answer has the call's number, 1 to 11, which later calls have again"),
    Capability.SIP: Evidence(Kind.MADE_UP, "the network profile chooses; the setting `sip_profile` names it"),
    Capability.H323: Evidence(Kind.MANUAL, "`user@host` for an alias behind a gateway is made up"),
    Capability.RATE: Evidence(Kind.MANUAL, "the next rate the device knows below the wish"),
    Capability.VIDEO: Evidence(Kind.MANUAL),
    Capability.STATUS: Evidence(Kind.MANUAL, "the shape is the one of the guide of the MPS"),
    Capability.ANSWER: Evidence(Kind.MANUAL, "answers whoever rings"),
    Capability.MUTE: Evidence(Kind.MANUAL, "a driver in the field"),
    Capability.DTMF: Evidence(Kind.MANUAL, "one digit a command, to all calls"),
    Capability.PRESET: Evidence(Kind.MANUAL, "how many there are is not known; 0 to 14 are sent"),
    Capability.CONTENT: Evidence(Kind.MANUAL),
    Capability.WAKE: Evidence(Kind.MANUAL, "`screensaverdeactivate`"),
}

"""What the abilities of the family rest on."""

from adapters.capabilities import Capability
from adapters.evidence import Basis, Evidence, Kind

EVIDENCE: Basis = {
    Capability.DIAL: Evidence(Kind.MANUAL, "`dial manual`; the call id comes only in events"),
    Capability.SIP: Evidence(Kind.MANUAL),
    Capability.H323: Evidence(Kind.MANUAL, "an alias behind a gateway is dialed as `host##alias` (made up)"),
    Capability.RATE: Evidence(Kind.MANUAL, "the next speed the device knows below the wish"),
    Capability.VIDEO: Evidence(Kind.MANUAL),
    Capability.ADOPT: Evidence(Kind.MADE_UP, "by the call id in `callinfo all`"),
    Capability.STATUS: Evidence(Kind.MANUAL, "`callinfo all`; the name field may be missing"),
    Capability.ANSWER: Evidence(Kind.MANUAL),
    Capability.AUTO_ANSWER: Evidence(Kind.MANUAL, "no setting for the microphone; mute it beside"),
    Capability.MUTE: Evidence(Kind.MANUAL),
    Capability.VOLUME: Evidence(Kind.MANUAL, "0 to 50"),
    Capability.DTMF: Evidence(Kind.MANUAL, "one digit a command; the words of the reply are not known"),
    Capability.PRESET: Evidence(Kind.MANUAL, "0 to 99; the words of the reply are not known"),
    Capability.CONTENT: Evidence(Kind.MANUAL),
    Capability.WAKE: Evidence(Kind.MANUAL, "the words of the reply are not known"),
}

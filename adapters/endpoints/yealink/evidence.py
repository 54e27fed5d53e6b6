"""What the abilities of the family rest on."""

from adapters.capabilities import Capability
from adapters.evidence import Basis, Evidence, Kind

EVIDENCE: Basis = {
    Capability.DIAL: Evidence(Kind.MANUAL, "`dial manual`; no acknowledgement, no call id, no cause of an end"),
    Capability.SIP: Evidence(Kind.MANUAL),
    Capability.H323: Evidence(Kind.MANUAL, "an alias behind a gateway is dialed as `host##alias` (made up)"),
    Capability.RATE: Evidence(Kind.MANUAL, "the speeds it knows are not listed"),
    Capability.VIDEO: Evidence(Kind.MANUAL),
    Capability.ADOPT: Evidence(Kind.MADE_UP, "it has one call as far as it tells: the one that is up"),
    Capability.STATUS: Evidence(Kind.MANUAL, "`sysstatus get`: the room's state, not each call's"),
    Capability.ANSWER: Evidence(Kind.MANUAL),
    Capability.MUTE: Evidence(Kind.MANUAL),
    Capability.VOLUME: Evidence(Kind.MANUAL, "0 to 10"),
    Capability.DTMF: Evidence(Kind.MANUAL, "one digit a command, no A to D"),
    Capability.PRESET: Evidence(Kind.MANUAL, "0 to 9"),
    Capability.CONTENT: Evidence(Kind.MANUAL, "`inputsource share`, only in a call; ends with `inputsource camera`"),
}

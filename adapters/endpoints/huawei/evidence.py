"""What the abilities of the family rest on."""

from adapters.capabilities import Capability
from adapters.evidence import Basis, Evidence, Kind

EVIDENCE: Basis = {
    Capability.DIAL: Evidence(Kind.MANUAL, "`WEB_CallNumberAPI` in four drivers"),
    Capability.SIP: Evidence(Kind.MADE_UP, "the device chooses the protocol by its own setting; none can be asked for"),
    Capability.ADOPT: Evidence(Kind.MADE_UP, "it has one call at most and does not say with whom"),
    Capability.STATUS: Evidence(
        Kind.MANUAL, "`WEB_GetMailboxDataAPI`; drivers disagree on `callstate` 2, so it is unused"
    ),
    Capability.ANSWER: Evidence(Kind.MANUAL),
    Capability.MUTE: Evidence(Kind.MANUAL),
    Capability.VOLUME: Evidence(Kind.MANUAL, "0 to 15"),
    Capability.CONTENT: Evidence(Kind.MANUAL),
    Capability.WAKE: Evidence(Kind.MANUAL),
}

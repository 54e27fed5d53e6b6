"""What the abilities of the family rest on."""

from adapters.capabilities import Capability
from adapters.evidence import Basis, Evidence, Kind

EVIDENCE: Basis = {
    Capability.DIAL: Evidence(Kind.MANUAL, "`dial /address/` in two drivers"),
    Capability.SIP: Evidence(Kind.MADE_UP, "the device chooses the protocol by its own setting; none can be asked for"),
    Capability.STATUS: Evidence(Kind.MADE_UP, "it lists no calls: what it told by itself since the log-in"),
    Capability.ANSWER: Evidence(Kind.MANUAL),
    Capability.MUTE: Evidence(Kind.MANUAL, "drivers do not say which of on and off mutes; setting `mic_on_mutes`"),
    Capability.VOLUME: Evidence(Kind.MANUAL, "0 to 23; the words of the reply are not known"),
    Capability.PRESET: Evidence(Kind.MANUAL, "1 to 100; the words of the reply are not known"),
    Capability.CONTENT: Evidence(Kind.MANUAL, "`rgb start`; the words of the reply are not known"),
    Capability.WAKE: Evidence(Kind.MANUAL, "the words of the reply are not known"),
}

"""What the abilities of the family rest on."""

from adapters.capabilities import Capability
from adapters.evidence import Basis, Evidence, Kind

EVIDENCE: Basis = {
    Capability.DIAL: Evidence(Kind.MANUAL, "`control call dial`; the call id comes in events or the list"),
    Capability.SIP: Evidence(Kind.MANUAL),
    Capability.H323: Evidence(Kind.MANUAL, "not on an Icon; an alias behind a gateway is `host##alias` (made up)"),
    Capability.RATE: Evidence(Kind.MANUAL, "`-b`; not on an Icon"),
    Capability.VIDEO: Evidence(Kind.MANUAL, "a Room calls as it is set"),
    Capability.ADOPT: Evidence(Kind.MADE_UP, "by the call id in `status call active`"),
    Capability.STATUS: Evidence(Kind.MANUAL, "`status call active`"),
    Capability.ANSWER: Evidence(Kind.MANUAL),
    Capability.AUTO_ANSWER: Evidence(Kind.MANUAL, "two switches: auto-answer and Do-Not-Disturb"),
    Capability.MUTE: Evidence(Kind.MANUAL),
    Capability.VOLUME: Evidence(Kind.MANUAL, "0 to 100"),
    Capability.DTMF: Evidence(Kind.MANUAL, "one digit a command"),
    Capability.PRESET: Evidence(Kind.MANUAL, "1 to 19; on a later Icon 0 to 9"),
    Capability.CONTENT: Evidence(Kind.MANUAL),
    Capability.WAKE: Evidence(Kind.MANUAL, "`control wakeup`"),
    Capability.TEXT: Evidence(Kind.MANUAL, "`set system message`; not on an Icon"),
}

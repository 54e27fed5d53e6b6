"""TANDBERG MXP over telnet, with a password and without one; its SIP is chosen by a network profile."""

from dataclasses import replace

from adapters.causes import ClearCause
from adapters.endpoints.tandberg.evidence import EVIDENCE
from adapters.endpoints.tandberg.grammar import TandbergGrammar
from adapters.endpoints.tandberg.profile import PROFILE
from adapters.endpoints.tandberg.twin import SIP_PROFILE, TandbergTwin
from tests.conformance.vendor.rig import TELLS_NOTHING, Vendor, quick

MXP = Vendor(
    family="tandberg",
    label="mxp",
    twin=TandbergTwin,
    profile=quick(PROFILE),
    grammar=TandbergGrammar,
    evidence=EVIDENCE,
    identity=("TANDBERG", "6000 MXP", "F8.2 PAL"),
    wire={
        "dial": "xcommand dial",
        "hang_up": "xcommand disconnectcall",
        "calls": "xstatus call",
        "mute": "xconfiguration audio microphones mode:off",
    },
    noise=("RING", "*s Conference (type=Idle): /", "*s/end", "NO CARRIER"),
    settings={"sip_profile": SIP_PROFILE},
    causes=TELLS_NOTHING,
    far_hang_up=ClearCause.UNKNOWN,
)
OPEN = replace(MXP, label="mxp-open", secret="")
VENDORS = (MXP, OPEN)

"""Yealink: a room that asks for nothing, and one that asks for a password."""

from dataclasses import replace
from functools import partial

from adapters.causes import ClearCause
from adapters.endpoints.yealink.evidence import EVIDENCE
from adapters.endpoints.yealink.grammar import YealinkGrammar
from adapters.endpoints.yealink.profile import PROFILE
from adapters.endpoints.yealink.twin import YealinkTwin
from tests.conformance.vendor.rig import SECRET, TELLS_NOTHING, Vendor, quick

OPEN = Vendor(
    family="yealink",
    label="vc400",
    twin=YealinkTwin,
    profile=quick(PROFILE),
    grammar=YealinkGrammar,
    evidence=EVIDENCE,
    identity=("Yealink", "VC400", "30.20.254.12"),
    wire={"dial": "dial", "hang_up": "button hangup", "calls": "sysstatus get", "mute": "mute near on"},
    noise=(
        "storage get available",
        "donotdisturb talk get off",
        'version "model:VC400" "firmware:30.20.254.12" "hardware:30.2.0.0" "productId:x" "cc_version:x"',
    ),
    secret="",
    causes=TELLS_NOTHING,
    far_hang_up=ClearCause.UNKNOWN,
    tells_ringing=False,
    has_other_calls=False,
    acknowledges=False,
    shares_outside_calls=False,
)
LOCKED = replace(
    OPEN,
    label="vc800",
    twin=partial(YealinkTwin, model="VC800", asks_password=True),
    identity=("Yealink", "VC800", "30.20.254.12"),
    noise=OPEN.noise[:2],
    secret=SECRET,
)
VENDORS = (OPEN, LOCKED)

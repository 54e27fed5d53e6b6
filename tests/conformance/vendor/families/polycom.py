"""Polycom: a Group that echoes, an HDX without echo whose lines begin with an arrow, and SSH."""

from dataclasses import replace
from functools import partial

from adapters.endpoints.polycom.evidence import EVIDENCE
from adapters.endpoints.polycom.grammar import PolycomGrammar
from adapters.endpoints.polycom.profile import PROFILE
from adapters.endpoints.polycom.twin import PolycomTwin
from tests.conformance.vendor.rig import Vendor, quick

GROUP = Vendor(
    family="polycom",
    label="group",
    twin=PolycomTwin,
    profile=quick(PROFILE),
    grammar=PolycomGrammar,
    evidence=EVIDENCE,
    identity=("Polycom", "RealPresence Group 500", "6.1.6.1-460003"),
    wire={"dial": "dial", "hang_up": "hangup", "calls": "callinfo", "mute": "mute near on"},
    noise=(
        "notification:vidsourcechange:near:1:Main:people",
        "Control event: vcbutton farstop ",
        "-> ",
        "Hi, my name is : Boardroom",
        "Model: RealPresence Group 500",
        "notification:mutestatus:near:near:near:near:notmuted",
    ),
)
HDX = replace(
    GROUP,
    label="hdx",
    twin=partial(PolycomTwin, model="HDX 8000", has_echo=False),
    identity=("Polycom", "HDX 8000", "6.1.6.1-460003"),
    noise=("notification:linestatus:outgoing:32:0:0:disconnected", "Hi, my name is : Boardroom", "Model: HDX 8000"),
)
SSH = replace(GROUP, label="group-ssh", twin=partial(PolycomTwin, has_arrow=True), transport="ssh", username="admin")
VENDORS = (GROUP, HDX, SSH)

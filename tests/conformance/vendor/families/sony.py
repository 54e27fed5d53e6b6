"""Sony: a console that echoes, one that does not and mutes by the other word, and a line without a log-in."""

from dataclasses import replace
from functools import partial

from adapters.causes import ClearCause
from adapters.endpoints.sony.evidence import EVIDENCE
from adapters.endpoints.sony.grammar import SonyGrammar
from adapters.endpoints.sony.line import Line
from adapters.endpoints.sony.profile import PROFILE
from adapters.endpoints.sony.twin import SonyTwin
from tests.conformance.vendor.rig import TELLS_NOTHING, Vendor, quick

XG = Vendor(
    family="sony",
    label="xg",
    twin=SonyTwin,
    profile=quick(PROFILE),
    grammar=lambda: SonyGrammar(Line()),
    evidence=EVIDENCE,
    identity=("Sony", "IPELA PCS", ""),
    wire={"dial": "dial", "hang_up": "disconnect", "calls": "status power", "mute": "audio mic-off"},
    noise=("far camera stop", "CNTR>", "list index 1"),
    username="sonypcs",
    causes=TELLS_NOTHING,
    tells_ringing=False,
    far_hang_up=ClearCause.UNKNOWN,
    has_other_calls=False,
    lists_calls=False,
    acknowledges=False,  # of a dial the first event is the reply
)
SILENT = replace(
    XG,
    label="xl",
    twin=partial(SonyTwin, has_echo=False, mic_on_mutes=True),
    wire={**XG.wire, "mute": "audio mic-on"},
    settings={"mic_on_mutes": True},
)
SERIAL = replace(
    XG,
    label="serial",
    profile=quick(replace(PROFILE, login=replace(PROFILE.login, nudge_s=0.05))),
    secret="",
    username="",
)
VENDORS = (XG, SILENT, SERIAL)

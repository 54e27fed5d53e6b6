"""LifeSize: a Room over SSH and over telnet, an Icon whose shell must be entered, one with the later firmware."""

from dataclasses import replace
from functools import partial

from adapters.capabilities import Capability
from adapters.causes import ClearCause
from adapters.endpoints.lifesize.adapter import DIALECTS
from adapters.endpoints.lifesize.evidence import EVIDENCE
from adapters.endpoints.lifesize.grammar import IconGrammar, LaterIconGrammar, LifesizeGrammar
from adapters.endpoints.lifesize.profile import ICON_PROFILE, PROFILE
from adapters.endpoints.lifesize.twin import LifesizeTwin
from tests.conformance.vendor.rig import TELLS_NOTHING, Vendor, quick

ROOM = Vendor(
    family="lifesize",
    label="room",
    twin=LifesizeTwin,
    profile=quick(PROFILE),
    grammar=LifesizeGrammar,
    evidence=EVIDENCE,
    identity=("LifeSize", "Room 220", "4.11.13 (2)"),
    wire={
        "dial": "control call dial",
        "hang_up": "control call hangup",
        "calls": "status call active",
        "mute": "set audio mute on",
    },
    noise=("VC,12,1,1280x720,1280x720", "", "ok,00", "FC,1,0,0,0,0", "", "ok,00"),
    transport="telnet",
    username="auto",
    causes={**TELLS_NOTHING, "busy": ClearCause.BUSY},
    far_hang_up=ClearCause.UNKNOWN,
)
SSH = replace(ROOM, label="room-ssh", transport="ssh")
_ICON_LACKS = DIALECTS["icon"].lacks
ICON = replace(
    ROOM,
    label="icon",
    twin=partial(LifesizeTwin, dialect="icon", model="Icon 600"),
    profile=quick(ICON_PROFILE),
    grammar=IconGrammar,
    evidence={ability: EVIDENCE[ability] for ability in EVIDENCE.keys() - _ICON_LACKS},
    identity=("LifeSize", "Icon 600", "4.11.13 (2)"),
    noise=("VC,12,1,1280x720,1280x720", "", "ok,00"),
    transport="ssh",
    settings={"dialect": "icon"},
    lacks=frozenset({Capability.H323, Capability.RATE, Capability.TEXT}),
    tells_ringing=None,
    causes={
        **TELLS_NOTHING,
        "busy": ClearCause.BUSY,
        "ring 0.05; no answer": ClearCause.NO_ANSWER,
        "not found": ClearCause.NOT_FOUND,
    },
)
LATER = replace(
    ICON,
    label="icon-later",
    twin=partial(LifesizeTwin, dialect="icon-later", model="Icon 700"),
    grammar=LaterIconGrammar,
    identity=("LifeSize", "Icon 700", "4.11.13 (2)"),
    noise=("EVENT systemStateChanged", "Success, 0"),
    settings={"dialect": "icon-later"},
    causes=TELLS_NOTHING,
)
VENDORS = (ROOM, SSH, ICON, LATER)

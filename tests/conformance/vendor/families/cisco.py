"""Cisco: TC with `OK` behind its answers, older software with indented fields, CE with tags, and CE over SSH."""

from dataclasses import replace
from functools import partial

from adapters.endpoints.cisco.evidence import EVIDENCE
from adapters.endpoints.cisco.grammar import CiscoGrammar
from adapters.endpoints.cisco.profile import PROFILE
from adapters.endpoints.cisco.twin import CiscoTwin
from tests.conformance.vendor.rig import Vendor, quick

TC = Vendor(
    family="cisco",
    label="tc",
    twin=CiscoTwin,
    profile=quick(PROFILE),
    grammar=CiscoGrammar,
    evidence=EVIDENCE,
    identity=("Cisco", "TelePresence SX20", "TC7.3.3.c84180a"),
    wire={
        "dial": "xCommand Dial",
        "hang_up": "xCommand Call Disconnect",
        "calls": "xStatus Call",
        "mute": "xCommand Audio Microphones Mute",
    },
    noise=("*s Cameras Camera 1 Position Pan: 0", "*s Cameras Camera 1 Position Tilt: 0", "** end", ""),
    username="admin",
)
OLD = replace(TC, label="tc-indented", twin=partial(CiscoTwin, ok_first=True, is_indented=True))
CE = replace(
    TC,
    label="ce",
    twin=partial(CiscoTwin, is_ce=True, ok_first=True),
    identity=("Cisco", "TelePresence SX80", "ce9.15.3.24.fe9ab7a6b75"),
    noise=("*e UserInterface Extensions Widget Action Type: pressed", "** end"),
)
SSH = replace(CE, label="ce-ssh", twin=partial(CiscoTwin, is_ce=True), transport="ssh", settings={"dialect": "ce"})
VENDORS = (TC, OLD, CE, SSH)

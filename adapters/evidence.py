"""What a family's abilities rest on. Pure; drawn into docs/adapters.md."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from adapters.capabilities import Capability


class Kind(StrEnum):
    """Where we know from how a device does something, the best first."""

    PEER = "real peer"  # seen working with one
    CAPTURED = "transcript"  # a recorded session of one
    MANUAL = "manual"  # the vendor's words, or several independent drivers in the field
    MADE_UP = "made up"  # follows from the rest; no source shows it


@dataclass(frozen=True, slots=True)
class Evidence:
    """What one ability rests on, and the quirk to know of, if any."""

    kind: Kind
    note: str = ""


Basis = Mapping[Capability, Evidence]

TOO_THIN: Mapping[str, str] = {
    "AVer EVC, SVC": "no call control was found in any source, only camera commands (VISCA)",
    "Sony PCS-1, PCS-11, G50, G70, TL": "no source covers them; the later XG series may or may not share its words",
    "Huawei TE by telnet or SSH": "the guides say that one can log in, none says what can be typed",
    "Grandstream GVC": "only the phones' CTI interface is described; the GVC's own is another",
}
"""Devices people ask for, and why there is no family for them."""

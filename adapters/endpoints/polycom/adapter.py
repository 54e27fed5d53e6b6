"""The family `polycom`: HDX and RealPresence Group over telnet or SSH."""

from typing import TYPE_CHECKING

from adapters.capabilities import Capability
from adapters.cli.endpoint import TextEndpoint
from adapters.cli.profile import Profile
from adapters.endpoints.polycom.grammar import PolycomGrammar
from adapters.endpoints.polycom.profile import PROFILE
from adapters.values import Control

if TYPE_CHECKING:
    from adapters.registry import Surroundings


class PolycomEndpoint(TextEndpoint):
    """One HDX or Group."""

    family = "polycom"
    capabilities = frozenset(
        {
            Capability.DIAL,
            Capability.SIP,
            Capability.H323,
            Capability.RATE,
            Capability.VIDEO,
            Capability.ADOPT,
            Capability.STATUS,
            Capability.ANSWER,
            Capability.AUTO_ANSWER,
            Capability.MUTE,
            Capability.VOLUME,
            Capability.DTMF,
            Capability.PRESET,
            Capability.CONTENT,
            Capability.WAKE,
        }
    )

    def __init__(self, control: Control, surroundings: "Surroundings", profile: Profile = PROFILE) -> None:
        super().__init__(control, surroundings, profile, PolycomGrammar)

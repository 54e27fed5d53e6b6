"""The family `yealink`: VC rooms over TCP 6024."""

from typing import TYPE_CHECKING

from adapters.capabilities import Capability
from adapters.cli.endpoint import TextEndpoint
from adapters.cli.profile import Profile
from adapters.endpoints.yealink.grammar import YealinkGrammar
from adapters.endpoints.yealink.profile import PROFILE
from adapters.values import Control

if TYPE_CHECKING:
    from adapters.registry import Surroundings


class YealinkEndpoint(TextEndpoint):
    """One VC room."""

    family = "yealink"
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
            Capability.MUTE,
            Capability.VOLUME,
            Capability.DTMF,
            Capability.PRESET,
            Capability.CONTENT,
        }
    )
    has_call_ids = False
    tells_changes = False

    def __init__(self, control: Control, surroundings: "Surroundings", profile: Profile = PROFILE) -> None:
        super().__init__(control, surroundings, profile, YealinkGrammar)

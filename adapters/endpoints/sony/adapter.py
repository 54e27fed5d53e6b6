"""The family `sony`: IPELA PCS-XG, XL, XA and G60 over telnet or a serial line."""

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from adapters.capabilities import Capability
from adapters.causes import ClearCause, Cleared, Side
from adapters.cli.endpoint import TextEndpoint
from adapters.cli.profile import Profile
from adapters.control.link import Link
from adapters.endpoints.sony.grammar import SonyGrammar
from adapters.endpoints.sony.line import Line
from adapters.endpoints.sony.profile import PROFILE, USERNAME
from adapters.errors import Rejected
from adapters.values import Control

if TYPE_CHECKING:
    from adapters.registry import Surroundings


class SonyEndpoint(TextEndpoint):
    """One PCS. Setting `mic_on_mutes`: whether its `audio mic-on` means "mute on"; see the card."""

    family = "sony"
    has_call_ids = False
    more_settings = frozenset({"mic_on_mutes"})
    capabilities = frozenset(
        {
            Capability.DIAL,
            Capability.SIP,
            Capability.STATUS,
            Capability.ANSWER,
            Capability.MUTE,
            Capability.VOLUME,
            Capability.PRESET,
            Capability.CONTENT,
            Capability.WAKE,
        }
    )

    def __init__(self, control: Control, surroundings: "Surroundings", profile: Profile = PROFILE) -> None:
        mic_on_mutes = control.settings.get("mic_on_mutes", False)
        if not isinstance(mic_on_mutes, bool):
            raise Rejected(control.name, "settings", f"mic_on_mutes is {mic_on_mutes!r}; expected true or false")
        # A call lives on when a session is lost, so what was told of it outlives sessions too.
        named = replace(control, username=control.username or USERNAME)
        super().__init__(named, surroundings, profile, partial(SonyGrammar, Line(), mic_on_mutes))

    async def _catch_up(self, link: Link) -> None:
        """Whether an order without a reply made a call cannot be asked: it is ended, and then there is none."""
        await super()._catch_up(link)
        for leg in self._legs:
            if leg.is_doubtful:
                leg.ending = leg.ending or _DOUBTFUL
                self._spawn(self._hang_up_late(leg))


_DOUBTFUL = Cleared(ClearCause.LOST, Side.DEVICE, "no reply to the order to call, and no way to ask what came of it")

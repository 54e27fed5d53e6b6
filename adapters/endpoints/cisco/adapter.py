"""The family `cisco`: TelePresence and Webex devices with TC, CE or RoomOS, over telnet or SSH."""

from functools import partial
from typing import TYPE_CHECKING, ClassVar

from adapters.capabilities import Capability
from adapters.cli.endpoint import TextEndpoint
from adapters.cli.profile import Profile
from adapters.endpoints.cisco.grammar import DIALECTS, CiscoGrammar
from adapters.endpoints.cisco.profile import PROFILE
from adapters.errors import Rejected
from adapters.values import Control

if TYPE_CHECKING:
    from adapters.registry import Surroundings


class CiscoEndpoint(TextEndpoint):
    """One codec; the setting `dialect` (`tc`, `ce`) only where it does not tell its version."""

    family = "cisco"
    more_settings: ClassVar[frozenset[str]] = frozenset({"dialect"})
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
            Capability.TEXT,
        }
    )

    def __init__(self, control: Control, surroundings: "Surroundings", profile: Profile = PROFILE) -> None:
        dialect = control.settings.get("dialect") or ""
        if dialect and dialect not in DIALECTS:
            known = ", ".join(sorted(DIALECTS))
            raise Rejected(control.name, "settings", f"dialect is {dialect!r}; expected one of {known}")
        super().__init__(control, surroundings, profile, partial(CiscoGrammar, dialect))

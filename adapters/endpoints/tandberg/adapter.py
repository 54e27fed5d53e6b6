"""The family `tandberg`: the MXP series (Edge, 3000, 6000 and others with F software) over telnet."""

from functools import partial
from typing import TYPE_CHECKING, ClassVar

from adapters.capabilities import Capability
from adapters.cli.endpoint import TextEndpoint
from adapters.cli.profile import Profile
from adapters.endpoints.tandberg.grammar import TandbergGrammar
from adapters.endpoints.tandberg.profile import PROFILE
from adapters.errors import Rejected
from adapters.values import Control

if TYPE_CHECKING:
    from adapters.registry import Surroundings


class TandbergEndpoint(TextEndpoint):
    """One MXP; `sip_profile` and `h323_profile` are its network profiles (1 to 7) for each kind of call."""

    family = "tandberg"
    more_settings: ClassVar[frozenset[str]] = frozenset({"sip_profile", "h323_profile"})
    capabilities = frozenset(
        {
            Capability.DIAL,
            Capability.SIP,
            Capability.H323,
            Capability.RATE,
            Capability.VIDEO,
            Capability.STATUS,
            Capability.ANSWER,
            Capability.MUTE,
            Capability.DTMF,
            Capability.PRESET,
            Capability.CONTENT,
            Capability.WAKE,
        }
    )

    def __init__(self, control: Control, surroundings: "Surroundings", profile: Profile = PROFILE) -> None:
        profiles = (_profile(control, "sip_profile"), _profile(control, "h323_profile"))
        super().__init__(control, surroundings, profile, partial(TandbergGrammar, *profiles))


def _profile(control: Control, key: str) -> int | None:
    given = control.settings.get(key)
    if given in (None, ""):
        return None
    if str(given) not in "1234567" or len(str(given)) != 1:
        raise Rejected(control.name, "settings", f"{key} is {given!r}; expected a number from 1 to 7")
    return int(str(given))

"""The family `lifesize`: Room, Team, Express and Icon over SSH or telnet."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from adapters.capabilities import Capability
from adapters.cli.endpoint import TextEndpoint
from adapters.cli.profile import Profile
from adapters.control.grammar import Grammar
from adapters.endpoints.lifesize.grammar import IconGrammar, LaterIconGrammar, LifesizeGrammar
from adapters.endpoints.lifesize.profile import ICON_PROFILE, PROFILE
from adapters.errors import Rejected
from adapters.values import Control

if TYPE_CHECKING:
    from adapters.registry import Surroundings


@dataclass(frozen=True, slots=True)
class Dialect:
    """One of the shells: its words, its profile, what it lacks of the family's abilities, whether it tells of calls."""

    grammar: Callable[[], Grammar]
    profile: Profile
    lacks: frozenset[Capability] = frozenset()
    tells_changes: bool = True


_ICON_LACKS = frozenset({Capability.H323, Capability.RATE, Capability.TEXT})
DIALECTS = {
    "room": Dialect(LifesizeGrammar, PROFILE),
    "icon": Dialect(IconGrammar, ICON_PROFILE, _ICON_LACKS, tells_changes=False),
    "icon-later": Dialect(LaterIconGrammar, ICON_PROFILE, _ICON_LACKS, tells_changes=False),
}
"""By the setting `dialect`; the first is the default."""


class LifesizeEndpoint(TextEndpoint):
    """One Room, Team, Express or Icon."""

    family = "lifesize"
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
    more_settings: ClassVar[frozenset[str]] = frozenset({"dialect"})

    def __init__(self, control: Control, surroundings: "Surroundings", profile: Profile | None = None) -> None:
        name = control.settings.get("dialect") or "room"
        if name not in DIALECTS:
            raise Rejected(control.name, "settings", f"dialect is {name!r}; expected one of {', '.join(DIALECTS)}")
        dialect = DIALECTS[name]
        self.capabilities = type(self).capabilities - dialect.lacks
        self.tells_changes = dialect.tells_changes
        super().__init__(control, surroundings, profile or dialect.profile, dialect.grammar)

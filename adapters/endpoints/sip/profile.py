"""Pace and figures of the family, as data."""

from dataclasses import dataclass, field

from adapters.sip.pair import Patience


@dataclass(frozen=True, slots=True)
class Profile:
    """What third-party control of a SIP endpoint goes by; seconds."""

    digit_pace_s: float = 0.25  # one INFO after another: Asterisk took digits so (measured)
    digit_length_ms: int = 160
    patience: Patience = field(default_factory=Patience)


PROFILE = Profile()

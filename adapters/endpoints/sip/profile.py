"""Pace and figures of the family, as data."""

from dataclasses import dataclass, field

from adapters.sip.pair import Patience
from adapters.sip.referral import ReferPatience


@dataclass(frozen=True, slots=True)
class Profile:
    """What the calls of a SIP endpoint go by; seconds."""

    digit_pace_s: float = 0.25  # one INFO after another: Asterisk took digits so (measured)
    digit_length_ms: int = 160
    patience: Patience = field(default_factory=Patience)
    refer_patience: ReferPatience = field(default_factory=ReferPatience)
    refused_s: float = 3600.0  # so long it is remembered that an endpoint refuses REFER, outside a call or at all


PROFILE = Profile()

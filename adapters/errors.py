"""What goes wrong between us and a device.

    AdapterError            advice (what to do about it)
    ├─ Unreachable          no session to be had          later
    ├─ LoginRefused         wrong credentials             never (a human first)
    ├─ SessionLost          dropped between verbs         later
    ├─ OutcomeUnknown       sent, no reply                look first
    ├─ Rejected             the device said no            never for this order
    ├─ Busy                 not now                       later
    ├─ NoFreePorts          not here                      elsewhere
    ├─ Garbled              a reply nobody can read       later, and report
    └─ NotSupported         the plan asked the impossible never (our bug)

A busy far end is no exception: it is `LegCleared` with its cause.
"""

from enum import StrEnum
from typing import ClassVar


class Advice(StrEnum):
    """What the mind should do after an error."""

    NOW = "now"
    LATER = "later"
    LOOK = "look"
    ELSEWHERE = "elsewhere"
    NEVER = "never"


class AdapterError(Exception):
    """An order to a device failed: which device, which verb, why, and what to do.

    `trace` is the redacted tail of the conversation, for a person to read.
    """

    advice: ClassVar[Advice] = Advice.LATER

    def __init__(self, device: str, verb: str, why: str, trace: str = "") -> None:
        super().__init__(f"{device}: {verb}: {why}")
        self.device = device
        self.verb = verb
        self.why = why
        self.trace = trace


class Unreachable(AdapterError):
    """No session could be had (refused, no route, no answer in time)."""


class LoginRefused(AdapterError):
    """The device refused our credentials; never repeated blindly."""

    advice = Advice.NEVER


class SessionLost(AdapterError):
    """The session dropped before the order was sent."""


class OutcomeUnknown(AdapterError):
    """The order may have reached the device; look before ordering again."""

    advice = Advice.LOOK


class Rejected(AdapterError):
    """The device understood and said no."""

    advice = Advice.NEVER


class Busy(AdapterError):
    """The device cannot do it now."""


class NoFreePorts(AdapterError):
    """The bridge has no port left."""

    advice = Advice.ELSEWHERE


class Garbled(AdapterError):
    """The reply could not be read."""


class NotSupported(AdapterError):
    """The family does not have this ability; nothing was sent."""

    advice = Advice.NEVER

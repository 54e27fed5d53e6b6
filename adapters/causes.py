"""Why a call ended: one vocabulary for SIP codes, Q.850 numbers and vendor words.

Sources: RFC 3261 section 21 (response codes), RFC 3398 section 7.2.4.1 and 8.2.6.1
(Q.850 to SIP and back), ITU-T Q.850 (07/2018) table 1.
"""

from dataclasses import dataclass
from enum import StrEnum


class ClearCause(StrEnum):
    """Why a leg is cleared, in the words of the glossary."""

    LOCAL = "local"
    FAR_END = "far_end"
    BUSY = "busy"
    NO_ANSWER = "no_answer"
    DECLINED = "declined"
    UNREACHABLE = "unreachable"
    NOT_FOUND = "not_found"
    NOT_ALLOWED = "not_allowed"
    NO_COMMON_MEDIA = "no_common_media"
    BANDWIDTH = "bandwidth"
    LOST = "lost"
    BRIDGE_FULL = "bridge_full"
    BRIDGE_ENDED = "bridge_ended"
    UNKNOWN = "unknown"


class Side(StrEnum):
    """Whose side ended it."""

    OURS = "ours"
    DEVICE = "device"
    BRIDGE = "bridge"
    FAR_END = "far_end"
    NETWORK = "network"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Cleared:
    """How a leg ended: cause, whose side, and the raw words of the device."""

    cause: ClearCause
    side: Side
    raw: str = ""

    def __str__(self) -> str:
        return f"{self.cause} ({self.side}{': ' + self.raw if self.raw else ''})"


_SIP: dict[int, ClearCause] = {
    400: ClearCause.UNKNOWN,
    401: ClearCause.NOT_ALLOWED,
    403: ClearCause.NOT_ALLOWED,
    404: ClearCause.NOT_FOUND,
    406: ClearCause.NO_COMMON_MEDIA,
    407: ClearCause.NOT_ALLOWED,
    408: ClearCause.UNREACHABLE,
    410: ClearCause.NOT_FOUND,
    415: ClearCause.NO_COMMON_MEDIA,
    480: ClearCause.NO_ANSWER,
    481: ClearCause.LOST,
    484: ClearCause.NOT_FOUND,
    486: ClearCause.BUSY,
    487: ClearCause.LOCAL,
    488: ClearCause.NO_COMMON_MEDIA,
    500: ClearCause.UNREACHABLE,
    502: ClearCause.UNREACHABLE,
    503: ClearCause.UNREACHABLE,
    504: ClearCause.UNREACHABLE,
    600: ClearCause.BUSY,
    603: ClearCause.DECLINED,
    604: ClearCause.NOT_FOUND,
    606: ClearCause.NO_COMMON_MEDIA,
}

_Q850: dict[int, ClearCause] = {
    1: ClearCause.NOT_FOUND,
    2: ClearCause.UNREACHABLE,
    3: ClearCause.UNREACHABLE,
    16: ClearCause.FAR_END,
    17: ClearCause.BUSY,
    18: ClearCause.NO_ANSWER,
    19: ClearCause.NO_ANSWER,
    20: ClearCause.UNREACHABLE,
    21: ClearCause.DECLINED,
    22: ClearCause.NOT_FOUND,
    27: ClearCause.UNREACHABLE,
    28: ClearCause.NOT_FOUND,
    31: ClearCause.FAR_END,
    34: ClearCause.UNREACHABLE,
    38: ClearCause.UNREACHABLE,
    41: ClearCause.UNREACHABLE,
    42: ClearCause.UNREACHABLE,
    44: ClearCause.UNREACHABLE,
    47: ClearCause.BANDWIDTH,
    49: ClearCause.BANDWIDTH,
    50: ClearCause.NOT_ALLOWED,
    55: ClearCause.NOT_ALLOWED,
    57: ClearCause.NOT_ALLOWED,
    58: ClearCause.BANDWIDTH,
    65: ClearCause.NO_COMMON_MEDIA,
    79: ClearCause.NO_COMMON_MEDIA,
    88: ClearCause.NO_COMMON_MEDIA,
    102: ClearCause.LOST,
    127: ClearCause.UNKNOWN,
}


def from_sip(code: int, reason: str = "") -> ClearCause:
    """The cause that a final SIP response means (RFC 3261 section 21).

    An unlisted code takes the meaning of its class (x00), as section 8.1.3.2 asks.
    """
    if code in _SIP:
        return _SIP[code]
    return {5: ClearCause.UNREACHABLE, 6: ClearCause.DECLINED}.get(code // 100, ClearCause.UNKNOWN)


def from_q850(number: int) -> ClearCause:
    """The cause that a Q.850 number means; `unknown` for one not in the table."""
    return _Q850.get(number, ClearCause.UNKNOWN)

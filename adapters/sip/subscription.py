"""The subscription that a REFER makes by itself: what its NOTIFYs say, and how it ends. Pure.

RFC 3515 (REFER), RFC 6665 (Event, Subscription-State), RFC 4488 (Refer-Sub).
"""

from collections.abc import Mapping
from dataclasses import dataclass

from adapters.sip.message import Request, Response
from adapters.sip.sipfrag import status_of

PACKAGE = "refer"
_FOREVER_S = 86_400.0


@dataclass(frozen=True, slots=True)
class Notice:
    """What one NOTIFY tells of the call that was asked for.

    `status` is the last word about it (0: none was given); `over`: no further NOTIFY
    comes; `expires_s` is when the subscription would end by itself, where it says so.
    """

    status: int
    reason: str
    over: bool
    expires_s: float | None = None

    @property
    def is_final(self) -> bool:
        """Whether what came of the call is known now."""
        return self.status >= 200


class Subscription:
    """Follows the NOTIFYs of one REFER, given what names it: the REFER's CSeq.

    `number` is 0 where it is not known any more (after a restart): any `id` will do then.
    """

    __slots__ = ("_last", "event", "is_over", "number")

    def __init__(self, number: int = 0) -> None:
        self.number = number
        self._last = -1
        self.is_over = False
        self.event = PACKAGE
        """By what the endpoint names it, for our SUBSCRIBE (RFC 6665 section 8.2.1)."""

    @property
    def has_told(self) -> bool:
        """Whether a NOTIFY has come: it exists."""
        return self._last >= 0

    def take(self, notify: Request) -> tuple[int, Notice | None]:
        """The status to answer a NOTIFY with, and what it tells, if it is one of ours and news."""
        package, parameters = _parameters(notify.get("event"))
        if package != PACKAGE:
            return 489, None
        number = parameters.get("id", "")
        if number and not number.isalnum():
            return 489, None
        if self.is_over or (number and self.number and number != str(self.number)):
            return 481, None
        if notify.cseq <= self._last:
            return 500, None  # overtaken by a later one (RFC 3261 section 12.2.2)
        self._last = notify.cseq
        self.event = f"{PACKAGE};id={number}" if number else PACKAGE
        state, parameters = _parameters(notify.get("subscription-state"))
        told = status_of(notify.body)
        status, reason = told or (0, "")
        self.is_over = state == "terminated"
        return 200, Notice(status, reason, self.is_over, _seconds(parameters.get("expires", "")))


def wants_none(response: Response) -> bool:
    """Whether who accepted a REFER will not tell what comes of it (RFC 4488 section 4)."""
    return _parameters(response.get("refer-sub"))[0] == "false"


def _parameters(value: str) -> tuple[str, Mapping[str, str]]:
    """The first word of a header and its parameters, names in lower case."""
    first, *rest = value[:500].split(";")
    pairs = (part.partition("=") for part in rest)
    return first.strip().lower(), {name.strip().lower(): text.strip().strip('"') for name, _, text in pairs}


def _seconds(text: str) -> float | None:
    if not (text.isascii() and text.isdigit()) or len(text) > 9:
        return None
    return min(float(text), _FOREVER_S)

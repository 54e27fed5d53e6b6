"""Session timers (RFC 4028) as rules: who refreshes a dialog how often, and when it is given up. No I/O, no clock.

ours       a request of ours asks: 1800 s, whoever is asked decides who refreshes
422        asked again for as long as that side wants at least
2xx        says the interval and who refreshes; without it the dialog has no timer
theirs     answered by the table below; less than our least is refused with 422
refresh    at half the interval, by UPDATE without SDP where that is allowed, else by
           re-INVITE with the SDP that was said last, unchanged
no refresh the dialog is ended min(32 s, a third) before its interval is over
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from adapters.sip.message import Message, Request, Response

OPTION = "timer"
_SECONDS = re.compile(r"[ \t]*([0-9]{1,9})[ \t]*(?:;|$)")
_REFRESHER = re.compile(r";[ \t]*refresher[ \t]*=[ \t]*\"?(uac|uas)\b", re.IGNORECASE)
_LONGEST_S = 7 * 86_400
"""What is longer is no timer; it is cut to this."""
_GRACE_S = 32


@dataclass(frozen=True, slots=True)
class Policy:
    """What an agent asks for and puts up with; whole seconds."""

    expires_s: int = 1800
    min_se_s: int = 90
    """The least that RFC 4028 section 4 allows."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What the two sides of one dialog agreed on."""

    interval_s: int
    ours: bool
    """Whether it is we who refresh."""

    @property
    def refresh_s(self) -> float:
        """From one refresh to the next (section 7.2: half the interval)."""
        return self.interval_s / 2

    @property
    def deadline_s(self) -> float:
        """From a refresh to the end of a dialog that saw no other (section 10)."""
        return self.interval_s - min(_GRACE_S, self.interval_s / 3)


Pairs = list[tuple[str, str]]

_REFRESHERS: dict[tuple[bool, str], str] = {
    # does the asking side know timers, whom does it name -> who refreshes (section 9, table 2)
    (True, ""): "uac",
    (True, "uac"): "uac",
    (True, "uas"): "uas",
    (False, ""): "uas",
    (False, "uac"): "uas",  # may not be; who does not know timers refreshes nothing
    (False, "uas"): "uas",
}


def asking(policy: Policy, terms: Terms | None, floor_s: int) -> Pairs:
    """The headers of an INVITE or UPDATE of ours; `floor_s` is the peer's Min-SE, 0 for none known."""
    headers = [("supported", OPTION)]
    if terms is None:
        headers.append(("session-expires", str(max(policy.expires_s, floor_s))))
    else:  # who refreshes stays who it is (section 7.4)
        interval_s = max(terms.interval_s, floor_s)
        headers.append(("session-expires", f"{interval_s};refresher={'uac' if terms.ours else 'uas'}"))
    if floor_s:
        headers.append(("min-se", str(floor_s)))
    return headers


def agreed(response: Response, policy: Policy) -> Terms | None:
    """What a 2xx to an INVITE or UPDATE of ours says; None: this dialog has no timer."""
    interval_s = seconds(response.get("session-expires"))
    if interval_s is None:
        return None
    return Terms(max(interval_s, policy.min_se_s), _refresher(response) != "uas")


def longer(response: Response, policy: Policy) -> int | None:
    """The Min-SE of a 422, if it is one that can be asked for."""
    floor_s = seconds(response.get("min-se")) if response.status == 422 else None
    return floor_s if floor_s is not None and policy.min_se_s < floor_s < _LONGEST_S else None


def refused(request: Request, policy: Policy) -> Pairs | None:
    """The headers of the 422 that a request of theirs gets for asking too little, or None (section 9)."""
    value = request.headers.get("session-expires")
    if not value or not knows(request):
        return None
    interval_s = seconds(value[0])
    if interval_s is None or interval_s >= policy.min_se_s:
        return None
    return [("min-se", str(policy.min_se_s))]


def granted(request: Request, policy: Policy, terms: Terms | None) -> tuple[Terms | None, Pairs]:
    """What our 2xx to a request of theirs says; `terms` are those until now."""
    asked = request.get("session-expires")
    interval_s = seconds(asked) if asked else None
    able = knows(request)
    if interval_s is not None:
        interval_s = max(interval_s, policy.min_se_s, seconds(request.get("min-se")) or 0)
        who = _REFRESHERS[able, _refresher(request)]
    elif terms is not None:  # a request without timer on a dialog that has one: it stays
        interval_s = terms.interval_s
        who = "uas" if terms.ours or not able else "uac"
    else:
        return None, []
    headers = [("supported", OPTION), ("session-expires", f"{interval_s};refresher={who}")]
    if who == "uac":
        headers.append(("require", OPTION))
    return Terms(interval_s, who == "uas"), headers


def knows(message: Message) -> bool:
    """Whether whoever sent it knows session timers."""
    return any(OPTION in (part.strip().lower() for part in message.listed(name)) for name in ("supported", "require"))


def strange(required: Iterable[str]) -> list[str]:
    """Of the extensions that a request requires, those nobody here knows (100rel is one)."""
    return [part for part in required if part.strip().lower() != OPTION]


def seconds(value: str) -> int | None:
    """The number that a Session-Expires or Min-SE value begins with."""
    match = _SECONDS.match(value)
    return min(int(match[1]), _LONGEST_S) if match else None


def _refresher(message: Message) -> str:
    match = _REFRESHER.search(message.get("session-expires"))
    return match[1].lower() if match else ""

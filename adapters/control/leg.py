"""Pure: which of a device's calls are ours, and how far each has come.

A leg moves forward only (a device may report `connecting` behind `connected`), and is cleared
once. A call that nobody ordered here is known, and never touched.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import Enum, auto

from adapters.causes import ClearCause, Cleared, Side
from adapters.control.order import CallSeen
from adapters.values import Address, LegState

_RANK = {state: rank for rank, state in enumerate(LegState)}
MOST_CALLS = 200
"""More calls than any endpoint has; a list that is longer is not read on."""


class Step(Enum):
    """What became of a leg."""

    NAMED = auto()  # the device's own name of it is known now
    RANG = auto()
    CONNECTED = auto()
    CLEARED = auto()


@dataclass(slots=True)
class Leg:
    """One call of ours on a device."""

    name: str
    to: Address | None
    ordered_at: float  # of the loop's clock
    call: str | None = None  # the device's name of it, once known
    state: LegState = LegState.DIALING
    is_sent: bool = False  # whether the order can have left
    is_shown: bool = False  # whether the device ever showed it
    is_doubtful: bool = False  # the order got no reply: only the device's lists can tell
    has_rung: bool = False
    ending: Cleared | None = None  # we want it down, and this is why
    cleared: Cleared | None = None
    before: frozenset[str] = field(default_factory=frozenset)  # calls that were there when it was ordered


Happened = tuple[Leg, Step]


def party(text: str) -> str:
    """Another party's name without what devices add or leave out: scheme, port, parameters, case."""
    text = text.strip().strip('"').lower()
    for scheme in ("sip:", "sips:", "h323:", "tel:"):
        text = text.removeprefix(scheme)
    text = text.partition(";")[0]
    host, colon, port = text.rpartition(":")
    return host if colon and port.isdecimal() and "]" not in port and host.count(":") == 0 else text


def is_party(far: str, to: Address) -> bool:
    """Whether a device's `far` can be the address that was dialed."""
    seen = party(far)
    whole = f"{to.user}@{to.host}" if to.user else to.host
    # H.323 aliases are written user##host or host##user by some (gateway dialing)
    return seen in {whole.lower(), to.user.lower(), to.host, f"{to.host}##{to.user}".lower()} - {""}


class Legs:
    """The legs of one device, and its calls that are not ours.

    `tells_ids` is False for a device that names no calls: then it has at most one.
    """

    __slots__ = ("_foreign", "_legs", "tells_ids")

    def __init__(self, tells_ids: bool = True) -> None:
        self.tells_ids = tells_ids
        self._legs: dict[str, Leg] = {}
        self._foreign: dict[str, CallSeen] = {}

    def __len__(self) -> int:
        return len(self._legs)

    def __iter__(self) -> Iterator[Leg]:
        return iter(tuple(self._legs.values()))

    def get(self, name: str) -> Leg | None:
        return self._legs.get(name)

    @property
    def foreign(self) -> tuple[CallSeen, ...]:
        """Calls that the device has and we did not place."""
        return tuple(self._foreign.values())

    @property
    def is_ending(self) -> bool:
        """Whether a call of ours is on its way down, or nobody knows whether there is one."""
        return any(leg.ending or leg.is_doubtful or leg.state is LegState.CLEARING for leg in self._legs.values())

    @property
    def is_setting_up(self) -> bool:
        """Whether a call of ours is on its way up."""
        return any(leg.state is not LegState.CONNECTED for leg in self._legs.values())

    def order(self, name: str, to: Address | None, now: float) -> Leg:
        """A leg that is about to be ordered."""
        known = {leg.call for leg in self._legs.values() if leg.call is not None} | set(self._foreign)
        leg = self._legs[name] = Leg(name, to, now, before=frozenset(known))
        return leg

    def forget(self, leg: Leg) -> None:
        """The order was not taken: there is no such leg."""
        if self._legs.get(leg.name) is leg:
            del self._legs[leg.name]

    def claim(self, leg: Leg, seen: CallSeen) -> None:
        """A call that somebody else placed is ours now: we answer it."""
        leg.call, leg.is_shown = seen.id, True
        self._foreign.pop(seen.id, None)

    def forget_all(self) -> None:
        self._legs.clear()
        self._foreign.clear()

    def name(self, leg: Leg, call: str) -> list[Happened]:
        """The device named a leg's call in its reply."""
        if leg.call is not None or not call:
            return []
        leg.call = call
        happened: list[Happened] = [(leg, Step.NAMED)]
        seen = self._foreign.pop(call, None)  # a notification was faster than the reply
        return happened + (self._move(leg, seen) if seen is not None else [])

    def heard(self, seen: CallSeen) -> list[Happened]:
        """The device tells of one call."""
        leg = self._of(seen)
        if leg is None:
            self._note(seen)
            return []
        happened: list[Happened] = []
        if leg.call is None:
            leg.call = seen.id
            happened.append((leg, Step.NAMED))
            self._foreign.pop(seen.id, None)
        return happened + self._move(leg, seen)

    def listed(self, calls: Iterable[CallSeen], asked_at: float, now: float, unseen_s: float) -> list[Happened]:
        """The device's whole list, asked for at `asked_at`: what is not in it is over."""
        calls = list(calls)[:MOST_CALLS]
        happened: list[Happened] = []
        for seen in calls:
            happened += self.heard(seen)
        there = {seen.id for seen in calls if seen.state is not LegState.CLEARED}
        self._foreign = {call: seen for call, seen in self._foreign.items() if call in there}
        for leg in self:
            if leg.call is not None and leg.is_shown:
                is_gone = leg.call not in there and leg.ordered_at < asked_at
            else:  # nothing shows a call that was ordered: either it failed at once, or it is too early
                is_gone = leg.is_sent and now - leg.ordered_at >= unseen_s
            if is_gone:
                happened += self._clear(leg, None)
        return happened

    def give_up(self, leg: Leg, cleared: Cleared) -> list[Happened]:
        """A leg is over although no list of the device says so."""
        return self._clear(leg, cleared)

    def _of(self, seen: CallSeen) -> Leg | None:
        for leg in self._legs.values():
            if leg.call is not None and leg.call == seen.id:
                return leg
        known = self._foreign.get(seen.id)
        if seen.outgoing is False or (known is not None and known.outgoing is False):
            return None
        waiting = [leg for leg in self._legs.values() if leg.call is None and leg.is_sent and seen.id not in leg.before]
        far = seen.far or (known.far if known is not None else "")
        if far and self.tells_ids:
            return next((leg for leg in waiting if leg.to is not None and is_party(far, leg.to)), None)
        # It names nobody. Whoever says more later is waited for; but what ends without a name ends our
        # order, and a device with one call at most means that one.
        if len(waiting) == 1 and (not self.tells_ids or seen.state is LegState.CLEARED):
            return waiting[0]
        return None

    def _note(self, seen: CallSeen) -> None:
        if seen.state is LegState.CLEARED:
            self._foreign.pop(seen.id, None)
            return
        known = self._foreign.get(seen.id)
        if known is not None:
            state = seen.state if seen.state is not None else known.state
            outgoing = seen.outgoing if seen.outgoing is not None else known.outgoing
            seen = CallSeen(seen.id, state, seen.far or known.far, outgoing, None, seen.name or known.name)
        elif len(self._foreign) >= MOST_CALLS or seen.state is None:
            return
        self._foreign[seen.id] = seen

    def _move(self, leg: Leg, seen: CallSeen) -> list[Happened]:
        leg.is_shown = True
        if seen.cleared is not None:
            leg.cleared = seen.cleared
        state = seen.state
        if state is None or _RANK[state] <= _RANK[leg.state]:
            return []
        if state is LegState.CLEARED:
            return self._clear(leg, seen.cleared)
        leg.state = state
        leg.is_doubtful = False
        if state is LegState.RINGING:
            leg.has_rung = True
            return [(leg, Step.RANG)]
        return [(leg, Step.CONNECTED)] if state is LegState.CONNECTED else []

    def _clear(self, leg: Leg, why: Cleared | None) -> list[Happened]:
        if self._legs.get(leg.name) is not leg:
            return []
        del self._legs[leg.name]
        leg.cleared = leg.ending or why or leg.cleared or Cleared(ClearCause.UNKNOWN, Side.UNKNOWN)
        leg.state = LegState.CLEARED
        return [(leg, Step.CLEARED)]

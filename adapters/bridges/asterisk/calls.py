"""The calls this bridge makes for us: from the order to the one LegCleared that ends each.

Takes meanings of events in and tells leg events; owns no wire. Doubts (a verdict that lags, a
call nobody heard of) are kept with the time when they are to be cleared up.
"""

import heapq
from collections import OrderedDict
from collections.abc import Callable, Iterator
from datetime import datetime

from adapters.bridges.asterisk.call import Call, verdict
from adapters.bridges.asterisk.meaning import ChannelListed, ChannelMade, HangupAsked, HungUp, Originated, Progressed
from adapters.bridges.asterisk.profile import Pace
from adapters.causes import Cleared
from adapters.contract import Sink
from adapters.events import LegCleared, LegConnected, LegRinging

RINGING = ("Ring", "Ringing")
REMEMBERED = 10_000
"""How many names of finished legs are kept, so that no name is told as cleared twice."""


class Calls:
    """Every leg that this bridge makes for us, by its name (which is its channel's unique id)."""

    def __init__(self, pace: Pace, sink: Sink, now: Callable[[], datetime], clock: Callable[[], float]) -> None:
        self._pace = pace
        self._sink = sink
        self._now = now
        self._clock = clock
        self._calls: dict[str, Call] = {}
        self._orders: dict[str, Call] = {}
        self._waiting: set[str] = set()
        self._finished: OrderedDict[str, None] = OrderedDict()
        self._doubts: list[tuple[float, str]] = []
        self._doubted: dict[str, float] = {}
        self.on_doubt: Callable[[], None] = lambda: None
        """Called when there is a new doubt; `next_doubt` says when it is due."""
        self.on_connected: Callable[[Call], None] = lambda call: None

    def __iter__(self) -> Iterator[Call]:
        return iter(tuple(self._calls.values()))

    @property
    def waiting(self) -> int:
        """How many calls are ordered and not yet in their conference."""
        return len(self._waiting)

    def get(self, leg: str) -> Call | None:
        return self._calls.get(leg)

    def is_finished(self, leg: str) -> bool:
        return leg in self._finished

    def add(self, call: Call) -> Call:
        """Follow a call from now on."""
        self._calls[call.leg] = call
        if not call.connected:
            self._waiting.add(call.leg)
        if call.action_id:
            self._orders[call.action_id] = call
            self.doubt(call, call.ring_s + self._pace.overdue_s)
        return call

    def withdraw(self, call: Call) -> None:
        """Forget a call that never was ordered (refused, or not sent); tells nobody."""
        if self._calls.get(call.leg) is call:
            self._remove(call)

    # ---- what the bridge reports

    def channel_made(self, meaning: ChannelMade) -> Call | None:
        call = self._calls.get(meaning.party.uniqueid)
        if call is not None:
            call.channel = meaning.party.channel
            call.unsure = False
        return call

    def progressed(self, meaning: Progressed) -> None:
        call = self._calls.get(meaning.uniqueid)
        if call is None:
            return
        call.alive = True
        # The order of events is not promised: a late RINGING must not follow LegConnected.
        if meaning.ringing and not (call.rung or call.connected):
            call.rung = True
            self._sink(LegRinging(call.leg, self._now()))

    def answered(self, uniqueid: str) -> None:
        call = self._calls.get(uniqueid)
        if call is not None:
            call.answered = call.alive = True

    def joined(self, uniqueid: str, channel: str) -> None:
        call = self._calls.get(uniqueid)
        if call is None or call.connected:
            return
        call.channel = channel
        call.answered = call.alive = call.connected = True
        call.unsure = False
        self._waiting.discard(call.leg)
        self._sink(LegConnected(call.leg, self._now()))
        self.on_connected(call)

    def hangup_asked(self, meaning: HangupAsked) -> None:
        call = self._calls.get(meaning.uniqueid)
        if call is not None and meaning.by_far_end:
            call.far_end_asked = True

    def hung_up(self, meaning: HungUp) -> None:
        call = self._calls.get(meaning.party.uniqueid)
        if call is not None:
            self.clear(call, verdict(call, meaning, self._clock()))

    def originated(self, meaning: Originated) -> None:
        # By ActionID only: a second order of a living leg fails with that leg's unique id in it.
        call = self._orders.get(meaning.action_id)
        if call is None:
            return
        call.unsure = False
        if meaning.success:
            call.answered = call.alive = True
        else:
            call.failed = meaning.reason or 0
            self.doubt(call, self._pace.settle_s if call.channel else self._pace.no_channel_s)

    def listed(self, seen: ChannelListed, *, quiet: bool = False) -> None:
        """Bring a call up to what CoreShowChannels shows of it; `quiet` tells nobody."""
        call = self._calls.get(seen.party.uniqueid)
        if call is None:
            return
        call.channel = seen.party.channel
        call.unsure = False
        call.failed = None
        state = seen.party.state
        inside = bool(seen.conference) and seen.bridged
        if quiet:
            call.conference = call.conference or seen.conference
            call.rung = call.rung or state in RINGING
            call.alive = call.alive or call.rung or state == "Up"
            call.answered = call.answered or state == "Up"
            if inside:
                call.connected = True
                self._waiting.discard(call.leg)
        elif inside:
            self.joined(call.leg, seen.party.channel)
        elif state == "Up":
            self.answered(call.leg)
        elif state in RINGING:
            self.progressed(Progressed(call.leg, True))

    def missing(self, call: Call) -> None:
        """The bridge has no such channel."""
        self.clear(call, verdict(call, None, self._clock()))

    # ---- doubts

    def doubt(self, call: Call, within_s: float) -> None:
        """Have a look taken at `call` in `within_s`, unless it is over by then; an earlier look stands."""
        due = self._clock() + within_s
        if due < self._doubted.get(call.leg, float("inf")):
            self._doubted[call.leg] = due
            heapq.heappush(self._doubts, (due, call.leg))
            self.on_doubt()

    def next_doubt(self) -> float | None:
        """When the next look is due; None when there is no doubt."""
        while self._doubts and self._doubted.get(self._doubts[0][1]) != self._doubts[0][0]:
            heapq.heappop(self._doubts)
        return self._doubts[0][0] if self._doubts else None

    def due(self) -> list[Call]:
        """The calls to look at now; each is no longer doubted."""
        found = []
        while (at := self.next_doubt()) is not None and at <= self._clock():
            _, leg = heapq.heappop(self._doubts)
            del self._doubted[leg]
            found.append(self._calls[leg])
        return found

    # ---- the end

    def clear(self, call: Call, cleared: Cleared) -> None:
        """Tell that a call is over, once."""
        if call.over:
            return
        call.over = True
        self._remove(call)
        self._finish(call.leg)
        self._sink(LegCleared(call.leg, self._now(), cleared))

    def finish_unseen(self, leg: str) -> None:
        """A leg that was never followed here is over; nobody is told."""
        self._finish(leg)

    def drop_all(self) -> None:
        """Forget every call; tells nobody (the calls live on at the bridge)."""
        for call in self:
            call.over = True
            self._remove(call)

    def _remove(self, call: Call) -> None:
        self._calls.pop(call.leg, None)
        self._orders.pop(call.action_id, None)
        self._waiting.discard(call.leg)
        self._doubted.pop(call.leg, None)

    def _finish(self, leg: str) -> None:
        self._finished[leg] = None
        while len(self._finished) > REMEMBERED:
            self._finished.popitem(last=False)

"""A virtual endpoint: follows its behavior, one call at a time, and counts what happens to it.

It knows nothing of SIP: calls reach it as lines (`exchange.Line`). A call that comes in
while another is up is refused as busy and counted in `doubles`: a test proves with it that
nobody was rung twice.
"""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from adapters.values import Address
from adapters.virtual.behavior import Act, Attempt, Behavior, Refers
from adapters.virtual.exchange import Line
from adapters.virtual.referee import Asked

BUSY = 486
MAX_IGNORED = 1000
"""Calls remembered as not replied to; the script has moved on long before."""

Dialer = Callable[["Endpoint", Address], Line]
"""Places a call for an endpoint; the endpoint is the line's listener."""


@dataclass(slots=True)
class Tally:
    """What happened to one endpoint since it was built.

    `rings` counts calls offered to it (also those refused or not replied to) and orders to
    call that it took outside a call, `doubles` those that came while another call was there,
    `most_calls` how many it had at once, `orders` how often it was told to call and did.
    """

    rings: int = 0
    answers: int = 0
    refusals: int = 0
    doubles: int = 0
    hang_ups: int = 0
    most_calls: int = 0
    orders: int = 0


class _Call:
    """One call of the endpoint and the timers of its script; `order` is who told it to make the call."""

    __slots__ = ("attempt", "line", "order", "timers", "up")

    def __init__(self, line: Line, attempt: Attempt, order: Asked | None = None) -> None:
        self.line = line
        self.attempt = attempt
        self.order = order
        self.up = False
        self.timers: list[asyncio.TimerHandle] = []

    def still(self) -> None:
        for timer in self.timers:
            timer.cancel()
        self.timers.clear()


class Endpoint:
    """One virtual codec: where it is, how it behaves, what it has on the line."""

    __slots__ = (
        "_back",
        "_calls",
        "_dial",
        "_due",
        "_ignored",
        "_lines",
        "addresses",
        "behavior",
        "dead",
        "name",
        "tally",
        "title",
    )

    def __init__(self, name: str, behavior: Behavior, dial: Dialer | None = None, title: str = "") -> None:
        self.name = name
        self.title = title or name
        self.behavior = behavior
        self.addresses: tuple[Address, ...] = ()
        self.dead = False
        self.tally = Tally()
        self._dial = dial
        self._calls: dict[str, _Call] = {}
        self._lines = 0  # calls that used up an attempt
        self._ignored: set[str] = set()
        self._back: asyncio.TimerHandle | None = None
        self._due: asyncio.TimerHandle | None = None  # a call that it was told to make

    # ---- what others ask ----

    @property
    def calls(self) -> int:
        """How many calls it has: ringing or up."""
        return len(self._calls)

    @property
    def calls_up(self) -> int:
        return sum(call.up for call in self._calls.values())

    def hears(self) -> bool:
        return not self.dead

    # ---- calls that come in ----

    def ignores(self, key: str) -> bool:
        if key in self._ignored:
            return True
        if self._calls or self.behavior.attempt(self._lines).responds:
            return False
        if len(self._ignored) >= MAX_IGNORED:
            self._ignored.clear()
        self._ignored.add(key)
        self._lines += 1
        self.tally.rings += 1
        return True

    def ignored(self, key: str) -> bool:
        return key in self._ignored

    def offered(self, line: Line) -> None:
        tally = self.tally
        tally.rings += 1
        if self._calls:
            tally.doubles += 1
            tally.most_calls = max(tally.most_calls, len(self._calls) + 1)
            line.reject(BUSY)
            return
        attempt = self.behavior.attempt(self._lines)
        self._lines += 1
        call = self._take(line, attempt)
        self._follow(call, attempt.before_answer(asyncio.get_running_loop().time()))

    # ---- calls that it is told to make ----

    def asked(self, order: Asked) -> int:
        refers = self.behavior.refers
        if refers is Refers.NOT or self._dial is None or (refers is Refers.INSIDE and not order.key):
            return 501
        carrier = self._calls.get(order.key)
        if carrier is None:
            attempt = self.behavior.attempt(self._lines)
            self._lines += 1
            self.tally.rings += 1
        else:
            attempt = carrier.attempt
            carrier.still()  # the script goes on in the new call
        if not attempt.responds:
            return 0
        order.untold = refers is Refers.UNTOLD
        if refers in (Refers.UNTOLD, Refers.MUTE):
            order.keep_silent()
        busy = len(self._calls) > (carrier is not None) or self._due is not None
        self.tally.doubles += busy
        asyncio.get_running_loop().call_soon(self._obey, order, attempt, busy, carrier is not None)
        return 202

    def _obey(self, order: Asked, attempt: Attempt, busy: bool, inside: bool) -> None:
        order.tell(100)
        if busy:
            order.tell(BUSY)
            return
        if attempt.rings and not inside:
            order.tell(180)
        if attempt.answers or attempt.code:
            delay_s = 0.0 if inside else attempt.ring_s
            self._due = asyncio.get_running_loop().call_later(delay_s, self._call_as_told, order, attempt)

    def _call_as_told(self, order: Asked, attempt: Attempt) -> None:
        self._due = None
        if self._dial is None:
            return
        if attempt.code:
            self.tally.refusals += 1
            order.tell(attempt.code)
            return
        self.tally.orders += 1
        call = self._take(self._dial(self, order.to), attempt)
        call.order = order

    def _take(self, line: Line, attempt: Attempt) -> _Call:
        line.listener = self
        call = self._calls[line.key] = _Call(line, attempt)
        self.tally.most_calls = max(self.tally.most_calls, len(self._calls))
        return call

    def _follow(self, call: _Call, acts: Iterator[tuple[float, Act]]) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        for at, act in acts:
            if at <= now:
                self._do(call, act)
            else:
                call.timers.append(loop.call_at(at, self._do, call, act))

    def _do(self, call: _Call, act: Act) -> None:
        if act is Act.COME_BACK:
            self.come_back()
        elif call.line.over or call.line.key not in self._calls:
            return
        elif act is Act.RING:
            call.line.ring()
        elif act is Act.ANSWER:
            self.tally.answers += 1
            call.line.answer()
            now = asyncio.get_running_loop().time()
            self._follow(call, call.attempt.after_answer(now))
        elif act is Act.REJECT:
            self.tally.refusals += 1
            self._leave(call)
            call.line.reject(call.attempt.code)
        elif act is Act.HANG_UP:
            self.tally.hang_ups += 1
            self._leave(call)
            call.line.hang_up()
        elif act is Act.DIE:
            self.die(call.attempt.back_s)

    def _leave(self, call: _Call) -> None:
        call.still()
        self._calls.pop(call.line.key, None)

    # ---- what the other end does (Listener) ----

    def rang(self, line: Line) -> None:
        pass

    def answered(self, line: Line) -> None:
        if (call := self._calls.get(line.key)) is not None:
            call.up = True
            if call.order is not None:
                call.order.tell(200)
                self._follow(call, call.attempt.after_answer(asyncio.get_running_loop().time()))

    def digit(self, line: Line, digit: str) -> None:
        pass

    def ended(self, line: Line, code: int) -> None:
        if (call := self._calls.get(line.key)) is not None:
            self._leave(call)
            if call.order is not None and not call.up:
                call.order.tell(code)

    # ---- what people in the room do ----

    def behave(self, behavior: Behavior) -> None:
        """From the next call on, follow another script from its beginning."""
        self.behavior = behavior
        self._lines = 0

    def hang_up(self) -> int:
        """Hang up every call, as with the remote control. Returns how many."""
        calls = list(self._calls.values())
        for call in calls:
            self.tally.hang_ups += 1
            self._leave(call)
            call.line.hang_up()
        return len(calls)

    def die(self, back_s: float | None = None) -> None:
        """Lose power: calls are forgotten, nothing gets a reply, until `come_back` or `back_s`."""
        self.dead = True
        self._forget_order()
        for call in list(self._calls.values()):
            self._leave(call)
            call.line.forget()
        if back_s is not None:
            self._wake_at(back_s)

    def _forget_order(self) -> None:
        if self._due is not None:
            self._due.cancel()
            self._due = None

    def _wake_at(self, back_s: float) -> None:
        if self._back is not None:
            self._back.cancel()
        self._back = asyncio.get_running_loop().call_later(back_s, self.come_back)

    def come_back(self) -> None:
        """Power is back: it replies again and knows of no call."""
        self.dead = False
        if self._back is not None:
            self._back.cancel()
            self._back = None

    def call_by_hand(self, to: Address) -> Line:
        """Somebody in the room dials `to`. The call stays until one side hangs up."""
        if self._dial is None:
            raise ValueError(f"{self.name} has no SIP address to call from")
        if self.dead:
            raise ValueError(f"{self.name} is dead; it cannot call anybody")
        line = self._dial(self, to)
        self._take(line, Attempt(answers=True))
        return line

    def close(self) -> None:
        """Stop every timer; nothing is sent."""
        self._forget_order()
        for call in self._calls.values():
            call.still()
        self.come_back()

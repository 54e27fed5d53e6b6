"""A room's codec with a control port: the machine behind every vendor twin.

It is a virtual endpoint (`adapters.virtual.endpoint`) that can also be told to call, and whose
calls have numbers, states and causes that a console shows. Its calls are real: SIP on real sockets; H.323 is
patched through the exchange.
"""

import asyncio
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from adapters.values import Address, AutoAnswerMode, LegState
from adapters.virtual.behavior import Act, Attempt, Behavior
from adapters.virtual.endpoint import BUSY, Dialer, Endpoint, _Call
from adapters.virtual.exchange import NORMAL, Exchange, Line
from adapters.virtual.port import Port

BY_HAND = Behavior.parse("ring 600; answer")
"""Nobody in the room picks up: a call rings until the console answers it."""


@dataclass(slots=True, eq=False)
class CodecCall:
    """One call as the device's own tables have it."""

    id: int
    far: str
    is_outgoing: bool
    line: Line
    kbps: int = 0
    protocol: str = "sip"
    state: LegState = LegState.DIALING
    code: int = 0
    """The final SIP code it ended with; `NORMAL` for a hang-up."""
    ended_here: bool = False


class Codec(Endpoint):
    """One codec: calls, microphone, volume, camera, screen; `watchers` hear of every step of a call."""

    __slots__ = (
        "_ids",
        "auto_answer",
        "call_table",
        "digits",
        "is_asleep",
        "is_muted",
        "is_sharing",
        "preset",
        "reboots",
        "screen",
        "serial",
        "volume",
        "watchers",
    )

    def __init__(
        self, name: str, dial: Dialer, behavior: Behavior = BY_HAND, title: str = "", first_id: int = 3
    ) -> None:
        super().__init__(name, behavior, dial, title)
        self._ids: Iterator[int] = itertools.count(first_id)
        self.call_table: dict[int, CodecCall] = {}
        self.watchers: list[Callable[[CodecCall], None]] = []
        self.auto_answer = AutoAnswerMode.OFF
        self.is_muted = False
        self.is_asleep = False
        self.is_sharing = False
        self.volume = 50  # percent
        self.preset = 0
        self.digits = ""
        self.screen = ""
        self.serial = f"V{name.upper()}"
        self.reboots = 0

    # ---- what the console does

    def dial(self, to: Address, kbps: int = 0) -> CodecCall:
        """Place a call; watchers hear what becomes of it."""
        assert self._dial is not None
        line = self._dial(self, to)
        script = self.behavior.attempt(self._lines)  # of a call it makes, what comes after the answer
        self._lines += 1
        self._take(line, script if script.answers else Attempt(answers=True))
        return self._add(line, str(to), True, kbps, to.scheme if not to.is_sip else "sip")

    def refuse_to_dial(self, far: str, kbps: int, code: int) -> CodecCall:
        """A call that ends before anything left the device, such as to a number that is none."""
        call = self._add(Line("", self.name, self.title, far), far, True, kbps, "sip")
        asyncio.get_running_loop().call_soon(self._end, call, code)
        return call

    def end(self, call: CodecCall) -> None:
        """Hang one call up from here."""
        if call.state is LegState.CLEARED:
            return
        call.ended_here = True
        self._step(call, LegState.CLEARING)
        taken = self._calls.get(call.line.key)
        if taken is not None:
            self._leave(taken)
        call.line.hang_up()
        self._end(call, NORMAL)

    def take(self, call: CodecCall) -> None:
        """Answer a call that rings here."""
        taken = self._calls.get(call.line.key)
        if taken is not None and call.state is LegState.RINGING:
            self._do(taken, Act.ANSWER)

    def reboot(self) -> None:
        """Lose everything and be back at once; consoles drop their sessions."""
        self.reboots += 1
        self.die()
        self.come_back()

    # ---- calls that come in

    def offered(self, line: Line) -> None:
        if self._calls or self.auto_answer is AutoAnswerMode.DO_NOT_DISTURB:
            self.tally.rings += 1
            self.tally.doubles += bool(self._calls)
            line.reject(BUSY)
            return
        call = self._add(line, line.caller, False, 0, "sip")
        if self.auto_answer is AutoAnswerMode.ON:
            self.tally.rings += 1
            self._do(self._take(line, Attempt(answers=True)), Act.ANSWER)
            return
        super().offered(line)
        if not line.over and call.state is LegState.DIALING:
            self._step(call, LegState.RINGING)

    # ---- what becomes of them

    def rang(self, line: Line) -> None:
        if (call := self._call(line)) is not None:
            self._step(call, LegState.RINGING)

    def answered(self, line: Line) -> None:
        super().answered(line)
        if (call := self._call(line)) is not None:
            self._step(call, LegState.CONNECTED)
            if call.is_outgoing and (taken := self._calls.get(line.key)) is not None:
                self._follow(taken, taken.attempt.after_answer(asyncio.get_running_loop().time()))

    def digit(self, line: Line, digit: str) -> None:
        self.digits += digit

    def ended(self, line: Line, code: int) -> None:
        super().ended(line, code)
        if (call := self._call(line)) is not None:
            self._end(call, code)

    def _leave(self, call: _Call) -> None:
        super()._leave(call)
        known = self._call(call.line)
        if known is not None and not known.ended_here:
            asyncio.get_running_loop().call_soon(self._end, known, NORMAL)

    def die(self, back_s: float | None = None) -> None:
        self.call_table.clear()
        super().die(back_s)

    def _add(self, line: Line, far: str, is_outgoing: bool, kbps: int, protocol: str) -> CodecCall:
        call = CodecCall(next(self._ids), far, is_outgoing, line, kbps, protocol)
        self.call_table[call.id] = call
        self._told(call)
        return call

    def _call(self, line: Line) -> CodecCall | None:
        return next((call for call in self.call_table.values() if call.line is line), None)

    def _step(self, call: CodecCall, state: LegState) -> None:
        order = list(LegState)
        if order.index(state) > order.index(call.state):
            call.state = state
            self._told(call)

    def _end(self, call: CodecCall, code: int) -> None:
        if self.call_table.pop(call.id, None) is not None:
            call.code = code
            call.state = LegState.CLEARED
            self._told(call)

    def _told(self, call: CodecCall) -> None:
        for watcher in list(self.watchers):
            watcher(call)


def dialer(port: Port, exchange: Exchange, local: tuple[str, int] | None = None) -> Dialer:
    """Calls of a codec: `sip:` from a real socket, `h323:` through the exchange."""

    def dial(endpoint: Endpoint, to: Address) -> Line:
        if to.is_sip:
            return port.call(to, endpoint, user=endpoint.name, display=endpoint.title, local=local)
        return exchange.call_h323(endpoint.name, endpoint.title, to, endpoint)

    return dial

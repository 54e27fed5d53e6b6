"""Whether the two sides of a pair that is up still live, with as few questions as do.

A near side is a device of its own: it is asked when it was silent for a time. Far sides are
calls at one bridge: of all its calls one is asked, the next one after a time, and so on. A
bridge that is dead or has forgotten its calls shows it whichever is asked; then the others
are asked at once, for as long as bad answers come.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from adapters.sip.message import Response

if TYPE_CHECKING:
    from adapters.sip.agent import SipAgent
    from adapters.sip.call import Call
    from adapters.sip.pair import Pair
    from adapters.sip.patience import Patience
    from adapters.sip.wheel import Alarm

_SUSPECTS = 8
"""So many more are asked for each that answered badly."""
_HURRY_S = 0.01


class Pulse:
    """The calls at one far host, of which one after the other is asked."""

    __slots__ = ("_agent", "_alarm", "_at", "_key", "_next", "_pairs", "_patience", "_suspects")

    def __init__(self, agent: SipAgent, key: tuple[str, int], patience: Patience) -> None:
        self._agent = agent
        self._key = key
        self._patience = patience
        self._pairs: list[Pair] = []
        self._next = 0
        self._suspects = 0
        self._at = 0.0
        self._alarm: Alarm | None = None

    @classmethod
    def join(cls, agent: SipAgent, pair: Pair, key: tuple[str, int], patience: Patience) -> Pulse:
        """Count a pair that is up among the calls at its far host."""
        pulse = agent.pulses.get(key)
        if pulse is None:
            pulse = agent.pulses[key] = cls(agent, key, patience)
        pair.place = len(pulse._pairs)
        pulse._pairs.append(pair)
        if pulse._alarm is None:
            pulse._arm(pulse._rhythm_s * (0.5 + hash(key) % 1000 / 1000))
        return pulse

    def leave(self, pair: Pair) -> None:
        """It is down."""
        pairs = self._pairs
        last = pairs.pop()
        if last is not pair:
            pairs[pair.place] = last
            last.place = pair.place
        if not pairs:
            if self._alarm is not None:
                self._alarm.cancel()
            self._agent.pulses.pop(self._key, None)

    def told(self, good: bool) -> None:
        """What the far side of one of the calls answered."""
        if good or not self._pairs:
            return
        self._suspects = min(self._suspects + _SUSPECTS, 2 * len(self._pairs))
        if self._at - self._agent.time() > self._patience.again_s:
            self._arm(self._patience.again_s)

    @property
    def _rhythm_s(self) -> float:
        return min(self._patience.host_s, self._patience.round_s / len(self._pairs))

    def _arm(self, delay_s: float) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
        self._at = self._agent.time() + delay_s
        self._alarm = self._agent.later(delay_s, self._ask)

    def _ask(self) -> None:
        self._alarm = None
        pairs = self._pairs
        pair = pairs[self._next % len(pairs)]
        self._next = (self._next + 1) % len(pairs)
        hurried = self._suspects > 0
        if hurried:
            self._suspects -= 1
        self._arm(_HURRY_S if self._suspects else self._rhythm_s)
        pair.ask_far(hurried)


def question(call: Call) -> str:
    """The method by which this peer says truly whether it knows the call.

    baresip 1.0.0 answers 200 to every OPTIONS, also inside a call it does not know; an INFO
    without body gets 481 then, and 488 inside a living call (measured). Asterisk 22 tells
    with OPTIONS.
    """
    return "INFO" if call.peer_product.lower().startswith("baresip") else "OPTIONS"


def lives(response: Response | None) -> bool:
    """Whether an answer to a question inside a call shows that somebody is there."""
    return response is not None and response.status != 408


def denies(response: Response | None) -> bool:
    """Whether it shows that this call is unknown there."""
    return response is not None and response.status == 481

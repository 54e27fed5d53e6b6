"""Whether the two sides of a pair that is up still live, with as few questions as do.

A near side is a device of its own: it is asked when it was silent for a time. Far sides are
calls at one bridge: of all its calls one is asked, the next one after a time, and so on. A
bridge that is dead or has forgotten its calls shows it whichever is asked; then the others
are asked at once, for as long as bad answers come.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from adapters.sip.listener import Ending
from adapters.sip.message import Response
from adapters.sip.third_party import Party, Verdict

if TYPE_CHECKING:
    from adapters.sip.agent import SipAgent
    from adapters.sip.call import Call
    from adapters.sip.pair import Pair
    from adapters.sip.patience import Patience
    from adapters.sip.wheel import Alarm

_SUSPECTS = 8
"""So many more are asked for each that answered badly."""
_HURRY_S = 0.01


class Vigil:
    """Over one pair that is up: asks its sides, and ends it when one is gone."""

    __slots__ = ("_alarm", "_asking", "_misses", "_pair", "_pulse", "place")

    def __init__(self, pair: Pair) -> None:
        self._pair = pair
        self._misses = (0, 0)
        self._asking = False
        self.place = 0
        # pairs are spread over the time
        self._alarm: Alarm | None = None
        self._ask_in(pair.patience.probe_s * (0.5 + hash(pair) // 16 % 1000 / 1000))
        peer = pair.far.dialog.peer if pair.far is not None else None
        self._pulse = Pulse.join(pair.agent, self, peer or ("", 0), pair.patience)

    def end(self) -> None:
        """Ask nobody any more. Once."""
        if self._alarm is not None:
            self._alarm.cancel()
        self._pulse.leave(self)

    def _ask_in(self, delay_s: float) -> None:
        self._alarm = self._pair.agent.later(delay_s, self._ask_near)

    def _ask_near(self) -> None:
        pair = self._pair
        near, far, patience = pair.near, pair.far, pair.patience
        if pair.vigil is not self or near is None or far is None or not pair.may_go_on(self._ask_near):
            return
        near.fold()
        far.fold()
        silent_s = pair.agent.time() - near.dialog.heard_at
        if silent_s < patience.probe_s / 2:
            self._ask_in(patience.probe_s - silent_s)
        else:
            near.probe(partial(self._replied, Party.NEAR), patience.probe_limit_s, question(near))

    def ask_far(self, hurried: bool) -> None:
        """The far side's turn: ask it, unless it has just shown that it lives (`hurried`: ask all the same)."""
        pair = self._pair
        far, patience = pair.far, pair.patience
        if pair.vigil is not self or far is None or self._asking:
            return
        if not hurried and pair.agent.time() - far.dialog.heard_at < patience.host_s / 2:
            return
        if pair.may_go_on(lambda: None):
            self._asking = True
            far.probe(partial(self._replied, Party.FAR), patience.probe_limit_s, question(far))

    def _replied(self, party: Party, response: Response | None) -> None:
        pair, far = self._pair, party is Party.FAR
        if far:
            self._asking = False
        if pair.vigil is not self:
            return
        alive = lives(response)
        missed = 0 if alive else self._misses[far] + 1
        self._misses = (self._misses[0], missed) if far else (missed, self._misses[1])
        if denies(response):
            pair.end(Verdict(party, 481, "denies the call", Ending.LOST))
        elif missed >= pair.patience.misses:
            pair.end(Verdict(party, 408, "silent", Ending.LOST))
        elif not far:
            self._ask_in(pair.patience.probe_s if alive else pair.patience.again_s)
        if far:
            self._pulse.told(alive and not denies(response))


class Pulse:
    """The calls at one far host, of which one after the other is asked."""

    __slots__ = ("_agent", "_alarm", "_at", "_key", "_next", "_patience", "_suspects", "_vigils")

    def __init__(self, agent: SipAgent, key: tuple[str, int], patience: Patience) -> None:
        self._agent = agent
        self._key = key
        self._patience = patience
        self._vigils: list[Vigil] = []
        self._next = 0
        self._suspects = 0
        self._at = 0.0
        self._alarm: Alarm | None = None

    @classmethod
    def join(cls, agent: SipAgent, vigil: Vigil, key: tuple[str, int], patience: Patience) -> Pulse:
        """Count a pair that is up among the calls at its far host."""
        pulse = agent.pulses.get(key)
        if pulse is None:
            pulse = agent.pulses[key] = cls(agent, key, patience)
        vigil.place = len(pulse._vigils)
        pulse._vigils.append(vigil)
        if pulse._alarm is None:
            pulse._arm(pulse._rhythm_s * (0.5 + hash(key) % 1000 / 1000))
        return pulse

    def leave(self, vigil: Vigil) -> None:
        """Its pair is down."""
        vigils = self._vigils
        last = vigils.pop()
        if last is not vigil:
            vigils[vigil.place] = last
            last.place = vigil.place
        if not vigils:
            if self._alarm is not None:
                self._alarm.cancel()
            self._agent.pulses.pop(self._key, None)

    def told(self, good: bool) -> None:
        """What the far side of one of the calls answered."""
        if good or not self._vigils:
            return
        self._suspects = min(self._suspects + _SUSPECTS, 2 * len(self._vigils))
        if self._at - self._agent.time() > self._patience.again_s:
            self._arm(self._patience.again_s)

    @property
    def _rhythm_s(self) -> float:
        return min(self._patience.host_s, self._patience.round_s / len(self._vigils))

    def _arm(self, delay_s: float) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
        self._at = self._agent.time() + delay_s
        self._alarm = self._agent.later(delay_s, self._ask)

    def _ask(self) -> None:
        self._alarm = None
        vigils = self._vigils
        vigil = vigils[self._next % len(vigils)]
        self._next = (self._next + 1) % len(vigils)
        hurried = self._suspects > 0
        if hurried:
            self._suspects -= 1
        self._arm(_HURRY_S if self._suspects else self._rhythm_s)
        vigil.ask_far(hurried)


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

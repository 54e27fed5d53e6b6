"""Taking up a pair that an earlier process left: what of it lives goes on, what was half made is ended."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from adapters.sip.listener import CallState, Ending
from adapters.sip.liveness import Vigil, denies, lives, question
from adapters.sip.message import Response
from adapters.sip.third_party import Party, Step, Verdict

if TYPE_CHECKING:
    from adapters.sip.pair import Pair

_LIMIT_S = 32.0
"""64*T1: so long does a peer repeat a 2xx."""


def take_up(pair: Pair, memory: Mapping[str, Any], credentials: tuple[str, str] | None) -> bool:
    """Let `pair` be the one of an earlier process; `ask` then tells whether it lives.

    False: it was not whole, so whatever there was of it is being ended (the near side gets
    its BYE, a far side that rings its CANCEL), and `over` follows. The ACKs of a young pair
    go out once more, for the earlier process may have ended just before sending them.
    Raises ValueError for a memory that is none.
    """
    try:
        near, far, ringing = memory["near"], memory["far"], memory.get("ringing")
        whole, pair.version = bool(memory["whole"]), int(memory["origin"])
        pair.video, pair.plain = bool(memory.get("video", True)), bool(memory.get("plain"))
        near_ack, far_ack = (str(memory[key]).encode("latin-1") for key in ("near_ack", "far_ack"))
        young = (pair.agent.now() - datetime.fromisoformat(near["at"])).total_seconds() < 2 * _LIMIT_S
    except (AttributeError, KeyError, TypeError, ValueError) as wrong:
        raise ValueError(f"this is no memory of a pair: {wrong!r}") from None
    pair.near = pair.agent.adopt(near, pair, credentials=credentials)
    try:
        if far is not None:
            pair.far = pair.agent.adopt(far, pair)
        elif ringing is not None:
            pair.far = pair.agent.recall(ringing, pair)
    except ValueError:
        pair.near.let_go()
        raise
    pair.step = Step.UP
    if not whole or pair.far is None:
        pair.end(Verdict(Party.OURS, 481, "was only half made when the process before ended", Ending.LOST))
        return False
    pair.known = pair.facts()
    if young and not memory.get("is_acked"):
        pair.near.acknowledge_again(near_ack)
        pair.far.acknowledge_again(far_ack)
    return True


def ask(pair: Pair, done: Callable[[bool | None], None]) -> None:
    """Ask both sides of an adopted pair; safe to repeat.

    `done(True)`: at least one knows the call and none denies it; `done(False)`: a side
    denies it, the other is being hung up and `over` follows; `done(None)`: nobody
    answers, and `hang_up` still works.
    """
    heard: dict[Party, Response | None] = {}

    def told(party: Party, response: Response | None) -> None:
        heard[party] = response
        if pair.step is Step.DOWN:
            done(False)
        elif denies(response):
            pair.end(Verdict(party, 481, "denies the call", Ending.LOST))
            done(False)
        elif len(heard) == 2:
            alive = any(lives(answer) for answer in heard.values())
            if alive and pair.vigil is None:
                pair.vigil = Vigil(pair)
                _move_here(pair)
            done(True if alive else None)

    for party, call in ((Party.NEAR, pair.near), (Party.FAR, pair.far)):
        if call is None or call.state is CallState.ENDED:
            told(party, None)
        else:
            call.probe(partial(told, party), pair.patience.adopt_s, question(call))


def _move_here(pair: Pair) -> None:
    """Sides that were called from another address are told where to reach us now, as far as they take UPDATE."""
    for call in (pair.near, pair.far):
        if call is not None and call.is_astray and call.updates:
            call.refresh(lambda response: None)

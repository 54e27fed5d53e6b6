"""How many of 300 set-ups come about when every twentieth message gets lost, and what is left after them."""

import asyncio
import sys
from collections.abc import Iterator

from adapters.sip.agent import SipAgent
from tests.bench.figure import Figure, need
from tests.bench.pair import HOST, Turns, child, tell
from tests.bench.place import say
from tests.bench.sipp import Called

PAIRS, LOST = 300, 5
_LEFT_S = 40.0
"""What waits for an answer that was lost has given up by then (64*T1 = 32 s)."""
_LOOK_S = 0.1


def measure(quick: bool) -> Iterator[Figure]:
    """SIPp's UAS throws away 5 % of what comes and of what it sends; each pair is hung up once it is up.

    Afterwards neither side may have a dialog left: not ours, not SIPp's.
    """
    with Called(lost=LOST) as called:
        said = child("loss", called.port, PAIRS)
        theirs = called.left(_LEFT_S)
    say(f"{said['up']:.0f} of {PAIRS} up and down in {said['wall_s']:.1f} s, left {said['left']:.0f} and {theirs}")
    need(said["up"] == PAIRS, f"{said['up']:.0f} of {PAIRS} pairs came up at {LOST} % loss")
    need(not said["left"] and not theirs, f"dialogs are left: {said['left']:.0f} of ours, {theirs} of SIPp's")
    yield Figure(f"pair.loss.{PAIRS}", said["up"], "set-ups", PAIRS)
    yield Figure(f"pair.loss.{PAIRS}.time", said["wall_s"], "s")


async def _lossy(port: int, pairs: int) -> dict[str, float]:
    agent = SipAgent(HOST)
    await agent.start()
    turns = Turns(agent, port)
    turns.add(pairs)
    wall_s = await turns.run(pairs, False)
    for _ in range(int(_LEFT_S / _LOOK_S)):
        if not len(agent):
            break
        await asyncio.sleep(_LOOK_S)
    left = len(agent)
    await agent.close()
    return {"wall_s": wall_s, "up": turns.up, "left": left}


if __name__ == "__main__":
    tell(_lossy(int(sys.argv[1]), int(sys.argv[2])))

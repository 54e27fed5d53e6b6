"""Two SIPps that throw away 5 % of what comes and of what goes: every pair comes up, and nothing is left of any.

The bench does the same 300 times against one SIPp (`python -m tests.bench --only loss`).
"""

import asyncio
from pathlib import Path

import pytest

from adapters.causes import ClearCause
from adapters.sip.transaction import Timing
from tests.peers.sipp.stage import content, stage

PAIRS, LOST = 60, ("-lost", "5")
TIMING = Timing(t1=0.1, t2=0.8, t4=1.0)
"""64*T1 is 6.4 s: what is left after that long is left for good."""


@pytest.mark.rfc("3261", "17.1.1.2", "17.1.2.2", "13.2.2.4")
async def test_60_pairs_come_up_at_5_percent_loss_and_none_is_left_half_dead(tmp_path: Path) -> None:
    async with stage(tmp_path, timing=TIMING) as scene:
        near = await scene.plays("uas-lingers-after-bye", calls=PAIRS, options=LOST)
        far = await scene.plays("uas-lingers-after-bye", "far", calls=PAIRS, options=LOST)

        async def once() -> None:
            leg = await scene.dial(near, far)
            await leg.up()
            assert (await leg.hang_up()).cleared.cause is ClearCause.LOCAL

        await asyncio.gather(*(once() for _ in range(PAIRS)))
        said = await content(near, far)
        assert [one.successful for one in said] == [PAIRS, PAIRS]
        assert sum(one.repeated for one in said) > 0  # there was loss
        async with asyncio.timeout(30):
            while len(scene.agent) or scene.agent.transactions:  # noqa: ASYNC110 - what it holds tells of no event
                await asyncio.sleep(0.05)

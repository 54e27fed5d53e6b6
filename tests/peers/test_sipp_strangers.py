"""SIPp as a caller that nobody knows, and as a device that registers (scenarios in tests/peers/sipp)."""

from pathlib import Path

import pytest

from tests.peers.sipp.stage import content, stage
from tests.unit.sip.roll import DOMAIN, MemoryRoll, enrol

FLOOD = 3000


@pytest.mark.rfc("3261", "8.2.7", "26.1.5")
async def test_a_flood_of_strangers_is_answered_and_leaves_nothing(tmp_path: Path) -> None:
    async with stage(tmp_path) as scene:
        near, far = await scene.plays("uas-is-hung-up"), await scene.plays("uas-is-hung-up", "far")
        flood = await scene.plays("uac-flood", calls=FLOOD, to=scene.agent.address, options=("-r", "2000", "-l", "500"))
        leg = await scene.dial(near, far)  # in the middle of it
        await leg.up()
        assert (await content(flood))[0].successful == FLOOD
        assert len(scene.agent) == 2
        await leg.hang_up()
        await content(near, far)


@pytest.mark.rfc("3261", "10.2.1", "10.2.2")
async def test_a_device_guesses_then_knows_its_password_and_leaves(tmp_path: Path) -> None:
    roll = MemoryRoll(codec="s3cret")
    async with stage(tmp_path) as scene:
        enrol(scene.agent, roll)
        device = await scene.plays("uac-registers", role="codec", to=scene.agent.address, keys={"domain": DOMAIN})
        await content(device)
        assert roll.stored == 2
        assert not roll.rows[f"sip:codec@{DOMAIN}"].bindings

"""What SIPp's scenarios refuse, lose and forget, and what we tell of it (scenarios in tests/peers/sipp)."""

import pytest

from adapters.causes import ClearCause, Side
from tests.peers.sipp.stage import NOWHERE, Stage, content

REFUSALS = {
    "uas-404": ClearCause.NOT_FOUND,
    "uas-busy": ClearCause.BUSY,
    "uas-declines-603": ClearCause.DECLINED,
}


@pytest.mark.parametrize("scenario", REFUSALS)
async def test_the_near_side_refuses(scene: Stage, scenario: str) -> None:
    near = await scene.plays(scenario)
    leg = await scene.dial(near, NOWHERE)
    cleared = (await leg.cleared()).cleared
    assert (cleared.cause, cleared.side) == (REFUSALS[scenario], Side.FAR_END)
    assert cleared.raw.startswith(("404", "486", "603"))
    await content(near)


@pytest.mark.rfc("3725", "6")
@pytest.mark.parametrize("scenario", REFUSALS)
async def test_the_far_side_refuses_and_the_near_side_is_hung_up(scene: Stage, scenario: str) -> None:
    near, far = await scene.plays("uas-is-hung-up"), await scene.plays(scenario, "far")
    leg = await scene.dial(near, far)
    cleared = (await leg.cleared()).cleared
    assert (cleared.cause, cleared.side) == (REFUSALS[scenario], Side.BRIDGE)
    assert "LegConnected" not in leg.told
    await content(near, far)


@pytest.mark.rfc("3261", "9.1")
async def test_the_near_side_rings_forever(scene: Stage) -> None:
    near = await scene.plays("uas-rings-forever")
    leg = await scene.dial(near, NOWHERE, ring_s=1.0)
    assert (await leg.cleared()).cleared.cause is ClearCause.NO_ANSWER
    assert leg.told == ["LegRinging", "LegCleared"]
    await content(near)


async def test_hung_up_while_it_rings(scene: Stage) -> None:
    near = await scene.plays("uas-rings-forever")
    leg = await scene.dial(near, NOWHERE)
    await leg.rings()
    assert (await leg.hang_up()).cleared.cause is ClearCause.LOCAL
    await content(near)


async def test_the_far_side_rings_forever(scene: Stage) -> None:
    near, far = await scene.plays("uas-is-hung-up"), await scene.plays("uas-rings-forever", "far")
    leg = await scene.dial(near, far, ring_s=1.0)
    cleared = (await leg.cleared()).cleared
    assert (cleared.cause, cleared.side) == (ClearCause.NO_ANSWER, Side.BRIDGE)
    await content(near, far)

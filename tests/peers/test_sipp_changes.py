"""What changes while a call is up, or is arranged another way, between two SIPps (scenarios in tests/peers/sipp)."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from adapters.causes import ClearCause, Side
from adapters.sip.session_timer import Policy
from tests.peers.sipp.stage import Stage, content, stage

SECONDS = "6"
"""Stands for the 90 s of the scenario's name: RFC 4028 allows no less on a real line."""


@pytest.fixture
async def hurried(tmp_path: Path) -> AsyncIterator[Stage]:
    """An agent that puts up with session timers of seconds."""
    async with stage(tmp_path, session=Policy(expires_s=1800, min_se_s=3)) as made:
        yield made
    assert len(made.agent) == 0


@pytest.mark.rfc("3725", "7")
@pytest.mark.rfc("3311", "5.1")
@pytest.mark.rfc("3261", "14.2")
@pytest.mark.parametrize(
    ("wish", "other"), [("uas-reinvites", "uas-takes-a-reinvite"), ("uas-updates", "uas-takes-an-update"),
                        ("uas-updates", "uas-takes-a-reinvite")]
)  # fmt: skip
async def test_the_near_side_wants_other_media(scene: Stage, wish: str, other: str) -> None:
    near, far = await scene.plays(wish), await scene.plays(other, "far")
    leg = await scene.dial(near, far)
    await leg.up()
    if wish == "uas-reinvites":
        await near.got("SIP/2.0 200")
    else:
        await near.got("SIP/2.0 200")
        await far.got("UPDATE" if other == "uas-takes-an-update" else "ACK", 1 if "update" in other else 2)
    await leg.hang_up()
    await content(near, far)


@pytest.mark.rfc("3261", "14.1")
@pytest.mark.rfc("3725", "4.3")
async def test_flow_three_meets_a_glare(scene: Stage) -> None:
    near, far = await scene.plays("uas-glare-491"), await scene.plays("uas-is-hung-up", "far")
    leg = await scene.dial(near, far, flow="III")
    await leg.up()
    await leg.hang_up()
    await content(near, far)


@pytest.mark.rfc("3725", "4.4")
async def test_an_invite_without_sdp_is_refused_and_the_pair_comes_about(scene: Stage) -> None:
    near = await scene.plays("uas-refuses-late-offer", calls=2)
    far = await scene.plays("uas-is-hung-up", "far")
    leg = await scene.dial(near, far)
    await leg.up()
    assert leg.told.count("LegConnected") == 1
    await leg.hang_up()
    said, _ = await content(near, far)
    assert said.successful == 2


async def test_one_media_twice_on_one_port_is_offered_as_it_is_and_then_once(scene: Stage) -> None:
    near = await scene.plays("uas-offers-twice-on-one-port")
    far = await scene.plays("uas-refuses-doubled-media", "far", calls=2)
    leg = await scene.dial(near, far)
    await leg.up()
    await leg.hang_up()
    _, said = await content(near, far)
    assert said.successful == 2


@pytest.mark.rfc("4028", "7.4")
@pytest.mark.parametrize("role", ["near", "far"])
async def test_a_session_is_refreshed_by_us(hurried: Stage, role: str) -> None:
    other = "far" if role == "near" else "near"
    timed = await hurried.plays("uas-session-timer-90s", role, keys={"seconds": SECONDS})
    sides = {role: timed, other: await hurried.plays("uas-is-hung-up", other)}
    leg = await hurried.dial(sides["near"], sides["far"])
    await leg.up()
    await timed.got("UPDATE", 2)
    assert leg.told[-1] == "LegConnected"
    await leg.hang_up()
    await content(*sides.values())


@pytest.mark.rfc("4028", "9", "10")
async def test_a_session_that_the_peer_refreshes_ends_when_it_stops(hurried: Stage) -> None:
    near = await hurried.plays("uas-refreshes-session", keys={"seconds": SECONDS})
    far = await hurried.plays("uas-is-hung-up", "far")
    leg = await hurried.dial(near, far)
    await leg.up()
    cleared = (await leg.cleared()).cleared
    assert (cleared.cause, cleared.side) == (ClearCause.LOST, Side.FAR_END)
    await content(near, far)


@pytest.mark.rfc("4028", "7.3")
async def test_a_longer_interval_is_asked_for_when_it_is_wanted(scene: Stage) -> None:
    near, far = await scene.plays("uas-requires-422-min-se"), await scene.plays("uas-is-hung-up", "far")
    leg = await scene.dial(near, far)
    await leg.up()
    await leg.hang_up()
    await content(near, far)

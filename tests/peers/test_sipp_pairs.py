"""Pairs between two SIPps, which check what they get: descriptions, routes, targets, digests (tests/peers/sipp)."""

import hashlib
import re

import pytest

from adapters.causes import ClearCause, Side
from tests.peers.sipp.stage import Stage, content

LOGIN = ("codec", "pa$s word")


@pytest.mark.rfc("3725", "4.1")
@pytest.mark.parametrize(("near_by", "far_by"), [("udp", "udp"), ("tcp", "tcp"), ("udp", "tcp"), ("tcp", "udp")])
async def test_a_pair_is_offered_answered_and_ended(scene: Stage, near_by: str, far_by: str) -> None:
    near = await scene.plays("uas-offers", transport=near_by)
    far = await scene.plays("uas-answers", "far", transport=far_by)
    leg = await scene.dial(near, far)
    await leg.up()
    cleared = (await leg.hang_up()).cleared
    assert (cleared.cause, cleared.side) == (ClearCause.LOCAL, Side.OURS)
    assert leg.told == ["LegRinging", "LegConnected", "LegCleared"]
    await content(near, far)


@pytest.mark.rfc("3261", "15.1.2")
@pytest.mark.parametrize(("role", "cause"), [("near", ClearCause.FAR_END), ("far", ClearCause.BRIDGE_ENDED)])
async def test_a_side_hangs_up_after_3_s(scene: Stage, role: str, cause: ClearCause) -> None:
    other = "far" if role == "near" else "near"
    sides = {role: await scene.plays("uas-sends-bye-after-3s", role), other: await scene.plays("uas-is-hung-up", other)}
    leg = await scene.dial(sides["near"], sides["far"])
    cleared = (await leg.cleared()).cleared
    assert (cleared.cause, cleared.raw) == (cause, 'Q.850;cause=16;text="hung up"')
    await content(*sides.values())


@pytest.mark.rfc("3261", "13.2.2.4")
@pytest.mark.parametrize("role", ["near", "far"])
async def test_a_200_and_an_ack_that_are_lost_come_again(scene: Stage, role: str) -> None:
    other = "far" if role == "near" else "near"
    sides = {role: await scene.plays("uas-drops-first-200", role), other: await scene.plays("uas-is-hung-up", other)}
    leg = await scene.dial(sides["near"], sides["far"])
    await leg.up()
    await sides[role].got("ACK", 2)
    await leg.hang_up()
    await content(*sides.values())


@pytest.mark.rfc("3261", "22.2")
async def test_a_password_by_md5(scene: Stage) -> None:
    near, far = await scene.plays("uas-asks-digest-401-md5"), await scene.plays("uas-answers", "far")
    leg = await scene.dial(near, far, login=LOGIN)
    await leg.up()
    await leg.hang_up()
    await content(near, far)


async def test_a_wrong_password_is_told(scene: Stage) -> None:
    near = await scene.plays("uas-asks-digest-401-md5")
    leg = await scene.dial(near, near, login=("codec", "another"))
    cleared = (await leg.cleared()).cleared
    assert (cleared.cause, cleared.side) == (ClearCause.NOT_ALLOWED, Side.FAR_END)


@pytest.mark.rfc("3261", "22.3")
@pytest.mark.rfc("8760", "2.4")
@pytest.mark.rfc("7616", "3.4.1")
async def test_a_password_by_sha256_to_a_proxy(scene: Stage) -> None:
    near, far = await scene.plays("uas-asks-digest-407-sha256"), await scene.plays("uas-answers", "far")
    leg = await scene.dial(near, far, login=LOGIN)
    await leg.up()
    await leg.hang_up()
    said, _ = await content(near, far)
    signed = re.findall(r"(INVITE|BYE) ?(Digest .*)", said.log)
    assert [method for method, _ in signed] == ["INVITE", "BYE"]
    for method, value in signed:
        fields = dict(re.findall(r'(\w+)="?([^",]*)"?', value))
        assert (fields["realm"], fields["nonce"], fields["opaque"], fields["qop"]) == (
            "room",
            "c2hhMjU2",
            "0f1e",
            "auth",
        )
        one, two = (
            hashlib.sha256(text.encode()).hexdigest()
            for text in (f"codec:room:{LOGIN[1]}", f"{method}:{fields['uri']}")
        )
        rest = (fields["nonce"], fields["nc"], fields["cnonce"], "auth", two)
        assert fields["response"] == hashlib.sha256(":".join((one, *rest)).encode()).hexdigest()


@pytest.mark.rfc("3261", "13.2.2.4")
async def test_a_second_phone_answers(scene: Stage) -> None:
    near, far = await scene.plays("uas-offers"), await scene.plays("uas-forks", "far")
    leg = await scene.dial(near, far)
    await leg.up()
    await far.got("BYE")
    await leg.hang_up()
    await content(near, far)


@pytest.mark.rfc("3261", "12.1.2", "12.2.1.1")
@pytest.mark.parametrize("role", ["near", "far"])
async def test_behind_two_proxies(scene: Stage, role: str) -> None:
    other = "far" if role == "near" else "near"
    sides = {role: await scene.plays("uas-record-routes", role), other: await scene.plays("uas-is-hung-up", other)}
    leg = await scene.dial(sides["near"], sides["far"])
    await leg.up()
    await leg.hang_up()
    await content(*sides.values())


@pytest.mark.rfc("3261", "12.2.1.1", "12.2.2")
async def test_a_target_that_moves(scene: Stage) -> None:
    near, far = await scene.plays("uas-moves-its-contact"), await scene.plays("uas-takes-a-reinvite", "far")
    leg = await scene.dial(near, far)
    await leg.up()
    await far.got("ACK", 2)
    await leg.hang_up()
    await content(near, far)

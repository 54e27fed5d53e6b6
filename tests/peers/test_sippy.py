"""sippy 2.5, an independent user agent, as near and as far side of a third-party call, and as a device that registers.

It runs in a process of its own (tests/peers/sippy_phone.py).
"""

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from adapters.causes import ClearCause, Side
from adapters.values import Address
from tests.peers.sipp.stage import FAR_HOST, NEAR_HOST, Leg, Stage
from tests.support.port import free_port
from tests.unit.sip.roll import DOMAIN, MemoryRoll, enrol

PATIENT_S = 30.0


class Phone:
    """A sippy in its process."""

    def __init__(self, host: str) -> None:
        self.address = Address("sip", "phone", host, free_port(host))
        self.facts: list[dict[str, Any]] = []
        self._process: asyncio.subprocess.Process

    async def start(self) -> None:
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.peers.sippy_phone", self.address.host, str(self.address.port),
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, cwd=Path(__file__).parents[2],
        )  # fmt: skip
        await self.tells("Listening")

    async def tells(self, event: str, fits: Callable[[dict[str, Any]], bool] = lambda fact: True) -> dict[str, Any]:
        """The next thing of that name that it tells."""
        assert self._process.stdout is not None
        async with asyncio.timeout(PATIENT_S):
            while True:
                fact: dict[str, Any] = json.loads(await self._process.stdout.readline())
                self.facts.append(fact)
                if fact["event"] == event and fits(fact):
                    return fact

    def order(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n".encode())

    async def stop(self) -> None:
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()


@pytest.fixture
async def phones() -> AsyncIterator[tuple[Phone, Phone]]:
    pair = Phone(NEAR_HOST), Phone(FAR_HOST)
    for phone in pair:
        await phone.start()
    yield pair
    for phone in pair:
        await phone.stop()


async def dialed(scene: Stage, near: Phone, far: Phone, **settings: str) -> Leg:
    leg: Leg = await scene.dial(near, far.address, **settings)  # type: ignore[arg-type]
    await leg.up()
    return leg


@pytest.mark.rfc("3725", "4.1")
async def test_each_gets_the_description_of_the_other(scene: Stage, phones: tuple[Phone, Phone]) -> None:
    near, far = phones
    leg = await dialed(scene, near, far)
    assert (await near.tells("Try"))["sdp"] == ""
    assert f"c=IN IP4 {NEAR_HOST}" in (await far.tells("Try"))["sdp"]
    assert f"c=IN IP4 {FAR_HOST}" in (await near.tells("Connect"))["sdp"]  # in the ACK
    cleared = (await leg.hang_up()).cleared
    assert (cleared.cause, cleared.side) == (ClearCause.LOCAL, Side.OURS)
    for phone in phones:
        await phone.tells("Over")


@pytest.mark.rfc("3261", "15.1.2")
@pytest.mark.rfc("3725", "4.3")
@pytest.mark.parametrize(("side", "cause"), [(0, ClearCause.FAR_END), (1, ClearCause.BRIDGE_ENDED)])
@pytest.mark.parametrize("flow", ["I", "III"])
async def test_each_side_hangs_up(
    scene: Stage, phones: tuple[Phone, Phone], side: int, cause: ClearCause, flow: str
) -> None:
    leg = await dialed(scene, *phones, flow=flow)
    await phones[0].tells("Update" if flow == "III" else "Connect")
    phones[side].order("bye")
    assert (await leg.cleared()).cleared.cause is cause
    for phone in phones:
        await phone.tells("Over")


async def test_the_far_phone_is_not_there(scene: Stage, phones: tuple[Phone, Phone]) -> None:
    near, far = phones
    await far.stop()
    leg: Leg = await scene.dial(near, far.address)  # type: ignore[arg-type]
    assert (await leg.cleared()).cleared.cause is ClearCause.UNREACHABLE
    await near.tells("Over")


@pytest.mark.rfc("8760", "2.4")
@pytest.mark.rfc("3261", "10.3")
async def test_it_registers_by_the_strongest_digest(scene: Stage, phones: tuple[Phone, Phone]) -> None:
    roll, phone = MemoryRoll(qt05="s3cret"), phones[0]
    enrol(scene.agent, roll)
    server = f"{scene.agent.address[0]}:{scene.agent.address[1]}"
    phone.order(f"register {server} {DOMAIN} qt05 wrong")
    await phone.tells("NotRegistered")
    assert not roll.rows
    phone.order(f"register {server} {DOMAIN} qt05 s3cret")
    await phone.tells("Registered")
    assert len(roll.rows[f"sip:qt05@{DOMAIN}"].bindings) == 1

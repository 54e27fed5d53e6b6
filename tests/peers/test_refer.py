"""REFER against real peers: baresip is told to call an Asterisk conference, whose roster says who came and ends it.

Needs what `make peers` needs (root, debootstrap, baresip). Without them it fails and says so.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest
import pytest_asyncio

from adapters.bridges.asterisk.adapter import AsteriskBridge
from adapters.causes import ClearCause, Side
from adapters.endpoints.sip.referrer import SipReferrer
from adapters.events import LegConnected, LegRinging, MemberJoined, MemberLeft
from adapters.sip.agent import SipAgent
from adapters.values import Address, ConferenceSpec, Control, DialOptions, LegState, Member
from tests.peers.lab.asterisk import Asterisk, eyes, new_secret
from tests.peers.lab.config import Instance, Login
from tests.peers.lab.endpoint import Endpoint
from tests.peers.lab.run import lab_run
from tests.peers.mind import Mind as Orchestrator
from tests.support.heard import Heard, Surroundings

pytestmark = pytest.mark.asyncio(loop_scope="module")

BRIDGE_IP, OURS_IP = "127.0.15.1", "127.0.15.40"
ROOM = "8001"
RUN = "refer"
SETTINGS = {"sip_endpoint": "lan", "bridge_profile": "main", "user_profile": "guest"}
LEG = "dc0a1b-7-{}-1"


@dataclass
class Lab:
    """A bridge, an endpoint that answers and one that rings."""

    bridge: Asterisk
    login: Login
    answers: Endpoint
    rings: Endpoint

    @property
    def room(self) -> Address:
        return Address("sip", ROOM, BRIDGE_IP, 5060)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def lab() -> AsyncIterator[Lab]:
    login = Login("diemcau", new_secret())
    async with lab_run(RUN) as run:
        lab = Lab(
            run.asterisk(Instance("refer", BRIDGE_IP, [eyes(), login])),
            login,
            run.endpoint("answers", "127.0.15.21"),
            run.endpoint("rings", "127.0.15.22", mode="manual"),
        )
        await run.start()
        yield lab


class Roster:
    """The bridge as the orchestrator has it."""

    def __init__(self, lab: Lab) -> None:
        self.heard = Heard(patience_s=60)
        control = Control("cầu chính", BRIDGE_IP, 5038, lab.login.name, lab.login.secret, settings=SETTINGS)
        self.bridge = AsteriskBridge(control, Surroundings(self.heard))  # type: ignore[arg-type]

    async def came(self, caller: str) -> Member:
        """Who came in, by the caller it shows; and that is all who came."""
        await self.heard.until(lambda: self.heard.of(MemberJoined))
        [member] = (await self.bridge.snapshot(ROOM)).members
        assert member.caller == caller
        return member


@pytest_asyncio.fixture(loop_scope="module")
async def roster(lab: Lab) -> AsyncIterator[Roster]:
    roster = Roster(lab)
    await roster.bridge.open()
    await roster.bridge.open_conference(ConferenceSpec(ROOM, "Hội nghị giao ban", "tag"))
    yield roster
    for member in (await roster.bridge.snapshot(ROOM)).members:
        await roster.bridge.drop(member.id)
    await roster.bridge.close()


class Mind(Orchestrator):
    """Can die and be started anew on its address."""

    def __init__(self, near: str, port: int = 0, memories: dict[str, Any] | None = None) -> None:
        super().__init__(SipAgent(OURS_IP, port), memories)
        self.near = near
        self.stages: list[str] = []
        self.referrer = SipReferrer(Control("site", addresses=(Address.parse(near),)), self.surroundings)

    async def remember(self, leg: str, memory: Mapping[str, Any]) -> None:
        await super().remember(leg, memory)
        self.stages.append(memory["stage"])

    async def again(self) -> "Mind":
        """As by kill -9 and a new process: nothing is sent in between."""
        port = self.agent.address[1]
        await self.agent.close()
        heir = Mind(self.near, port, self.memories)
        await heir.agent.start()
        return heir


@pytest.mark.rfc("3515", "2.4.1", "2.4.4")
async def test_it_refuses_outside_takes_it_inside_and_only_its_own_call_stays(lab: Lab, roster: Roster) -> None:
    leg = LEG.format(1)
    mind = Mind(lab.answers.address)
    await mind.agent.start()
    asked_at = datetime.now(UTC)
    await mind.referrer.dial(leg, lab.room, DialOptions(ring_s=20))
    await mind.heard.event(LegConnected, leg)
    assert mind.stages[:3] == ["asked", "calling", "inside"]
    member = await roster.came("answers")
    [joined] = roster.heard.of(MemberJoined)
    assert joined.member.joined_at is not None and joined.member.joined_at >= asked_at
    await lab.answers.until_calls(1)
    await lab.answers.until_sound()
    assert len(mind.agent) == 0 and not mind.agent.follows
    await mind.referrer.hang_up(leg)
    cleared = (await mind.heard.cleared(leg)).cleared
    assert (cleared.cause, cleared.side) == (ClearCause.LOCAL, Side.OURS)
    assert await lab.answers.active_calls() == 1
    await roster.bridge.drop(member.id)
    await roster.heard.until(lambda: roster.heard.of(MemberLeft))
    await lab.answers.until_calls()
    assert mind.told[-2:] == ["LegConnected", "LegCleared"]
    await mind.agent.close()


async def test_a_room_that_does_not_exist_is_told_with_its_cause(lab: Lab, roster: Roster) -> None:
    leg = LEG.format(2)
    mind = Mind(lab.answers.address)
    await mind.agent.start()
    await mind.referrer.dial(leg, Address("sip", "4711", BRIDGE_IP, 5060), DialOptions(ring_s=20))
    cleared = (await mind.heard.cleared(leg)).cleared
    assert (cleared.cause, cleared.side) == (ClearCause.NOT_FOUND, Side.BRIDGE)
    await lab.answers.until_calls()
    await mind.agent.close()


async def test_killed_while_it_rings_it_rings_once_and_comes_in(lab: Lab, roster: Roster) -> None:
    leg = LEG.format(3)
    before = len(lab.rings.seen().invited)
    first = Mind(lab.rings.address)
    await first.agent.start()
    await first.referrer.dial(leg, lab.room, DialOptions(ring_s=40))
    await first.heard.event(LegRinging, leg)
    heir = await first.again()
    assert (await heir.referrer.adopt(leg, heir.memories[leg])).state is LegState.DIALING
    await heir.heard.event(LegRinging, leg)
    await lab.rings.accept()
    await heir.heard.event(LegConnected, leg)
    member = await roster.came("rings")
    await lab.rings.until_calls(1)
    assert len(lab.rings.seen().invited) - before == 1
    await roster.bridge.drop(member.id)
    await lab.rings.until_calls()
    await heir.agent.close()


async def test_asterisk_takes_it_only_inside_and_looks_into_its_dial_plan(lab: Lab, roster: Roster) -> None:
    leg = LEG.format(4)
    mind = Mind(str(lab.room))
    await mind.agent.start()
    await mind.referrer.dial(leg, Address.parse(lab.answers.address), DialOptions(ring_s=20))
    cleared = (await mind.heard.cleared(leg)).cleared
    assert (cleared.cause, cleared.raw) == (ClearCause.NOT_FOUND, "404 Not Found")
    async with asyncio.timeout(20):
        while (await roster.bridge.snapshot(ROOM)).members:  # noqa: ASYNC110 - our own call leaves its room
            await asyncio.sleep(0.1)
    await mind.agent.close()

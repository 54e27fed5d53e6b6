"""Third-party call control against real peers: baresip and Asterisk, as near and as far side, flows I, III and IV.

Needs what `make peers` needs (root, debootstrap, baresip). Without them it fails and says so.
"""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio

from adapters.causes import ClearCause, Side
from adapters.endpoints.sip.adapter import SipEndpoint
from adapters.events import LegConnected, LegRinging
from adapters.sip.agent import SipAgent
from adapters.sip.message import Response
from adapters.values import Address, Control, DialOptions, LegState
from tests.peers.lab.asterisk import Asterisk, eyes
from tests.peers.lab.config import Instance
from tests.peers.lab.endpoint import Endpoint
from tests.peers.lab.run import lab_run
from tests.peers.mind import Mind as Orchestrator

pytestmark = pytest.mark.asyncio(loop_scope="module")

BRIDGE_IP, OURS_IP = "127.0.14.1", "127.0.14.40"
ROOM, PIN_ROOM, PIN = "8001", "9001", "246810"
RUN = "third-party"
LEG = "dc0a1b-7-{}-1"
FLOWS = ("I", "III", "IV")


@dataclass
class Lab:
    """A bridge with an open room and one with a PIN, an endpoint that answers, one that rings."""

    bridge: Asterisk
    answers: Endpoint
    other: Endpoint
    rings: Endpoint

    @property
    def room(self) -> Address:
        return Address("sip", ROOM, BRIDGE_IP, 5060)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def lab() -> AsyncIterator[Lab]:
    async with lab_run(RUN) as run:
        lab = Lab(
            run.asterisk(Instance("third-party", BRIDGE_IP, [eyes()], pin=PIN)),
            run.endpoint("answers", "127.0.14.21"),
            run.endpoint("other", "127.0.14.22"),
            run.endpoint("rings", "127.0.14.23", mode="manual"),
        )
        await run.start()
        yield lab


class Mind(Orchestrator):
    """Can die and be started anew on its address."""

    def __init__(self, near: str, memories: dict[str, Any], port: int, **settings: str) -> None:
        super().__init__(SipAgent(OURS_IP, port), memories)
        control = Control("site", addresses=(Address.parse(near),), settings=settings)
        self.endpoint = SipEndpoint(control, self.surroundings)


class Minds:
    def __init__(self) -> None:
        self.memories: dict[str, Any] = {}
        self.made: list[Mind] = []

    async def start(self, near: str, port: int = 0, **settings: str) -> Mind:
        mind = Mind(near, self.memories, port, **settings)
        await mind.agent.start()
        self.made.append(mind)
        return mind

    async def again(self, mind: Mind, near: str) -> Mind:
        """As by kill -9 and a new process: nothing is sent in between."""
        port = mind.agent.address[1]
        await mind.agent.close()
        return await self.start(near, port)


@pytest_asyncio.fixture(loop_scope="module")
async def minds() -> AsyncIterator[Minds]:
    minds = Minds()
    yield minds
    for mind in minds.made:
        await mind.agent.close()


async def in_room(lab: Lab, *callers: str, room: str = ROOM) -> None:
    await lab.bridge.manager.until_callers(room, *callers)


@pytest.mark.rfc("3725", "4.1", "4.3")
@pytest.mark.parametrize("flow", FLOWS)
@pytest.mark.parametrize("far", ["asterisk", "baresip"])
async def test_media_flow_and_both_sides_hear_of_the_end(lab: Lab, minds: Minds, flow: str, far: str) -> None:
    leg = LEG.format(f"{FLOWS.index(flow)}{len(far)}")
    mind = await minds.start(lab.answers.address, flow=flow)
    to = lab.room if far == "asterisk" else Address.parse(lab.other.address)
    await mind.endpoint.dial(leg, to, DialOptions(display="Hội nghị giao ban", ring_s=20))
    await mind.heard.event(LegConnected, leg)
    await lab.answers.until_sound()
    if far == "asterisk":
        await in_room(lab, leg)
    await mind.endpoint.hang_up(leg)
    cleared = (await mind.heard.cleared(leg)).cleared
    assert (cleared.cause, cleared.side) == (ClearCause.LOCAL, Side.OURS)
    for endpoint in (lab.answers, lab.other):
        await endpoint.until_calls()
    await in_room(lab)
    assert len(mind.agent) == 0 and mind.told[-2:] == ["LegConnected", "LegCleared"]


@pytest.mark.parametrize("near", ["asterisk", "baresip"])
async def test_both_peers_take_a_refresh_as_each_is_asked(lab: Lab, minds: Minds, near: str) -> None:
    """Asterisk agrees on a session timer and takes UPDATE; baresip 1.0.0 has none and takes a re-INVITE as well."""
    leg = LEG.format(f"7{len(near)}")
    baresip = Address.parse(lab.answers.address)
    mind = await minds.start(str(lab.room if near == "asterisk" else baresip), flow="IV")
    await mind.endpoint.dial(leg, baresip if near == "asterisk" else lab.room, DialOptions(ring_s=20))
    await mind.heard.event(LegConnected, leg)
    pair = mind.endpoint._legs[leg].pair
    for call in (pair.near, pair.far):
        assert call is not None
        for _ in range(2):
            told: asyncio.Future[Response | None] = asyncio.get_running_loop().create_future()
            call.refresh(told.set_result)
            response = await asyncio.wait_for(told, 20)
            assert response is not None and response.status == 200, (call.peer_product, response)
            call.peer_allows = ""  # the second one as to a peer that takes no UPDATE
    bridge, phone = (pair.near, pair.far) if near == "asterisk" else (pair.far, pair.near)
    assert bridge is not None and phone is not None
    assert bridge.timer is not None and phone.timer is None, (bridge.peer_product, phone.peer_product)
    await lab.answers.until_sound()
    await mind.endpoint.hang_up(leg)
    await mind.heard.cleared(leg)
    await lab.answers.until_calls()
    await in_room(lab)


async def test_asterisk_as_near_side(lab: Lab, minds: Minds) -> None:
    leg = LEG.format(20)
    mind = await minds.start(str(lab.room))
    await mind.endpoint.dial(leg, Address.parse(lab.answers.address), DialOptions(ring_s=20))
    await mind.heard.event(LegConnected, leg)
    await lab.answers.until_sound()
    await lab.answers.hang_up()
    assert (await mind.heard.cleared(leg)).cleared.cause is ClearCause.BRIDGE_ENDED
    await in_room(lab)


@pytest.mark.rfc("2976", "2")
async def test_a_pin_is_given_by_info(lab: Lab, minds: Minds) -> None:
    leg = LEG.format(21)
    mind = await minds.start(lab.answers.address)
    to = Address("sip", PIN_ROOM, BRIDGE_IP, 5060)
    await mind.endpoint.dial(leg, to, DialOptions(ring_s=20, digits=f"{PIN}#", digits_delay_s=2.0))
    await mind.heard.event(LegConnected, leg)
    await in_room(lab, leg, room=PIN_ROOM)
    await mind.endpoint.hang_up(leg)
    await mind.heard.cleared(leg)
    await lab.answers.until_calls()


async def test_the_person_at_the_endpoint_hangs_up(lab: Lab, minds: Minds) -> None:
    leg = LEG.format(22)
    mind = await minds.start(lab.answers.address)
    await mind.endpoint.dial(leg, lab.room, DialOptions(ring_s=20))
    await mind.heard.event(LegConnected, leg)
    await in_room(lab, leg)
    await lab.answers.hang_up()
    cleared = (await mind.heard.cleared(leg)).cleared
    assert (cleared.cause, cleared.side) == (ClearCause.FAR_END, Side.FAR_END)
    await in_room(lab)


async def test_declined_and_nobody_there(lab: Lab, minds: Minds) -> None:
    mind = await minds.start(lab.rings.address)
    leg = LEG.format(23)
    await mind.endpoint.dial(leg, lab.room, DialOptions(ring_s=20))
    await mind.heard.event(LegRinging, leg)
    await lab.rings.hang_up()
    assert (await mind.heard.cleared(leg)).cleared.cause is ClearCause.BUSY  # 486 (measured)
    leg = LEG.format(24)
    await mind.endpoint.dial(leg, lab.room, DialOptions(ring_s=2))
    assert (await mind.heard.cleared(leg)).cleared.cause is ClearCause.NO_ANSWER
    await lab.rings.until_calls()


async def test_a_room_that_does_not_exist(lab: Lab, minds: Minds) -> None:
    leg = LEG.format(25)
    mind = await minds.start(lab.answers.address)
    await mind.endpoint.dial(leg, Address("sip", "4711", BRIDGE_IP, 5060), DialOptions(ring_s=20))
    cleared = (await mind.heard.cleared(leg)).cleared
    assert (cleared.cause, cleared.side) == (ClearCause.NOT_FOUND, Side.BRIDGE)
    await lab.answers.until_calls()


async def test_a_new_process_dials_the_ringing_leg_again_and_it_rings_once(lab: Lab, minds: Minds) -> None:
    leg = LEG.format(26)
    before = len(lab.rings.seen().invited)
    first = await minds.start(lab.rings.address)
    await first.endpoint.dial(leg, lab.room, DialOptions(ring_s=40))
    await first.heard.event(LegRinging, leg)
    second = await minds.again(first, lab.rings.address)
    await second.endpoint.dial(leg, lab.room, DialOptions(ring_s=40))
    await second.heard.event(LegRinging, leg)
    await lab.rings.accept()
    await second.heard.event(LegConnected, leg)
    await in_room(lab, leg)
    assert len(lab.rings.seen().invited) - before == 1
    await second.endpoint.hang_up(leg)
    await second.heard.cleared(leg)
    await lab.rings.until_calls()
    await in_room(lab)


async def test_a_new_process_adopts_the_pair_and_ends_it(lab: Lab, minds: Minds) -> None:
    leg = LEG.format(27)
    first = await minds.start(lab.answers.address)
    await first.endpoint.dial(leg, lab.room, DialOptions(ring_s=20))
    await first.heard.event(LegConnected, leg)
    await in_room(lab, leg)
    second = await minds.again(first, lab.answers.address)
    assert (await second.endpoint.adopt(leg, minds.memories[leg])).state is LegState.CONNECTED
    await in_room(lab, leg)
    await second.endpoint.hang_up(leg)
    assert (await second.heard.cleared(leg)).cleared.cause is ClearCause.LOCAL
    await lab.answers.until_calls()
    await in_room(lab)


async def test_what_ended_in_between_is_denied_by_both(lab: Lab, minds: Minds) -> None:
    leg = LEG.format(28)
    first = await minds.start(lab.answers.address)
    await first.endpoint.dial(leg, lab.room, DialOptions(ring_s=20))
    await first.heard.event(LegConnected, leg)
    await in_room(lab, leg)
    await first.agent.close()
    await lab.answers.hang_up()  # its BYE finds nobody
    await lab.answers.until_calls()
    second = await minds.start(lab.answers.address)
    assert (await second.endpoint.adopt(leg, minds.memories[leg])).state is LegState.CLEARED
    assert (await second.heard.cleared(leg)).cleared.cause is ClearCause.LOST
    await in_room(lab)

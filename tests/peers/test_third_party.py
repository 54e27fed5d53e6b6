"""Third-party call control against real peers: baresip and Asterisk, as near and as far side, flows I, III and IV.

Needs what `make peers` needs (root, debootstrap, baresip). Without them it fails and says so.
"""

import asyncio
import contextlib
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest
import pytest_asyncio

from adapters.causes import ClearCause, Side
from adapters.endpoints.sip.adapter import SipEndpoint
from adapters.events import LegConnected, LegRinging
from adapters.registry import Surroundings
from adapters.sip.agent import SipAgent
from adapters.sip.message import Response
from adapters.values import Address, Control, DialOptions, LegState
from tests.peers.lab.asterisk import Asterisk, eyes
from tests.peers.lab.config import Instance
from tests.peers.lab.endpoint import Endpoint
from tests.peers.lab.place import Lock, lab_folder, need
from tests.peers.lab.process import Ledger
from tests.peers.lab.root import ensure_root
from tests.support.heard import Heard

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

    async def members(self, room: str = ROOM) -> list[str]:
        """The caller numbers in a room, as the bridge itself lists them."""
        return [str(row.get("CallerIDNum")) for row in await self.bridge.manager.roster(room)]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def lab() -> AsyncIterator[Lab]:
    need("baresip", "chroot")
    root = await asyncio.to_thread(ensure_root)
    folder = lab_folder() / "runs" / RUN
    lock = Lock(folder / "lock", f"the lab {RUN!r}")
    lock.take()
    ledger = Ledger(folder / "processes.jsonl")
    ledger.sweep()
    for stale in ("scratch", "logs"):
        shutil.rmtree(folder / stale, ignore_errors=True)
    logs = folder / "logs"
    logs.mkdir(parents=True)
    instance = Instance("third-party", BRIDGE_IP, [eyes()], pin=PIN)

    def endpoint(name: str, number: int, mode: str = "auto") -> Endpoint:
        return Endpoint(name, f"127.0.14.{number}", ledger, folder / "scratch" / name, logs, mode=mode)

    lab = Lab(
        Asterisk(instance, root, RUN, ledger, logs),
        endpoint("answers", 21),
        endpoint("other", 22),
        endpoint("rings", 23, "manual"),
    )
    everything: list[Asterisk | Endpoint] = [lab.bridge, lab.answers, lab.other, lab.rings]
    try:
        for one in everything:
            await one.start()
        yield lab
    finally:
        for one in everything:
            with contextlib.suppress(Exception):
                await one.stop()
        ledger.stop_all()
        lock.release()


class Mind:
    """The orchestrator's side, which can die and be started anew on its address."""

    def __init__(self, near: str, memories: dict[str, Any], port: int, **settings: str) -> None:
        self.heard = Heard(patience_s=60)
        self.memories = memories
        self.agent = SipAgent(OURS_IP, port)
        surroundings = Surroundings(self.heard, self._remember, lambda: datetime.now(UTC), self.agent, b"seed")
        self.endpoint = SipEndpoint(Control("site", addresses=(Address.parse(near),), settings=settings), surroundings)

    async def _remember(self, leg: str, memory: Any) -> None:
        self.memories[leg] = memory

    @property
    def told(self) -> list[str]:
        return [type(event).__name__ for event in self.heard.events]


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


async def quiet(endpoint: Endpoint) -> None:
    """It has no call, by its own list."""
    async with asyncio.timeout(20):
        while await endpoint.active_calls():  # noqa: ASYNC110 - its list tells of no event
            await asyncio.sleep(0.1)


async def in_room(lab: Lab, *callers: str, room: str = ROOM) -> None:
    async with asyncio.timeout(20):
        while sorted(await lab.members(room)) != sorted(callers):  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.1)


@pytest.mark.rfc("3725", "4.1", "4.3")
@pytest.mark.parametrize("flow", FLOWS)
@pytest.mark.parametrize("far", ["asterisk", "baresip"])
async def test_media_flow_and_both_sides_hear_of_the_end(lab: Lab, minds: Minds, flow: str, far: str) -> None:
    leg = LEG.format(f"{FLOWS.index(flow)}{len(far)}")
    mind = await minds.start(lab.answers.address, flow=flow)
    to = lab.room if far == "asterisk" else Address.parse(lab.other.address)
    await mind.endpoint.dial(leg, to, DialOptions(display="Hội nghị giao ban", ring_s=20))
    await mind.heard.event(LegConnected, leg)
    await lab.answers.events.until("sound both ways", lambda: any(c.sent and c.heard for c in lab.answers.living), 30)
    if far == "asterisk":
        await in_room(lab, leg)
    await mind.endpoint.hang_up(leg)
    cleared = (await mind.heard.cleared(leg)).cleared
    assert (cleared.cause, cleared.side) == (ClearCause.LOCAL, Side.OURS)
    for endpoint in (lab.answers, lab.other):
        await quiet(endpoint)
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
    await lab.answers.events.until("sound both ways", lambda: any(c.sent and c.heard for c in lab.answers.living), 30)
    await mind.endpoint.hang_up(leg)
    await mind.heard.cleared(leg)
    await quiet(lab.answers)
    await in_room(lab)


async def test_asterisk_as_near_side(lab: Lab, minds: Minds) -> None:
    leg = LEG.format(20)
    mind = await minds.start(str(lab.room))
    await mind.endpoint.dial(leg, Address.parse(lab.answers.address), DialOptions(ring_s=20))
    await mind.heard.event(LegConnected, leg)
    await lab.answers.events.until("sound both ways", lambda: any(c.sent and c.heard for c in lab.answers.living), 30)
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
    await quiet(lab.answers)


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
    await quiet(lab.rings)


async def test_a_room_that_does_not_exist(lab: Lab, minds: Minds) -> None:
    leg = LEG.format(25)
    mind = await minds.start(lab.answers.address)
    await mind.endpoint.dial(leg, Address("sip", "4711", BRIDGE_IP, 5060), DialOptions(ring_s=20))
    cleared = (await mind.heard.cleared(leg)).cleared
    assert (cleared.cause, cleared.side) == (ClearCause.NOT_FOUND, Side.BRIDGE)
    await quiet(lab.answers)


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
    await quiet(lab.rings)
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
    await quiet(lab.answers)
    await in_room(lab)


async def test_what_ended_in_between_is_denied_by_both(lab: Lab, minds: Minds) -> None:
    leg = LEG.format(28)
    first = await minds.start(lab.answers.address)
    await first.endpoint.dial(leg, lab.room, DialOptions(ring_s=20))
    await first.heard.event(LegConnected, leg)
    await in_room(lab, leg)
    await first.agent.close()
    await lab.answers.hang_up()  # its BYE finds nobody
    await quiet(lab.answers)
    second = await minds.start(lab.answers.address)
    assert (await second.endpoint.adopt(leg, minds.memories[leg])).state is LegState.CLEARED
    assert (await second.heard.cleared(leg)).cleared.cause is ClearCause.LOST
    await in_room(lab)

"""The Asterisk adapter against real Asterisks and real endpoints: every verb, every ending that can be had.

Needs what `make peers` needs (root, debootstrap, baresip). Without them it fails and says so.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace

import pytest
import pytest_asyncio

from adapters.bridges.asterisk.adapter import AsteriskBridge
from adapters.causes import ClearCause, Side
from adapters.errors import LoginRefused, Unreachable
from adapters.events import LegConnected, LegRinging, MemberChanged, MemberJoined, SessionGone, SessionReady
from adapters.values import Address, ConferenceSpec, Control, DialOptions, LegState, Member
from tests.peers.lab.asterisk import Asterisk, eyes, new_secret
from tests.peers.lab.config import Instance, Login
from tests.peers.lab.endpoint import Endpoint
from tests.peers.lab.run import lab_run
from tests.support.heard import Heard, Surroundings

pytestmark = pytest.mark.asyncio(loop_scope="module")

BRIDGE_IP, FAR_IP, SILENT_IP, DOWN_IP = "127.0.13.1", "127.0.13.2", "127.0.13.77", "127.0.13.78"
ROOM, PIN = "8001", "246810"
SETTINGS = {
    "sip_endpoint": "lan",
    "bridge_profile": "main",
    "user_profile": "guest",
    "h323_peers": {FAR_IP: "far", DOWN_IP: "down"},
}
OPTIONS = DialOptions(display="Hội nghị giao ban", ring_s=20)
RUN = "asterisk-adapter"


@dataclass
class Lab:
    """A bridge, a far bridge that also answers H.323, one endpoint that answers and one that rings."""

    bridge: Asterisk
    far: Asterisk
    login: Login
    far_login: Login
    answers: Endpoint
    rings: Endpoint

    def adapter(self, heard: Heard, **change: object) -> AsteriskBridge:
        control = Control("cầu chính", BRIDGE_IP, 5038, self.login.name, self.login.secret, settings=SETTINGS)
        return AsteriskBridge(replace(control, **change), Surroundings(heard))  # type: ignore[arg-type]

    def far_adapter(self, heard: Heard) -> AsteriskBridge:
        return self.adapter(heard, name="cầu tỉnh", host=FAR_IP, secret=self.far_login.secret)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def lab() -> AsyncIterator[Lab]:
    login, far_login = Login("diemcau", new_secret()), Login("diemcau", new_secret())
    peers = {"near": BRIDGE_IP, "far": FAR_IP, "down": DOWN_IP}
    near = Instance("adapter-near", BRIDGE_IP, [eyes(), login], h323_peers=peers)
    far = Instance("adapter-far", FAR_IP, [eyes(), far_login], pin=PIN, codecs=["5001"], h323_peers=peers)
    async with lab_run(RUN) as run:
        lab = Lab(
            run.asterisk(near),
            run.asterisk(far),
            login,
            far_login,
            run.endpoint("answers", "127.0.13.21"),
            run.endpoint("rings", "127.0.13.22", mode="manual"),
        )
        await run.start()
        yield lab


@pytest.fixture
def heard() -> Heard:
    return Heard(patience_s=60)


@pytest_asyncio.fixture(loop_scope="module")
async def bridge(lab: Lab, heard: Heard) -> AsyncIterator[AsteriskBridge]:
    bridge = lab.adapter(heard)
    await bridge.open()
    await bridge.open_conference(ConferenceSpec(ROOM, "Hội nghị giao ban", "tag"))
    yield bridge
    for member in (await bridge.snapshot(ROOM)).members:
        await bridge.drop(member.id)
    await bridge.close()


def marked(members: tuple[Member, ...], leg: str) -> list[Member]:
    return [member for member in members if leg in member.marks]


async def test_it_says_what_it_is(bridge: AsteriskBridge) -> None:
    identity = await bridge.open()
    assert identity.make == "Asterisk"
    assert identity.firmware[:2].isdigit()


async def test_a_wrong_secret_and_a_closed_port(lab: Lab, heard: Heard) -> None:
    with pytest.raises(LoginRefused, match=rf"{BRIDGE_IP}:5038 refuses AMI user 'diemcau'"):
        await lab.adapter(heard, secret="not-the-secret").open()
    with pytest.raises(Unreachable, match=f"{BRIDGE_IP}:5039"):
        await lab.adapter(heard, port=5039).open()
    with pytest.raises(Unreachable, match="no 'Asterisk Call Manager/' greeting"):
        await lab.adapter(heard, port=5060).open()


async def test_a_sip_endpoint_is_called_seen_muted_and_let_go(lab: Lab, bridge: AsteriskBridge, heard: Heard) -> None:
    leg = "dcab01-1-1-1"
    await bridge.invite(leg, ROOM, Address.parse(lab.answers.address), OPTIONS)
    await heard.event(LegConnected, leg)
    (member,) = marked((await bridge.snapshot(ROOM)).members, leg)
    assert (member.caller, member.display, member.muted) == (ROOM, "Hội nghị giao ban", False)
    assert (await bridge.ports()).used == 1
    await lab.answers.events.until("the call", lambda: len(lab.answers.living) == 1, 10)
    for on in (True, False):
        await bridge.mute(ROOM, member.id, on)
        await heard.until(lambda on=on: [e for e in heard.of(MemberChanged) if e.member.muted is on])
    await bridge.drop(leg)
    await bridge.drop(leg)
    cleared = (await heard.cleared(leg)).cleared
    assert (cleared.cause, cleared.side) == (ClearCause.LOCAL, Side.OURS)
    assert (await bridge.snapshot(ROOM)).members == ()


async def test_the_far_end_hangs_up(lab: Lab, bridge: AsteriskBridge, heard: Heard) -> None:
    leg = "dcab01-1-2-1"
    await bridge.invite(leg, ROOM, Address.parse(lab.answers.address), OPTIONS)
    await heard.event(LegConnected, leg)
    await lab.answers.events.until("the call", lambda: bool(lab.answers.living), 10)
    await lab.answers.hang_up()
    cleared = (await heard.cleared(leg)).cleared
    assert (cleared.cause, cleared.side) == (ClearCause.FAR_END, Side.FAR_END)


async def test_a_kick_on_the_bridge_is_the_bridges_doing(lab: Lab, bridge: AsteriskBridge, heard: Heard) -> None:
    leg = "dcab01-1-3-1"
    await bridge.invite(leg, ROOM, Address.parse(lab.answers.address), OPTIONS)
    await heard.event(LegConnected, leg)
    await lab.bridge.manager.ask("ConfbridgeKick", Conference=ROOM, Channel="all")
    cleared = (await heard.cleared(leg)).cleared
    assert (cleared.cause, cleared.side) == (ClearCause.BRIDGE_ENDED, Side.BRIDGE)


@pytest.mark.parametrize(
    ("to", "ring_s", "cause", "side", "rings"),
    [
        (f"sip:5555@{FAR_IP}", 20, ClearCause.NOT_FOUND, Side.FAR_END, False),
        ("sip:rings@127.0.13.22", 1.5, ClearCause.NO_ANSWER, Side.FAR_END, True),
        (f"sip:x@{SILENT_IP}", 1.5, ClearCause.UNREACHABLE, Side.NETWORK, False),
        (f"h323:5555@{FAR_IP}", 20, ClearCause.NOT_FOUND, Side.FAR_END, False),
        (f"h323:5001@{DOWN_IP}", 20, ClearCause.UNREACHABLE, Side.NETWORK, False),
        ("h323:5001@127.0.13.99", 20, ClearCause.UNREACHABLE, Side.BRIDGE, False),
    ],
)
async def test_a_call_that_does_not_come_about(
    bridge: AsteriskBridge, heard: Heard, to: str, ring_s: float, cause: ClearCause, side: Side, rings: bool
) -> None:
    leg = f"dcab01-2-{abs(hash(to)) % 10**6}-1"
    await bridge.invite(leg, ROOM, Address.parse(to), DialOptions(ring_s=ring_s))
    cleared = (await heard.cleared(leg)).cleared
    assert (cleared.cause, cleared.side) == (cause, side), cleared.raw
    assert bool(heard.of(LegRinging)) is rings
    assert heard.of(LegConnected) == []


async def test_busy(lab: Lab, bridge: AsteriskBridge, heard: Heard) -> None:
    leg = "dcab01-3-1-1"
    await bridge.invite(leg, ROOM, Address.parse(lab.rings.address), OPTIONS)
    await heard.event(LegRinging, leg)
    await lab.rings.hang_up()
    cleared = (await heard.cleared(leg)).cleared
    assert (cleared.cause, cleared.side) == (ClearCause.BUSY, Side.FAR_END)
    assert "SIP 486" in cleared.raw


async def test_ringing_h323_is_given_up(lab: Lab, bridge: AsteriskBridge, heard: Heard) -> None:
    leg = "dcab01-3-2-1"
    await lab.far.set_ringing("5001", True)
    await bridge.invite(leg, ROOM, Address.parse(f"h323:5001@{FAR_IP}"), DialOptions(ring_s=1.5))
    assert (await heard.cleared(leg)).cleared.cause is ClearCause.NO_ANSWER
    assert len(heard.of(LegRinging)) == 1
    await lab.far.set_ringing("5001", False)


async def test_a_hang_up_right_behind_the_order(lab: Lab, bridge: AsteriskBridge, heard: Heard) -> None:
    leg = "dcab01-3-3-1"
    await bridge.invite(leg, ROOM, Address.parse(lab.rings.address), OPTIONS)
    await bridge.drop(leg)
    assert (await heard.cleared(leg)).cleared.cause is ClearCause.LOCAL
    await lab.rings.until_calls()


@pytest.mark.parametrize("scheme", ["sip", "h323"])
async def test_a_pin_lets_us_into_the_far_room(lab: Lab, bridge: AsteriskBridge, heard: Heard, scheme: str) -> None:
    leg, number = f"dcab01-4-{len(scheme)}-1", {"sip": "9001", "h323": "9002"}[scheme]
    far_heard = Heard(patience_s=60)
    far = lab.far_adapter(far_heard)
    await far.open()
    await far.open_conference(ConferenceSpec(number, "tỉnh", "tag"))
    options = replace(OPTIONS, digits=f"{PIN}#")
    await bridge.invite(leg, ROOM, Address.parse(f"{scheme}:{number}@{FAR_IP}"), options)
    await heard.event(LegConnected, leg)
    await far_heard.until(lambda: far_heard.of(MemberJoined))
    assert len((await far.snapshot(number)).members) == 1
    await bridge.drop(leg)
    await heard.cleared(leg)
    await far.close()


async def test_a_locked_room_lets_nobody_in(lab: Lab, bridge: AsteriskBridge, heard: Heard) -> None:
    first, second = "dcab01-5-1-1", "dcab01-5-2-1"
    await bridge.invite(first, ROOM, Address.parse(f"h323:5001@{FAR_IP}"), OPTIONS)
    await heard.event(LegConnected, first)
    await lab.bridge.manager.ask("ConfbridgeLock", Conference=ROOM)
    await bridge.invite(second, ROOM, Address.parse(lab.answers.address), OPTIONS)
    cleared = (await heard.cleared(second)).cleared
    assert (cleared.cause, cleared.side) == (ClearCause.BRIDGE_FULL, Side.BRIDGE)
    await lab.bridge.manager.ask("ConfbridgeUnlock", Conference=ROOM)
    await bridge.drop(first)
    await heard.cleared(first)


async def test_another_process_adopts_and_a_second_order_rings_nobody(
    lab: Lab, bridge: AsteriskBridge, heard: Heard
) -> None:
    leg = "dcab01-6-1-1"
    await bridge.invite(leg, ROOM, Address.parse(lab.answers.address), OPTIONS)
    await heard.event(LegConnected, leg)
    await bridge.close()
    invited = len(lab.answers.seen().invited)
    later = Heard(patience_s=60)
    other = lab.adapter(later)
    await other.open()
    # An order for a living leg, as a process would give it that forgot to look first.
    await other.invite(leg, ROOM, Address.parse(lab.answers.address), OPTIONS)
    await later.event(LegConnected, leg)
    seen = await other.adopt([leg, "dcab01-6-9-1"])
    assert [one.state for one in seen] == [LegState.CONNECTED, LegState.CLEARED]
    assert len(lab.answers.seen().invited) == invited
    await other.drop(leg)
    assert (await later.cleared(leg)).cleared.cause is ClearCause.LOCAL
    await other.close()
    await bridge.open()


async def test_a_bridge_that_is_restarted_is_gone_once_and_back_once(
    lab: Lab, bridge: AsteriskBridge, heard: Heard
) -> None:
    """Last in this file: it restarts the bridge."""
    leg, after = "dcab01-7-1-1", "dcab01-7-2-1"
    await bridge.invite(leg, ROOM, Address.parse(lab.answers.address), OPTIONS)
    await heard.event(LegConnected, leg)
    await lab.bridge.stop()
    await heard.until(lambda: heard.of(SessionGone))
    await lab.bridge.start()
    await heard.until(lambda: heard.of(SessionReady))
    assert len(heard.of(SessionGone)) == len(heard.of(SessionReady)) == 1
    await heard.cleared(leg)
    # Ready means booted: an order given now must find the endpoint.
    await bridge.invite(after, ROOM, Address.parse(lab.answers.address), OPTIONS)
    await heard.event(LegConnected, after)
    await bridge.drop(after)
    assert (await heard.cleared(after)).cleared.cause is ClearCause.LOCAL

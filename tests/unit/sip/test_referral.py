"""An endpoint told by REFER to call the conference, over real sockets: what is asked, followed, given up, taken up."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from adapters.causes import ClearCause, Side
from adapters.endpoints.sip.profile import PROFILE
from adapters.endpoints.sip.referrer import SipReferrer
from adapters.errors import NotSupported, Rejected
from adapters.events import LegCleared, LegConnected, LegRinging
from adapters.registry import Surroundings
from adapters.sip.agent import SipAgent
from adapters.sip.message import Request
from adapters.sip.refer import Step
from adapters.sip.referral import ReferPatience
from adapters.values import Address, Control, DialOptions, LegState
from adapters.virtual.behavior import Behavior
from adapters.virtual.endpoint import Endpoint
from adapters.virtual.province import Province
from tests.support.heard import Heard
from tests.unit.sip.stage import FAST, LEG, SEED, until
from tests.unit.sip.wire import Wire, sdp

SOON = ReferPatience(outcome_s=0.5, part_s=0.1)


class Mind:
    """The orchestrator's side, which can die and be started anew on its address."""

    def __init__(self, near: Address, patience: ReferPatience) -> None:
        self.near = near
        self.heard = Heard()
        self.memories: dict[str, Any] = {}
        self.stages: list[str] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.storing = False
        self.patience = patience
        self.may: bool | None = True
        self.agent: SipAgent
        self.referrer: SipReferrer

    async def start(self, port: int = 0) -> "Mind":
        self.agent = SipAgent("127.0.0.1", port, timing=FAST, user_agent="mind")
        await self.agent.start()
        surroundings = Surroundings(
            self.heard, self._remember, lambda: datetime.now(UTC), self.agent, SEED, lambda leg: self.may
        )
        self.referrer = SipReferrer(
            Control("site", addresses=(self.near,)), surroundings, replace(PROFILE, refer_patience=self.patience)
        )
        return self

    async def _remember(self, leg: str, memory: Any) -> None:
        self.storing = True
        await self.gate.wait()
        self.memories[leg] = json.loads(json.dumps(memory))
        self.stages.append(memory["stage"])

    async def again(self) -> "Mind":
        """As by kill -9 and a new process: nothing is sent in between."""
        port = self.agent.address[1]
        await self.agent.close()
        heir = Mind(self.near, self.patience)
        heir.memories = self.memories
        return await heir.start(port)

    async def dial(self, to: Address, ring_s: float = 30.0) -> None:
        await self.referrer.dial(LEG, to, DialOptions(ring_s=ring_s))

    @property
    def told(self) -> list[str]:
        return [type(event).__name__ for event in self.heard.events]


class Town:
    """One virtual site and the bridge, and minds that tell the site to call."""

    def __init__(self, province: Province, stack: AsyncExitStack) -> None:
        self.province = province
        self._stack = stack

    @property
    def site(self) -> Endpoint:
        return self.province.endpoint("qt01")

    @property
    def room(self) -> Address:
        return self.province.main.address("8001")

    def members(self) -> int:
        room = self.province.main.switch.rooms.get("8001")
        return len(room.members) if room is not None else 0

    async def mind(self, near: Address | None = None, patience: ReferPatience | None = None) -> Mind:
        return self.keep(await Mind(near or self.site.addresses[0], patience or ReferPatience(part_s=0.1)).start())

    def keep(self, mind: Mind) -> Mind:
        self._stack.push_async_callback(mind.agent.close)
        return mind

    async def in_by(self, behavior: str) -> Mind:
        self.site.behave(Behavior.parse(behavior))
        mind = await self.mind()
        await mind.dial(self.room)
        await mind.heard.event(LegConnected, LEG)
        await until(lambda: self.members() == 1)
        return mind


@pytest.fixture
async def town() -> AsyncIterator[Town]:
    async with AsyncExitStack() as stack:
        yield Town(await stack.enter_async_context(Province(1, behaviors="refer; answer")), stack)


@pytest.fixture
async def wire() -> AsyncIterator[Wire]:
    wire = await Wire.open()
    yield wire
    wire.close()


def near(wire: Wire) -> Address:
    return Address("sip", "peer", *wire.address)


def tells(
    wire: Wire, refer: Request, mind: Mind, fragment: bytes, state: str = "active;expires=60", cseq: int = 1
) -> None:
    """The NOTIFY of a referee: the REFER's From is whom it tells."""
    wire.request(
        "NOTIFY",
        mind.agent.address,
        from_tag="peer-tag",
        to_tag=refer.from_tag,
        call_id=refer.call_id,
        cseq=cseq,
        body=fragment,
        headers=[
            ("Event", f"refer;id={refer.cseq}"),
            ("Subscription-State", state),
            ("Contact", f"<{wire.uri()}>"),
            ("Content-Type", "message/sipfrag;version=2.0"),
        ],
    )


ENDED = "terminated;reason=noresource"


@pytest.mark.rfc("3515", "2.4.1", "2.4.4")
async def test_outside_a_call_one_refer_is_all_there_is(town: Town) -> None:
    mind = await town.in_by("refer; ring 0.1; answer")
    assert mind.told == ["LegRinging", "LegConnected"]
    assert mind.stages == ["asked", "in"]
    assert (town.site.tally.rings, town.site.tally.orders, town.site.calls_up) == (1, 1, 1)
    assert len(mind.agent) == 0
    await until(lambda: not mind.agent.follows)
    [seen] = await mind.referrer.snapshot()
    assert seen.state is LegState.CONNECTED


@pytest.mark.rfc("3515", "2.4.1")
async def test_inside_a_call_of_ours_that_is_ended_once_its_own_stands(town: Town) -> None:
    mind = await town.in_by("refer inside; answer")
    assert mind.stages == ["asked", "calling", "inside", "in"]
    await until(lambda: len(mind.agent) == 0 and town.site.calls == 1)
    assert (town.site.tally.rings, town.site.tally.orders, town.site.tally.doubles) == (1, 1, 0)


@pytest.mark.rfc("3725", "4.3")
async def test_our_call_offers_a_black_hole_to_who_wants_an_offer(wire: Wire) -> None:
    mind = await Mind(near(wire), ReferPatience()).start()
    await mind.dial(Address.parse("sip:8001@127.0.0.9"))
    wire.reply(await wire.next("REFER"), 501)
    late = await wire.next("INVITE")
    assert not late.body
    wire.reply(late, 488)
    early = await wire.next("INVITE", after=late)
    assert early.call_id != late.call_id and b"c=IN IP4 0.0.0.0" in early.body
    wire.reply(early, 200, body=sdp())
    ack = await wire.next("ACK", after=late)
    assert (ack.call_id, ack.body) == (early.call_id, b"")
    refer = await wire.next("REFER")
    assert refer.call_id == early.call_id and mind.memories[LEG]["hold"] == ""
    wire.reply(refer, 202)
    tells(wire, refer, mind, b"SIP/2.0 200 OK\r\n", ENDED)
    await mind.heard.event(LegConnected, LEG)
    wire.reply(await wire.next("BYE"), 200)
    await mind.agent.close()


async def test_who_wants_neither_offer_is_told_once(wire: Wire) -> None:
    mind = await Mind(near(wire), ReferPatience()).start()
    await mind.dial(Address.parse("sip:8001@127.0.0.9"))
    wire.reply(await wire.next("REFER"), 501)
    late = await wire.next("INVITE")
    wire.reply(late, 488)
    wire.reply(await wire.next("INVITE", after=late), 488)
    assert (await mind.heard.cleared(LEG)).cleared.raw == "488 Not Acceptable Here"
    await until(lambda: len(mind.agent) == 0)
    await mind.agent.close()


async def test_what_it_takes_only_inside_is_remembered(town: Town) -> None:
    mind = await town.in_by("refer inside; answer")
    await mind.referrer.hang_up(LEG)
    await mind.heard.cleared(LEG)
    town.site.hang_up()
    asked: list[str] = []
    town.province._port.agent.hears = lambda request: asked.append(request.method) or True  # type: ignore[func-returns-value]
    await mind.referrer.dial(LEG + "1", town.room, DialOptions())
    await mind.heard.event(LegConnected, LEG + "1")
    assert asked[0] == "INVITE" and mind.stages[-2:] == ["inside", "in"]


@pytest.mark.rfc("3515", "2.4.5")
@pytest.mark.parametrize(
    ("behavior", "cause", "side", "raw"),
    [
        ("refer; busy", ClearCause.BUSY, Side.BRIDGE, "486 Busy Here"),
        ("refer; ring 0.1; decline", ClearCause.DECLINED, Side.BRIDGE, "603 Decline"),
        ("answer", ClearCause.NOT_ALLOWED, Side.FAR_END, "501 Not Implemented (to REFER)"),
        ("reject 486", ClearCause.BUSY, Side.FAR_END, "486 Busy Here"),
    ],
)
async def test_what_comes_to_nothing_is_told_with_its_cause(
    town: Town, behavior: str, cause: ClearCause, side: Side, raw: str
) -> None:
    town.site.behave(Behavior.parse(behavior))
    mind = await town.mind()
    await mind.dial(town.room)
    cleared = (await mind.heard.cleared(LEG)).cleared
    assert (cleared.cause, cleared.side, cleared.raw) == (cause, side, raw)
    await until(lambda: len(mind.agent) == 0 and not mind.agent.follows and town.site.calls == 0)
    assert await mind.referrer.snapshot() == ()


@pytest.mark.rfc("3515", "2.4.2")
async def test_who_takes_none_at_all_is_not_rung_for_it_again(town: Town) -> None:
    town.site.behave(Behavior.parse("answer"))
    mind = await town.mind()
    await mind.dial(town.room)
    await mind.heard.cleared(LEG)
    rings = town.site.tally.rings
    with pytest.raises(NotSupported, match="takes no REFER"):
        await mind.referrer.dial(LEG + "1", town.room, DialOptions())
    assert town.site.tally.rings == rings == 1 and await mind.referrer.snapshot() == ()


async def test_a_room_that_does_not_exist(town: Town) -> None:
    mind = await town.mind()
    await mind.dial(town.province.main.address("4711"))
    cleared = (await mind.heard.cleared(LEG)).cleared
    assert (cleared.cause, cleared.side) == (ClearCause.NOT_FOUND, Side.BRIDGE)


@pytest.mark.rfc("4488", "4")
@pytest.mark.parametrize("behavior", ["refer untold; answer", "refer mute; answer"])
async def test_who_never_tells_is_in_all_the_same_and_nothing_is_claimed(town: Town, behavior: str) -> None:
    town.site.behave(Behavior.parse(behavior))
    mind = await town.mind(patience=SOON)
    await mind.dial(town.room, ring_s=0.5)
    await until(lambda: town.members() == 1)
    cleared = (await mind.heard.cleared(LEG)).cleared
    assert cleared.cause is not ClearCause.LOCAL and "nobody told" in cleared.raw
    assert mind.told == ["LegCleared"] and town.members() == 1 and not mind.agent.follows


async def test_given_up_when_it_stands_leaves_its_call_to_the_bridge(town: Town) -> None:
    mind = await town.in_by("refer; answer")
    for _ in range(2):
        await mind.referrer.hang_up(LEG)
    cleared = (await mind.heard.cleared(LEG)).cleared
    assert (cleared.cause, cleared.side) == (ClearCause.LOCAL, Side.OURS)
    assert town.members() == 1 and mind.told.count("LegCleared") == 1


async def test_given_up_before_it_was_asked_inside_nothing_is_asked(town: Town) -> None:
    town.site.behave(Behavior.parse("refer inside; ring 30; answer"))
    mind = await town.mind()
    await mind.dial(town.room)
    await mind.heard.event(LegRinging, LEG)
    await mind.referrer.hang_up(LEG)
    assert (await mind.heard.cleared(LEG)).cleared.cause is ClearCause.LOCAL
    await until(lambda: town.site.calls == 0 and len(mind.agent) == 0)
    assert town.site.tally.orders == 0


async def test_given_up_while_it_is_open_is_told_when_it_is_settled(wire: Wire) -> None:
    mind = await Mind(near(wire), ReferPatience(part_s=0.0)).start()
    await mind.dial(Address.parse("sip:8001@127.0.0.9"))
    refer = await wire.next("REFER")
    wire.reply(refer, 202)
    tells(wire, refer, mind, b"SIP/2.0 100 Trying\r\n")
    await wire.next(200, method="NOTIFY")
    await mind.referrer.hang_up(LEG)
    [seen] = await mind.referrer.snapshot()
    assert seen.state is LegState.CLEARING and mind.told == []
    tells(wire, refer, mind, b"SIP/2.0 486 Busy Here\r\n", ENDED, cseq=2)
    assert (await mind.heard.cleared(LEG)).cleared.cause is ClearCause.LOCAL
    await mind.agent.close()


@pytest.mark.rfc("3515", "2.1")
@pytest.mark.rfc("3892", "2.1")
async def test_the_refer_carries_whom_who_and_why(wire: Wire) -> None:
    mind = await Mind(near(wire), SOON).start()
    await mind.dial(Address.parse("sip:8001@127.0.0.9:5070;transport=tcp"))
    refer = await wire.next("REFER")
    assert refer.get("refer-to") == "<sip:8001@127.0.0.9:5070;transport=tcp>"
    assert refer.get("referred-by") == f"<sip:{LEG}@127.0.0.1:{mind.agent.address[1]}>"
    assert refer.get("contact") and mind.memories[LEG]["stage"] == "asked"
    await mind.agent.close()


@pytest.mark.rfc("3515", "2.4.4")
async def test_a_notify_may_overtake_the_answer_to_its_refer(wire: Wire) -> None:
    mind = await Mind(near(wire), ReferPatience()).start()
    await mind.dial(Address.parse("sip:8001@127.0.0.9"))
    refer = await wire.next("REFER")
    tells(wire, refer, mind, b"SIP/2.0 100 Trying\r\n")
    await wire.next(200, method="NOTIFY")
    wire.reply(refer, 202)
    tells(wire, refer, mind, b"SIP/2.0 200 OK\r\n", ENDED, cseq=2)
    await wire.next(200, method="NOTIFY")
    await mind.heard.event(LegConnected, LEG)
    await until(lambda: not mind.agent.follows)
    tells(wire, refer, mind, b"SIP/2.0 200 OK\r\n", ENDED, cseq=3)
    await mind.agent.close()


@pytest.mark.rfc("3515", "2.4.7")
async def test_a_subscription_that_is_not_ended_is_ended_by_us(wire: Wire) -> None:
    mind = await Mind(near(wire), ReferPatience()).start()
    await mind.dial(Address.parse("sip:8001@127.0.0.9"))
    refer = await wire.next("REFER")
    wire.reply(refer, 202, headers=[("Contact", f"<{wire.uri()}>")])
    tells(wire, refer, mind, b"SIP/2.0 200 OK\r\n")
    await wire.next(200, method="NOTIFY")
    subscribe = await wire.next("SUBSCRIBE")
    assert (subscribe.get("expires"), subscribe.get("event")) == ("0", f"refer;id={refer.cseq}")
    assert (subscribe.call_id, subscribe.to_tag) == (refer.call_id, "peer-tag")
    wire.reply(subscribe, 200)
    tells(wire, refer, mind, b"SIP/2.0 200 OK\r\n", "terminated;reason=timeout", cseq=2)
    await wire.next(200, method="NOTIFY")
    await mind.agent.close()


@pytest.mark.rfc("3515", "2.4.4")
async def test_a_subscription_that_would_end_too_early_is_kept_up(wire: Wire) -> None:
    mind = await Mind(near(wire), ReferPatience()).start()
    await mind.dial(Address.parse("sip:8001@127.0.0.9"))
    refer = await wire.next("REFER")
    wire.reply(refer, 202)
    tells(wire, refer, mind, b"SIP/2.0 180 Ringing\r\n", "active;expires=1")
    subscribe = await wire.next("SUBSCRIBE")
    assert 30 <= int(subscribe.get("expires")) <= 50
    wire.reply(subscribe, 481)
    tells(wire, refer, mind, b"SIP/2.0 200 OK\r\n", ENDED, cseq=2)
    await mind.heard.event(LegConnected, LEG)
    assert mind.told == ["LegRinging", "LegConnected"]
    await mind.agent.close()


async def test_the_second_one_that_took_the_same_refer_is_told_so(wire: Wire) -> None:
    mind = await Mind(near(wire), ReferPatience()).start()
    await mind.dial(Address.parse("sip:8001@127.0.0.9"))
    refer = await wire.next("REFER")
    wire.reply(refer, 202, tag="another-phone")
    [leg] = mind.referrer._asked.values()
    await until(lambda: leg.referral.step is Step.FOLLOWING)
    tells(wire, refer, mind, b"SIP/2.0 200 OK\r\n", ENDED)
    await wire.next(481, method="NOTIFY")
    assert mind.told == []
    await mind.agent.close()


@pytest.mark.rfc("3261", "22.2")
@pytest.mark.rfc("3515", "2.4.1")
async def test_a_refer_that_asks_for_a_password_gets_it(wire: Wire) -> None:
    mind = await Mind(near(wire), ReferPatience()).start()
    mind.agent.credentials = lambda realm, host: ("codec", "secret")
    await mind.dial(Address.parse("sip:8001@127.0.0.9"))
    refer = await wire.next("REFER")
    wire.reply(
        refer, 407, headers=[("Proxy-Authenticate", 'Digest realm="r", nonce="n", algorithm=SHA-256, qop="auth"')]
    )
    signed = await wire.next("REFER", after=refer)
    assert signed.get("proxy-authorization") and signed.cseq > refer.cseq
    wire.reply(signed, 202)
    tells(wire, signed, mind, b"SIP/2.0 200 OK\r\n", ENDED)
    await mind.heard.event(LegConnected, LEG)
    await mind.agent.close()


async def test_nobody_there(wire: Wire) -> None:
    mind = await Mind(near(wire), ReferPatience()).start()
    await mind.dial(Address.parse("sip:8001@127.0.0.9"))
    cleared = (await mind.heard.cleared(LEG)).cleared
    assert (cleared.cause, cleared.side) == (ClearCause.UNREACHABLE, Side.NETWORK)
    await mind.agent.close()


async def test_an_endpoint_that_ends_our_call_as_soon_as_it_was_told_is_followed_on(wire: Wire) -> None:
    """As telephones do that take a REFER for a transfer."""
    mind = await Mind(near(wire), ReferPatience()).start()
    await mind.dial(Address.parse("sip:8001@127.0.0.9"))
    wire.reply(await wire.next("REFER"), 501)
    invite = await wire.next("INVITE")
    wire.reply(invite, 200, body=sdp())
    ack = await wire.next("ACK")
    assert b"a=inactive" in ack.body
    refer = await wire.next("REFER")
    assert (refer.call_id, refer.to_tag) == (invite.call_id, "peer-tag")
    wire.reply(refer, 202)
    wire.request("BYE", mind.agent.address, from_tag="peer-tag", to_tag=invite.from_tag, call_id=invite.call_id, cseq=1)
    await wire.next(200, method="BYE")
    tells(wire, refer, mind, b"SIP/2.0 200 OK\r\n", ENDED, cseq=2)
    await mind.heard.event(LegConnected, LEG)
    await until(lambda: not mind.agent.follows)
    await mind.agent.close()


async def test_nothing_is_asked_before_it_is_stored(wire: Wire) -> None:
    mind = await Mind(near(wire), ReferPatience()).start()
    mind.gate.clear()
    await mind.dial(Address.parse("sip:8001@127.0.0.9"))
    await until(lambda: mind.storing)
    mind.agent.send("OPTIONS", near(wire), lambda response: None)
    await wire.next("OPTIONS")
    assert {m.method for m in wire.heard if isinstance(m, Request)} == {"OPTIONS"}
    mind.gate.set()
    await wire.next("REFER")
    assert mind.stages == ["asked"]
    await mind.agent.close()


async def test_what_cannot_be_stored_is_not_asked(wire: Wire) -> None:
    mind = await Mind(near(wire), ReferPatience()).start()

    async def fails(leg: str, memory: Any) -> None:
        raise OSError("no database")

    mind.referrer._s = replace(mind.referrer._s, remember=fails)
    await mind.dial(Address.parse("sip:8001@127.0.0.9"))
    cleared = (await mind.heard.cleared(LEG)).cleared
    assert cleared.side is Side.OURS and "not stored" in cleared.raw and wire.heard == []
    await mind.agent.close()


async def test_another_process_leg_is_left_alone(wire: Wire) -> None:
    mind = await Mind(near(wire), ReferPatience()).start()
    await mind.dial(Address.parse("sip:8001@127.0.0.9"))
    refer = await wire.next("REFER")
    mind.may = False
    wire.reply(refer, 501)
    await until(lambda: not mind.referrer._asked)
    assert mind.told == [] and not mind.agent.follows
    await mind.agent.close()


# -- after a restart ------------------------------------------------------------------


async def test_what_was_asked_is_not_asked_again_and_its_outcome_is_heard(wire: Wire, town: Town) -> None:
    first = await town.mind(near(wire))
    await first.dial(Address.parse("sip:8001@127.0.0.9"))
    refer = await wire.next("REFER")
    wire.reply(refer, 202)
    heir = town.keep(await first.again())
    before = len(wire.heard)
    for _ in range(2):
        seen = await heir.referrer.adopt(LEG, heir.memories[LEG])
        assert seen.state is LegState.DIALING
    tells(wire, refer, heir, b"SIP/2.0 200 OK\r\n", ENDED)
    await wire.next(200, method="NOTIFY")
    await heir.heard.event(LegConnected, LEG)
    assert not [m for m in wire.heard[before:] if isinstance(m, Request)] and first.told == []


async def test_our_ringing_call_is_repeated_not_doubled(town: Town) -> None:
    town.site.behave(Behavior.parse("refer inside; ring 0.5; answer"))
    first = await town.mind()
    await first.dial(town.room)
    await first.heard.event(LegRinging, LEG)
    assert first.memories[LEG]["stage"] == "calling"
    heir = town.keep(await first.again())
    await heir.referrer.adopt(LEG, heir.memories[LEG])
    await heir.heard.event(LegConnected, LEG)
    await until(lambda: town.members() == 1 and town.site.calls == 1)
    assert (town.site.tally.rings, town.site.tally.doubles) == (1, 0)


async def test_our_call_in_which_it_was_asked_is_ended_by_the_next_process(wire: Wire, town: Town) -> None:
    first = await town.mind(near(wire))
    await first.dial(Address.parse("sip:8001@127.0.0.9"))
    wire.reply(await wire.next("REFER"), 501)
    wire.reply(await wire.next("INVITE"), 200, body=sdp())
    refer = await wire.next("REFER")
    wire.reply(refer, 202)
    heir = town.keep(await first.again())
    assert (await heir.referrer.adopt(LEG, heir.memories[LEG])).state is LegState.DIALING
    tells(wire, refer, heir, b"SIP/2.0 200 OK\r\n", ENDED)
    bye = await wire.next("BYE")
    assert bye.call_id == refer.call_id and bye.cseq > refer.cseq
    wire.reply(bye, 200)
    await heir.heard.event(LegConnected, LEG)


async def test_one_that_stood_is_taken_up_as_such(town: Town) -> None:
    first = await town.in_by("refer; answer")
    await until(lambda: "in" in first.stages)
    heir = town.keep(await first.again())
    assert (await heir.referrer.adopt(LEG, heir.memories[LEG])).state is LegState.CONNECTED
    await heir.referrer.hang_up(LEG)
    assert (await heir.heard.cleared(LEG)).cleared.cause is ClearCause.LOCAL
    assert not heir.heard.of(LegConnected) and heir.heard.of(LegCleared)


@pytest.mark.parametrize(
    "memory",
    [
        {},
        {"stage": "in"},
        {"stage": "up", "until": "2026-12-01T00:00:00+00:00", "to": "sip:a@127.0.0.1", "display": "", "ring_s": 1},
        {"stage": "asked", "until": "2026-12-01T00:00:00+00:00", "to": "sip:a@127.0.0.1", "display": "", "ring_s": 1},
        {"stage": "asked", "until": "2026-12-01T00:00:00+00:00", "to": "sip:a@127.0.0.1", "display": "", "ring_s": 1,
         "dialog": {"call_id": "x"}},
        {"stage": "inside", "until": "2026-12-01T00:00:00+00:00", "to": "sip:a@127.0.0.1", "display": "", "ring_s": 1,
         "dialog": {"at": "2026-12-01T00:00:00+00:00"}},
        {"stage": "in", "until": "2026-12-01T00:00:00", "to": "sip:a@127.0.0.1", "display": "", "ring_s": 1},
        {"stage": "in", "until": "yesterday", "to": "sip:a@127.0.0.1", "display": "", "ring_s": 1},
    ],
)  # fmt: skip
async def test_a_memory_that_is_none_is_refused(town: Town, memory: dict[str, Any]) -> None:
    mind = await town.mind()
    with pytest.raises(Rejected, match="no memory of a referral"):
        await mind.referrer.adopt(LEG, memory)
    assert await mind.referrer.snapshot() == () and not mind.agent.follows


async def test_what_it_cannot_do_is_refused_before_a_byte_is_sent(wire: Wire) -> None:
    mind = await Mind(near(wire), ReferPatience()).start()
    for to, options in (
        (Address.parse("h323:9001@127.0.0.9"), DialOptions()),
        (Address.parse("sip:9001@127.0.0.9"), DialOptions(digits="24#")),
        (Address.parse("sip:9001@127.0.0.9"), DialOptions(video=False)),
    ):
        with pytest.raises(NotSupported):
            await mind.referrer.dial(LEG, to, options)
    assert wire.heard == [] and await mind.referrer.snapshot() == ()
    await mind.agent.close()


# -- being told to call ourselves -----------------------------------------------------


@pytest.mark.rfc("3515", "2.4.2")
@pytest.mark.parametrize(("method", "status"), [("REFER", 405), ("SUBSCRIBE", 405)])
async def test_a_strangers_order_is_refused_without_state(wire: Wire, method: str, status: int) -> None:
    agent = SipAgent("127.0.0.1", timing=FAST)
    await agent.start()
    wire.request(method, agent.address, headers=[("Refer-To", "<sip:8001@127.0.0.9>"), ("Event", "refer")])
    refused = await wire.next(status, method=method)
    assert "REFER" not in refused.get("allow") and agent.transactions == 0 and len(agent) == 0
    await agent.close()


async def test_an_order_inside_our_call_is_refused_and_the_call_goes_on(wire: Wire) -> None:
    mind = await Mind(near(wire), ReferPatience()).start()
    await mind.dial(Address.parse("sip:8001@127.0.0.9"))
    wire.reply(await wire.next("REFER"), 501)
    invite = await wire.next("INVITE")
    wire.reply(invite, 200, body=sdp())
    refer = await wire.next("REFER")
    wire.request(
        "REFER", mind.agent.address, from_tag="peer-tag", to_tag=invite.from_tag, call_id=invite.call_id, cseq=1,
        headers=[("Refer-To", "<sip:8001@127.0.0.9>")],
    )  # fmt: skip
    await wire.next(405, method="REFER")
    wire.reply(refer, 202)
    tells(wire, refer, mind, b"SIP/2.0 200 OK\r\n", ENDED, cseq=2)
    await mind.heard.event(LegConnected, LEG)
    await mind.agent.close()

"""The people of the SIP tests: devices that answer as told, and an orchestrator that can be started anew.

Everything talks over real sockets on loopback; only the timers of RFC 3261 are shorter.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from typing import Any

from adapters.endpoints.sip.adapter import SipEndpoint
from adapters.endpoints.sip.profile import Profile
from adapters.registry import Surroundings
from adapters.sip.agent import SipAgent
from adapters.sip.call import Call, Offer
from adapters.sip.listener import CallListener, CallState, Ending
from adapters.sip.message import Request
from adapters.sip.pair import Patience
from adapters.sip.session_timer import Policy
from adapters.sip.transaction import Timing
from adapters.values import Address, Control, DialOptions, LegSeen
from tests.support.heard import PATIENT_S, Heard

FAST = Timing(t1=0.05, t2=0.2, t4=0.2)
"""64*T1 is 3.2 s: long enough for a busy machine, short enough for a test."""
PROFILE = Profile(digit_pace_s=0.01, patience=Patience(straggler_s=0.5, adopt_s=1.0))
LEG = "dc7f3a-12-345-1"
SEED = b"a seed of the house"

NEAR_SDP = (
    b"v=0\r\no=- 642511482 1644075066 IN IP4 127.0.20.1\r\ns=-\r\nc=IN IP4 127.0.20.1\r\nb=AS:1920\r\nt=0 0\r\n"
    b"m=audio 13928 RTP/AVP 0 8 101\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\n"
    b"m=video 13930 RTP/AVP 97\r\na=rtpmap:97 H264/90000\r\na=fmtp:97 profile-level-id=64001f;max-mbps=245000\r\n"
    b"a=content:main\r\nm=application 3230 UDP/BFCP *\r\na=floorctrl:c-s\r\na=note:\xff\xfe not text\r\n"
)
FAR_SDP = (
    b"v=0\no=mcu 1 1 IN IP4 127.0.10.1\ns=Conf\xe9rence\nc=IN IP4 127.0.10.1\nt=0 0\n"
    b"m=audio 16000 RTP/AVP 0\nm=video 0 RTP/AVP 97\nm=application 0 UDP/BFCP *\n"
)


async def until(told: Callable[[], object], patience_s: float = PATIENT_S) -> None:
    """Wait for something that no event tells, looking at every turn of the clock."""
    async with asyncio.timeout(patience_s):
        while not told():  # noqa: ASYNC110 - what devices and agents hold tells of no event
            await asyncio.sleep(0.005)


class Device(CallListener):
    """A SIP device: `script(call)` says what it does with each call; what it hears is kept."""

    def __init__(self, script: Callable[[Call], None]) -> None:
        self.script = script
        self.calls: list[Call] = []
        self.requests: list[Request] = []
        self.acks: list[bytes] = []
        self.endings: list[Ending] = []
        self.infos: list[bytes] = []
        self.offers: list[bytes] = []
        self.info_status = 200
        self.on_offer: Callable[[Offer], None] = lambda offer: offer.answer(b"")
        self.agent = SipAgent("127.0.0.1", on_invite=self._invited, timing=FAST, user_agent="device")

    def _invited(self, call: Call) -> None:
        self.calls.append(call)
        assert call.request is not None
        self.requests.append(call.request)
        call.listener = self
        self.script(call)

    def confirmed(self, call: Call, sdp: bytes) -> None:
        self.acks.append(sdp)

    def ended(self, call: Call, ending: Ending, request: Request | None) -> None:
        self.endings.append(ending)

    def informed(self, call: Call, content_type: str, body: bytes) -> int:
        self.infos.append(body)
        return self.info_status

    def offered(self, call: Call, offer: Offer) -> None:
        self.offers.append(offer.sdp)
        self.on_offer(offer)

    @property
    def call(self) -> Call:
        """The one call it ever had."""
        assert len(self.calls) == 1, f"{len(self.calls)} calls came"
        return self.calls[0]

    @property
    def up(self) -> bool:
        return bool(self.calls) and self.calls[-1].state is CallState.CONFIRMED

    @property
    def address(self) -> Address:
        return Address("sip", "room", *self.agent.address)

    @property
    def free(self) -> bool:
        """Whether nothing is left of any call."""
        return len(self.agent) == 0


def answers(sdp: bytes) -> Callable[[Call], None]:
    def script(call: Call) -> None:
        call.ring()
        call.answer(sdp)

    return script


def rings(call: Call) -> None:
    call.ring()


def silent(call: Call) -> None:
    """Keeps the caller waiting with no more than a 100."""


def refuses(status: int) -> Callable[[Call], None]:
    return lambda call: call.refuse(status)


class Mind:
    """The orchestrator's side: one agent, the family's adapter, and what it remembered."""

    def __init__(
        self,
        near: Device | Address,
        memories: dict[str, Any] | None = None,
        profile: Profile = PROFILE,
        session: Policy | None = None,
        **settings: str,
    ) -> None:
        self.near = near.address if isinstance(near, Device) else near
        self.memories: dict[str, Any] = {} if memories is None else memories
        self.heard = Heard()
        self.gate: Callable[[], Coroutine[Any, Any, None]] | None = None  # before something is stored
        self.stored: Callable[[], Coroutine[Any, Any, None]] | None = None
        self.settings = settings
        self.profile = profile
        self.session = session
        self.last_words: int | None = None
        self.agent: SipAgent
        self.endpoint: SipEndpoint

    async def start(self, port: int = 0, timing: Timing = FAST) -> "Mind":
        self.agent = SipAgent("127.0.0.1", port, timing=timing, user_agent="mind", session=self.session)
        await self.agent.start()
        surroundings = Surroundings(self.heard, self.remember, lambda: datetime.now(UTC), self.agent, SEED)
        control = Control("site", addresses=(self.near,), settings=self.settings)
        self.endpoint = SipEndpoint(control, surroundings, self.profile)
        return self

    async def remember(self, leg: str, memory: Any) -> None:
        if self.gate is not None:
            await self.gate()
        self.memories[leg] = json.loads(json.dumps(memory))
        if self.stored is not None:
            await self.stored()

    async def dial(self, to: Device | Address, **options: Any) -> None:
        await self.endpoint.dial(
            LEG, to.address if isinstance(to, Device) else to, DialOptions(**{"ring_s": 30.0, **options})
        )

    async def adopt(self) -> LegSeen:
        return await self.endpoint.adopt(LEG, self.memories[LEG])

    async def hang_up(self) -> None:
        await self.endpoint.hang_up(LEG)

    async def die(self) -> int:
        """As by kill -9: nothing is sent. Returns the port it had."""
        port = self.agent.address[1]
        await self.agent.close()
        self.last_words = len(self.heard.events)
        return port

    @property
    def told(self) -> list[str]:
        """The kinds of what was told, in order."""
        return [type(event).__name__ for event in self.heard.events]


class Stage:
    """One near side, one far side, and minds."""

    def __init__(self, near: Callable[[Call], None], far: Callable[[Call], None], stack: AsyncExitStack) -> None:
        self.near = Device(near)
        self.far = Device(far)
        self.memories: dict[str, Any] = {}
        self._stack = stack

    async def mind(self, port: int = 0, near: Device | Address | None = None, **kwargs: Any) -> Mind:
        mind = await Mind(near or self.near, self.memories, **kwargs).start(port)
        self._stack.push_async_callback(self._bury, mind)
        return mind

    @staticmethod
    async def _bury(mind: Mind) -> None:
        await mind.agent.close()
        assert mind.last_words in (None, len(mind.heard.events)), "a dead process told something"

    async def drained(self, mind: Mind) -> None:
        """Nothing is left of the call, on any side."""
        await until(lambda: self.near.free and self.far.free and not len(mind.agent))
        assert await mind.endpoint.snapshot() == ()

    async def forgotten(self, mind: Mind) -> None:
        """Not even a repeated message would find anything any more."""
        await self.drained(mind)
        await until(lambda: not mind.agent.transactions + self.near.agent.transactions + self.far.agent.transactions)


@asynccontextmanager
async def stage(
    near: Callable[[Call], None] = answers(NEAR_SDP), far: Callable[[Call], None] = answers(FAR_SDP)
) -> AsyncIterator[Stage]:
    async with AsyncExitStack() as stack:
        made = Stage(near, far, stack)
        for device in (made.near, made.far):
            await device.agent.start()
            stack.push_async_callback(device.agent.close)
        yield made

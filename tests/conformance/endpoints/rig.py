"""What a family brings to the clauses: an endpoint at a real address, and somebody it can be made to call."""

from collections.abc import Mapping
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from typing import Any, ClassVar, Protocol

from adapters import registry
from adapters.contract import EndpointAdapter
from adapters.registry import Surroundings
from adapters.sip.agent import SipAgent
from adapters.sip.call import Call
from adapters.sip.listener import CallListener, CallState
from adapters.sip.message import Request
from adapters.sip.transport import Flow
from adapters.values import Address, Control
from adapters.virtual.referee import Asked, serve
from tests.support.heard import Heard
from tests.unit.sip.stage import FAR_SDP, FAST, NEAR_SDP, Device, answers

NAME = "Điểm cầu xã A"


class Rig(Protocol):
    """An endpoint of one family as the clauses need it."""

    family: str
    name: str

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    def adapter(self, heard: Heard) -> EndpointAdapter:
        """A new adapter of the endpoint, as another process would have it."""
        ...

    @property
    def to(self) -> Address:
        """Somebody who answers."""
        ...

    def foreign(self) -> Address:
        """An address that this family cannot be made to call."""
        ...

    def messages(self) -> int:
        """How much has come to the endpoint or to whom it calls."""
        ...

    def calls(self) -> int:
        """How many calls the endpoint got."""
        ...

    def up(self) -> bool: ...

    def digits(self) -> str:
        """What keys the called party heard."""
        ...

    def media(self) -> bytes:
        """What the called party was offered."""
        ...

    def hang_up(self) -> None:
        """People at the endpoint hang up."""
        ...


class SipRig:
    """Two SIP devices on loopback; the endpoint is made to call the other by third-party control."""

    family = "sip"
    name = "sip"
    scheme = "sip"
    settings: ClassVar[Mapping[str, str]] = {}

    def __init__(self) -> None:
        self._stack = AsyncExitStack()
        self._near = Device(answers(NEAR_SDP))
        self._far = Device(answers(FAR_SDP))
        self._agent = SipAgent("127.0.0.1", timing=FAST)
        self._messages = 0
        self.memories: dict[str, Any] = {}

    async def start(self) -> None:
        for agent in (self._near.agent, self._far.agent, self._agent):
            await agent.start()
            self._stack.push_async_callback(agent.close)
        for device in (self._near, self._far):
            device.agent.hears = self._count

    def _count(self, request: object) -> bool:
        self._messages += 1
        return True

    async def stop(self) -> None:
        await self._stack.aclose()

    async def _remember(self, leg: str, memory: Any) -> None:
        self.memories[leg] = memory

    def adapter(self, heard: Heard) -> EndpointAdapter:
        near = self._near.address
        address = Address(self.scheme, near.user, near.host, near.port)
        control = Control(NAME, addresses=(address,), settings=self.settings)
        surroundings = Surroundings(heard, self._remember, lambda: datetime.now(UTC), self._agent, b"seed")
        return registry.endpoint(self.family, control, surroundings)

    @property
    def to(self) -> Address:
        return self._far.address

    def foreign(self) -> Address:
        return Address("h323", "9001", "127.0.0.1", self._far.address.port)

    def messages(self) -> int:
        return self._messages

    def calls(self) -> int:
        return len(self._near.calls)

    def up(self) -> bool:
        return self._near.up and self._far.up

    def digits(self) -> str:
        return "".join(body.split()[0].decode().removeprefix("Signal=") for body in self._far.infos)

    def media(self) -> bytes:
        return self._far.requests[0].body

    def hang_up(self) -> None:
        self._near.call.hang_up()


class H323Rig(SipRig):
    """The same wire: whatever an H.323 endpoint's adapter sent there would be noticed."""

    family = "h323"
    name = "h323"
    scheme = "h323"


class ReferRig(SipRig):
    """The endpoint takes a REFER and calls the other by itself."""

    name = "sip, by refer"
    settings: ClassVar[Mapping[str, str]] = {"way": "refer"}

    def __init__(self) -> None:
        super().__init__()
        self._placed: list[Call] = []

    async def start(self) -> None:
        await super().start()
        serve(self._near.agent, self._told)

    def _told(self, request: Request, flow: Flow, asked: Asked) -> int:
        self._near.agent.soon(lambda: self._call(asked))
        return 202

    def _call(self, asked: Asked) -> None:
        asked.tell(100)
        self._placed.append(self._near.agent.call(asked.to, _Placed(asked), sdp=NEAR_SDP, user="room"))

    def calls(self) -> int:
        return len(self._placed)

    def up(self) -> bool:
        return self._placed[-1].state is CallState.CONFIRMED and self._far.up

    def hang_up(self) -> None:
        self._placed[-1].hang_up()


class _Placed(CallListener):
    """The call that the endpoint makes: who told it so is told what came of it."""

    def __init__(self, asked: Asked) -> None:
        self._asked = asked

    def answered(self, call: Call, sdp: bytes) -> None:
        call.ack()
        self._asked.tell(200)


RIGS = (SipRig, H323Rig, ReferRig)

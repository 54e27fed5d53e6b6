"""What a family brings to the clauses: an endpoint at a real address, and somebody it can be made to call."""

from contextlib import AsyncExitStack
from datetime import UTC, datetime
from typing import Any, Protocol

from adapters import registry
from adapters.contract import EndpointAdapter
from adapters.registry import Surroundings
from adapters.sip.agent import SipAgent
from adapters.values import Address, Control
from tests.support.heard import Heard
from tests.unit.sip.stage import FAR_SDP, FAST, NEAR_SDP, Device, answers

NAME = "Điểm cầu xã A"


class Rig(Protocol):
    """An endpoint of one family as the clauses need it."""

    family: str

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
    scheme = "sip"

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
        control = Control(NAME, addresses=(address,))
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
    scheme = "h323"


RIGS = (SipRig, H323Rig)

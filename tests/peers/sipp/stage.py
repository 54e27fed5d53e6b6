"""A pair between two SIPps: the orchestrator's side as it is in the product, and peers that play a scenario each."""

import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from adapters import registry
from adapters.contract import EndpointAdapter
from adapters.events import LegCleared, LegConnected, LegRinging
from adapters.sip.agent import SipAgent
from adapters.sip.session_timer import Policy
from adapters.sip.transaction import Timing
from adapters.values import Address, Control, DialOptions
from tests.peers.mind import Mind
from tests.peers.sipp import Said, Sipp

NEAR_HOST, FAR_HOST, OURS = "127.0.46.1", "127.0.46.2", "127.0.46.3"
NOWHERE = Address("sip", "room", FAR_HOST, 9)
_numbers = itertools.count(1)


class Stage(Mind):
    """One agent of ours, and the SIPps of one test."""

    def __init__(self, folder: Path, **options: Any) -> None:
        super().__init__(SipAgent(OURS, **options))
        self._folder = folder
        self._started: list[Sipp] = []

    async def plays(self, scenario: str, role: str = "near", **more: Any) -> Sipp:
        """A SIPp that plays a scenario, ready to be called."""
        peer = Sipp(scenario, self._folder, NEAR_HOST if role == "near" else FAR_HOST, role=role, **more)
        self._started.append(peer)
        await peer.start()
        return peer

    def endpoint(self, near: Address, username: str = "", secret: str = "", **settings: str) -> EndpointAdapter:
        control = Control("site", addresses=(near,), username=username, secret=secret, settings=settings)
        return registry.endpoint("sip", control, self.surroundings)

    async def dial(
        self,
        near: Sipp,
        far: Sipp | Address,
        *,
        ring_s: float = 20.0,
        login: tuple[str, str] = ("", ""),
        **settings: str,
    ) -> "Leg":
        """Order a leg from `near` to `far`."""
        leg = Leg(self, f"dc46aa-1-{next(_numbers)}-1", self.endpoint(near.address, *login, **settings))
        to = far if isinstance(far, Address) else far.address
        await leg.endpoint.dial(leg.name, to, DialOptions(display="Hội nghị giao ban", ring_s=ring_s))
        return leg

    async def close(self) -> None:
        await self.agent.close()
        for peer in self._started:
            await peer.stop()


class Leg:
    """A leg that was ordered."""

    def __init__(self, stage: Stage, name: str, endpoint: EndpointAdapter) -> None:
        self._stage = stage
        self.name = name
        self.endpoint = endpoint

    async def up(self) -> None:
        await self._stage.heard.event(LegConnected, self.name)

    async def rings(self) -> None:
        await self._stage.heard.event(LegRinging, self.name)

    async def cleared(self) -> LegCleared:
        return await self._stage.heard.cleared(self.name)

    async def hang_up(self) -> LegCleared:
        await self.endpoint.hang_up(self.name)
        return await self.cleared()

    @property
    def told(self) -> list[str]:
        return [type(event).__name__ for event in self._stage.heard.about(self.name)]


@asynccontextmanager
async def stage(folder: Path, *, timing: Timing | None = None, session: Policy | None = None) -> AsyncIterator[Stage]:
    options: dict[str, Any] = {"timing": timing} if timing else {}
    if session is not None:
        options["session"] = session
    made = Stage(folder, **options)
    await made.agent.start()
    try:
        yield made
    finally:
        await made.close()


async def content(*peers: Sipp) -> list[Said]:
    """What each says; every call went as its scenario has it."""
    said = [await peer.over() for peer in peers]
    for peer, one in zip(peers, said, strict=True):
        assert one.content, f"{peer.scenario}: {one}"
    return said

"""A check under way against a raw SIP peer and sockets for its sound, all ended after each test."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from adapters.linecheck.check import LineCheck
from adapters.linecheck.order import LineOrder, LineReport
from adapters.linecheck.ports import Ports
from adapters.sip.agent import SipAgent
from adapters.sip.message import Request
from adapters.values import Address
from tests.unit.linecheck.far import WAIT_S, Far, description
from tests.unit.sip.wire import FAST, Wire


@dataclass
class Scene:
    """One check, its far end's SIP and its far end's sound."""

    peer: Wire
    agent: SipAgent
    far: Far
    others: list[Far] = field(default_factory=list)
    checks: list[LineCheck] = field(default_factory=list)
    tasks: list["asyncio.Task[LineReport]"] = field(default_factory=list)
    ports: Ports = field(default_factory=Ports)

    async def begin(self, **options: Any) -> Request:
        """Have the check call; returns its INVITE."""
        order = LineOrder(Address.parse(self.peer.uri("600")), **{"seconds": 1.0, "ring_s": 20.0, **options})
        self.checks.append(LineCheck(self.agent, self.ports, order))
        self.tasks.append(asyncio.create_task(self.checks[-1].run()))
        return await self.invited()

    async def invited(self) -> Request:
        invite: Request = await self.peer.next("INVITE")
        return invite

    async def answer(self, invite: Request, sdp: bytes = b"", **options: Any) -> Request:
        """Answer 200; returns the ACK."""
        self.peer.reply(invite, 200, body=sdp or description(self.far.port), **options)
        ack: Request = await self.peer.next("ACK")
        return ack

    async def over(self) -> LineReport:
        """Answer the BYE; returns the report."""
        bye = await self.peer.next("BYE")
        self.peer.reply(bye, 200)
        return await self.report()

    async def report(self) -> LineReport:
        return await asyncio.wait_for(self.tasks[-1], WAIT_S)

    async def another_far(self, *args: Any, **options: Any) -> Far:
        self.others.append(await Far.open(*args, **options))
        return self.others[-1]


MakeScene = Callable[..., Awaitable[Scene]]


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    """An agent with fast timers, a peer, and a far end that echoes."""
    agent = SipAgent("127.0.0.1", timing=FAST)
    await agent.start()
    made = Scene(await Wire.open(), agent, await Far.open())
    yield made
    for task in made.tasks:
        task.cancel()
    await asyncio.gather(*made.tasks, return_exceptions=True)
    for far in (made.far, *made.others):
        far.close()
    made.peer.close()
    await agent.close()

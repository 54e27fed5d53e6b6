"""Agents and raw peers on loopback sockets, closed after each test."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from adapters.sip.agent import SipAgent
from tests.unit.sip.wire import FAST, Wire

MakeAgent = Callable[..., Awaitable[SipAgent]]
MakeWire = Callable[..., Awaitable[Wire]]


@pytest.fixture
async def make_agent() -> AsyncIterator[MakeAgent]:
    agents: list[SipAgent] = []

    async def make(host: str = "127.0.0.1", port: int = 0, **options: Any) -> SipAgent:
        agent = SipAgent(host, port, **{"timing": FAST, **options})
        await agent.start()
        agents.append(agent)
        return agent

    yield make
    for agent in agents:
        await agent.close()


@pytest.fixture
async def make_wire() -> AsyncIterator[MakeWire]:
    wires: list[Wire] = []

    async def make(host: str = "127.0.0.1") -> Wire:
        wire = await Wire.open(host)
        wires.append(wire)
        return wire

    yield make
    for wire in wires:
        wire.close()

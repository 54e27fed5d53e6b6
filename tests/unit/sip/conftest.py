"""Agents and raw peers on loopback sockets, closed after each test."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import pytest

from adapters.sip.agent import SipAgent
from tests.unit.sip.emitted import read_strictly, recorded
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


@pytest.fixture(autouse=True)
def strict_reader(request: pytest.FixtureRequest) -> Iterator[None]:
    """Whatever agents send in a test is read by a strict parser; `echoes` are answers to what is no message."""
    with recorded() as sent:
        yield
    if request.node.get_closest_marker("echoes") is None:
        for data in sent:
            if data.strip():
                read_strictly(data)

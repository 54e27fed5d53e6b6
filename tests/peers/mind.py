"""The orchestrator's side as an adapter meets it: an agent, what it was told, and what it was asked to remember."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Self

from adapters.registry import Surroundings
from adapters.sip.agent import SipAgent
from tests.support.heard import Heard

PATIENT_S = 60.0


class Mind:
    """Give it the memories of another to have what a new process finds."""

    def __init__(self, agent: SipAgent, memories: dict[str, Any] | None = None) -> None:
        self.agent = agent
        self.heard = Heard(patience_s=PATIENT_S)
        self.memories: dict[str, Any] = {} if memories is None else memories
        self.surroundings = Surroundings(self.heard, self.remember, lambda: datetime.now(UTC), agent, b"seed")

    async def remember(self, leg: str, memory: Mapping[str, Any]) -> None:
        self.memories[leg] = memory

    @property
    def told(self) -> list[str]:
        return [type(event).__name__ for event in self.heard.events]

    async def __aenter__(self) -> Self:
        await self.agent.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.agent.close()

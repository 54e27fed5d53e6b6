"""The composition root of a probe: one endpoint of the inventory, driven by hand, with its bytes to be seen.

A call that a probe placed stays up when the probe ends; what picks it up again lies in the
data folder, in a file of its own per endpoint.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from adapters import EndpointAdapter, Event, LoginRefused, registry
from adapters.registry import Surroundings
from adapters.sip.agent import SipAgent
from adapters.transcript import Tape
from api.settings import Settings
from orchestrator.keys import Keys, SecretMissing
from orchestrator.session import control_of
from orchestrator.store.database import Database
from orchestrator.store.host_keys import PinnedHostKeys
from orchestrator.store.inventory import EndpointAt
from schedules.clock import Clock

LEG = "probe"
"""The name of a probe's call: an endpoint has one at a time."""


class NoConsole(Exception):
    """The endpoint has no control session that could be probed."""


class Probe:
    """An endpoint and what it tells."""

    def __init__(self, endpoint: EndpointAdapter, events: asyncio.Queue[Event], memory: Path) -> None:
        self.endpoint = endpoint
        self.events = events
        self._memory = memory

    def remembered(self) -> Mapping[str, Any] | None:
        """What is known of the call that an earlier probe placed."""
        try:
            found: Mapping[str, Any] = json.loads(self._memory.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        return found

    def forget(self) -> None:
        """The call is over."""
        self._memory.unlink(missing_ok=True)


@asynccontextmanager
async def probing(
    settings: Settings,
    database: Database,
    at: EndpointAt,
    clock: Clock,
    tape: Callable[[str, str, str], Tape] | None,
) -> AsyncIterator[Probe]:
    """A probe of one endpoint, not yet opened; its session is given up at the end, its call stays.

    `tape(device, family, secret)` records it. Raises NoConsole, and LoginRefused for a secret that cannot be opened.
    """
    row = at.endpoint
    if row.family in registry.WITHOUT_CONSOLE or row.family not in registry.ENDPOINTS:
        known = ", ".join(sorted(set(registry.ENDPOINTS) - registry.WITHOUT_CONSOLE))
        raise NoConsole(f"{row.name} is of family {row.family}, which has no control session; those with one: {known}")
    try:
        secret = Keys.open_or_create(settings.key_file).unseal(row.control_secret, row.name)
    except SecretMissing as error:
        raise LoginRefused(row.name, "open", str(error)) from None
    events: asyncio.Queue[Event] = asyncio.Queue()
    memory = settings.data_dir / "probes" / f"{row.id}.json"

    async def remember(leg: str, facts: Mapping[str, Any]) -> None:
        memory.parent.mkdir(mode=0o700, exist_ok=True)
        memory.write_text(json.dumps(facts), encoding="utf-8")

    surroundings = Surroundings(
        sink=events.put_nowait,
        remember=remember,
        now=clock.now,
        sip=SipAgent(settings.sip_host, now=clock.now),  # never started: a console's calls are its own
        host_keys=PinnedHostKeys(database, clock.now),
        tape=tape,
    )
    endpoint = registry.endpoint(row.family, control_of(at, secret), surroundings)
    try:
        yield Probe(endpoint, events, memory)
    finally:
        await endpoint.close()

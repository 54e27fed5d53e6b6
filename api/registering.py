"""The registrar of the service: from the settings and the inventory to the SIP agent."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from adapters.sip.agent import SipAgent
from adapters.sip.enrolment import Enrolment
from adapters.sip.registrar import Registrar
from api.settings import Settings
from orchestrator.keys import Keys
from orchestrator.registrations import Registrations
from orchestrator.store.database import Database
from orchestrator.store.journal import JournalBell
from schedules.clock import Clock


@asynccontextmanager
async def registering(
    settings: Settings,
    agent: SipAgent,
    database: Database,
    keys: Keys,
    clock: Clock,
    bell: JournalBell,
    counted: Callable[[int], None],
) -> AsyncIterator[None]:
    """Inside the block endpoints may register with the agent, if any domain is set; `counted` is told how many have."""
    if not settings.registrar_domains:
        yield
        return
    roll = Registrations(database, keys, clock.now, bell, agent.address[1], counted)
    registrar = Registrar(settings.registrar_domains, roll, keys.derive("registrar"), clock.now)
    enrolment = Enrolment(agent, registrar)
    try:
        async with roll.kept():
            yield
    finally:
        await enrolment.close()

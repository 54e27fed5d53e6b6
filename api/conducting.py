"""The composition root of the mind: hands from the registry, one SIP agent, one desk, one conductor."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from adapters import BridgeAdapter, Capability, Control, EndpointAdapter, registry
from adapters.registry import Surroundings
from adapters.sip.agent import SipAgent
from adapters.sip.names import Resolver
from adapters.sip.tls import BadCertificate, Tls, Trust
from api.registering import registering
from api.services import CannotStart
from api.settings import Settings
from orchestrator.conductor import Conductor
from orchestrator.desk import Desk
from orchestrator.keys import Keys
from orchestrator.runner import RunTerms
from orchestrator.store.database import Database
from orchestrator.store.host_keys import PinnedHostKeys
from orchestrator.store.journal import JournalBell
from schedules.clock import Clock


class RegisteredHands:
    """The adapters of the registry, each given the same surroundings."""

    def __init__(self, surroundings: Surroundings) -> None:
        self._surroundings = surroundings

    def endpoint(self, family: str, control: Control) -> EndpointAdapter:
        return registry.endpoint(family, control, self._surroundings)

    def bridge(self, family: str, control: Control) -> BridgeAdapter:
        return registry.bridge(family, control, self._surroundings)

    def bridge_capabilities(self, family: str) -> frozenset[Capability]:
        return registry.bridge_capabilities(family)

    def endpoint_capabilities(self, family: str) -> frozenset[Capability]:
        return registry.endpoint_capabilities(family)

    @property
    def dialing_families(self) -> frozenset[str]:
        """Families whose own control session can make the endpoint dial; `sip` has none."""
        return frozenset(registry.ENDPOINTS) - registry.WITHOUT_CONSOLE


ANY_PORT = {"sip_port": 0, "sip_tls_port": 0}


def _sip(settings: Settings, clock: Clock, desk: Desk) -> SipAgent:
    trust = Trust(settings.sip_certificate, settings.sip_key, settings.sip_ca, settings.sip_pins)
    try:
        tls = Tls(trust)
    except BadCertificate as wrong:
        named = "DIEMCAU_SIP_CERTIFICATE, DIEMCAU_SIP_KEY, DIEMCAU_SIP_CA and DIEMCAU_SIP_PINS"
        raise CannotStart(f"no SIP over TLS: {wrong}; see {named}") from None
    try:
        resolver = Resolver(settings.name_servers)
    except ValueError as wrong:
        raise CannotStart(f"{wrong}; see DIEMCAU_NAME_SERVERS") from None
    return SipAgent(
        settings.sip_host, settings.sip_port, now=clock.now, credentials=desk.login,
        tls=tls, tls_port=settings.sip_tls_port, resolver=resolver,
    )  # fmt: skip


@asynccontextmanager
async def conducting(
    settings: Settings,
    database: Database,
    keys: Keys,
    clock: Clock,
    bell: JournalBell,
    *,
    bells: bool = True,
    any_port: bool = False,
    terms: RunTerms | None = None,
    counted: Callable[[int], None] = lambda registered: None,
) -> AsyncIterator[Conductor]:
    """A conductor that runs inside the block; afterwards its runs are handed over, calls stay up.

    Without `bells` it conducts only what it is told to start, and what nobody else conducts.
    Raises CannotStart for certificates that cannot be used, OSError when the SIP address is
    taken; with `any_port` another port is taken then, as for a cron run beside a service.
    `terms` stand in for the settings' figures.
    """
    desk = Desk(keys, clock.now)
    agent = _sip(settings, clock, desk)
    conductor = Conductor(
        database, clock, desk, bell,
        terms=terms or settings.terms, lease_terms=settings.lease_terms, pace_off=settings.pace_off,
    )  # fmt: skip
    try:
        await agent.start()
    except OSError:
        if not any_port:
            raise
        agent = _sip(settings.model_copy(update=ANY_PORT), clock, desk)
        await agent.start()
    surroundings = Surroundings(
        sink=desk.take,
        remember=conductor.memories.remember,
        now=clock.now,
        sip=agent,
        seed=keys.derive("sip"),
        may_act=conductor.may_act,
        host_keys=PinnedHostKeys(database, clock.now),
    )
    desk.hands = RegisteredHands(surroundings)
    try:
        async with registering(settings, agent, database, keys, clock, bell, counted):
            await conductor.start(bells=bells)
            try:
                yield conductor
            finally:
                await conductor.stop()
    finally:
        await agent.close()

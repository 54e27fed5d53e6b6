"""The composition root of line checks: the process that does them, and the mind's part of it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from adapters.linecheck.process import LineProcess, LineSettings
from api.settings import Settings
from api.words import say
from orchestrator.checks import Checks, CheckTerms
from orchestrator.keys import Keys
from orchestrator.store.database import Database
from schedules.clock import Clock

AT_ONCE = 64
"""Calls that are up at once; 41 were measured to be no load, and twice as many none either."""

_MOST_WAITING = 20_000


@asynccontextmanager
async def checking(settings: Settings, database: Database, keys: Keys, clock: Clock) -> AsyncIterator[Checks]:
    """Checks that are done inside the block; what is under way at its end is hung up.

    The process is started by the first check, not before.
    """
    ports = (settings.check_first_port, settings.check_last_port)
    line = LineProcess(
        LineSettings(
            settings.sip_host,
            ports,
            at_once=AT_ONCE,
            waiting=_MOST_WAITING,
            certificate=str(settings.sip_certificate or ""),
            key=str(settings.sip_key or ""),
            ca=str(settings.sip_ca or ""),
            pins=settings.sip_pins,
            name_servers=settings.name_servers,
        )
    )
    terms = CheckTerms(settings.check_s, settings.check_ring_s, AT_ONCE, say(settings.language, "Line check"))
    checks = Checks(database, clock, keys, line, terms)
    try:
        yield checks
    finally:
        await checks.close()
        await line.close()

"""What the routes work with, hung on the application by the composition root (api/app.py)."""

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any

from fastapi import Depends, Request
from prometheus_client import CollectorRegistry

from api.auth import Gate
from api.settings import Settings
from api.words import language_of
from orchestrator.checks import Checks
from orchestrator.keys import Keys
from orchestrator.store.database import Database
from orchestrator.store.journal import JournalBell
from schedules.clock import Clock


class CannotStart(Exception):
    """Something that the application needs is not to be had; says what and which setting is about it."""


async def _nobody_listens(_changed: object) -> None:
    """Until a conductor is there, nobody needs to know."""


@dataclass
class Services:
    """One installation, running."""

    settings: Settings
    database: Database
    keys: Keys
    clock: Clock
    gate: Gate
    bell: JournalBell
    metrics: CollectorRegistry
    endpoint_families: frozenset[str] = frozenset()  # those that have an adapter
    bridge_families: frozenset[str] = frozenset()
    conductor: Any = None
    checks: Checks | None = None
    meeting_changed: Callable[[int], Awaitable[None]] = _nobody_listens
    """Awaited after a meeting was created, changed or cancelled."""
    bridge_changed: Callable[[str], Awaitable[None]] = _nobody_listens
    """Awaited, with its name, after a bridge was changed."""
    endpoint_changed: Callable[[str], Awaitable[None]] = _nobody_listens
    """Awaited, with its name, after an endpoint was changed."""
    alongside: list[Callable[["Services"], AbstractAsyncContextManager[None]]] = field(default_factory=list)
    """Entered when the application starts, after the database is ready; left in reverse order."""
    not_ready: list[Callable[[], Awaitable[str | None]]] = field(default_factory=list)
    """Asked by /readyz; each answers with a reason, or None when it is ready."""

    def now(self) -> datetime:
        return self.clock.now()


def services_of(request: Request) -> Services:
    """The services of the application that serves this request."""
    services: Services = request.app.state.services
    return services


def language_for(request: Request) -> str:
    """The language this client asks for, else the installation's."""
    return language_of(request.headers.get("accept-language"), services_of(request).settings.language)


ServicesHere = Annotated[Services, Depends(services_of)]
LanguageHere = Annotated[str, Depends(language_for)]

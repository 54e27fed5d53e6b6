"""The composition root: builds everything from the settings and owns its life.

The only place (besides tests) that knows which families have adapters.
"""

import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from importlib.metadata import PackageNotFoundError, version

from fastapi import APIRouter, Depends, FastAPI
from prometheus_client import CollectorRegistry, Gauge, PlatformCollector, ProcessCollector
from sqlmodel import select

from adapters.registry import BRIDGES, ENDPOINTS
from api.auth import Gate, signed_in, token_of
from api.checking import checking
from api.conducting import conducting
from api.console import page
from api.contract import complete, refusals
from api.errors import BodyLimit, install
from api.logs import logger, start_logging
from api.routes import bridges, checks, endpoints, health, meetings, rooms, runs, sites
from api.services import CannotStart, Services
from api.settings import Settings, make_data_dir
from api.traffic import Traffic
from orchestrator.keys import Keys, SecretMissing
from orchestrator.sheet import MOST_BYTES
from orchestrator.store.database import Database
from orchestrator.store.inventory import Bridge, Endpoint, Room
from orchestrator.store.journal import JournalBell
from orchestrator.store.migration import migrate
from schedules.clock import Clock, SystemClock

API = "/api/v1"

_log = logger("api.app")


def build(settings: Settings, clock: Clock | None = None, *, conduct: bool = True) -> FastAPI:
    """The application; `app.state.services` holds what it works with.

    Makes the data folder, key and token. With `conduct`, runs are conducted for as long as
    it serves, unless `services.conductor` was set before. Raises PrivateFileBad, ValueError (an unknown kind
    of database), OSError.
    """
    start_logging(settings)
    make_data_dir(settings)
    metrics = CollectorRegistry()
    ProcessCollector(registry=metrics)
    PlatformCollector(registry=metrics)
    services = Services(
        settings=settings,
        database=Database(settings.database),
        keys=Keys.open_or_create(settings.key_file),
        clock=clock or SystemClock(),
        gate=Gate(token_of(settings)),
        bell=JournalBell(),
        metrics=metrics,
        endpoint_families=endpoint_families(),
        bridge_families=frozenset(BRIDGES),
    )
    app = FastAPI(
        title="điểm cầu",
        version=_version(),
        lifespan=_life,
        openapi_url=f"{API}/openapi.json",
        docs_url=None,  # their pages load scripts from foreign hosts
        redoc_url=None,
        redirect_slashes=False,
    )
    services.alongside.append(_check_lines)
    if conduct:
        services.alongside.append(_conduct)
    app.state.services = services
    app.state.body_limits = {f"{API}{sites.IMPORT_PATH}": MOST_BYTES + 1}
    responses = refusals(400, 401, 404, 409, 413, 422, 429)
    rest = APIRouter(prefix=API, dependencies=[Depends(signed_in)], responses=responses)
    for room in (sites, endpoints, bridges, rooms, meetings, runs, checks):
        rest.include_router(room.router)
    app.include_router(rest)
    app.include_router(health.router)
    page.install(app, page.Console(services))
    install(app)
    complete(app, API)
    app.add_middleware(BodyLimit)
    app.add_middleware(Traffic, metrics=metrics)
    return app


@asynccontextmanager
async def _life(app: FastAPI) -> AsyncIterator[None]:
    """From a migrated database to closed connections."""
    services: Services = app.state.services
    async with AsyncExitStack() as stack:
        stack.push_async_callback(services.database.close)
        await migrate(services.database)
        await _report_sealed_with_another_key(services)
        for enter in services.alongside:
            await stack.enter_async_context(enter(services))
        _log.info("started", version=app.version)
        yield
        _log.info("stopping")


@asynccontextmanager
async def _check_lines(services: Services) -> AsyncIterator[None]:
    """Line checks, for as long as the application serves; without one nothing of it runs."""
    async with checking(services.settings, services.database, services.keys, services.clock) as services.checks:
        yield


@asynccontextmanager
async def _conduct(services: Services) -> AsyncIterator[None]:
    """The conductor, for as long as the application serves; one that was brought along stays."""
    if services.conductor is not None:
        yield
        return
    parts = (services.settings, services.database, services.keys, services.clock, services.bell)
    settings = services.settings
    registered = Gauge("diemcau_registered", "Endpoints registered with us", registry=services.metrics)
    async with AsyncExitStack() as stack:
        try:
            conductor = await stack.enter_async_context(conducting(*parts, counted=registered.set))
        except OSError as error:
            where, why = f"{settings.sip_host}:{settings.sip_port}", os.strerror(error.errno or 0)
            tls = ", DIEMCAU_SIP_TLS_PORT" if settings.sip_certificate else ""
            raise CannotStart(f"no SIP on {where}: {why}; see DIEMCAU_SIP_HOST, DIEMCAU_SIP_PORT{tls}") from error

        async def is_unwell() -> str | None:
            return None if conductor.is_well else "a part of the conductor has died; see the log"

        services.conductor = conductor
        services.meeting_changed = conductor.meeting_changed
        services.bridge_changed = conductor.bridge_changed
        services.endpoint_changed = conductor.endpoint_changed
        services.not_ready.append(is_unwell)
        yield


def close_streams(app: FastAPI) -> None:
    """End what clients follow without end, so that a server can stop; they resume at whoever serves next."""
    app.state.console.close()
    if hasattr(app.state, "live"):
        app.state.live.close()


async def _report_sealed_with_another_key(services: Services) -> None:
    """A lost key file shows now, not when the meeting begins."""
    async with services.database.read() as session:
        secrets = [
            *await session.exec(select(Endpoint.name, Endpoint.control_secret)),
            *await session.exec(select(Bridge.name, Bridge.control_secret)),
            *await session.exec(select(Room.name, Room.pin)),
        ]
    for name, stored in secrets:
        if stored and not stored.startswith("env:"):
            try:
                services.keys.unseal(stored, name)
            except SecretMissing as error:
                _log.error("secret-unreadable", device=name, reason=str(error))


def endpoint_families() -> frozenset[str]:
    """The families of endpoints that have an adapter."""
    return frozenset(ENDPOINTS)


def _version() -> str:
    try:
        return version("diemcau")
    except PackageNotFoundError:  # run from a folder that was never installed
        return "0"

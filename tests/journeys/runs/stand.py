"""The real application on a real port, its database filled by a scene; nobody conducts the runs."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
from fastapi import FastAPI

from api.app import build
from api.server import bind, serve, url_of
from api.services import Services
from api.settings import Settings
from orchestrator.conductor import Conductor
from orchestrator.desk import Desk
from schedules.clock import Clock, TurnableClock
from tests.journeys.runs.scene import NOON, Scene, scene

TOKEN = "a-token-for-tests-only"


@dataclass
class Stand:
    """A running application and its scene."""

    app: FastAPI
    scene: Scene
    url: str
    clock: Any

    @property
    def services(self) -> Services:
        services: Services = self.app.state.services
        return services

    def client(self, **headers: str) -> httpx.AsyncClient:
        """A client with the token."""
        return httpx.AsyncClient(
            base_url=self.url, headers={"Authorization": f"Bearer {TOKEN}", **headers}, timeout=10, trust_env=False
        )

    def ring(self, run_id: int) -> None:
        """What whoever wrote the rows in this process does after the commit."""
        self.services.bell.ring(run_id)


@asynccontextmanager
async def standing(folder: Path, clock: Clock | None = None) -> AsyncIterator[Stand]:
    clock = clock or TurnableClock(NOON + timedelta(minutes=5))
    settings = Settings(data_dir=folder, token=TOKEN, language="en", log_level="error")
    app = build(settings, clock)
    services: Services = app.state.services
    services.alongside.clear()  # its rows are the scene's; what follows takes orders and conducts nobody
    services.conductor = Conductor(services.database, clock, Desk(services.keys, clock.now), services.bell)
    stop, ready = asyncio.Event(), asyncio.Event()
    with bind("127.0.0.1", 0) as listener:
        serving = asyncio.create_task(serve(app, listener, stop, ready.set))
        started = asyncio.create_task(ready.wait())
        await asyncio.wait({serving, started}, return_when=asyncio.FIRST_COMPLETED)
        try:
            assert ready.is_set(), "the application did not start"
            yield Stand(app, await scene(services.database), url_of(listener), clock)
        finally:
            started.cancel()
            stop.set()
            await serving

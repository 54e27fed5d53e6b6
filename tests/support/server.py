"""The real application on a real port, with nobody conducting."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
from fastapi import FastAPI

from api.app import build
from api.server import bind, serve, url_of
from api.services import Services
from api.settings import Settings
from schedules.clock import Clock

TOKEN = "a-token-that-only-tests-use"


@dataclass(frozen=True)
class Running:
    """A running application."""

    app: FastAPI
    url: str

    @property
    def services(self) -> Services:
        services: Services = self.app.state.services
        return services

    def client(self, **headers: str) -> httpx.AsyncClient:
        """A client with the token that asks for English."""
        headers = {"Authorization": f"Bearer {TOKEN}", "Accept-Language": "en"} | headers
        return httpx.AsyncClient(base_url=self.url, headers=headers, timeout=30, trust_env=False)


@asynccontextmanager
async def running(
    folder: Path, database_url: str = "", clock: Clock | None = None, **settings: object
) -> AsyncIterator[Running]:
    """The application with its data in `folder`, listening on a port of 127.0.0.1."""
    given = {"data_dir": folder, "database_url": database_url, "token": TOKEN, "log_level": "error"} | settings
    app = build(Settings(**given), clock, conduct=False)
    stop, started = asyncio.Event(), asyncio.Event()
    with bind("127.0.0.1", 0) as listener:
        serving = asyncio.create_task(serve(app, listener, stop, started.set))
        waiting = asyncio.create_task(started.wait())
        try:
            await asyncio.wait({serving, waiting}, return_when=asyncio.FIRST_COMPLETED)
            waiting.cancel()
            if serving.done():
                serving.result()
            yield Running(app, url_of(listener))
        finally:
            stop.set()
            await serving

"""The real application on a real port, its database filled by a scene; nobody conducts the runs."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from types import FrameType

import httpx
import uvicorn
from fastapi import FastAPI

from api.app import build
from api.services import Services
from api.settings import Settings
from orchestrator.conductor import Conductor
from orchestrator.desk import Desk
from schedules.clock import TurnableClock
from tests.journeys.runs.scene import NOON, Scene, scene

TOKEN = "a-token-for-tests-only"


class Server(uvicorn.Server):
    """Says when it listens, and leaves the test runner's signals alone."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.listening.set()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt


@dataclass
class Stand:
    """A running application and its scene."""

    app: FastAPI
    scene: Scene
    url: str
    clock: TurnableClock

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
async def standing(folder: Path) -> AsyncIterator[Stand]:
    clock = TurnableClock(NOON + timedelta(minutes=5))
    settings = Settings(data_dir=folder, token=TOKEN, language="en", log_level="error")
    app = build(settings, clock)
    services: Services = app.state.services
    services.alongside.clear()  # its rows are the scene's; what follows takes orders and conducts nobody
    services.conductor = Conductor(services.database, clock, Desk(services.keys, clock.now), services.bell)
    listener = socket.create_server(("127.0.0.1", 0))
    server = Server(uvicorn.Config(app, log_config=None, timeout_graceful_shutdown=2))
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    waiting = asyncio.create_task(server.listening.wait())
    await asyncio.wait({serving, waiting}, return_when=asyncio.FIRST_COMPLETED)
    try:
        assert server.listening.is_set(), "the application did not start"
        stage = await scene(services.database)
        yield Stand(app, stage, f"http://127.0.0.1:{listener.getsockname()[1]}", clock)
    finally:
        app.state.console.close()
        if hasattr(app.state, "live"):
            app.state.live.close()
        server.should_exit = True
        await serving

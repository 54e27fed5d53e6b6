"""`diemcau serve`: the whole service in one process."""

import asyncio
import socket
import sys
from typing import Annotated

import typer
import uvicorn
from fastapi import FastAPI

from api.app import build, close_streams
from api.commands.ground import BadInput, run, settings_or_refuse
from api.settings import Settings

app = typer.Typer()


@app.command("serve")
def serve(
    host: Annotated[str | None, typer.Option(help="listen here (DIEMCAU_HOST)")] = None,
    port: Annotated[int | None, typer.Option(help="and on this port; 0: any free one (DIEMCAU_PORT)")] = None,
) -> None:
    """Serve REST, the console and the conductor until told to stop (Ctrl-C, SIGTERM)."""
    given = {name: value for name, value in (("host", host), ("port", port)) if value is not None}
    settings = settings_or_refuse(**given)
    run(_serve(settings))


async def _serve(settings: Settings) -> None:
    try:
        application = build(settings)
    except ValueError as error:
        raise BadInput(f"DIEMCAU_DATABASE_URL: {error}") from None
    server = Server(application, settings)
    serving = asyncio.create_task(server.serve())
    try:
        await server.wait_until_listening(serving)
        if settings.token is None:
            sys.stderr.write(f"the access token is in {settings.token_file}\n")
        sys.stderr.write(f"listening on {server.url}\n")
    finally:
        await serving
    if not server.started:
        raise typer.Exit(1)


class Server(uvicorn.Server):
    """A server that says when and where it listens."""

    def __init__(self, application: FastAPI, settings: Settings) -> None:
        config = uvicorn.Config(
            application,
            host=settings.host,
            port=settings.port,
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=5,
            h11_max_incomplete_event_size=65_536,
        )
        super().__init__(config)
        self._application = application
        self._listening = asyncio.Event()
        self.url = ""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            host, port = self.servers[0].sockets[0].getsockname()[:2]
            self.url = f"http://{f'[{host}]' if ':' in host else host}:{port}"
        self._listening.set()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        close_streams(self._application)
        await super().shutdown(sockets)

    async def wait_until_listening(self, serving: "asyncio.Task[None]") -> None:
        """Return when requests are taken, or when the server has given up."""
        listening = asyncio.create_task(self._listening.wait())
        await asyncio.wait({listening, serving}, return_when=asyncio.FIRST_COMPLETED)
        listening.cancel()

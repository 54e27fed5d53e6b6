"""`diemcau serve`: the whole service in one process."""

import os
import sys
from typing import Annotated

import typer

from api.app import build
from api.commands.ground import BadInput, run, settings_or_refuse
from api.server import bind, serve, url_of
from api.settings import Settings

app = typer.Typer()


@app.command("serve")
def serve_all(
    host: Annotated[str | None, typer.Option(help="listen here (DIEMCAU_HOST)")] = None,
    port: Annotated[int | None, typer.Option(help="and on this port; 0: any free one (DIEMCAU_PORT)")] = None,
) -> None:
    """Serve REST, the console and the conductor until told to stop (Ctrl-C, SIGTERM)."""
    given = {name: value for name, value in (("host", host), ("port", port)) if value is not None}
    run(_serve(settings_or_refuse(**given)))


async def _serve(settings: Settings) -> None:
    try:
        listener = bind(settings.host, settings.port)
    except OSError as error:
        raise BadInput(f"cannot listen on {settings.host}:{settings.port}: {os.strerror(error.errno or 0)}") from None
    with listener:
        try:
            application = build(settings)
        except ValueError as error:
            raise BadInput(f"DIEMCAU_DATABASE_URL: {error}") from None

        def ready() -> None:
            if settings.token is None:
                sys.stderr.write(f"the access token is in {settings.token_file}\n")
            sys.stderr.write(f"listening on {url_of(listener)}\n")

        await serve(application, listener, ready=ready)

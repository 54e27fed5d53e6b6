"""An HTTP server around the application: bound before anything starts, stopped without cutting calls."""

import asyncio
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import uvicorn
from fastapi import FastAPI

from api import garbage
from api.app import close_streams

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_PATIENCE_S = 5


def bind(host: str, port: int) -> socket.socket:
    """A listening socket; clients may connect from now on and are served once `serve` runs. Raises OSError."""
    return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET, backlog=1024)


def url_of(listener: socket.socket) -> str:
    """Where the socket listens."""
    host, port = listener.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


async def serve(
    application: FastAPI,
    listener: socket.socket,
    stop: asyncio.Event | None = None,
    ready: Callable[[], None] = lambda: None,
) -> None:
    """Serve from the application's start to its end; returns after SIGINT, SIGTERM or `stop`.

    The application's own life is wound around the server's: what goes wrong in its start
    reaches the caller as it is, and it ends only when no request is under way any more.
    With `stop` the signals are left to the caller. `ready` is called once the application has
    started.
    """
    server = _Server(application, catch_signals=stop is None)
    async with application.router.lifespan_context(application):
        garbage.settle()
        ready()
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        if stop is not None:
            stopping = asyncio.create_task(stop.wait())
            await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
            stopping.cancel()
            server.should_exit = True
        await serving


class _Server(uvicorn.Server):
    def __init__(self, application: FastAPI, *, catch_signals: bool) -> None:
        super().__init__(
            uvicorn.Config(
                application,
                log_config=None,
                access_log=False,
                server_header=False,
                lifespan="off",
                timeout_graceful_shutdown=_PATIENCE_S,
                h11_max_incomplete_event_size=65_536,
            )
        )
        self._application = application
        self._catch_signals = catch_signals

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stop by a signal is a proper end; uvicorn would raise the signal anew and skip ours."""
        loop = asyncio.get_running_loop()
        signals = _SIGNALS if self._catch_signals else ()
        for number in signals:
            loop.add_signal_handler(number, self.handle_exit, number, None)
        try:
            yield
        finally:
            for number in signals:
                loop.remove_signal_handler(number)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        close_streams(self._application)
        await super().shutdown(sockets)

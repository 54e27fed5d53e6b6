"""What the demo stands on: a virtual province in a process of its own, and the real service in this one."""

import asyncio
import json
import logging
import os
import secrets
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from api.app import API, build
from api.console.page import Console
from api.server import bind, serve, url_of
from api.settings import Settings, read_settings

_READY_S = 60.0
_ANSWER_S = 10.0
_LONGEST_LINE = 64 * 1024 * 1024  # the ready line has a row for every site
_GOODBYE_S = 5.0


class ProvinceFailed(Exception):
    """The virtual province did not start or does not answer."""


class ProvinceProcess:
    """`python -m adapters.virtual` as a child; it ends when we do, for its standard input closes then."""

    def __init__(self, process: asyncio.subprocess.Process, papers: Mapping[str, Any]) -> None:
        self._process = process
        self.papers = papers

    @classmethod
    async def start(cls, sites: int, behavior: str = "demo", *, consoles: bool = False) -> "ProvinceProcess":
        """A province of so many sites, everything listening. Raises ProvinceFailed.

        With `consoles` vendor endpoints have their control ports, and what their rows' `env:NAME` stand
        for is in the environment of this process from now on.
        """
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "adapters.virtual", "--sites", str(sites), "--behavior", behavior, "--json",
            *(["--consoles"] if consoles else []),
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, limit=_LONGEST_LINE,
            cwd=Path(__file__).parents[2],
            start_new_session=True,  # Ctrl-C is for us: the province hears our calls end first
        )  # fmt: skip
        try:
            papers = await _line(process, _READY_S)
        except BaseException:
            await _end(process)
            raise
        os.environ.update(papers["secrets"])
        return cls(process, papers)

    async def ask(self, what: str, **more: object) -> Mapping[str, Any]:
        """Have the province do something (see adapters.virtual.remote); returns its answer."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"do": what, **more}).encode() + b"\n")
        await self._process.stdin.drain()
        return await _line(self._process, _ANSWER_S)

    async def stop(self) -> None:
        await _end(self._process)


async def _line(process: asyncio.subprocess.Process, within_s: float) -> Mapping[str, Any]:
    assert process.stdout is not None
    try:
        async with asyncio.timeout(within_s):
            line = await process.stdout.readline()
    except TimeoutError:
        raise ProvinceFailed(f"the virtual province said nothing for {within_s:.0f} s") from None
    if not line:
        raise ProvinceFailed("the virtual province has ended; its own words stand above")
    told: Mapping[str, Any] = json.loads(line)
    return told


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.stdin is not None:
        process.stdin.close()
    try:
        async with asyncio.timeout(_GOODBYE_S):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()


def demo_settings(folder: Path, port: int) -> Settings:
    """The service's settings for a demo: everything in `folder`, and waits short enough to watch."""
    return read_settings(
        data_dir=folder,
        database_url=f"sqlite:///{folder / 'demo.sqlite3'}",
        token=secrets.token_urlsafe(24),
        host="127.0.0.1",
        port=port,
        sip_host="127.0.0.1",
        sip_port=0,
        ring_s=8,
        grace_s=0,
        settle_s=5,
        redial_s=(1, 2, 3, 5),
        redial_steady_s=5,
        redial_after_drop_s=(1, 2, 4),
        redial_after_hang_up_s=2,
        log_level="warning",
        log_format="json",
    )


@dataclass(frozen=True, slots=True)
class Stage:
    """The service, listening at `url`, and a client of its REST interface as anybody's program is."""

    url: str
    console: Console
    client: httpx.AsyncClient


@asynccontextmanager
async def serving(settings: Settings) -> AsyncIterator[Stage]:
    """The service for as long as the block lasts; signals are left to the caller.

    Raises OSError when the port is taken. Its log goes to the file `log` in the data folder.
    """
    assert settings.token is not None
    with bind(settings.host, settings.port) as listener:
        application = build(settings)
        logging.getLogger().handlers = [_log_file(settings.data_dir / "log")]
        url, stop, ready = url_of(listener), asyncio.Event(), asyncio.Event()
        task = asyncio.create_task(serve(application, listener, stop, ready.set))
        started = asyncio.create_task(ready.wait())
        try:
            await asyncio.wait({task, started}, return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                await task
            headers = {
                "Authorization": f"Bearer {settings.token.get_secret_value()}",
                "Accept-Language": settings.language,
            }
            async with httpx.AsyncClient(base_url=url + API, headers=headers, timeout=30, trust_env=False) as client:
                yield Stage(url, application.state.console, client)
        finally:
            started.cancel()
            stop.set()
            await task


def _log_file(path: Path) -> logging.Handler:
    """A handler in the form of the one on stderr, which would write across the board."""
    handler = logging.FileHandler(path, encoding="utf-8")
    for other in logging.getLogger().handlers:
        handler.setFormatter(other.formatter)
    return handler

"""One run of the lab: who holds it, where it writes, and the bridges and endpoints that it started."""

import asyncio
import contextlib
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from tests.peers.lab.asterisk import Asterisk
from tests.peers.lab.config import Instance
from tests.peers.lab.endpoint import Endpoint
from tests.peers.lab.place import Lock, lab_folder, need
from tests.peers.lab.process import Ledger
from tests.peers.lab.root import ensure_root


class Run:
    """What is made here is started by `start`, in the order it was made in, and ended with the run."""

    def __init__(self, name: str, root: Path, folder: Path) -> None:
        self.name = name
        self.ledger = Ledger(folder / "processes.jsonl")
        self.logs = folder / "logs"
        self._root = root
        self._scratch = folder / "scratch"
        self._made: list[Asterisk | Endpoint] = []

    def clear(self) -> None:
        """End what a killed run left, and forget what it wrote."""
        self.ledger.sweep()
        for stale in (self._scratch, self.logs):
            shutil.rmtree(stale, ignore_errors=True)
        self.logs.mkdir(parents=True)

    def asterisk(self, instance: Instance) -> Asterisk:
        made = Asterisk(instance, self._root, self.name, self.ledger, self.logs)
        self._made.append(made)
        return made

    def endpoint(self, name: str, ip: str, **more: Any) -> Endpoint:
        """`more` is what else an Endpoint takes: mode, account, tls."""
        made = Endpoint(name, ip, self.ledger, self._scratch / name, self.logs, **more)
        self._made.append(made)
        return made

    async def start(self) -> None:
        """Returns when everything made answers. Raises LabError."""
        for one in self._made:
            await one.start()

    async def stop(self) -> None:
        """End everything. Raises nothing that would keep the rest running."""
        for one in self._made:
            with contextlib.suppress(Exception):
                await one.stop()
        self.ledger.stop_all()


@contextlib.asynccontextmanager
async def lab_run(name: str) -> AsyncIterator[Run]:
    """A run of that name, nothing started yet; ended when the block is left, however it is left.

    Raises LabError when a program is missing or another run of the name goes on.
    """
    need("baresip", "chroot")
    root = await asyncio.to_thread(ensure_root)
    folder = lab_folder() / "runs" / name
    lock = Lock(folder / "lock", f"the lab {name!r}")
    lock.take()
    try:
        run = Run(name, root, folder)
        run.clear()
        try:
            yield run
        finally:
            await run.stop()
    finally:
        lock.release()

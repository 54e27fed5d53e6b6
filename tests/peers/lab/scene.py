"""The whole lab: main bridge, provincial room, H.323 codecs, SIP endpoints and a guest who dials by hand."""

import asyncio
import contextlib
import secrets
import shutil
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from tests.peers.lab.asterisk import Asterisk, eyes, new_secret
from tests.peers.lab.config import Instance, Login
from tests.peers.lab.endpoint import Endpoint
from tests.peers.lab.place import Lock, lab_folder, need
from tests.peers.lab.process import Ledger
from tests.peers.lab.root import ensure_root
from tests.peers.lab.sites import BRIDGE_H323, CODECS_IP, SiteRow

MAIN_IP = "127.0.10.1"
PROVINCE_IP = "127.0.10.2"
GUEST_IP = "127.0.21.1"
ROOM = "9001"
STARTED_TOGETHER = 8  # processes of the lab that start at the same time, on two cores


class Scene:
    """Everything that can be called, with its secrets. Made by `running_lab`."""

    def __init__(self, run: str, rows: list[SiteRow], root: Path, logs: Path, scratch: Path, ledger: Ledger) -> None:
        self.rows = rows
        self.logs = logs
        self.ledger = ledger
        self.pin = f"{secrets.randbelow(900_000) + 100_000}"
        self.login = Login("diemcau", new_secret())
        self.province_login = Login("diemcau", new_secret())
        h323 = [row.code for row in rows if row.way == BRIDGE_H323]
        peers = {"main": MAIN_IP, "province": PROVINCE_IP, "codecs": CODECS_IP}

        def asterisk(instance: Instance) -> Asterisk:
            return Asterisk(instance, root, run, ledger, logs)

        self.main = asterisk(Instance("main", MAIN_IP, [eyes(), self.login], h323_peers=peers))
        self.room = asterisk(
            Instance("province", PROVINCE_IP, [eyes(), self.province_login], pin=self.pin, h323_peers=peers)
        )
        self.codecs = asterisk(Instance("codecs", CODECS_IP, [eyes()], codecs=h323, h323_peers=peers))
        self.endpoints = {
            row.code: Endpoint(row.code, row.ip, ledger, scratch / row.code, logs, tone=300 + 10 * row.number)
            for row in rows
            if row.way != BRIDGE_H323
        }
        self.guest = Endpoint("guest", GUEST_IP, ledger, scratch / "guest", logs, tone=900)

    @property
    def asterisks(self) -> tuple[Asterisk, ...]:
        return (self.main, self.room, self.codecs)

    @property
    def everything(self) -> list[Asterisk | Endpoint]:
        return [*self.asterisks, *self.endpoints.values(), self.guest]

    @property
    def room_address(self) -> str:
        return f"sip:{ROOM}@{PROVINCE_IP}:5060"

    async def start(self) -> None:
        gate = asyncio.Semaphore(STARTED_TOGETHER)

        async def start(one: Asterisk | Endpoint) -> None:
            async with gate:
                await one.start()

        async with asyncio.TaskGroup() as group:
            for one in self.everything:
                group.create_task(start(one))
        await self.codecs.speak_in(*self.codecs.instance.codecs)
        await self.room.speak_in(ROOM)

    async def stop(self) -> None:
        """End everything that was started. Raises nothing that would keep the rest running."""
        for one in self.everything:
            with contextlib.suppress(Exception):
                await one.stop()
        self.ledger.stop_all()


@contextlib.asynccontextmanager
async def running_lab(
    rows: list[SiteRow], run: str = "province", say: Callable[[str], None] = print
) -> AsyncIterator[Scene]:
    """The lab, started; ended when the block is left, however it is left.

    Raises LabError when a program is missing, an address is taken or another run goes on.
    """
    need("baresip", "chroot")
    root = await asyncio.to_thread(ensure_root, say)
    folder = lab_folder() / "runs" / run
    lock = Lock(folder / "lock", f"the lab {run!r}")
    lock.take()
    try:
        ledger = Ledger(folder / "processes.jsonl")
        for name in ledger.sweep():
            say(f"lab: ended {name}, left by a run that was killed")
        for stale in (folder / "logs", folder / "scratch"):
            shutil.rmtree(stale, ignore_errors=True)
        (folder / "logs").mkdir(parents=True)
        lab = Scene(run, rows, root, folder / "logs", folder / "scratch", ledger)
        try:
            await lab.start()
            yield lab
        finally:
            # a second Ctrl-C must not leave the half of it running
            await asyncio.shield(asyncio.ensure_future(lab.stop()))
            shutil.rmtree(folder / "scratch", ignore_errors=True)
    finally:
        lock.release()

"""One Asterisk instance of the lab: its files, its process, and eyes on it."""

import asyncio
import json
import secrets
import shutil
import socket
import sys
from datetime import UTC, datetime
from pathlib import Path

from tests.peers.lab.config import COPIED, TLS_FILES, Folders, Instance, Login, files
from tests.peers.lab.manager import Manager
from tests.peers.lab.place import LabError
from tests.peers.lab.process import Child, Ledger
from tests.peers.lab.root import modules_folder

BOOT_S = 40.0
REST_S = 0.3  # measured: 1 in 10 set-ups lost within milliseconds of a call's end, none of 240 after 0.3 s
LAB_LOGIN = "lab-eyes"
VOICE = "Local/s@tone"


def new_secret() -> str:
    return secrets.token_urlsafe(18)


def free_or_raise(kind: socket.SocketKind, ip: str, port: int, what: str) -> None:
    """Raises LabError when somebody else has the address."""
    with socket.socket(socket.AF_INET, kind) as probe:
        if kind == socket.SOCK_STREAM:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((ip, port))
        except OSError as error:
            protocol = "tcp" if kind == socket.SOCK_STREAM else "udp"
            raise LabError(
                f"{what} needs {protocol} {ip}:{port}, which is taken ({error.strerror}); "
                f"see who has it with: ss -lnp src {ip}"
            ) from None


def listens(ip: str, port: int) -> bool:
    """Whether somebody on this machine listens there on TCP (proc(5), /proc/net/tcp)."""
    wanted = f"{int.from_bytes(socket.inet_aton(ip), sys.byteorder):08X}:{port:04X}"
    rows = (line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:])
    return any(row[1] == wanted and row[3] == "0A" for row in rows)


class Asterisk:
    """Start it, look at it, stop it. `root` is the folder of tests.peers.lab.root."""

    def __init__(self, instance: Instance, root: Path, run: str, ledger: Ledger, logs: Path) -> None:
        self.instance = instance
        self.root = root
        self.ledger = ledger
        self.logs = logs
        self.folder = Path("/lab", run, instance.name)  # as Asterisk sees it
        self.child: Child | None = None
        eyes = [login for login in instance.logins if login.name == LAB_LOGIN]
        if not eyes:
            raise LabError(f"{instance.name}: among the logins there must be one of the name {LAB_LOGIN}")
        self.manager = Manager(instance.ip, instance.manager_port, eyes[0])

    def _outside(self, path: str | Path) -> Path:
        return self.root / str(path).lstrip("/")

    def write(self) -> None:
        """Write its files anew; nothing of an earlier run stays."""
        base = self._outside(self.folder)
        shutil.rmtree(base, ignore_errors=True)
        for name in ("etc", "run", "log/h323", "db", "cache", "keys/keys", "spool/outgoing", "spool/tmp"):
            (base / name).mkdir(parents=True)
        base.chmod(0o700)
        folders = Folders(f"{self.folder}/etc", str(self.folder), modules_folder(self.root))
        for name, text in files(self.instance, folders).items():
            (base / "etc" / name).write_text(text)
        for name, given in zip(TLS_FILES, self.instance.tls or (), strict=False):
            shutil.copyfile(given, base / "keys" / name)
        for name in COPIED.split():
            packaged = self.root / "etc/asterisk" / name
            if packaged.exists():
                shutil.copyfile(packaged, base / "etc" / name)

    async def start(self) -> None:
        """Returns when it has booted and answers. Raises LabError with the end of its log."""
        one = self.instance
        free_or_raise(socket.SOCK_DGRAM, one.ip, one.sip_port, one.name)
        for port in (one.sip_port, *([one.sip_port + 1] if one.tls else []), one.manager_port, one.h323_port):
            free_or_raise(socket.SOCK_STREAM, one.ip, port, one.name)
        self.write()
        log = self.logs / f"asterisk-{one.name}.log"
        command = ("chroot", str(self.root), "/usr/sbin/asterisk", "-f", "-C", f"{self.folder}/etc/asterisk.conf")
        self.child = self.ledger.start(f"asterisk-{one.name}", command, log)
        try:
            async with asyncio.timeout(BOOT_S):
                while not await self._listens():
                    if not self.child.alive:
                        raise LabError(f"{one.name} ended while starting:\n{tail(log)}")
                    await asyncio.sleep(0.05)
                # the manager answers long before the dialplan is there; this event says that all of it is
                await self.manager.events.until(
                    "boot", lambda: any(one["Event"] == "FullyBooted" for one in self.manager.events), BOOT_S
                )
                while not self._h323_listens():
                    if not self.child.alive:
                        raise LabError(f"{one.name} ended while starting:\n{tail(log)}")
                    await asyncio.sleep(0.05)
        except TimeoutError:
            raise LabError(f"{one.name} was not up within {BOOT_S:g} s:\n{tail(log)}") from None

    async def _listens(self) -> bool:
        try:
            await self.manager.open()
        except OSError:
            return False
        return True

    def _h323_listens(self) -> bool:
        # looked up, not tried: a connection without a call is a call to chan_ooh323, and its thread is used again
        return listens(self.instance.ip, self.instance.h323_port)

    async def speak_in(self, *conferences: str) -> None:
        """Have a voice (a tone) in each conference before anybody comes, so that a caller hears something."""
        events = self.manager.events
        before = len(events.seen)
        for conference in conferences:
            await self.manager.ask(
                "Originate",
                Channel=f"{VOICE}/n",
                Application="ConfBridge",
                Data=f"{conference},main,guest",
                Async="true",
            )
        await events.until(
            f"the voices of {self.instance.name}",
            lambda: sum(one["Event"] == "ConfbridgeJoin" for one in events.seen[before:]) >= len(conferences),
            10.0,
        )

    async def set_ringing(self, codec: str, on: bool) -> None:
        """Let a codec ring, or answer what rings there. Rests first when a call has only just ended."""
        if on:
            await asyncio.sleep(self._until_rested())
        await self.manager.ask("Setvar", Variable=f"RINGS_{codec}", Value="yes" if on else "no")

    def _until_rested(self) -> float:
        """Seconds until a new H.323 call is safe: one that comes right behind the end of another gets lost."""
        ends = [datetime.fromisoformat(one["SeenAt"]) for one in self.manager.events if one["Event"] == "Hangup"]
        return max(0.0, REST_S - (datetime.now(UTC) - ends[-1]).total_seconds()) if ends else 0.0

    async def stop(self) -> None:
        await self.manager.close()
        if self.child is not None:
            await asyncio.to_thread(self.child.stop)
        for name in ("full", "h323_log"):
            log = self._outside(self.folder) / "log" / name
            if log.exists():
                shutil.copyfile(log, self.logs / f"asterisk-{self.instance.name}-{name}.log")
        events = "".join(json.dumps(event) + "\n" for event in self.manager.events)
        (self.logs / f"asterisk-{self.instance.name}-events.jsonl").write_text(events)
        shutil.rmtree(self._outside(self.folder), ignore_errors=True)


def tail(log: Path, lines: int = 15) -> str:
    try:
        return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])
    except FileNotFoundError:
        return "(no log)"


def eyes() -> Login:
    """A login of the lab's own, with a new secret."""
    return Login(LAB_LOGIN, new_secret())

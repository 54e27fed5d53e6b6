"""The transports of text against what is not ours: OpenSSH's sshd, its ssh on a pty, baresip's console.

Behind sshd stands the twin of a Polycom, reached through a pty that echoes and turns every LF into CR LF; baresip
is a device of its own, driven by a grammar of a few lines. Needs root (sshd's user lives in a mount namespace),
openssh-server, openssh-client and baresip-core.
"""

import asyncio
import contextlib
import re
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from adapters.capabilities import Capability
from adapters.causes import ClearCause
from adapters.cli.endpoint import TextEndpoint
from adapters.cli.profile import Login, Profile
from adapters.cli.reply import Ask, Reply, Taken, nothing
from adapters.control.grammar import Grammar
from adapters.control.order import CallSeen, Order, Reports
from adapters.endpoints.polycom.adapter import PolycomEndpoint
from adapters.endpoints.polycom.profile import PROFILE
from adapters.endpoints.polycom.twin import PolycomTwin
from adapters.errors import LoginRefused, Unreachable
from adapters.events import LegConnected, LegRinging, SessionReady
from adapters.hostkeys import HostKeysInMemory
from adapters.registry import Surroundings
from adapters.values import Address, Control, DialOptions, Identity, LegState
from adapters.virtual.behavior import Behavior
from adapters.virtual.codec import Codec, dialer
from adapters.virtual.exchange import Exchange
from adapters.virtual.port import Port
from tests.peers.lab.endpoint import modules_folder
from tests.peers.lab.place import LabError, search_path
from tests.support.heard import Heard
from tests.support.port import free_port
from tests.unit.sip.stage import until

SECRET = "geheim-4711"
HASH = "$6$y4ApE3myA3yBv9uC$jKNgX.tvgm6QkPJhxYnwWYf1pHkwFJjhSHGKx.Zx3BfjnSMBsfYY1q0sbjRfzx8Y81zz.w9oCIjljZLsXYPCF1"
"""`SECRET` as /etc/shadow has it (sha512crypt)."""
USER = "codec"
LEG = "dc0a1b-1-2-1"
OPTIONS = DialOptions(ring_s=30)
QUICK = replace(PROFILE, pace=replace(PROFILE.pace, gap_s=0.0, busy_poll_s=0.2, retry_first_s=0.1))

RELAY = """\
import os, socket, threading
peer = socket.create_connection(("127.0.0.1", {port}))
def back():
    while data := peer.recv(65536):
        os.write(1, data)
    os._exit(0)
threading.Thread(target=back, daemon=True).start()
while data := os.read(0, 65536):
    peer.sendall(data)
"""

SSHD = """\
Port {port}
ListenAddress 127.0.0.1
HostKey {folder}/host_key
PidFile none
UsePAM no
PasswordAuthentication yes
KbdInteractiveAuthentication no
PermitRootLogin yes
StrictModes no
AuthorizedKeysFile {folder}/authorized_keys
ForceCommand {python} {folder}/relay.py
"""


def program(name: str, package: str) -> str:
    found = shutil.which(name, path=search_path())
    if found is None:
        raise LabError(f"the lab needs: apt-get install --no-install-recommends {package}")
    return found


@contextlib.asynccontextmanager
async def running(*command: str, ready: bytes = b"") -> AsyncIterator[asyncio.subprocess.Process]:
    """A child process, ended by its own id; `ready` is awaited on its stderr."""
    child = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    seen = b""
    try:
        assert child.stdout is not None
        async with asyncio.timeout(30):
            while ready not in seen:
                line = await child.stdout.readline()
                if not line:
                    raise LabError(f"{command[0]} ended: {seen.decode(errors='replace')}")
                seen += line
        draining = asyncio.ensure_future(child.stdout.read())
        yield child
    finally:
        with contextlib.suppress(ProcessLookupError):
            child.kill()
        await child.wait()
    draining.cancel()


@dataclass
class Scene:
    """A twin, whom it can call, and what was heard."""

    heard: Heard
    far: Codec
    codec: Codec
    twin: PolycomTwin
    keys: HostKeysInMemory

    @property
    def to(self) -> Address:
        return self.far.addresses[0]

    def surroundings(self) -> Surroundings:
        async def remember(leg: str, memory: Any) -> None:
            return

        return Surroundings(self.heard, remember, lambda: datetime.now(UTC), None, host_keys=self.keys)  # type: ignore[arg-type]


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    exchange = Exchange()
    port = Port(exchange, "virtual codec")
    place = await port.open("127.0.0.1")
    dial = dialer(port, exchange)
    far = Codec("room", dial, Behavior.parse("ring 0.2; answer"))
    far.addresses = (Address("sip", "room", *place),)
    exchange.settle(far, *far.addresses)
    codec = Codec("unit", dial, title="Boardroom")
    twin = PolycomTwin(codec, has_echo=False)
    await twin.start()
    yield Scene(Heard(30), far, codec, twin, HostKeysInMemory())
    await twin.stop()
    codec.close()
    far.close()
    await port.close()


@contextlib.asynccontextmanager
async def sshd(scene: Scene, folder: Path) -> AsyncIterator[int]:
    """OpenSSH with one user, whose every session is the twin's console."""
    keygen = program("ssh-keygen", "openssh-client")
    for name in ("host_key", "client_key"):
        if not (folder / name).exists():
            async with running(keygen, "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)) as child:
                await child.wait()
    port = free_port("127.0.0.1")
    (folder / "relay.py").write_text(RELAY.format(port=scene.twin.address[1]))
    (folder / "authorized_keys").write_text((folder / "client_key.pub").read_text())
    (folder / "sshd_config").write_text(SSHD.format(port=port, folder=folder, python=sys.executable))
    # the user exists only in this process's own view of /etc
    known = await asyncio.to_thread(Path("/etc/passwd").read_text)
    (folder / "passwd").write_text(known + f"{USER}:x:0:0::/:/bin/sh\n")
    (folder / "shadow").write_text(f"{USER}:{HASH}:19000:0:99999:7:::\n")
    mounts = (
        f"mount --bind {folder}/passwd /etc/passwd && mount --bind {folder}/shadow /etc/shadow && mkdir -p /run/sshd"
    )
    run = f"{mounts} && exec {program('sshd', 'openssh-server')} -D -e -f {folder}/sshd_config"
    async with running("unshare", "-m", "sh", "-c", run, ready=b"Server listening"):
        yield port


@pytest.fixture
def folder() -> Any:
    """A short path: it stands in command lines."""
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        yield Path(name)


async def whole_life(scene: Scene, endpoint: Any) -> None:
    identity = await endpoint.open()
    assert identity.model == "RealPresence Group 500"
    await endpoint.dial(LEG, scene.to, OPTIONS)
    await scene.heard.event(LegConnected, LEG)
    assert scene.heard.of(LegRinging)
    assert [(seen.leg, seen.state) for seen in await endpoint.snapshot()] == [(LEG, LegState.CONNECTED)]
    await endpoint.mute(True)
    assert scene.codec.is_muted
    await endpoint.hang_up(LEG)
    assert (await scene.heard.cleared(LEG)).cleared.cause is ClearCause.LOCAL
    await until(lambda: not scene.far.calls)


async def test_a_device_behind_openssh(scene: Scene, folder: Path) -> None:
    async with sshd(scene, folder) as port:
        control = Control("unit", "127.0.0.1", port, USER, SECRET, settings={"transport": "ssh"})
        endpoint = PolycomEndpoint(control, scene.surroundings(), QUICK)
        await whole_life(scene, endpoint)
        for console in list(scene.twin.consoles):  # the session ends, and is had again
            console.close()
        await scene.heard.until(lambda: scene.heard.of(SessionReady))
        await endpoint.close()
        wrong = PolycomEndpoint(replace(control, secret="wrong-secret"), scene.surroundings(), QUICK)
        with pytest.raises(LoginRefused):
            await wrong.open()
        pinned = HostKeysInMemory()
        other = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGtaZ2gzMEZ0bGhXa0l1eXVUbVl0bHg0Q0h6bVJvd2E="
        await pinned.pin(f"127.0.0.1:{port}", other)
        changed = PolycomEndpoint(control, replace(scene.surroundings(), host_keys=pinned), QUICK)
        with pytest.raises(Unreachable, match="another SSH host key"):
            await changed.open()


async def test_a_device_behind_a_jump_hosts_ssh(scene: Scene, folder: Path) -> None:
    async with sshd(scene, folder) as port:
        ssh = program("ssh", "openssh-client")
        (folder / "client_key").chmod(0o600)
        options = (
            f"-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR -i {folder}/client_key"
        )
        command = f"{ssh} -tt -F none {options} -p {{port}} {{user}}@{{host}}"
        control = Control("unit", "127.0.0.1", port, USER, "", settings={"transport": "console", "command": command})
        endpoint = PolycomEndpoint(control, scene.surroundings(), QUICK)
        await whole_life(scene, endpoint)
        await endpoint.close()
    gone = PolycomEndpoint(control, scene.surroundings(), QUICK)
    with pytest.raises(Unreachable, match="ended"):
        await gone.open()


# ---- baresip's console: a device that echoes key by key, redraws with CR, and logs whenever it likes

CONFIG = """\
poll_method epoll
sip_listen {ip}:{port}
audio_player aubridge,null
audio_source ausine,440
audio_alert aubridge,null
ausrc_srate 48000
ausrc_channels 2
net_interface {ip}
module_path {modules}
cons_listen {ip}:{console}
module g711.so
module ausine.so
module aubridge.so
module cons.so
module_tmp uuid.so
module_tmp account.so
module_app menu.so
"""
_CALL = re.compile(r">? *\[line (\d+)\] +[\d:]+ +([A-Z]+) +(?:\S+ +)?(sips?:\S+)")
_STATES = {
    "OUTGOING": LegState.DIALING,
    "RINGING": LegState.RINGING,
    "EARLY": LegState.RINGING,
    "ESTABLISHED": LegState.CONNECTED,
    "TERMINATED": LegState.CLEARED,
}


class _List(Reply):
    """`--- Active calls (n) ---` and n lines."""

    __slots__ = ("_left",)

    def __init__(self) -> None:
        super().__init__()
        self._left = -1

    def line(self, text: str) -> Taken:
        if match := re.search(r"--- Active calls \((\d+)\) ---", text):
            self._left = int(match[1])
        elif self._left > 0 and _CALL.search(text):
            self.lines.append(text)
            self._left -= 1
        else:
            return Taken.NOT_MINE
        return Taken.MORE if self._left else Taken.DONE


class BaresipGrammar(Grammar):
    """What its menu takes: `/dial`, `/hangup`, `/listcalls`."""

    def identity(self) -> Sequence[Order[Identity]]:
        return ()

    def calls(self) -> Order[Sequence[CallSeen]]:
        def read(lines: Sequence[str]) -> Sequence[CallSeen]:
            found = [match for line in lines if (match := _CALL.search(line))]
            return [CallSeen(match[1], _STATES[match[2]], match[3], True) for match in found]

        return Ask("/listcalls", _List(), read)

    def dial(self, to: Address, options: DialOptions) -> Order[str]:
        return Ask(f"/dial {to}", Reply(quiet_s=0.2), lambda lines: "", changes=True)

    def hang_up(self, call: str) -> Order[object]:
        return Ask("/hangup", Reply(quiet_s=0.2), nothing, changes=True)

    def heard(self, line: str) -> Reports | None:
        return ()


class BaresipConsole(TextEndpoint):
    """A baresip, by its console."""

    family = "baresip"
    capabilities = frozenset({Capability.DIAL, Capability.SIP, Capability.STATUS})
    tells_changes = False


async def test_a_baresip_is_driven_by_its_console(scene: Scene, folder: Path) -> None:
    ip, console = "127.0.0.1", free_port("127.0.0.1")
    text = CONFIG.format(ip=ip, port=free_port(ip), console=console, modules=modules_folder())
    (folder / "config").write_text(text)
    (folder / "accounts").write_text(f'"unit" <sip:unit@{ip}>;regint=0;answermode=manual;audio_codecs=pcmu\n')
    (folder / "contacts").write_text("")
    profile = Profile(ports={"telnet": 5555}, login=Login(), eol=b"\n", pace=replace(QUICK.pace, gap_s=0.1))
    async with running(program("baresip", "baresip-core"), "-4", "-f", str(folder), ready=b"baresip is ready"):
        endpoint = BaresipConsole(Control("baresip", ip, console), scene.surroundings(), profile, BaresipGrammar)
        await endpoint.open()
        await endpoint.dial(LEG, scene.to, OPTIONS)
        await scene.heard.event(LegConnected, LEG)
        await until(lambda: scene.far.calls_up)
        (call,) = (await endpoint.status()).calls
        assert (call.leg, call.state) == (LEG, LegState.CONNECTED)
        await endpoint.hang_up(LEG)
        assert (await scene.heard.cleared(LEG)).cleared.cause is ClearCause.LOCAL
        await until(lambda: not scene.far.calls)
        await endpoint.close()

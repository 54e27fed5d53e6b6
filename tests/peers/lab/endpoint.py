"""One SIP endpoint: a baresip process at its own address, told what to do and counted."""

import asyncio
import contextlib
import itertools
import json
import socket
from dataclasses import dataclass, field
from pathlib import Path

from tests.peers.lab.asterisk import free_or_raise, tail
from tests.peers.lab.place import LabError
from tests.peers.lab.process import Child, Ledger
from tests.peers.lab.trace import Seen, read
from tests.peers.lab.watch import Watch

SIP_PORT = 5060
TLS_PORT = SIP_PORT + 1
CONTROL_PORT = 4444
READY_S = 30.0
ANSWER_S = 10.0
CALLS_S = 30.0  # for as many calls as are waited for
SOUND_S = 30.0

# ausine speaks 48 kHz stereo only; aufile would end the call with its file.
CONFIG = """\
poll_method epoll
call_local_timeout 180
call_max_calls 10
sip_listen {ip}:{port}
audio_path /usr/share/baresip
audio_player aubridge,null
audio_source ausine,{tone}
audio_alert aubridge,null
ausrc_srate 48000
ausrc_channels 2
auplay_srate 8000
auplay_channels 1
ausrc_format s16
auplay_format s16
auenc_format s16
audec_format s16
audio_buffer 20-160
net_interface {ip}
rtp_ports 10000-19998
rtcp_mux no
rtp_stats yes
statmode_default off
module_path {modules}
ctrl_tcp_listen {ip}:{control}
module g711.so
module ausine.so
module aubridge.so
module_tmp uuid.so
module_tmp account.so
module_app menu.so
module_app ctrl_tcp.so
"""

# TLS is taken on the next port once there is a certificate; one file holds it and its key.
TLS_CONFIG = """\
sip_certificate {pem}
sip_cafile {ca}
sip_verify_server yes
"""


def modules_folder() -> Path:
    """Where the package keeps the modules: with the architecture's name or without."""
    for found in (Path("/usr/lib/baresip/modules"), *sorted(Path("/usr/lib").glob("*/baresip/modules"))):
        if found.is_dir():
            return found
    raise LabError("baresip has no modules here: apt-get install --no-install-recommends baresip-core")


@dataclass
class Call:
    """A call as the endpoint tells of it; `heard` and `sent` are RTP packets by its RTCP."""

    ident: str
    incoming: bool
    peer: str
    established: bool = False
    closed: str | None = None
    sent: int = 0
    heard: int = 0


@dataclass
class Endpoint:
    """A codec of the lab. `mode` is `auto` (answers at once) or `manual` (rings until `accept`)."""

    name: str
    ip: str
    ledger: Ledger
    folder: Path
    logs: Path
    mode: str = "auto"
    tone: int = 440
    account: str = ""  # its line in `accounts`; empty: nobody registers
    tls: tuple[Path, Path, Path] | None = None  # certificate, key, CA file
    child: Child | None = None
    calls: dict[str, Call] = field(default_factory=dict)
    events: Watch[dict[str, object]] = field(default_factory=Watch)

    def __post_init__(self) -> None:
        self._ids = itertools.count(1)
        self._replies: dict[str, asyncio.Future[dict[str, object]]] = {}
        self._reader: asyncio.Task[None] | None = None
        self._writer: asyncio.StreamWriter | None = None

    @property
    def address(self) -> str:
        return f"sip:{self.name}@{self.ip}:{SIP_PORT}"

    @property
    def log(self) -> Path:
        return self.logs / f"endpoint-{self.name}.log"

    async def start(self) -> None:
        """Returns when it answers orders. Raises LabError."""
        free_or_raise(socket.SOCK_DGRAM, self.ip, SIP_PORT, self.name)
        for port in (SIP_PORT, *([TLS_PORT] if self.tls else []), CONTROL_PORT):
            free_or_raise(socket.SOCK_STREAM, self.ip, port, self.name)
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "config").write_text(
            CONFIG.format(ip=self.ip, port=SIP_PORT, control=CONTROL_PORT, tone=self.tone, modules=modules_folder())
        )
        if self.tls is not None:
            certificate, key, ca = self.tls
            pem = self.folder / "sip.pem"
            pem.write_bytes(certificate.read_bytes() + key.read_bytes())
            with (self.folder / "config").open("a") as config:
                config.write(TLS_CONFIG.format(pem=pem, ca=ca))
        account = self.account or f"<sip:{self.name}@{self.ip}>;regint=0"
        account += f";answermode={self.mode};audio_codecs=pcmu,pcma\n"
        (self.folder / "accounts").write_text(account)
        (self.folder / "contacts").write_text("")
        self.child = self.ledger.start(
            f"endpoint-{self.name}", ("baresip", "-4", "-s", "-f", str(self.folder)), self.log
        )
        try:
            async with asyncio.timeout(READY_S):
                while not await self._connect():
                    if not self.child.alive:
                        raise LabError(f"{self.name} ended while starting:\n{tail(self.log)}")
                    await asyncio.sleep(0.05)
        except TimeoutError:
            raise LabError(f"{self.name} was not up within {READY_S:g} s:\n{tail(self.log)}") from None

    async def _connect(self) -> bool:
        try:
            reader, self._writer = await asyncio.open_connection(self.ip, CONTROL_PORT)
        except OSError:
            return False
        self._reader = asyncio.create_task(self._read(reader))
        return True

    async def _read(self, reader: asyncio.StreamReader) -> None:
        """Netstrings of JSON, until the process ends."""
        while True:
            try:
                length = int((await reader.readuntil(b":"))[:-1])
                body = (await reader.readexactly(length + 1))[:-1]
            except (asyncio.IncompleteReadError, ConnectionError):
                return
            fact = json.loads(body)
            self._take(fact)

    def _take(self, fact: dict[str, object]) -> None:
        if fact.get("response"):
            future = self._replies.get(str(fact.get("token")))
            if future is not None and not future.done():
                future.set_result(fact)
            return
        ident = str(fact.get("id", ""))
        if ident:
            call = self.calls.setdefault(
                ident, Call(ident, fact.get("direction") == "incoming", str(fact.get("peeruri", "")))
            )
            kind = fact.get("type")
            if kind == "CALL_ESTABLISHED":
                call.established = True
            elif kind == "CALL_CLOSED":
                call.closed = str(fact.get("param", ""))
            elif kind == "CALL_RTCP":
                stats = fact.get("rtcp_stats")
                if isinstance(stats, dict):
                    call.sent = max(call.sent, int(stats.get("tx", {}).get("sent", 0)))
                    call.heard = max(call.heard, int(stats.get("rx", {}).get("sent", 0)))
        self.events.add(fact)

    async def order(self, command: str, params: str = "") -> str:
        """Give an order; returns what it says. Raises LabError when it is refused."""
        if self._writer is None:
            raise LabError(f"{self.name} is not running")
        token = f"t{next(self._ids)}"
        future: asyncio.Future[dict[str, object]] = asyncio.get_running_loop().create_future()
        self._replies[token] = future
        body = json.dumps({"command": command, "params": params, "token": token}).encode()
        self._writer.write(b"%d:%s," % (len(body), body))
        try:
            async with asyncio.timeout(ANSWER_S):
                answer = await future
        except TimeoutError:
            raise LabError(f"{self.name} did not take the order {command!r}") from None
        finally:
            del self._replies[token]
        if not answer.get("ok"):
            raise LabError(f"{self.name} refused {command!r}: {str(answer.get('data')).strip()}")
        return str(answer.get("data", ""))

    @property
    def living(self) -> list[Call]:
        """Calls that are up."""
        return [call for call in self.calls.values() if call.established and call.closed is None]

    @property
    def ringing(self) -> list[Call]:
        """Calls that came in and wait for somebody to accept them."""
        return [call for call in self.calls.values() if call.incoming and not call.established and call.closed is None]

    async def set_mode(self, mode: str) -> None:
        await self.order("answermode", mode)
        self.mode = mode

    async def accept(self) -> None:
        await self.order("accept")

    async def hang_up(self) -> None:
        """As the person in the room would."""
        await self.order("hangup")

    async def dial(self, address: str) -> None:
        await self.order("dial", address)

    def seen(self) -> Seen:
        """What its own trace tells, since it was first started."""
        return read(self.log.read_bytes(), f"{self.ip}:{SIP_PORT}") if self.log.exists() else Seen()

    async def active_calls(self) -> int:
        """Calls it has now, by its own list."""
        text = await self.order("listcalls")
        return sum("[line " in line for line in text.splitlines())

    async def until_calls(self, number: int = 0) -> None:
        """Wait until it has so many calls, by its own list."""
        async with asyncio.timeout(CALLS_S):
            while await self.active_calls() != number:  # noqa: ASYNC110 - its list tells of no event
                await asyncio.sleep(0.1)

    async def until_sound(self) -> None:
        """Wait until sound comes and goes in a call."""
        told = f"sound both ways at {self.name}"
        await self.events.until(told, lambda: any(call.sent and call.heard for call in self.living), SOUND_S)

    async def cut_power(self) -> None:
        """Gone without a goodbye; its calls are over as far as it knows."""
        if self.child is not None:
            self.child.kill()
        await self._forget("power cut")

    async def stop(self) -> None:
        if self.child is not None:
            await asyncio.to_thread(self.child.stop)
        await self._forget("stopped")

    async def _forget(self, why: str) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None
        if self._reader is not None:
            self._reader.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._reader
        for call in self.calls.values():
            if call.closed is None:
                call.closed = why
        self.events.wake()

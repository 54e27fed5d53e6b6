"""Twins of devices with a text console: servers on real sockets, by telnet or SSH, with one script.

A family derives from `TextTwin` and has three things to say: what a new console sees (`greet`), what a line that
a client sent does and answers (`took`), and what consoles are told when a call changes (`changed`). Faults are
scripted beside it (`adapters.control.fault`).
"""

import asyncio
import contextlib
from typing import Any, ClassVar

from adapters.control.fault import Faults
from adapters.control.twin import Twin
from adapters.virtual.codec import Codec

MOST_INPUT = 65_536
_IAC = 0xFF


class Console:
    """One session of a client with a twin."""

    def __init__(self, twin: "TextTwin", transport: Any, *, is_logged_in: bool) -> None:
        self.twin = twin
        self.is_logged_in = is_logged_in
        self.stage = ""
        """Where the log-in stands; the twin's own."""
        self.notes: set[str] = set()
        """What the twin remembers of this session: registrations, echo."""
        self.is_open = True
        self._transport = transport
        self._input = bytearray()
        self._iac = 0
        self._queue: asyncio.Queue[bytes] | None = None
        self._writer: asyncio.Task[None] | None = None
        self.kind = ""  # the fault that meets the present command
        self._said: list[bytes] = []

    # ---- to the client

    def say(self, *lines: str) -> None:
        """Lines of a reply, or of nobody's asking, each with the device's line end."""
        noise = self.twin.faults.noise
        for count, line in enumerate(lines):
            if noise and count:
                self.send("".join(n + self.twin.eol for n in noise).encode())
            self.send((line + self.twin.eol).encode())
        if noise and len(lines) == 1:
            self.send("".join(n + self.twin.eol for n in noise).encode())

    def send(self, data: bytes) -> None:
        """Bytes as they are; a prompt, say."""
        if self.kind:
            self._said.append(data)
        else:
            self._put(data)

    def _put(self, data: bytes) -> None:
        if not self.is_open or self.twin.faults.is_deaf:
            return
        if not self.twin.faults.piece and self._queue is None:
            self._transport.write(data)
            return
        if self._queue is None:
            self._queue = asyncio.Queue()
            self._writer = asyncio.get_running_loop().create_task(self._drip())
        self._queue.put_nowait(data)

    async def _drip(self) -> None:
        assert self._queue is not None
        while self.is_open:
            data = await self._queue.get()
            step = self.twin.faults.piece or len(data)
            for start in range(0, len(data), step):
                self._transport.write(data[start : start + step])
                await asyncio.sleep(0)

    def close(self) -> None:
        """The device ends the session."""
        if self.is_open:
            self.is_open = False
            if self._writer is not None:
                self._writer.cancel()
            self._transport.close()
            self.twin.consoles.discard(self)

    # ---- from the client

    def received(self, data: bytes) -> None:
        self.twin.heard_bytes += len(data)
        for byte in data:
            if self._iac or byte == _IAC:
                self._skip(byte)
            elif byte in b"\r\n":
                # \r\n is one end; an empty line is one, too
                if byte == 10 and self._last == 13:
                    self._last = 0
                    continue
                self._last = byte
                line = self._input.decode("utf-8", "replace")
                self._input.clear()
                self._took(line)
            else:
                self._last = 0
                self._input.append(byte)
                if len(self._input) > MOST_INPUT:
                    self.close()
            if not self.is_open:
                return

    _last = 0

    def _skip(self, byte: int) -> None:
        """Pass over a telnet command: IAC x, IAC WILL x, IAC SB ... IAC SE."""
        if self._iac == 0:
            self._iac = 1
        elif self._iac == 1:
            self._iac = {250: 3}.get(byte, 2 if byte in (251, 252, 253, 254) else 0)
        elif self._iac == 2:
            self._iac = 0
        elif self._iac == 3:
            self._iac = 4 if byte == _IAC else 3
        else:
            self._iac = 0 if byte == 240 else 3

    def _took(self, line: str) -> None:
        twin = self.twin
        if twin.faults.is_deaf:
            return
        if not self.is_logged_in:
            twin.log_in(self, line)
            return
        if line.strip():
            twin.commands.append(line.strip())
        self.kind = twin.faults.take(line.strip()) if line.strip() else ""
        kind = self.kind
        if kind == "reset":
            self.close()
            return
        if kind == "reboot":
            twin.reboot()
            return
        if kind == "refuse":
            self.kind = ""
            twin.does_not_know(self, line)
            return
        if kind != "ignore":
            twin.took(self, line)
        self.kind, said, self._said = "", b"".join(self._said), []
        if kind == "cut":
            self._put(said[: max(1, len(said) // 2)])
        elif kind == "garble":
            self._put(bytes(byte ^ 5 if chr(byte).isalnum() else byte for byte in said))
        elif kind == "drop":
            self.close()


class TextTwin(Twin):
    """One device with a text console."""

    eol: ClassVar[str] = "\r\n"
    opening: ClassVar[bytes] = b""
    """Sent before anything else on telnet: negotiation."""

    def __init__(self, codec: Codec, *, secret: str = "", username: str = "", faults: Faults | None = None) -> None:
        super().__init__(codec, secret=secret, username=username, faults=faults)
        self.consoles: set[Console] = set()
        self.key: Any = None  # of its SSH server; made with the first start, and kept
        self._server: Any = None
        self._transport = "telnet"

    # ---- what a family says

    def greet(self, console: Console) -> None:
        """A new console; over SSH it is logged in already."""
        raise NotImplementedError

    def log_in(self, console: Console, line: str) -> None:
        """A line before the log-in is over; set `console.is_logged_in` when it is."""
        raise NotImplementedError

    def took(self, console: Console, line: str) -> None:
        """A command."""
        raise NotImplementedError

    def does_not_know(self, console: Console, line: str) -> None:
        """A command that this firmware has not."""
        raise NotImplementedError

    # ---- life

    async def start(self, host: str = "127.0.0.1", port: int = 0, transport: str = "telnet") -> tuple[str, int]:
        """Listen. Raises OSError."""
        self._transport = transport
        if transport == "ssh":
            await self._start_ssh(host, port)
        else:
            loop = asyncio.get_running_loop()
            self._server = await loop.create_server(lambda: _Plain(self), host, port, backlog=2048)
        self.is_up = True
        found = self._server.sockets[0].getsockname()
        self.address = (found[0], found[1])
        return self.address

    async def _start_ssh(self, host: str, port: int) -> None:
        import asyncssh

        if self.key is None:
            self.key = asyncssh.generate_private_key("ssh-ed25519")
        self._server = await asyncssh.create_server(
            lambda: _ssh_server(self), host, port, server_host_keys=[self.key], encoding=None, line_editor=False
        )

    async def stop(self) -> None:
        """Drop every console and listen no more. Safe to repeat; `start` may follow."""
        self.is_up = False
        server, self._server = self._server, None
        if server is not None:
            server.close()
        self.drop_consoles()
        if server is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(1):
                    await server.wait_closed()

    async def come_back(self) -> None:
        await self.start(*self.address, transport=self._transport)

    def drop_consoles(self) -> None:
        for console in list(self.consoles):
            console.close()

    def took_console(self, transport: Any, *, is_logged_in: bool = False) -> Console:
        console = Console(self, transport, is_logged_in=is_logged_in)
        self.consoles.add(console)
        if not is_logged_in and self.opening and not self.faults.is_deaf:
            transport.write(self.opening)
        if not self.faults.is_deaf:
            self.greet(console)
        return console

    def logged_in(self) -> list[Console]:
        """The consoles that unsolicited lines go to."""
        return [console for console in self.consoles if console.is_logged_in]


class _Plain(asyncio.Protocol):
    def __init__(self, twin: TextTwin) -> None:
        self._twin = twin
        self._console: Console | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if not self._twin.is_up:
            transport.close()
            return
        self._console = self._twin.took_console(transport)

    def data_received(self, data: bytes) -> None:
        if self._console is not None and self._console.is_open:
            self._console.received(data)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._console is not None:
            self._console.close()


def _ssh_server(twin: TextTwin) -> Any:
    import asyncssh

    class Shell(asyncssh.SSHServerSession[bytes]):
        console: Console | None = None
        channel: Any = None

        def connection_made(self, chan: Any) -> None:
            self.channel = chan

        def pty_requested(self, term_type: str, term_size: Any, term_modes: Any) -> bool:
            return True

        def shell_requested(self) -> bool:
            return True

        def session_started(self) -> None:
            self.console = twin.took_console(self.channel, is_logged_in=True)

        def data_received(self, data: bytes, datatype: Any) -> None:
            if self.console is not None and self.console.is_open:
                self.console.received(data)

        def connection_lost(self, exc: Exception | None) -> None:
            if self.console is not None:
                self.console.close()

    class Server(asyncssh.SSHServer):
        def begin_auth(self, username: str) -> bool:
            return True

        def password_auth_supported(self) -> bool:
            return True

        def validate_password(self, username: str, password: str) -> bool:
            is_right = (username, password) == (twin.username, twin.secret)
            twin.log_ins += is_right
            twin.refusals += not is_right
            return is_right

        def session_requested(self) -> Any:
            return Shell()

    return Server()

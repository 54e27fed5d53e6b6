"""The transport `telnet`: TCP, with RFC 854 negotiation by telnetlib3 for devices that negotiate.

telnetlib3's writer takes 16 KB and looks at every byte for 3.5 us (measured, 5.0.1). So its option engine is made
when the first IAC comes and given only the bytes of commands; a device that never negotiates (most do not) costs a
socket (docs/decisions/0010-text-conversations.md).
"""

import asyncio
import socket
from typing import Any

from adapters.cli.wire import Receiver, Target

_IAC = 0xFF
_GATHER_S = 0.005
_MOST_COMMANDS = 10_000
"""Bytes of negotiation in one session; a device that sends more is playing ping-pong with us."""


class TelnetWire(asyncio.Protocol):
    """One telnet session."""

    __slots__ = ("_commands", "_engine", "_gone", "_receiver", "_target", "_transport")

    def __init__(self, target: Target, receiver: Receiver) -> None:
        self._target = target
        self._receiver: Receiver | None = receiver
        self._transport: asyncio.Transport | None = None
        self._gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._engine: Any = None
        self._commands = 0

    @classmethod
    async def open(cls, target: Target, receiver: Receiver) -> "TelnetWire":
        """Connect. Raises OSError."""
        loop = asyncio.get_running_loop()
        _, wire = await loop.create_connection(lambda: cls(target, receiver), target.host, target.port)
        return wire

    # ---- asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        sock = transport.get_extra_info("socket")
        if sock is not None:  # a device that lost its power is noticed in two minutes, not in two hours
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            if hasattr(socket, "TCP_KEEPIDLE"):
                for option, value in ((socket.TCP_KEEPIDLE, 60), (socket.TCP_KEEPINTVL, 15), (socket.TCP_KEEPCNT, 4)):
                    sock.setsockopt(socket.IPPROTO_TCP, option, value)

    def data_received(self, data: bytes) -> None:
        if self._engine is not None or _IAC in data:
            data = self._negotiate(data)
        if data and self._receiver is not None and self._receiver.received(data):
            # A device that drips wakes us once a moment, not once a byte.
            assert self._transport is not None
            if not self._transport.is_closing():
                self._transport.pause_reading()
                asyncio.get_running_loop().call_later(_GATHER_S, self._go_on)

    def _go_on(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._gone.done():
            self._gone.set_result(None)
        if self._receiver is not None:
            why = (getattr(exc, "strerror", None) or str(exc)) if exc else "the device closed the connection"
            receiver, self._receiver = self._receiver, None
            receiver.lost(why)

    # ---- negotiation

    def _negotiate(self, data: bytes) -> bytes:
        """Answer the commands in `data` and give what is left."""
        if self._engine is None:
            self._engine = _engine(self, self._target.terminal)
        engine = self._engine
        plain = bytearray()
        place = 0
        while place < len(data):
            is_inside = engine.iac_received or engine.cmd_received in _LONG
            if not is_inside:
                command = data.find(_IAC, place)
                plain += data[place : command if command >= 0 else None]
                if command < 0:
                    break
                place = command
            self._commands += 1
            if self._commands > _MOST_COMMANDS:
                self._give_up(f"more than {_MOST_COMMANDS} bytes of telnet negotiation")
                break
            try:
                if engine.feed_byte(data[place : place + 1]):
                    plain += data[place : place + 1]
            except Exception as error:  # whatever telnetlib3 trips over, its words and not its kind are what counts
                self._give_up(f"telnet negotiation that cannot be read: {error}")
                break
            place += 1
        return bytes(plain)

    def _give_up(self, why: str) -> None:
        receiver, self._receiver = self._receiver, None
        if self._transport is not None:
            self._transport.abort()
        if receiver is not None:
            receiver.lost(why)

    # ---- Wire

    def write(self, data: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data.replace(b"\xff", b"\xff\xff"))

    async def close(self) -> None:
        self._receiver = None
        if self._transport is not None:
            self._transport.close()
            try:
                async with asyncio.timeout(1):
                    await asyncio.shield(self._gone)
            except TimeoutError:  # something unsent is stuck in it
                self._transport.abort()


_LONG = (b"\xfd", b"\xfe", b"\xfb", b"\xfc", b"\xfa")


class _Nobody:
    """Takes whatever telnetlib3 tells its protocol."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):  # its private counters, which it does without
            raise AttributeError(name)
        return lambda *arguments, **named: None


def _engine(wire: TelnetWire, terminal: str) -> Any:
    from telnetlib3.stream_writer import TelnetWriter
    from telnetlib3.telopt import NAWS, NEW_ENVIRON, TSPEED, TTYPE, XDISPLOC

    transport: Any = wire._transport
    engine: Any = TelnetWriter(transport, _Nobody(), client=True)
    engine.set_ext_send_callback(TTYPE, lambda: terminal)
    engine.set_ext_send_callback(NAWS, lambda: (25, 80))
    engine.set_ext_send_callback(NEW_ENVIRON, lambda keys: {})
    engine.set_ext_send_callback(TSPEED, lambda: (38400, 38400))
    engine.set_ext_send_callback(XDISPLOC, lambda: "")
    return engine

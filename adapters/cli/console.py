"""The transport `console`: a command on a pty of its own (a jump host's ssh, a program on a serial line).

pexpect makes the pty and ends the command; both wait and sleep, so both run in a thread. What comes
is read by the event loop.
"""

import asyncio
import os
import shlex
from contextlib import suppress
from typing import Any

import pexpect

from adapters.cli.wire import Receiver, Target
from adapters.errors import Rejected

_CHUNK = 65536
_LIKE = "expected like: ssh -t jump telnet {host} {port}"


class ConsoleWire:
    """One running command."""

    def __init__(self, child: Any, receiver: Receiver) -> None:
        self._child = child
        self._receiver: Receiver | None = receiver
        self._loop = asyncio.get_running_loop()
        self._unsent = bytearray()
        self._fd: int = child.child_fd
        self._is_read = True
        os.set_blocking(self._fd, False)
        self._loop.add_reader(self._fd, self._read)

    @classmethod
    async def open(cls, target: Target, receiver: Receiver) -> "ConsoleWire":
        """Start the command; `{host}`, `{port}` and `{user}` in it are filled in. Raises OSError, Rejected."""
        words = _words(target)
        try:
            child = await asyncio.to_thread(
                pexpect.spawn, words[0], words[1:], timeout=None, echo=False, dimensions=(25, 200)
            )
        except pexpect.ExceptionPexpect as error:
            raise OSError(None, str(error).splitlines()[0]) from None
        child.delaybeforesend = None
        return cls(child, receiver)

    def _read(self) -> None:
        try:
            data = os.read(self._fd, _CHUNK)
        except BlockingIOError:
            return
        except OSError:  # EIO: the command's side of the pty is closed
            data = b""
        if not data:
            self._stop_reading()
            if self._receiver is not None:
                receiver, self._receiver = self._receiver, None
                receiver.lost(f"{self._child.command} has ended")
        elif self._receiver is not None:
            self._receiver.received(data)

    def _stop_reading(self) -> None:
        if self._is_read:
            self._is_read = False
            self._loop.remove_reader(self._fd)
            self._loop.remove_writer(self._fd)

    # ---- Wire

    def write(self, data: bytes) -> None:
        if self._is_read:
            self._unsent += data
            self._flush()

    def _flush(self) -> None:
        with suppress(BlockingIOError, OSError):
            while self._unsent:
                del self._unsent[: os.write(self._fd, self._unsent)]
        if self._unsent:
            self._loop.add_writer(self._fd, self._flush)
        else:
            self._loop.remove_writer(self._fd)

    async def close(self) -> None:
        self._receiver = None
        self._stop_reading()
        child, self._child = self._child, None
        if child is not None:
            await asyncio.to_thread(_end, child)


def _words(target: Target) -> list[str]:
    places = {"host": target.host, "port": str(target.port), "user": target.username}
    try:
        words = [word.format_map(places) for word in shlex.split(target.command)]
    except (ValueError, LookupError, AttributeError) as error:
        raise Rejected(target.device, "open", f"'command' cannot be read ({error}); {_LIKE}") from None
    if not words:
        raise Rejected(target.device, "open", f"'command' is empty; {_LIKE}")
    return words


def _end(child: Any) -> None:
    with suppress(pexpect.ExceptionPexpect, OSError):
        child.close(force=True)

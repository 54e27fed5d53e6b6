"""The console: a command on a pty, read by the event loop, ended off it."""

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from adapters.cli.console import ConsoleWire
from adapters.cli.wire import Target
from adapters.errors import Rejected
from adapters.hostkeys import HostKeysInMemory
from tests.unit.cli.ears import Ears

SERIAL = """
import sys
sys.stdout.write("user " + " at ".join(sys.argv[1:]) + "> "); sys.stdout.flush()
for line in sys.stdin:
    if line.strip() == "exit": break
    sys.stdout.write("you said " + line); sys.stdout.flush()
"""


@pytest.fixture
async def serial(tmp_path: Path) -> AsyncIterator[str]:
    program = tmp_path / "serial.py"
    program.write_text(SERIAL)
    yield f"{sys.executable} {program} {{user}} {{host}}:{{port}}"


def target(command: str) -> Target:
    return Target("unit", "127.0.0.9", 2001, "admin", "", HostKeysInMemory(), command=command)


async def test_a_command_is_spoken_to_and_what_it_says_is_heard(serial: str) -> None:
    ears = Ears()
    wire = await ConsoleWire.open(target(serial), ears)
    await ears.until(b"user admin at 127.0.0.9:2001> ")
    wire.write(b"xin chao\r")
    await ears.until(b"you said xin chao")
    wire.write(b"exit\r")
    async with asyncio.timeout(10):
        assert "has ended" in await ears.reason
    wire.write(b"nobody hears this\r")
    await wire.close()
    await wire.close()


async def test_closing_ends_the_command_and_keeps_the_loop_free(serial: str) -> None:
    ears = Ears()
    wire = await ConsoleWire.open(target(serial), ears)
    await ears.until(b"> ")
    child = wire._child
    closing = asyncio.ensure_future(wire.close())
    turns = 0
    while not closing.done():
        await asyncio.sleep(0)
        turns += 1
    assert turns > 1, "the loop turned while the command was ended"
    assert not child.isalive() and not ears.reason.done()


async def test_a_command_that_is_none_says_which() -> None:
    with pytest.raises(OSError, match="no-such-program"):
        await ConsoleWire.open(target("no-such-program --at {host}"), Ears())
    with pytest.raises(Rejected, match="expected like"):
        await ConsoleWire.open(target("  "), Ears())
    with pytest.raises(Rejected, match="command"):
        await ConsoleWire.open(target("ssh {nobody}"), Ears())
    with pytest.raises(Rejected, match="command"):
        await ConsoleWire.open(target("ssh 'unfinished"), Ears())

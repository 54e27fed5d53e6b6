"""Telnet: negotiation is answered (RFC 854), what is left is text, at any split; devices without it cost nothing."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from adapters.cli.telnet import TelnetWire
from adapters.cli.wire import Target
from adapters.hostkeys import HostKeysInMemory
from tests.unit.cli.ears import Ears

CISCO = bytes.fromhex("fffd18 fffd20 fffd23 fffd27")
"""What a Cisco TC opens with: DO TERMINAL-TYPE, TSPEED, XDISPLOC, NEW-ENVIRON (endpoint notes)."""
WONT, WILL, DO, DONT, SB = 0xFC, 0xFB, 0xFD, 0xFE, 0xFA

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def device(serve: Serve) -> AsyncIterator[Target]:
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    yield Target("unit", host, port, "", "", HostKeysInMemory())
    server.close()


def answers(data: bytes) -> dict[int, int]:
    """Option -> verb of each three-byte command."""
    found, place = {}, 0
    while place < len(data):
        assert data[place] == 0xFF, data
        if data[place + 1] == SB:
            place = data.index(b"\xff\xf0", place) + 2
            continue
        found[data[place + 2]] = data[place + 1]
        place += 3
    return found


@pytest.mark.parametrize("piece", [1, 2, 5, 1000])
async def test_every_request_is_answered_and_only_text_is_left(piece: int) -> None:
    said: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
    opening = CISCO + b"\r\nlog\xff\xf1in: \xff\xffy"  # a NOP in the middle, and an escaped 255

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for start in range(0, len(opening), piece):
            writer.write(opening[start : start + piece])
            await writer.drain()
            await asyncio.sleep(0)
        said.set_result(await reader.readexactly(12))
        writer.close()

    async with device(serve) as target:
        ears = Ears()
        wire = await TelnetWire.open(target, ears)
        await ears.until(b"login: \xffy")
        assert bytes(ears.data) == b"\r\nlogin: \xffy"
        async with asyncio.timeout(10):
            verbs = answers(await said)
        assert set(verbs) == {0x18, 0x20, 0x23, 0x27} and set(verbs.values()) <= {WILL, WONT}
        await wire.close()


async def test_the_terminal_type_is_told_when_asked() -> None:
    """As Sony's and Cisco's telnet ask (RFC 1091): DO TTYPE, then SB TTYPE SEND."""
    told: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(bytes.fromhex("fffd18"))
        assert await reader.readexactly(3) == bytes.fromhex("fffb18")
        writer.write(bytes.fromhex("fffa1801fff0"))
        told.set_result(await reader.readuntil(b"\xff\xf0"))
        writer.write(b"\xff\xfb\x01\xff\xfb\x03CNTR>")
        await reader.read()
        writer.close()

    async with device(serve) as target:
        ears = Ears()
        wire = await TelnetWire.open(target, ears)
        async with asyncio.timeout(10):
            assert await told == b"\xff\xfa\x18\x00ANSI\xff\xf0"
        await ears.until(b"CNTR>")
        await wire.close()


async def test_a_device_that_negotiates_nothing_makes_no_engine_and_gets_255_escaped() -> None:
    heard: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"hello\r\n")
        heard.set_result(await reader.readexactly(4))
        writer.close()

    async with device(serve) as target:
        ears = Ears()
        wire = await TelnetWire.open(target, ears)
        await ears.until(b"hello")
        wire.write(b"a\xffb")
        async with asyncio.timeout(10):
            assert await heard == b"a\xff\xffb"
            assert "closed" in await ears.reason
        assert wire._engine is None
        await wire.close()


async def test_a_device_that_negotiates_for_ever_is_dropped() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            while True:
                writer.write(CISCO * 500)
                await writer.drain()
                if not await reader.read(65536):
                    raise ConnectionError
        writer.close()

    async with device(serve) as target:
        ears = Ears()
        await TelnetWire.open(target, ears)
        async with asyncio.timeout(20):
            await ears.reason
        assert not ears.data


async def test_nobody_there_says_so() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        target = Target("unit", *taken.getsockname(), "", "", HostKeysInMemory())
        with pytest.raises(OSError):
            await TelnetWire.open(target, Ears())

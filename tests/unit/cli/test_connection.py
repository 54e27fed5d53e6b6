"""One conversation: the log-in in its odd forms, and replies that are late, doubled, endless or none."""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from adapters.cli.connection import Connection
from adapters.cli.profile import SECRET, USER, Login, Profile, Prompt
from adapters.cli.reply import MOST_LINES, Ask, Reply, nothing
from adapters.cli.wire import Target
from adapters.control.pace import Pace
from adapters.errors import (
    Busy,
    Garbled,
    LoginRefused,
    NotSupported,
    OutcomeUnknown,
    Rejected,
    SessionLost,
    Unreachable,
)
from adapters.hostkeys import HostKeysInMemory
from adapters.trace import Trace

SECRET_WORD = "geheim-0815"
LOGIN = Login(
    done=re.compile("Welcome"),
    prompts=(
        Prompt(USER, re.compile(rb"\s*login: ?")),
        Prompt(SECRET, re.compile(rb"\s*password: ?", re.IGNORECASE)),
        Prompt("menu", re.compile(rb"choose\? ?")),
    ),
    refused=re.compile("Login incorrect"),
    away=re.compile("still booting"),
    says={"menu": "1"},
)
PROFILE = Profile(ports={"telnet": 23}, login=LOGIN, eol=b"\r\n", pace=Pace(open_s=5.0, reply_s=5.0))


@asynccontextmanager
async def device(
    script: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
) -> AsyncIterator[Target]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await script(reader, writer)
        except (asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    yield Target("unit", host, port, "admin", SECRET_WORD, HostKeysInMemory())
    server.close()


async def enter(target: Target, profile: Profile = PROFILE, lines: list[str] | None = None) -> Connection:
    kept = lines if lines is not None else []

    def on_line(text: str) -> bool:
        kept.append(text)
        return True

    return await Connection.open(target, "telnet", profile, on_line, Trace((SECRET_WORD,)))


def order(done: str = "OK", **more: Any) -> Ask[None]:
    reply = Reply(
        re.compile(done),
        refused=re.compile("ERR"),
        busy=re.compile("BUSY"),
        unknown=re.compile("WHAT"),
        takes=re.compile("data"),
        quiet_s=more.pop("quiet_s", None),
    )
    return Ask("do it", reply, more.pop("read", nothing), changes=more.pop("changes", True), **more)


async def test_every_prompt_is_answered_in_its_turn() -> None:
    heard: list[str] = []

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for prompt in (b"\r\n\r\nlogin: ", b"Password:", b"choose?"):
            writer.write(prompt)
            heard.append((await reader.readuntil(b"\r\n")).decode().strip())
        writer.write(b"\r\nWelcome to the unit\r\n")
        await reader.read()

    async with device(script) as target:
        connection = await enter(target)
        assert heard == ["admin", SECRET_WORD, "1"]
        await connection.close()


@pytest.mark.parametrize("again", [b"Login incorrect\r\nlogin: ", b"\r\nlogin: ", b"\r\npassword:"])
async def test_what_a_refusal_looks_like(again: bytes) -> None:
    tries = 0

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal tries
        writer.write(b"Password:")
        while await reader.readuntil(b"\r\n"):
            tries += 1
            writer.write(again)

    async with device(script) as target:
        with pytest.raises(LoginRefused) as refused:
            await enter(target)
    assert tries == 1 and SECRET_WORD not in str(refused.value) + refused.value.trace


async def test_a_device_that_shows_the_secret_gives_it_to_nobody() -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"Password:")
        said = await reader.readuntil(b"\r\n")
        writer.write(b"you said " + said + b"Login incorrect: " + said)
        await reader.read()

    async with device(script) as target:
        with pytest.raises(LoginRefused) as refused:
            await enter(target)
    assert SECRET_WORD not in str(refused.value) + refused.value.trace
    assert "you said ***" in refused.value.trace and "Login incorrect: ***" in str(refused.value)


async def test_a_device_that_is_not_up_yet_is_tried_later() -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"system software is still booting\r\n")
        await reader.read()

    async with device(script) as target:
        with pytest.raises(Unreachable, match="not up yet"):
            await enter(target)


async def test_a_connection_that_ends_in_the_log_in_says_so() -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"login: ")
        await reader.readuntil(b"\r\n")

    async with device(script) as target:
        with pytest.raises(Unreachable, match="closed"):
            await enter(target)


async def test_a_log_in_that_goes_nowhere_shows_where_it_stands() -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"Enter token")
        await reader.read()

    async with device(script) as target:
        short = replace(PROFILE, pace=replace(PROFILE.pace, open_s=0.3))
        with pytest.raises(Unreachable, match="Enter token"):
            await enter(target, short)


async def test_a_sleepy_serial_line_is_nudged() -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert await reader.readuntil(b"\r\n") == b"\r\n"
        writer.write(b"Welcome\r\n")
        await reader.read()

    async with device(script) as target:
        connection = await enter(target, replace(PROFILE, login=replace(LOGIN, nudge_s=0.05)))
        await connection.close()


@asynccontextmanager
async def talking(answer: Callable[[str], bytes | None], lines: list[str] | None = None) -> AsyncIterator[Connection]:
    """A connection past its log-in; `answer` gives what the device says to a line, None to hang up."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"Welcome\r\n")
        while line := await reader.readuntil(b"\r\n"):
            said = answer(line.decode().strip())
            if said is None:
                return
            writer.write(said)

    async with device(script) as target:
        connection = await enter(target, replace(PROFILE, pace=replace(PROFILE.pace, reply_s=0.5)), lines)
        yield connection
        await connection.close()


@pytest.mark.parametrize(
    ("said", "kind"), [(b"ERR no\r\n", Rejected), (b"BUSY now\r\n", Busy), (b"WHAT is that\r\n", NotSupported)]
)
async def test_a_device_that_says_no_keeps_its_session(said: bytes, kind: type[Exception]) -> None:
    answers = iter([said, b"OK\r\n"])
    async with talking(lambda line: next(answers)) as connection:
        with pytest.raises(kind, match=said.decode().split()[0]):
            await connection.ask(order(), "test")
        await connection.ask(order(), "test")


@pytest.mark.parametrize(("changes", "kind"), [(True, OutcomeUnknown), (False, SessionLost)])
@pytest.mark.parametrize("said", [b"", None, b"data without an end"])
async def test_no_reply_ends_the_session_and_an_order_is_unknown(
    changes: bool, kind: type[Exception], said: bytes | None
) -> None:
    async with talking(lambda line: said) as connection:
        with pytest.raises(kind):
            await connection.ask(order(changes=changes), "test")
        assert connection.ended.done()
        with pytest.raises(SessionLost):
            await connection.ask(order(), "test")


async def test_a_reply_that_nobody_can_read_is_garbled_or_unknown() -> None:
    def read(lines: object) -> None:
        raise ValueError(f"no number in {SECRET_WORD}")

    async with talking(lambda line: b"OK\r\n") as connection:
        with pytest.raises(Garbled) as garbled:
            await connection.ask(order(changes=False, read=read), "test")
        assert SECRET_WORD not in str(garbled.value)
        with pytest.raises(OutcomeUnknown):
            await connection.ask(order(read=read), "test")
        assert not connection.ended.done()


async def test_lines_between_the_lines_of_a_reply_are_nobodys_and_are_told() -> None:
    lines: list[str] = []
    said = b"EVENT 1\r\r\ndata a\r\r\n\x1b[?1034hEVENT 2\r\r\ndata b\r\r\nold\rEVENT 3\r\nOK\r\r\nEVENT 4\r\n"
    async with talking(lambda line: said, lines) as connection:
        asked = order(read=list)
        assert await connection.ask(asked, "test") == ["data a", "data b", "OK"]
        async with asyncio.timeout(10):
            while len(lines) < 4:  # noqa: ASYNC110 - a line tells of no event
                await asyncio.sleep(0)
    assert lines == ["EVENT 1", "EVENT 2", "EVENT 3", "EVENT 4"]


async def test_an_endless_reply_has_an_end() -> None:
    async with talking(lambda line: b"data\r\n" * (MOST_LINES + 10)) as connection:
        with pytest.raises(OutcomeUnknown, match="lines"):
            await connection.ask(order(), "test")


async def test_silence_is_a_yes_where_the_family_says_so() -> None:
    async with talking(lambda line: b"EVENT\r\n") as connection:
        await connection.ask(order(quiet_s=0.05), "test")
    async with talking(lambda line: b"ERR\r\n") as connection:
        with pytest.raises(Rejected):
            await connection.ask(order(quiet_s=0.3), "test")


@pytest.mark.parametrize("replies", [1, 2])
async def test_an_echo_that_reads_like_the_reply_is_told_from_it(replies: int) -> None:
    """Commands whose reply repeats them (`mute near on`): echoed and answered, or only echoed."""

    def answer(line: str) -> bytes:
        return (line + "\r\n").encode() + (b"OK\r\n" if line == "do it" else (line + "\r\r\n").encode() * (replies - 1))

    lines: list[str] = []
    async with talking(answer, lines) as connection:
        await connection.ask(order(), "test")  # from this it is learned that the device echoes
        alike = Ask("mute on", Reply(re.compile("mute on")), list, changes=True)
        connection._profile = replace(PROFILE, pace=replace(PROFILE.pace, reply_s=5.0))
        assert await connection.ask(alike, "test") == ["mute on"]
        await connection.ask(order(), "test")
    assert lines == [], "no line of a reply was left over for the next"


async def test_a_command_is_one_line() -> None:
    with pytest.raises(ValueError, match="not one line"):
        Ask("dial 1\r\nreboot now", Reply(), nothing)


async def test_who_closes_while_a_reply_is_awaited_tells_who_waits() -> None:
    async with talking(lambda line: b"") as connection:
        asking = asyncio.ensure_future(connection.ask(order(deadline_s=60.0), "test"))
        await asyncio.sleep(0)
        await connection.close()
        with pytest.raises(OutcomeUnknown, match="closed by us"):
            await asking

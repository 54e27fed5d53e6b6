"""The process itself: takes orders from its pipe, does many checks at once, answers each, ends with its pipe.

    in    {"line":1,"host":"192.0.2.5","ports":[16400,17399],"at_once":64,"tls":[...],...}    the first line
          {"id":"a1","order":{...}}    {"stop":"a1"}    {"end":{...}}    the call of a process that died
    out   {"line":1,"engine":"pyVoIP 1.6.8"}                                    the first line
          {"id":"a1","call":{...}}    what its call can be ended by, should this process die
          {"id":"a1","report":{...}}

What it cannot read ends it: the other end is of another version, or broken.
"""

import asyncio
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from adapters.linecheck.check import LineCheck
from adapters.linecheck.media import ENGINE
from adapters.linecheck.order import LONGEST_LINE, VERSION, LineOrder, LineReport, failed, line, message
from adapters.linecheck.ports import Ports
from adapters.sip.agent import SipAgent
from adapters.sip.listener import CallListener
from adapters.sip.names import Resolver
from adapters.sip.tls import Tls, Trust

MOST_AT_ONCE = 200
_GOODBYE_S = 3.0
_MOST_UNREAD = 1_000_000
"""Bytes of answers that nobody takes; with more, whoever asked is no longer there."""


class WrongWords(Exception):
    """What came over the pipe cannot be gone on with."""


class NoAddress(Exception):
    """The address to call from is none of this machine's."""


class LineService:
    """Checks by their ids, over one SIP agent of its own."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        self._agent: SipAgent
        self._ports: Ports
        self._at_once = MOST_AT_ONCE
        self._checks: dict[str, LineCheck] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self, reader: asyncio.StreamReader) -> None:
        """Serve until the pipe closes. Raises WrongWords, NoAddress."""
        self._say({"line": VERSION, "engine": ENGINE})
        first = await self._next(reader)
        if first is None:
            return
        try:
            if first["line"] != VERSION:
                raise WrongWords(f"version {first['line']!r} on the pipe; this process speaks {VERSION}")
            self._agent = _agent(first)
            self._ports = Ports(*(int(port) for port in first["ports"]))
            self._at_once = max(1, min(int(first["at_once"]), MOST_AT_ONCE))
        except (KeyError, TypeError, ValueError) as wrong:
            raise WrongWords(f"the first line on the pipe is not one of ours: {wrong!r}") from None
        try:
            await self._agent.start()
        except OSError as error:
            raise NoAddress(f"no calls from {first['host']}: {error.strerror or error}") from None
        try:
            while (said := await self._next(reader)) is not None:
                self._take(said)
        finally:
            await self._leave()

    async def _next(self, reader: asyncio.StreamReader) -> dict[str, Any] | None:
        try:
            data = await reader.readline()
            return message(data) if data.endswith(b"\n") else None
        except (ValueError, ConnectionError) as wrong:
            raise WrongWords(f"a line on the pipe cannot be read: {wrong}") from None

    def _take(self, said: Mapping[str, Any]) -> None:
        if "stop" in said:
            check = self._checks.get(str(said["stop"]))
            if check is not None:
                check.stop("given up")
            return
        if "end" in said:
            try:
                if "via" in said["end"]:  # it rings
                    self._agent.recall(said["end"], CallListener())
                else:
                    self._agent.adopt(said["end"], CallListener()).hang_up()
            except (KeyError, TypeError, ValueError) as wrong:
                sys.stderr.write(f"a call that was left cannot be ended: {wrong!r}\n")
            return
        try:
            name = str(said["id"])[:64]
            order = LineOrder.from_json(said["order"])
        except (KeyError, TypeError, ValueError) as wrong:
            raise WrongWords(f"an order on the pipe is not one of ours: {wrong!r}") from None
        if name in self._checks or len(self._checks) >= self._at_once:
            self._answer(name, failed(f"{len(self._checks)} checks are under way, more than were agreed upon"))
            return
        check = self._checks[name] = LineCheck(
            self._agent, self._ports, order, lambda memory: self._remember(name, memory)
        )
        task = asyncio.get_running_loop().create_task(self._do(name, check))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _do(self, name: str, check: LineCheck) -> None:
        try:
            self._answer(name, await check.run())
        except Exception as error:  # a bug of ours costs one check, not the others
            sys.excepthook(type(error), error, error.__traceback__)
            self._answer(name, failed(f"{type(error).__name__}: {error}"))
        finally:
            del self._checks[name]

    def _remember(self, name: str, memory: Mapping[str, Any]) -> None:
        if len(line({"end": memory})) + 100 < LONGEST_LINE:  # one with endless routes is left to its session timer
            self._say({"id": name, "call": memory})

    def _answer(self, name: str, report: LineReport) -> None:
        self._say({"id": name, "report": report.to_json()})

    def _say(self, said: Mapping[str, Any]) -> None:
        self._writer.write(line(said))
        if self._writer.transport.get_write_buffer_size() > _MOST_UNREAD:
            raise WrongWords("nobody reads what this process answers")

    async def _leave(self) -> None:
        """Hang up what is up, and give the others' machines a moment to hear it."""
        for check in list(self._checks.values()):
            check.stop("the line check's process is ending")
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=_GOODBYE_S)
        await self._agent.close()


def _agent(first: Mapping[str, Any]) -> SipAgent:
    """A SIP agent of our own, on any port. Raises KeyError, TypeError, ValueError."""
    certificate, key, ca = (Path(str(name)) if name else None for name in first["tls"])
    pins = {str(host): str(pin) for host, pin in first["pins"].items()}
    tls = Tls(Trust(certificate, key, ca, pins))
    resolver = Resolver(tuple(str(each) for each in first["name_servers"]))
    return SipAgent(str(first["host"]), tls=tls, tls_port=0, resolver=resolver)


async def serve(into: int, out: int) -> None:
    """Serve between two file descriptors until the first one closes."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=LONGEST_LINE)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(into, "rb", 0))
    transport, protocol = await loop.connect_write_pipe(
        lambda: asyncio.StreamReaderProtocol(asyncio.StreamReader()), os.fdopen(out, "wb", 0)
    )
    writer = asyncio.StreamWriter(transport, protocol, None, loop)
    try:
        await LineService(writer).run(reader)
    finally:
        writer.close()

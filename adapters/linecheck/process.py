"""Whoever asks: starts the line check's process on demand, speaks to it over its pipe, outlives it.

The process ends by itself when the pipe closes, also when we are killed. When it dies, or
gives no sign long after it should have, it is ended, and every check it had is answered `failed`; the
calls it had are hung up by the next one.
"""

import asyncio
import contextlib
import itertools
import logging
import signal
import sys
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from adapters.errors import Busy
from adapters.linecheck.order import LONGEST_LINE, VERSION, LineOrder, LineReport, failed, line, message

_log = logging.getLogger(__name__)

COMMAND = (sys.executable, "-m", "adapters.linecheck")
NAME = "line check"
_START_S = 30.0
_GRACE_S = 45.0
"""A check may take so much longer than it should: SIP gives an unanswered INVITE up after 32 s."""
_END_S = 5.0
_IDLE_S = 60.0
_KEPT_LINES = 5


@dataclass(frozen=True, slots=True)
class LineSettings:
    """`host` is the address the process calls from; `ports` the range for its sound (0, 0: any).

    Certificates are files; `pins` and `name_servers` as the SIP core has them.
    """

    host: str = "127.0.0.1"
    ports: tuple[int, int] = (0, 0)
    at_once: int = 64
    waiting: int = 1000
    certificate: str = ""
    key: str = ""
    ca: str = ""
    pins: Mapping[str, str] = field(default_factory=dict)
    name_servers: tuple[str, ...] = ()
    idle_s: float = _IDLE_S
    grace_s: float = _GRACE_S

    def to_json(self) -> dict[str, Any]:
        """The first line on the pipe."""
        return {
            "line": VERSION,
            "host": self.host,
            "ports": self.ports,
            "at_once": self.at_once,
            "tls": [self.certificate, self.key, self.ca],
            "pins": dict(self.pins),
            "name_servers": self.name_servers,
        }


class _Process:
    """One life of the process, from its first line to its end."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.asked: dict[str, asyncio.Future[LineReport]] = {}
        self.calls: dict[str, Mapping[str, Any]] = {}  # by what its calls can be ended
        self.said: deque[str] = deque(maxlen=_KEPT_LINES)
        self.why = ""
        self.reading: asyncio.Task[None] | None = None
        self.grumbling: asyncio.Task[None] | None = None
        self.over = False

    def end(self, why: str) -> None:
        """Kill it; what it had is answered by `LineProcess` when it is gone."""
        self.why = self.why or why
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()

    def let_go(self) -> None:
        """Close what is left of its pipes, once it is gone.

        asyncio does so by itself, a turn of the loop later: too late where the loop ends with the process.
        """
        self.process._transport.close()  # type: ignore[attr-defined]


class LineProcess:
    """Does line checks in a process of its own (`LineChecks`)."""

    def __init__(self, settings: LineSettings | None = None, command: Sequence[str] = COMMAND) -> None:
        self._settings = settings or LineSettings()
        self._command = tuple(command)
        self._current: _Process | None = None
        self._starting = asyncio.Lock()
        self._free = asyncio.Semaphore(self._settings.at_once)
        self._waiting = 0
        self._numbers = itertools.count(1)
        self._idle: asyncio.TimerHandle | None = None
        self._closed = False
        self._ending: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        """The process, while there is one."""
        return self._current.process.pid if self._current is not None and not self._current.over else None

    async def check(self, order: LineOrder) -> LineReport:
        """Do one check. Raises Busy when too many wait already. Cancelled, the call is hung up."""
        if self._waiting >= self._settings.waiting:
            raise Busy(NAME, "check", f"{self._waiting} checks wait already")
        self._waiting += 1
        try:
            await self._free.acquire()
        finally:
            self._waiting -= 1
        try:
            return await self._check(order)
        finally:
            self._free.release()

    async def _check(self, order: LineOrder) -> LineReport:
        if self._closed:
            return failed("line checks are over here")
        async with self._starting:
            try:
                life = await self._started()
            except (OSError, TimeoutError, ValueError) as error:
                return failed(f"the line check's process did not start: {error or 'no word from it'}")
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None
        name = f"c{next(self._numbers)}"
        told = life.asked[name] = asyncio.get_running_loop().create_future()
        assert life.process.stdin is not None
        life.process.stdin.write(line({"id": name, "order": order.to_json()}))
        try:
            async with asyncio.timeout(order.longest_s + self._settings.grace_s):
                return await asyncio.shield(told)
        except TimeoutError:
            _log.error("linecheck.stuck pid=%s: ended", life.process.pid)
            life.end("the line check's process hung and was ended")
            report: LineReport = await told
            return report
        except asyncio.CancelledError:
            if not life.over:
                life.process.stdin.write(line({"stop": name}))
            raise
        finally:
            if told.done() or life.over:
                life.asked.pop(name, None)
            if not life.asked and not life.over and not self._waiting:
                self._idle = asyncio.get_running_loop().call_later(self._settings.idle_s, self._rest, life)

    def _rest(self, life: _Process) -> None:
        """Nothing to do for a while: close its pipe, so that it ends; the next check starts another."""
        if not life.asked and self._current is life:
            self._current = None
            assert life.process.stdin is not None
            life.process.stdin.close()

    async def _started(self) -> _Process:
        if self._current is not None and not self._current.over:
            return self._current
        process = await asyncio.create_subprocess_exec(
            *self._command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            limit=LONGEST_LINE,
        )
        life = _Process(process)
        life.grumbling = asyncio.create_task(self._grumble(life))
        assert process.stdin is not None and process.stdout is not None
        try:
            settings = self._settings
            async with asyncio.timeout(_START_S):
                hello = message(await process.stdout.readline() or b"null")
            if hello.get("line") != VERSION:
                raise ValueError(f"it speaks version {hello.get('line')!r}, not {VERSION}")
            process.stdin.write(line(settings.to_json()))
        except BaseException as error:
            life.end("it did not start")
            await process.wait()
            await life.grumbling
            life.let_go()
            if isinstance(error, ValueError) and life.said:
                raise ValueError(life.said[-1]) from None
            raise
        life.reading = asyncio.create_task(self._read(life))
        self._current = life
        return life

    async def _read(self, life: _Process) -> None:
        """Hand answers on until the process is gone; then tell all who still wait."""
        assert life.process.stdout is not None
        try:
            while data := await life.process.stdout.readline():
                said = message(data)
                name = str(said.get("id"))
                if "call" in said:
                    life.calls[name] = said["call"]
                    continue
                life.calls.pop(name, None)
                told = life.asked.pop(name, None)
                if told is not None and not told.done():
                    told.set_result(LineReport.from_json(said["report"]))
        except (ValueError, KeyError, TypeError) as wrong:
            life.end(f"the line check's process said what nobody can read: {wrong!r}")
        finally:
            life.over = True
            if self._current is life:
                self._current = None
            if life.process.stdin is not None:
                life.process.stdin.close()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_END_S):
                    await life.process.wait()
            life.end("")
            code = await life.process.wait()
            if life.grumbling is not None:
                await life.grumbling
            life.let_go()
            why = life.why or f"the line check's process ended ({_ending(code, life.said)})"
            if life.asked or code:
                _log.error("linecheck.ended pid=%s: %s", life.process.pid, why)
            for told in life.asked.values():
                if not told.done():
                    told.set_result(failed(why))
            life.asked.clear()
            if life.calls and code and not self._closed:
                self._ending = asyncio.create_task(self._end_calls([*life.calls.values()]))

    async def _end_calls(self, memories: Sequence[Mapping[str, Any]]) -> None:
        """Have the calls that a dead process left in somebody's room ended by another one."""
        async with self._starting:
            try:
                life = await self._started()
            except (OSError, TimeoutError, ValueError) as error:
                _log.error("linecheck.calls_left n=%d: %s", len(memories), error)
                return
        assert life.process.stdin is not None
        for memory in memories:
            life.process.stdin.write(line({"end": memory}))

    async def _grumble(self, life: _Process) -> None:
        """What it writes to stderr goes to the log; its last lines explain its end."""
        assert life.process.stderr is not None
        while True:
            try:
                data = await life.process.stderr.readline()
            except ValueError:
                continue  # a line beyond all bounds
            if not data:
                return
            text = data.decode("utf-8", "replace").strip()[:500]
            if text:
                life.said.append(text)
                _log.warning("linecheck: %s", text)

    async def close(self) -> None:
        """End the process in order: it hangs up what is up. Safe to repeat."""
        self._closed = True
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None
        if self._ending is not None:
            await self._ending
        life, self._current = self._current, None
        if life is None or life.reading is None:
            return
        life.why = life.why or "line checks are over here"
        assert life.process.stdin is not None
        life.process.stdin.close()
        await life.reading


def _ending(code: int, said: Sequence[str]) -> str:
    if code < 0:
        try:
            return f"signal {signal.Signals(-code).name}"
        except ValueError:
            return f"signal {-code}"
    return f"status {code}{': ' + said[-1] if said else ''}"

"""SIPp with a scenario of this folder: a peer that does one thing, and says itself whether all went as it wanted."""

import asyncio
import contextlib
import csv
import os
import re
import time
from dataclasses import dataclass
from pathlib import Path

from adapters.values import Address
from tests.support.port import free_port

SCENARIOS = Path(__file__).parent
BIND_S, END_S = 10.0, 60.0


@dataclass(frozen=True, slots=True)
class Said:
    """SIPp's own verdict: its exit code, what it counted, and what its scenario wrote down."""

    code: int
    successful: int
    failed: int
    repeated: int
    log: str
    wrong: str

    @property
    def content(self) -> bool:
        """Whether every call went as the scenario has it."""
        return self.code == 0 and self.failed == 0 and self.successful > 0


class Sipp:
    """One SIPp at an address of its own, told what its name in the SDP is (`role`); it ends after so many calls."""

    def __init__(
        self,
        scenario: str,
        folder: Path,
        host: str,
        *,
        role: str = "near",
        calls: int = 1,
        to: tuple[str, int] | None = None,
        keys: dict[str, str] | None = None,
        options: tuple[str, ...] = (),
        transport: str = "udp",
    ) -> None:
        self.scenario = scenario
        self._transport = transport
        self.host, self.port = host, free_port(host)
        self._folder = folder / f"{role}-{scenario}-{self.port}"
        self._folder.mkdir(parents=True)
        named = [word for name, value in {"role": role, **(keys or {})}.items() for word in ("-key", name, value)]
        mode = ("-t", "t1" if transport == "tcp" else "u1")
        self._words = [
            "sipp", *([f"{to[0]}:{to[1]}"] if to else []), "-sf", str(SCENARIOS / f"{scenario}.xml"),
            "-i", host, "-p", str(self.port), "-m", str(calls), *mode, "-nostdin", "-aa", "-deadcall_wait", "0",
            "-timeout", str(int(END_S)), "-timeout_error", "-trace_err", "-error_file", "errors", "-trace_msg",
            "-message_file", "messages", "-trace_logs", "-log_file", "log", "-trace_stat", "-stf", "counts", "-fd", "1",
            *named, *options,
        ]  # fmt: skip
        self._process: asyncio.subprocess.Process | None = None

    @property
    def address(self) -> Address:
        return Address("sip", "room", self.host, self.port, self._transport if self._transport != "udp" else None)

    async def start(self) -> None:
        """Return when its socket is bound."""
        self._process = await asyncio.create_subprocess_exec(
            *self._words, cwd=self._folder, env={**os.environ, "TERM": "dumb"}, stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        end = time.monotonic() + BIND_S
        while not self._is_bound() and self._process.returncode is None:
            assert time.monotonic() < end, f"SIPp did not bind {self.host}:{self.port}"
            await asyncio.sleep(0.02)

    def _is_bound(self) -> bool:
        """Whether its address stands in the kernel's table of sockets (proc(5), /proc/net/udp and tcp)."""
        number = "".join(f"{int(part):02X}" for part in reversed(self.host.split(".")))
        return f" {number}:{self.port:04X} " in Path(f"/proc/net/{self._transport}").read_text()

    async def got(self, start: str, times: int = 1) -> None:
        """Return when so many messages that begin with `start` have come in, by its own record."""
        pattern = re.compile(rf"received \[\d+\] bytes :\s+{re.escape(start)}")
        async with asyncio.timeout(END_S):
            while len(pattern.findall(self._text("messages"))) < times:  # noqa: ASYNC110 - a file tells of no event
                await asyncio.sleep(0.02)

    async def over(self) -> Said:
        """What it says when it has had all its calls."""
        assert self._process is not None
        async with asyncio.timeout(END_S + 10):
            code = await self._process.wait()
        counts = self._counts()
        return Said(
            code,
            int(counts.get("SuccessfulCall(C)", 0)),
            int(counts.get("FailedCall(C)", 0)),
            int(counts.get("Retransmissions(C)", 0)),
            self._text("log"),
            self._text("errors"),
        )

    def _counts(self) -> dict[str, str]:
        rows = list(csv.DictReader(self._text("counts").splitlines(), delimiter=";"))
        return rows[-1] if rows else {}

    def _text(self, name: str) -> str:
        path = self._folder / name
        return path.read_text(errors="replace") if path.exists() else ""

    async def stop(self) -> None:
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()

"""Far ends of line checks in a process of their own: `python -m tests.support.echo [HOST]` answers every call.

Prints its SIP port, then ends with its stdin. Whom is called says how it behaves:

    echo        sends back what comes, and reports on it by RTCP
    loss-N      as echo, but N % of the packets are missing, evenly
    silent      sends silence of its own       deaf        sends nothing
    rings       never answers                  busy        486
"""

import asyncio
import contextlib
import itertools
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from adapters.linecheck import rtcp
from adapters.linecheck.offer import answer
from adapters.linecheck.ports import Pair, Ports
from adapters.linecheck.stream import Stream
from adapters.sip.agent import SipAgent
from adapters.sip.call import Call
from adapters.sip.listener import CallListener, Ending
from adapters.sip.message import Request

ROOT = Path(__file__).parents[2]


class FarEnd(CallListener):
    """One call, and its sound on sockets of its own."""

    def __init__(self, call: Call, pair: Pair) -> None:
        self.pair = pair
        self._loop = asyncio.get_running_loop()
        self._kind, _, percent = call.to_user.partition("-")
        self._percent = int(percent or 0)
        self._stream = Stream()
        self._ssrc = os.urandom(4)
        self._left_out = 0
        self._numbers = itertools.count()
        self._loop.add_reader(pair.rtp, self._take)
        self._loop.add_reader(pair.rtcp, self._report)

    def _take(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                data, addr = self.pair.rtp.recvfrom(2048)
                sequence, stamp = int.from_bytes(data[2:4], "big"), int.from_bytes(data[4:8], "big")
                self._stream.take(int.from_bytes(data[8:12], "big"), sequence, stamp, self._loop.time())
                number = next(self._numbers)
                if number * self._percent // 100 != (number + 1) * self._percent // 100 or self._kind == "deaf":
                    continue
                payload = b"\xff" * 160 if self._kind == "silent" else data[12:]
                self.pair.rtp.sendto(data[:8] + self._ssrc + payload, addr)

    def _report(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                data, addr = self.pair.rtcp.recvfrom(2048)
                for report in rtcp.read(data):
                    source = self._stream.sources.get(report.ssrc)
                    if source is None or report.ntp is None:
                        continue
                    counts = source.counts
                    block = rtcp.Block(
                        report.ssrc, 0, counts.expected - counts.received, source.highest, int(source.jitter_s * 8000),
                        rtcp.middle(report.ntp), 0,
                    )  # fmt: skip
                    ssrc = int.from_bytes(self._ssrc, "big")
                    self.pair.rtcp.sendto(rtcp.sender_report(ssrc, rtcp.ntp(0), 0, 0, 0, (block,), "far"), addr)

    def ended(self, call: Call, ending: Ending, request: Request | None) -> None:
        self._loop.remove_reader(self.pair.rtp)
        self._loop.remove_reader(self.pair.rtcp)
        self.pair.close()


async def serve(host: str) -> None:
    ports = Ports()

    def take(call: Call) -> None:
        if call.to_user == "busy":
            call.refuse(486)
            return
        call.ring()
        if call.to_user == "rings":
            return
        pair = ports.take(host)
        listener = FarEnd(call, pair)
        call.listener = listener
        sdp = answer(call.offer_sdp, host, pair.port, 1, 1)
        assert sdp is not None
        call.answer(sdp)

    agent = SipAgent(host, on_invite=take)
    await agent.start()
    print(agent.address[1], flush=True)
    loop = asyncio.get_running_loop()
    over = asyncio.Event()
    loop.add_reader(0, over.set)  # nobody says anything: readable is the end
    await over.wait()
    await agent.close()


@dataclass(frozen=True)
class Echo:
    """The running process."""

    host: str
    port: int
    pid: int

    def uri(self, who: str = "echo") -> str:
        return f"sip:{who}@{self.host}:{self.port}"


@contextlib.contextmanager
def echo(host: str = "127.0.0.1") -> Iterator[Echo]:
    """The far ends, for as long as the block lasts."""
    command = [sys.executable, "-m", "tests.support.echo", host]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    try:
        assert process.stdout is not None and process.stdin is not None
        port = process.stdout.readline().strip()
        if not port:
            raise RuntimeError(f"the far ends did not start on {host}")
        yield Echo(host, int(port), process.pid)
    finally:
        assert process.stdin is not None
        process.stdin.close()
        process.wait(10)


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1] if len(sys.argv) > 1 else "127.0.0.1"))

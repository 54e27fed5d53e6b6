"""The line check's process: many at once, and what is said when it dies, hangs, or is no longer wanted."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from typing import Any

import psutil
import pytest

from adapters.causes import ClearCause
from adapters.errors import Busy
from adapters.linecheck.offer import answer
from adapters.linecheck.order import LineEnd, LineOrder, LineReport
from adapters.linecheck.process import LineProcess, LineSettings
from adapters.sip.agent import SipAgent
from adapters.sip.call import Call
from adapters.sip.listener import CallListener, Ending
from adapters.sip.message import Request
from adapters.values import Address
from orchestrator.rules.line import LineVerdict, judge
from tests.support.echo import Echo, echo

WAIT_S = 60.0


@pytest.fixture(scope="module")
def far() -> Iterator[Echo]:
    with echo() as running:
        yield running


@pytest.fixture
async def line() -> AsyncIterator[LineProcess]:
    process = LineProcess()
    yield process
    await process.close()


def order(far: Echo, who: str = "echo", **more: Any) -> LineOrder:
    return LineOrder(Address.parse(far.uri(who)), **{"seconds": 2.0, **more})


async def checked(line: LineProcess, *orders: LineOrder) -> list[LineReport]:
    return list(await asyncio.wait_for(asyncio.gather(*(line.check(each) for each in orders)), WAIT_S))


async def up(line: LineProcess, far: Echo, **more: Any) -> "asyncio.Task[LineReport]":
    """A check whose process is there and has its order."""
    task = asyncio.create_task(line.check(order(far, "echo", seconds=30.0, **more)))
    async with asyncio.timeout(WAIT_S):
        while line.pid is None:  # noqa: ASYNC110 - a process tells of its start by its pid
            await asyncio.sleep(0.01)
    await checked(line, order(far, seconds=1.0))  # orders are taken in turn: this one is behind
    return task


async def test_41_checks_at_once_are_all_good(line: LineProcess, far: Echo) -> None:
    reports = await checked(line, *[order(far, seconds=4.0)] * 41)
    assert [report.end for report in reports] == [LineEnd.MEASURED] * 41
    for report in reports:
        assert report.sent + report.slipped >= 4.0 * 50
        assert (report.lost, report.doubled, report.codec) == (0, 0, "PCMU")
        assert report.received == report.expected > 0
        assert report.rtt_s is not None and report.echo_s is not None and report.far_lost_pct == 0
    if not any(report.slipped for report in reports):  # a machine that stood still cannot judge jitter
        assert {judge(report).verdict for report in reports} == {LineVerdict.GOOD}


async def test_what_is_lost_is_counted(line: LineProcess, far: Echo) -> None:
    (report,) = await checked(line, order(far, "loss-10", seconds=4.0))
    assert report.lost_pct is not None and 8 < report.lost_pct < 12
    judgment = judge(report)
    assert judgment.verdict is LineVerdict.BAD and judgment.reasons[0].name == "loss"


async def test_one_way_silence_busy_and_nobody(line: LineProcess, far: Echo) -> None:
    deaf, silent, busy, rings = await checked(
        line, order(far, "deaf", seconds=3.0), order(far, "silent"), order(far, "busy"), order(far, "rings", ring_s=1.0)
    )
    assert (judge(deaf).verdict, judge(deaf).reasons[0].name) == (LineVerdict.BAD, "one-way")
    assert (judge(silent).verdict, judge(silent).reasons[0].name) == (LineVerdict.FAIR, "silence")
    assert (busy.end, busy.status, busy.cause) == (LineEnd.NO_CALL, 486, ClearCause.BUSY)
    assert (rings.end, rings.cause) == (LineEnd.NO_CALL, ClearCause.NO_ANSWER)
    assert {judge(busy).verdict, judge(rings).verdict} == {LineVerdict.UNANSWERED}


async def test_a_killed_process_is_said_and_the_next_check_has_another(line: LineProcess, far: Echo) -> None:
    task = await up(line, far)
    assert line.pid is not None
    os.kill(line.pid, signal.SIGKILL)
    report = await asyncio.wait_for(task, WAIT_S)
    assert report.end is LineEnd.FAILED
    assert report.raw == "the line check's process ended (signal SIGKILL)"
    assert judge(report).verdict is LineVerdict.UNCHECKED
    (again,) = await checked(line, order(far))
    assert again.end is LineEnd.MEASURED


@pytest.mark.parametrize("rings", [True, False])
async def test_the_call_of_a_killed_process_is_ended_by_the_next(line: LineProcess, rings: bool) -> None:
    over: asyncio.Future[Ending] = asyncio.get_running_loop().create_future()

    class Room(CallListener):
        def ended(self, call: Call, ending: Ending, request: Request | None) -> None:
            over.set_result(ending)

    def take(call: Call) -> None:
        call.listener = Room()
        call.ring()
        if not rings:
            call.answer(answer(call.offer_sdp, "127.0.0.1", 9, 1, 1) or b"")

    agent = SipAgent("127.0.0.1", on_invite=take)
    await agent.start()
    address = Address.parse(f"sip:room@127.0.0.1:{agent.address[1]}")
    task = asyncio.create_task(line.check(LineOrder(address, seconds=30.0)))
    async with asyncio.timeout(WAIT_S):
        # the pipe has no event of its own
        while not (line._current and any(("via" in memory) is rings for memory in line._current.calls.values())):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert line.pid is not None
    os.kill(line.pid, signal.SIGKILL)
    assert (await asyncio.wait_for(task, WAIT_S)).end is LineEnd.FAILED
    assert await asyncio.wait_for(over, WAIT_S) is (Ending.CANCEL if rings else Ending.BYE)
    await agent.close()


async def test_a_process_that_hangs_is_ended(far: Echo) -> None:
    line = LineProcess(LineSettings(grace_s=2.0))
    task = await up(line, far)
    pid = line.pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    report = await asyncio.wait_for(line.check(order(far, seconds=1.0, ring_s=1.0)), WAIT_S)
    assert report.raw == "the line check's process hung and was ended"
    assert (await asyncio.wait_for(task, WAIT_S)).end is LineEnd.FAILED
    assert not psutil.pid_exists(pid)
    (again,) = await checked(line, order(far))
    assert again.end is LineEnd.MEASURED
    await line.close()


async def test_it_ends_when_its_pipe_closes_and_hangs_up(far: Echo) -> None:
    line = LineProcess()
    task = await up(line, far)
    pid = line.pid
    assert pid is not None
    process = psutil.Process(pid)
    await line.close()
    report = await asyncio.wait_for(task, WAIT_S)
    assert (report.end, report.raw) == (LineEnd.FAILED, "the line check's process is ending")
    assert not process.is_running()
    assert (await line.check(order(far))).end is LineEnd.FAILED, "closed is closed"


async def test_it_ends_when_whoever_started_it_is_killed(far: Echo) -> None:
    program = (
        "import asyncio, sys\n"
        "from adapters.linecheck.process import LineProcess\n"
        "from adapters.linecheck.order import LineOrder\n"
        "from adapters.values import Address\n"
        "async def main():\n"
        "    line = LineProcess()\n"
        "    task = asyncio.create_task(line.check(LineOrder(Address.parse(sys.argv[1]), seconds=60)))\n"
        "    await line.check(LineOrder(Address.parse(sys.argv[1]), seconds=1))\n"
        "    print(line.pid, flush=True)\n"
        "    await task\n"
        "asyncio.run(main())\n"
    )
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, far.uri(), stdout=asyncio.subprocess.PIPE
    )
    assert parent.stdout is not None
    child = psutil.Process(int(await asyncio.wait_for(parent.stdout.readline(), WAIT_S)))
    parent.kill()
    await parent.wait()
    await asyncio.to_thread(child.wait, WAIT_S)


async def test_it_rests_when_nothing_is_to_do(far: Echo) -> None:
    line = LineProcess(LineSettings(idle_s=0.0))
    await checked(line, order(far, seconds=1.0))
    async with asyncio.timeout(WAIT_S):
        while line.pid is not None:  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.01)
    (again,) = await checked(line, order(far, seconds=1.0))
    assert again.end is LineEnd.MEASURED
    await line.close()


async def test_a_cancelled_check_hangs_up(line: LineProcess, far: Echo) -> None:
    task = await up(line, far)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert task.cancelled()
    (other,) = await checked(line, order(far))
    assert other.end is LineEnd.MEASURED


async def test_only_so_many_wait_in_line(far: Echo) -> None:
    line = LineProcess(LineSettings(at_once=1, waiting=1))
    task = await up_alone(line, far)
    waits = asyncio.create_task(line.check(order(far, seconds=1.0)))
    await asyncio.sleep(0)
    with pytest.raises(Busy):
        await line.check(order(far))
    waits.cancel()
    await line.close()
    assert (await asyncio.wait_for(task, WAIT_S)).end is LineEnd.FAILED


async def up_alone(line: LineProcess, far: Echo) -> "asyncio.Task[LineReport]":
    task = asyncio.create_task(line.check(order(far, seconds=30.0)))
    async with asyncio.timeout(WAIT_S):
        while line.pid is None:  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.01)
    return task


@pytest.mark.parametrize(
    ("says", "why"),
    [
        ("print('{\"line\": 99}')", "version 99"),
        ("print('good morning')", "did not start"),
        ("import sys; sys.exit(3)", "did not start"),
        ("import sys; print('boom', file=sys.stderr); sys.exit(3)", "boom"),
        (
            "print('{\"line\": 1}', flush=True); input(); input(); print('rubbish', flush=True); input()",
            "nobody can read",
        ),
        (
            "print('{\"line\": 1}', flush=True); input(); input(); print('x' * 100000, flush=True); input()",
            "nobody can read",
        ),
    ],
)
async def test_a_process_that_is_none_of_ours_is_said(far: Echo, says: str, why: str) -> None:
    line = LineProcess(command=(sys.executable, "-c", says))
    report = await asyncio.wait_for(line.check(order(far)), WAIT_S)
    assert report.end is LineEnd.FAILED and why in report.raw
    await line.close()


@pytest.mark.parametrize(
    "given",
    [b"rubbish\n", b"{}\n", b'{"line":2}\n', b"x" * 100_000 + b"\n", b"[]\n", b'{"line":1,"host":"127.0.0.1"}\n'],
)
def test_the_process_ends_at_what_it_cannot_read(given: bytes) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "adapters.linecheck"], input=given, capture_output=True, timeout=WAIT_S
    )
    assert done.returncode == 2 and done.stderr.strip().count(b"\n") == 0
    assert json.loads(done.stdout)["engine"] == "pyVoIP 1.6.8"


def test_an_order_tells_its_login_to_nobody_but_the_pipe(far: Echo) -> None:
    told = order(far, login=("qt17", "not-to-be-told"))
    assert "not-to-be-told" not in repr(told)
    assert LineOrder.from_json(json.loads(json.dumps(told.to_json()))) == told


def test_a_report_comes_out_of_the_pipe_as_it_went_in() -> None:
    report = LineReport(LineEnd.NO_CALL, ClearCause.BUSY, 486, "Busy", rtt_s=0.25)
    assert LineReport.from_json(json.loads(json.dumps(report.to_json()))) == report
    with pytest.raises((KeyError, TypeError, ValueError)):
        LineReport.from_json({**report.to_json(), "raw": ["no"]})


async def test_an_address_that_is_not_ours_is_said(far: Echo) -> None:
    line = LineProcess(LineSettings("192.0.2.77"))
    report = await asyncio.wait_for(line.check(order(far)), WAIT_S)
    assert report.end is LineEnd.FAILED and "no calls from 192.0.2.77: Cannot assign" in report.raw
    await line.close()

"""The line check against real peers: baresip endpoints and an Asterisk that echoes.

Needs what `make peers` needs (root, debootstrap, baresip). Without them it fails and says so.
"""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio

from adapters.causes import ClearCause
from adapters.linecheck.order import LineEnd, LineOrder, LineReport
from adapters.linecheck.process import LineProcess, LineSettings
from adapters.values import Address
from orchestrator.rules.line import LineVerdict, judge
from tests.peers.lab.asterisk import Asterisk, eyes
from tests.peers.lab.config import Instance
from tests.peers.lab.endpoint import Endpoint
from tests.peers.lab.run import lab_run
from tests.peers.lossy import lossy

pytestmark = pytest.mark.asyncio(loop_scope="module")

BRIDGE_IP, OURS_IP = "127.0.16.1", "127.0.16.40"
ECHO, ROOM = "600", "8001"
RUN = "line-check"


@dataclass
class Lab:
    """A bridge with an echo, an endpoint that answers with a tone, one that rings."""

    bridge: Asterisk
    answers: Endpoint
    rings: Endpoint
    line: LineProcess

    async def check(self, address: str, **more: Any) -> LineReport:
        order = LineOrder(Address.parse(address), **{"seconds": 7.0, "ring_s": 20.0, **more})
        return await asyncio.wait_for(self.line.check(order), 90)


def number(extension: str) -> str:
    return f"sip:{extension}@{BRIDGE_IP}:5060"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def lab() -> AsyncIterator[Lab]:
    async with lab_run(RUN) as run:
        lab = Lab(
            run.asterisk(Instance("line-check", BRIDGE_IP, [eyes()], echo=ECHO)),
            run.endpoint("answers", "127.0.16.21"),
            run.endpoint("rings", "127.0.16.22", mode="manual"),
            LineProcess(LineSettings(OURS_IP)),
        )
        try:
            await run.start()
            yield lab
        finally:
            await lab.line.close()


async def test_an_echo_on_asterisk_is_a_good_line(lab: Lab) -> None:
    report = await lab.check(number(ECHO))
    assert report.end is LineEnd.MEASURED and report.peer.startswith("Asterisk")
    assert report.codec == "PCMU" and report.lost == 0 and report.received > 300
    assert report.echo_s is not None and report.echo_s < 2.0, "our own tone came back"
    assert report.rtt_s is not None and report.far_lost_pct == 0.0
    assert judge(report).verdict is LineVerdict.GOOD
    channels = await lab.bridge.manager.ask("CoreShowChannels")
    assert channels is not None


async def test_a_baresip_endpoint_with_its_own_tone_is_a_good_line(lab: Lab) -> None:
    report = await lab.check(lab.answers.address, seconds=12.0)
    assert report.end is LineEnd.MEASURED and report.lost == 0 and report.received > 500
    assert report.heard_pct is not None and report.heard_pct > 90 and report.echo_s is None
    assert report.rtt_s is not None and report.far_lost_pct == 0.0, "its receiver reports were read"
    assert judge(report).verdict is LineVerdict.GOOD
    await lab.answers.until_calls()
    seen = lab.answers.seen()
    assert len(seen.got_bye) == len(seen.invited) >= 1, "hung up, each time once"


@pytest.mark.parametrize("who", ["asterisk", "baresip"])
async def test_five_percent_loss_is_seen_in_both_directions(lab: Lab, who: str) -> None:
    """A proxy on the way takes every twentieth packet out, in each direction."""
    address = number(ECHO) if who == "asterisk" else lab.answers.address
    async with lossy(address, OURS_IP, percent=5) as through:
        report = await lab.check(through, seconds=12.0)
    assert report.end is LineEnd.MEASURED
    # what an echo did not get it cannot send back: it keeps the numbers, and the gaps of both ways come back
    both = 2 if who == "asterisk" else 1
    assert report.lost_pct is not None and 3.5 * both < report.lost_pct < 6.5 * both
    assert report.far_lost_pct is not None and 3.0 < report.far_lost_pct < 7.0
    judgment = judge(report)
    assert judgment.verdict is LineVerdict.BAD
    assert {"loss", "far-loss"} <= {reason.name for reason in judgment.reasons}
    await lab.answers.until_calls()


async def test_one_way_audio_is_seen(lab: Lab) -> None:
    """What the endpoint sends is lost on the way; what we send arrives, and its reports say so."""
    async with lossy(lab.answers.address, OURS_IP, percent_back=100) as through:
        report = await lab.check(through, seconds=12.0)
    judgment = judge(report)
    assert report.received == 0 and judgment.verdict is LineVerdict.BAD
    assert judgment.reasons[0].name == "one-way"
    async with lossy(lab.answers.address, OURS_IP, percent=100) as through:
        report = await lab.check(through, seconds=12.0)
    assert report.received > 500 and "far-deaf" in {reason.name for reason in judge(report).reasons}
    await lab.answers.until_calls()


async def test_busy_and_nobody_there_and_a_number_that_does_not_exist(lab: Lab) -> None:
    ringing = asyncio.create_task(lab.check(lab.rings.address))
    await lab.rings.events.until("the call", lambda: bool(lab.rings.ringing), 20)
    await lab.rings.hang_up()
    declined = await ringing
    assert (declined.end, declined.status, declined.cause) == (LineEnd.NO_CALL, 486, ClearCause.BUSY)
    assert judge(declined).verdict is LineVerdict.UNANSWERED
    nobody = await lab.check(lab.rings.address, ring_s=2.0)
    assert (nobody.end, nobody.cause) == (LineEnd.NO_CALL, ClearCause.NO_ANSWER)
    await lab.rings.until_calls()
    wrong = await lab.check(number("4711"))
    assert (wrong.cause, judge(wrong).verdict) == (ClearCause.NOT_FOUND, LineVerdict.BAD)
    switched_off = await lab.check("sip:qt@127.0.16.99:5060")
    assert (switched_off.cause, judge(switched_off).verdict) == (ClearCause.UNREACHABLE, LineVerdict.BAD)


async def test_a_room_where_nobody_speaks_is_silence(lab: Lab) -> None:
    report = await lab.check(number(ROOM))
    judgment = judge(report)
    assert report.end is LineEnd.MEASURED
    assert judgment.verdict in (LineVerdict.FAIR, LineVerdict.BAD)
    assert judgment.reasons[0].name in ("silence", "one-way", "nothing-comes")


async def test_twenty_at_once_on_the_echo(lab: Lab) -> None:
    reports = await asyncio.gather(*(lab.check(number(ECHO)) for _ in range(20)))
    assert [report.end for report in reports] == [LineEnd.MEASURED] * 20
    assert all(report.received > 300 and report.lost == 0 for report in reports)

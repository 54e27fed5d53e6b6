"""How late the bell rings: a thousand meetings due within one minute, and a thousand due at once."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlmodel import select

from adapters.virtual.inventory import columns
from orchestrator.store.database import Database
from orchestrator.store.inventory import Bridge, Site
from orchestrator.store.meetings import Meeting, book
from tests.bench.figure import Figure, need, percentile
from tests.bench.place import say
from tests.bench.province import Row
from tests.bench.record import instant
from tests.bench.service import LEAD_MIN, Service, soon

MEETINGS = 1000
AIM_S = 0.25
MINUTE_S = 60
ARMING_S = 4
"""From the booking to the first bell, besides thrice what an empty start took."""

_LATENESS = """
SELECT run.opens_at, claimed.at, begun.at FROM run
JOIN journal AS claimed ON claimed.run_id = run.id AND claimed.event = 'run-claimed'
JOIN journal AS begun ON begun.run_id = run.id AND begun.event = 'run-state'
GROUP BY run.id HAVING begun.id = min(begun.id)
"""


def measure(quick: bool) -> Iterator[Figure]:
    """Seconds from the instant that dialing opens: to the ring, and to a conductor at work.

    `ring` is when the claim was begun; `begun` when the claimed run, under its lease, left
    `due`. Each meeting has one site, which this bridge has no way to call, so that nothing
    but the start is measured.
    """
    meetings = MEETINGS // 10 if quick else MEETINGS
    for name, over_s in (("minute", MINUTE_S * meetings // MEETINGS), ("instant", 0)):
        rung, begun = _rung(meetings, over_s)
        for percent in (50, 99):
            aim_s = AIM_S if over_s and percent == 99 else None
            yield Figure(f"alarm.{name}.ring.p{percent}", percentile(rung, percent), "s", aim_s)
            yield Figure(f"alarm.{name}.begun.p{percent}", percentile(begun, percent), "s", aim_s)


def _rung(meetings: int, over_s: int) -> tuple[list[float], list[float]]:
    """The lateness of every ring and of every beginning, of so many meetings over so many seconds."""
    with Service() as service:
        started_at, listening_at = service.start()
        bridge = {"name": "mcu", "family": "sip", "conference_address": "sip:{number}@127.0.10.9:5060"}
        bridge |= {"first_number": 8000, "last_number": 8000 + meetings - 1}
        service.install(bridge, [_site(f"qt{n}") for n in range(1, meetings + 1)])
        service.stop()
        first_at = soon(ARMING_S + 3 * (listening_at - started_at))
        asyncio.run(_book(service.database, first_at, meetings, over_s))
        service.start()
        need(datetime.now(UTC) < first_at, "the service was not up in time for the first bell")
        cpu_s, last_s = service.cpu_s, first_at.timestamp() - datetime.now(UTC).timestamp() + over_s
        service.record.until(
            lambda record: record.one("SELECT count(*) FROM run WHERE state = 'live'") == meetings,
            last_s + 90, f"{meetings} runs live",
        )  # fmt: skip
        need(service.record.one("SELECT count(*) FROM run") == meetings, "not one run for every meeting")
        moments = [tuple(map(instant, row)) for row in service.record.ask(_LATENESS)]
        need(len(moments) == meetings, f"{len(moments)} of {meetings} runs have begun")
        rung = [(claimed - opens).total_seconds() for opens, claimed, _ in moments]
        begun = [(began - opens).total_seconds() for opens, _, began in moments]
        need(min(rung) >= 0, f"a bell rang {-min(rung):.3f} s early")
        say(
            f"{meetings} bells over {over_s} s: rung p99 {percentile(rung, 99):.3f} s, begun p99"
            f" {percentile(begun, 99):.3f} s, {service.cpu_s - cpu_s:.1f} s of processor"
        )
        service.need_peace()
        return rung, begun


def _site(code: str) -> Row:
    """A site that has H.323 only."""
    given = {"code": code, "name": code, "priority": "5", "family": "h323", "ladder": "bridge-dials"}
    return {**dict.fromkeys(columns(), ""), **given, "addresses": f"h323:{code}@127.0.20.1"}


async def _book(path: Path, first_at: datetime, meetings: int, over_s: int) -> None:
    """Book them all in one transaction; the service, which is not running, need not weigh up each."""
    database = Database(f"sqlite:///{path}")
    async with database.write() as session:
        bridge_id = (await session.exec(select(Bridge.id))).one()
        assert bridge_id is not None
        for index, site_id in enumerate((await session.exec(select(Site.id))).all()):
            start = first_at + timedelta(seconds=index * over_s // meetings, minutes=LEAD_MIN)
            meeting = Meeting(
                title=f"Giao ban {index + 1}", start=start.strftime("%Y-%m-%dT%H:%M:%S"), time_zone="UTC",
                duration_min=60, bridge_id=bridge_id, lead_min=LEAD_MIN,
                over_at=start + timedelta(minutes=60), created_at=datetime.now(UTC),
            )  # fmt: skip
            await book(session, meeting, [site_id or 0], [])
    await database.close()

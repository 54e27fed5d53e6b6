"""What leaves the inventory, and who stands in its way.

A site that an open meeting names, a room it links, or anything a live run works with is
still needed. A bridge is needed by its whole past: meetings and runs on record name it.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import delete, or_
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession
from sqlmodel.sql.expression import SelectOfScalar

from orchestrator.refusal import InUse, Things
from orchestrator.store.database import turn
from orchestrator.store.inventory import Bridge, Endpoint, Room, Site, forget_addresses, id_of
from orchestrator.store.meetings import Meeting, MeetingLink, MeetingSite
from orchestrator.store.runs import Leg, Participant, Run

_NAMED = 5
"""How many users an error lists by name."""


async def remove_site(session: AsyncSession, site: Site, now: datetime) -> None:
    """Take a site and its endpoints out. Raises InUse naming the meetings and runs that need it."""
    await turn(session)
    meetings = select(Meeting).join(MeetingSite).where(MeetingSite.site_id == site.id, *_still_open(now))
    runs = _live_runs("site", site.code)
    await _refuse_if_used(session, "site", site.code, meetings, runs)
    endpoint_ids = [id_ for id_ in await session.exec(select(Endpoint.id).where(Endpoint.site_id == site.id)) if id_]
    await forget_addresses(session, endpoint_ids)
    await session.exec(delete(Endpoint).where(col(Endpoint.site_id) == site.id))
    await session.exec(delete(MeetingSite).where(col(MeetingSite.site_id) == site.id))
    await session.delete(site)
    await session.flush()


async def remove_endpoint(session: AsyncSession, endpoint: Endpoint) -> None:
    """Take an endpoint out. Raises InUse while it has a call of ours up."""
    await turn(session)
    calls = select(Run).join(Leg).where(Leg.endpoint == endpoint.name, col(Leg.cleared_at).is_(None)).distinct()
    await _refuse_if_used(session, "endpoint", endpoint.name, None, calls)
    await forget_addresses(session, [id_of(endpoint)])
    await session.delete(endpoint)
    await session.flush()


async def remove_bridge(session: AsyncSession, bridge: Bridge) -> None:
    """Take a bridge out. Raises InUse naming the meetings, runs and rooms on record that need it."""
    await turn(session)
    meetings = select(Meeting).where(Meeting.bridge_id == bridge.id)
    runs = select(Run).where(Run.bridge_id == bridge.id)
    rooms = select(Room).where(Room.bridge_id == bridge.id)
    users = [("room", room.name) for room in await session.exec(rooms.order_by(col(Room.name)))]
    await _refuse_if_used(session, "bridge", bridge.name, meetings, runs, users)
    await session.delete(bridge)
    await session.flush()


async def remove_room(session: AsyncSession, room: Room, now: datetime) -> None:
    """Take a room out. Raises InUse naming the meetings and runs that need it."""
    await turn(session)
    meetings = select(Meeting).join(MeetingLink).where(MeetingLink.room_id == room.id, *_still_open(now))
    await _refuse_if_used(session, "room", room.name, meetings, _live_runs("room", room.name))
    await session.exec(delete(MeetingLink).where(col(MeetingLink.room_id) == room.id))
    await session.delete(room)
    await session.flush()


def _still_open(now: datetime) -> tuple[Any, ...]:
    return col(Meeting.cancelled_at).is_(None), or_(col(Meeting.over_at).is_(None), col(Meeting.over_at) > now)


def _live_runs(kind: str, code: str) -> SelectOfScalar[Run]:
    return (
        select(Run)
        .join(Participant)
        .where(Participant.kind == kind, Participant.code == code, col(Run.closed_at).is_(None))
    )


async def _refuse_if_used(
    session: AsyncSession,
    kind: str,
    name: str,
    meetings: SelectOfScalar[Meeting] | None,
    runs: SelectOfScalar[Run],
    others: Iterable[tuple[str, str]] = (),
) -> None:
    users = list(others)
    if meetings is not None:
        found = await session.exec(meetings.order_by(col(Meeting.id)).limit(_NAMED + 1))
        users += [("meeting", f"{meeting.id} ({meeting.title})") for meeting in found]
    found_runs = await session.exec(runs.order_by(col(Run.id)).limit(_NAMED + 1))
    users += [("run", f"{run.id} ({run.title})") for run in found_runs]
    if users:
        who = {"thing": Things([(kind, name)]), "users": Things(users[:_NAMED], len(users) > _NAMED)}
        raise InUse("", "{thing} is needed by {users}", "nothing that needs it", **who)

"""Meetings: what people book."""

import asyncio
from datetime import timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response
from sqlmodel.ext.asyncio.session import AsyncSession
from starlette.status import HTTP_201_CREATED, HTTP_204_NO_CONTENT

from api.routes.links import behind, created
from api.schemas.meetings import (
    ClashShown,
    Instant,
    MeetingBooked,
    MeetingNew,
    MeetingPatch,
    MeetingShown,
    OccurrenceShown,
)
from api.schemas.page import Page
from api.schemas.values import LARGEST_ID, IdInPath, Limit
from api.services import LanguageHere, Services, ServicesHere
from api.words import msgid, say
from orchestrator.agenda import check_times, clashes_of, meetings_in, slots
from orchestrator.refusal import NotThere, Unfit
from orchestrator.store import inventory, meetings
from orchestrator.store.database import turn
from orchestrator.store.inventory import id_of
from orchestrator.store.meetings import Booking, Meeting
from schedules.clashes import Clash, Wanted

router = APIRouter(tags=["meetings"])

_YEAR = timedelta(days=366)
_NAMED = 5
"""How many sites a warning lists by name."""


@router.get("/meetings")
async def list_meetings(
    services: ServicesHere,
    after: Annotated[int, Query(ge=0, le=LARGEST_ID, description="`next` of the page before")] = 0,
    limit: Limit = 100,
    cancelled: Annotated[bool, Query(description="with those that were called off")] = False,
) -> Page[MeetingShown]:
    """Meetings in the order in which they were booked."""
    async with services.database.read() as session:
        found = await meetings.page_of_bookings(session, after, limit + 1, cancelled)
    return behind([MeetingShown(**_fields(booking)) for booking in found], limit, lambda meeting: str(meeting.id))


@router.post("/meetings", status_code=HTTP_201_CREATED)
async def book_meeting(
    new: MeetingNew, services: ServicesHere, language: LanguageHere, request: Request, response: Response
) -> MeetingBooked:
    """Book a meeting. What it clashes with comes back as warnings; it is booked all the same."""
    fields = new.model_dump(exclude={"bridge", "sites", "links"})
    fields["time_zone"] = new.time_zone or services.settings.time_zone
    fields["lead_min"] = services.settings.lead_min if new.lead_min is None else new.lead_min
    now = services.now()
    meeting = Meeting(**fields, bridge_id=0, all_sites=new.sites == "all", created_at=now)
    await asyncio.to_thread(check_times, meeting, now)  # a dense rule takes its time
    async with services.database.write() as session:
        await turn(session)
        meeting.bridge_id = await _bridge_id(session, new.bridge)
        site_ids, room_ids = await _site_ids(session, new.sites), await _room_ids(session, new.links)
        _somebody(meeting, site_ids, room_ids)
        await meetings.book(session, meeting, site_ids, room_ids)
    meeting_id = int(meeting.id or 0)
    await services.meeting_changed(meeting_id)
    created(request, response, "read_meeting", meeting_id=meeting_id)
    return await _booked(services, meeting_id, language)


@router.get("/meetings/{meeting_id}")
async def read_meeting(meeting_id: IdInPath, services: ServicesHere) -> MeetingShown:
    """One meeting, cancelled or not."""
    async with services.database.read() as session:
        return MeetingShown(**_fields(await meetings.booking(session, meeting_id)))


@router.patch("/meetings/{meeting_id}")
async def change_meeting(
    meeting_id: IdInPath, patch: MeetingPatch, services: ServicesHere, language: LanguageHere
) -> MeetingBooked:
    """Change what is given. Runs that have begun go on as they were booked."""
    changes: dict[str, Any] = patch.model_dump(exclude_unset=True)
    now = services.now()
    async with services.database.write() as session:
        await turn(session)
        meeting = meetings.still_on((await meetings.booking(session, meeting_id)).meeting)
        if "bridge" in changes:
            changes["bridge_id"] = await _bridge_id(session, changes.pop("bridge"))
        sites, links = changes.pop("sites", None), changes.pop("links", None)
        for column, value in changes.items():
            setattr(meeting, column, value)
        if changes.keys() & {"start", "time_zone", "duration_min", "recurrence", "exdates"}:
            await asyncio.to_thread(check_times, meeting, now, since=meeting.created_at)
        await session.flush()
        if sites is not None:
            meeting.all_sites = sites == "all"
            await meetings.invite(session, meeting, await _site_ids(session, sites))
        if links is not None:
            await meetings.link(session, meeting, await _room_ids(session, links))
        booking = await meetings.booking(session, meeting_id)
        _somebody(meeting, booking.sites or (), booking.links)
    await services.meeting_changed(meeting_id)
    return await _booked(services, meeting_id, language)


@router.delete("/meetings/{meeting_id}", status_code=HTTP_204_NO_CONTENT)
async def cancel_meeting(meeting_id: IdInPath, services: ServicesHere) -> None:
    """Call a meeting off; what was recorded of it stays. Safe to repeat."""
    async with services.database.write() as session:
        await turn(session)
        await meetings.cancel(session, (await meetings.booking(session, meeting_id)).meeting, services.now())
    await services.meeting_changed(meeting_id)


@router.get("/meetings/{meeting_id}/occurrences")
async def list_occurrences(
    meeting_id: IdInPath,
    services: ServicesHere,
    begin: Annotated[Instant | None, Query(alias="from", description="now, if left out")] = None,
    until: Annotated[Instant | None, Query(description="a year after `from`, if left out")] = None,
    limit: Limit = 100,
) -> Page[OccurrenceShown]:
    """The dates on which the meeting takes place, from `from` up to, not at, `until`.

    `next` is the `from` of the page behind.
    """
    after = begin or services.now()
    before = until or after + _YEAR
    async with services.database.read() as session:
        meeting = (await meetings.booking(session, meeting_id)).meeting
    found = [
        OccurrenceShown(
            starts_at=slot.starts_at,
            ends_at=slot.ends_at,
            opens_at=slot.opens_at,
            wall=slot.wall.isoformat(timespec="minutes"),
        )
        for slot in slots(meeting, after, before, limit + 1)
    ]
    more = len(found) > limit
    return Page[OccurrenceShown](items=found[:limit], next=found[limit].starts_at.isoformat() if more else None)


async def _bridge_id(session: AsyncSession, name: str) -> int:
    try:
        return id_of(await inventory.bridge_by_name(session, name))
    except NotThere:
        raise Unfit("/bridge", msgid("there is no bridge {name}"), msgid("the name of a bridge"), name=name) from None


async def _site_ids(session: AsyncSession, sites: list[str] | str) -> list[int]:
    if isinstance(sites, str):
        return []
    found = await inventory.sites_by_codes(session, sites)
    for position, code in enumerate(sites):
        if code not in found:
            problem, expected = msgid("there is no site {code}"), msgid('codes of sites, or "all"')
            raise Unfit(f"/sites/{position}", problem, expected, code=code)
    return [id_of(site) for site in found.values()]


async def _room_ids(session: AsyncSession, names: list[str]) -> list[int]:
    found = await inventory.rooms_by_names(session, names)
    for position, name in enumerate(names):
        if name not in found:
            problem, expected = msgid("there is no room {name}"), msgid("names of rooms")
            raise Unfit(f"/links/{position}", problem, expected, name=name)
    return [id_of(found[name]) for name in names]


def _somebody(meeting: Meeting, sites: Any, links: Any) -> None:
    if not meeting.all_sites and not sites and not links:
        raise Unfit("/sites", msgid("nobody takes part"), msgid('at least one site, "all", or a linked room'))


def _fields(booking: Booking) -> dict[str, Any]:
    return booking.meeting.model_dump(exclude={"bridge_id", "all_sites"}) | {
        "bridge": booking.bridge,
        "sites": "all" if booking.sites is None else list(booking.sites),
        "links": list(booking.links),
    }


async def _booked(services: Services, meeting_id: int, language: str) -> MeetingBooked:
    """The meeting as it stands, and its clashes: looked for after the commit, so that nobody waits for them."""
    async with services.database.read() as session:
        booking = await meetings.booking(session, meeting_id)
        clashes = await clashes_of(session, booking.meeting, services.now())
    return MeetingBooked(**_fields(booking), warnings=[_clash(clash, language) for clash in clashes])


def _clash(clash: Clash, language: str) -> ClashShown:
    ids = meetings_in(clash)
    names = ", ".join(clash.names[:_NAMED]) + (", ..." if len(clash.names) > _NAMED else "")
    values = {"names": names, "meetings": ", ".join(map(str, ids)), "start": f"{clash.starts_at:%Y-%m-%dT%H:%MZ}"}
    if clash.over is Wanted.PORTS:
        text = say(
            language,
            "Bridge {names} has {there} ports; from {start} on meetings {meetings} want {needed}.",
            **values,
            there=clash.there,
            needed=clash.needed,
        )
    else:
        text = say(language, "From {start} on meetings {meetings} all want {names}.", **values)
    return ClashShown(
        kind=clash.over.value,
        names=list(clash.names),
        meetings=ids,
        starts_at=clash.starts_at,
        ends_at=clash.ends_at,
        text=text,
    )

"""Rooms: conferences on somebody else's bridge, such as the province's."""

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession
from starlette.status import HTTP_201_CREATED, HTTP_204_NO_CONTENT

from api.routes.links import behind, created
from api.schemas.page import Page
from api.schemas.rooms import RoomNew, RoomPatch, RoomShown
from api.schemas.values import After, Limit, NameInPath
from api.services import ServicesHere
from api.words import msgid
from orchestrator.refusal import NotThere, Unfit
from orchestrator.store import inventory
from orchestrator.store.database import turn
from orchestrator.store.inventory import Bridge, Room
from orchestrator.store.removal import remove_room

router = APIRouter(tags=["rooms"])


@router.get("/rooms")
async def list_rooms(services: ServicesHere, after: After = "", limit: Limit = 100) -> Page[RoomShown]:
    """Rooms in order of name."""
    async with services.database.read() as session:
        found = await inventory.page_of_rooms(session, after, limit + 1)
        return behind(await _shown(session, found), limit, lambda room: room.name)


@router.post("/rooms", status_code=HTTP_201_CREATED)
async def create_room(new: RoomNew, services: ServicesHere, request: Request, response: Response) -> RoomShown:
    """Create a room."""
    room = Room(**new.model_dump(exclude={"bridge"}))
    room.pin = services.keys.seal(new.pin)
    async with services.database.write() as session:
        await turn(session)
        room.bridge_id = await _bridge_id(session, new.bridge)
        await inventory.add_room(session, room)
        shown = (await _shown(session, [room]))[0]
    created(request, response, "read_room", name=room.name)
    return shown


@router.get("/rooms/{name}")
async def read_room(name: NameInPath, services: ServicesHere) -> RoomShown:
    """One room."""
    async with services.database.read() as session:
        return (await _shown(session, [await inventory.room_by_name(session, name)]))[0]


@router.patch("/rooms/{name}")
async def change_room(name: NameInPath, patch: RoomPatch, services: ServicesHere) -> RoomShown:
    """Change what is given; the name stays. A PIN that is left out stays."""
    changes: dict[str, Any] = patch.model_dump(exclude_unset=True)
    async with services.database.write() as session:
        await turn(session)
        room = await inventory.room_by_name(session, name)
        if "bridge" in changes:
            changes["bridge_id"] = await _bridge_id(session, changes.pop("bridge"))
        if "pin" in changes:
            changes["pin"] = services.keys.seal(changes["pin"])
        for column, value in changes.items():
            setattr(room, column, value)
        await session.flush()
        return (await _shown(session, [room]))[0]


@router.delete("/rooms/{name}", status_code=HTTP_204_NO_CONTENT)
async def delete_room(name: NameInPath, services: ServicesHere) -> None:
    """Take a room out, unless an open meeting or a live run links it."""
    async with services.database.write() as session:
        await turn(session)
        await remove_room(session, await inventory.room_by_name(session, name), services.now())


async def _bridge_id(session: AsyncSession, name: str | None) -> int | None:
    if name is None:
        return None
    try:
        return (await inventory.bridge_by_name(session, name)).id
    except NotThere:
        problem = msgid("there is no bridge {name}")
        raise Unfit("/bridge", problem, msgid("the name of a bridge, or null"), name=name) from None


async def _shown(session: AsyncSession, rooms: list[Room]) -> list[RoomShown]:
    ids = {room.bridge_id for room in rooms}
    bridges = dict((await session.exec(select(Bridge.id, Bridge.name).where(col(Bridge.id).in_(ids)))).all())
    return [
        RoomShown(
            **room.model_dump(exclude={"id", "pin", "bridge_id"}),
            has_pin=bool(room.pin),
            bridge=bridges.get(room.bridge_id),
        )
        for room in rooms
    ]

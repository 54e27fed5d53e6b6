"""Bridges: the MCUs that hold our conferences."""

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response
from starlette.status import HTTP_201_CREATED, HTTP_204_NO_CONTENT

from api.routes.links import behind, created
from api.schemas.bridges import BridgeNew, BridgePatch, BridgeShown
from api.schemas.page import Page
from api.schemas.values import After, Limit, NameInPath
from api.services import Services, ServicesHere
from api.words import msgid
from orchestrator.refusal import Unfit
from orchestrator.store import inventory
from orchestrator.store.database import turn
from orchestrator.store.inventory import Bridge
from orchestrator.store.removal import remove_bridge

router = APIRouter(tags=["bridges"])


@router.get("/bridges")
async def list_bridges(services: ServicesHere, after: After = "", limit: Limit = 100) -> Page[BridgeShown]:
    """Bridges in order of name."""
    async with services.database.read() as session:
        found = await inventory.page_of_bridges(session, after, limit + 1)
    return behind([_shown(bridge) for bridge in found], limit, lambda bridge: bridge.name)


@router.post("/bridges", status_code=HTTP_201_CREATED)
async def create_bridge(new: BridgeNew, services: ServicesHere, request: Request, response: Response) -> BridgeShown:
    """Create a bridge."""
    bridge = Bridge(**new.model_dump())
    bridge.control_secret = services.keys.seal(new.control_secret)
    _check(services, bridge)
    async with services.database.write() as session:
        await inventory.add_bridge(session, bridge)
    created(request, response, "read_bridge", name=bridge.name)
    return _shown(bridge)


@router.get("/bridges/{name}")
async def read_bridge(name: NameInPath, services: ServicesHere) -> BridgeShown:
    """One bridge."""
    async with services.database.read() as session:
        return _shown(await inventory.bridge_by_name(session, name))


@router.patch("/bridges/{name}")
async def change_bridge(name: NameInPath, patch: BridgePatch, services: ServicesHere) -> BridgeShown:
    """Change what is given; the name stays. A secret that is left out stays."""
    changes: dict[str, Any] = patch.model_dump(exclude_unset=True)
    async with services.database.write() as session:
        await turn(session)
        bridge = await inventory.bridge_by_name(session, name)
        if "control_secret" in changes:
            changes["control_secret"] = services.keys.seal(changes["control_secret"])
        for column, value in changes.items():
            setattr(bridge, column, value)
        _check(services, bridge)
        await session.flush()
    await services.bridge_changed(name)
    return _shown(bridge)


@router.delete("/bridges/{name}", status_code=HTTP_204_NO_CONTENT)
async def delete_bridge(name: NameInPath, services: ServicesHere) -> None:
    """Take a bridge out that no meeting, run or room on record names."""
    async with services.database.write() as session:
        await turn(session)
        await remove_bridge(session, await inventory.bridge_by_name(session, name))


def _check(services: Services, bridge: Bridge) -> None:
    if bridge.family not in services.bridge_families:
        expected, known = msgid("one of {known}"), ", ".join(sorted(services.bridge_families))
        problem = msgid("there is no adapter for bridges of family {family}")
        raise Unfit("/family", problem, expected, family=bridge.family, known=known)
    if bridge.first_number > bridge.last_number:
        problem = msgid("{last} is less than first_number {first}")
        values = {"first": bridge.first_number, "last": bridge.last_number}
        raise Unfit("/last_number", problem, msgid("at least {first}"), **values)


def _shown(bridge: Bridge) -> BridgeShown:
    return BridgeShown(**bridge.model_dump(exclude={"id", "control_secret"}), has_secret=bool(bridge.control_secret))

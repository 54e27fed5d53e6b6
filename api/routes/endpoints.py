"""Endpoints: the codecs in the sites' rooms."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession
from starlette.status import HTTP_201_CREATED, HTTP_204_NO_CONTENT

from api.routes.links import behind, created
from api.schemas.endpoints import EndpointNew, EndpointPatch, EndpointShown, RegistrationShown
from api.schemas.page import Page
from api.schemas.values import After, Code, Limit, NameInPath
from api.services import Services, ServicesHere
from api.words import msgid
from orchestrator.refusal import NotThere, Unfit
from orchestrator.store import inventory, registrations
from orchestrator.store.database import turn
from orchestrator.store.inventory import Endpoint, EndpointAt, Site, id_of
from orchestrator.store.registrations import RegistrationRow
from orchestrator.store.removal import remove_endpoint

router = APIRouter(tags=["endpoints"])


@router.get("/endpoints")
async def list_endpoints(
    services: ServicesHere,
    after: After = "",
    limit: Limit = 100,
    site: Annotated[Code | None, Query(description="only those of this site")] = None,
) -> Page[EndpointShown]:
    """Endpoints in order of name."""
    async with services.database.read() as session:
        site_id = id_of(await inventory.site_by_code(session, site)) if site else None
        found = await inventory.page_of_endpoints(session, after, limit + 1, site_id)
        return behind(await _shown(session, services, found), limit, lambda endpoint: endpoint.name)


@router.post("/endpoints", status_code=HTTP_201_CREATED)
async def create_endpoint(
    new: EndpointNew, services: ServicesHere, request: Request, response: Response
) -> EndpointShown:
    """Create an endpoint at a site."""
    endpoint = Endpoint(site_id=0, **new.model_dump(exclude={"site", "addresses"}))
    endpoint.control_secret = services.keys.seal(new.control_secret)
    async with services.database.write() as session:
        await turn(session)
        endpoint.site_id = await _site_id(session, new.site)
        at = await inventory.add_endpoint(session, endpoint, new.addresses)
        shown = (await _shown(session, services, [at]))[0]
    created(request, response, "read_endpoint", name=endpoint.name)
    return shown


@router.get("/endpoints/{name}")
async def read_endpoint(name: NameInPath, services: ServicesHere) -> EndpointShown:
    """One endpoint."""
    async with services.database.read() as session:
        return (await _shown(session, services, [await inventory.endpoint_by_name(session, name)]))[0]


@router.patch("/endpoints/{name}")
async def change_endpoint(name: NameInPath, patch: EndpointPatch, services: ServicesHere) -> EndpointShown:
    """Change what is given; the name stays. A secret that is left out stays."""
    changes = patch.model_dump(exclude_unset=True)
    async with services.database.write() as session:
        await turn(session)
        at = await inventory.endpoint_by_name(session, name)
        if "site" in changes:
            changes["site_id"] = await _site_id(session, changes.pop("site"))
        if "control_secret" in changes:
            changes["control_secret"] = services.keys.seal(changes["control_secret"])
        addresses = changes.pop("addresses", None)
        for column, value in changes.items():
            setattr(at.endpoint, column, value)
        await session.flush()
        if addresses is not None:
            at = await inventory.move_endpoint(session, at.endpoint, addresses)
        shown = (await _shown(session, services, [at]))[0]
    await services.endpoint_changed(name)
    return shown


@router.delete("/endpoints/{name}", status_code=HTTP_204_NO_CONTENT)
async def delete_endpoint(name: NameInPath, services: ServicesHere) -> None:
    """Take an endpoint out, unless it has a call of ours up."""
    async with services.database.write() as session:
        await turn(session)
        await remove_endpoint(session, (await inventory.endpoint_by_name(session, name)).endpoint)


async def _site_id(session: AsyncSession, code: str) -> int:
    try:
        return id_of(await inventory.site_by_code(session, code))
    except NotThere:
        raise Unfit("/site", msgid("there is no site {code}"), msgid("the code of a site"), code=code) from None


async def _shown(session: AsyncSession, services: Services, found: list[EndpointAt]) -> list[EndpointShown]:
    site_ids = {at.endpoint.site_id for at in found}
    codes = dict((await session.exec(select(Site.id, Site.code).where(col(Site.id).in_(site_ids)))).all())
    registered = await registrations.of_endpoints(session, [id_of(at.endpoint) for at in found])
    return [
        EndpointShown(
            **at.endpoint.model_dump(exclude={"id", "site_id", "control_secret"}),
            site=codes[at.endpoint.site_id],
            has_adapter=at.endpoint.family in services.endpoint_families,
            has_secret=bool(at.endpoint.control_secret),
            addresses=list(at.addresses),
            registrations=[_registration(row, services.now()) for row in registered.get(id_of(at.endpoint), ())],
        )
        for at in found
    ]


def _registration(row: RegistrationRow, now: datetime) -> RegistrationShown:
    is_registered = row.value.is_current(now)
    return RegistrationShown(
        address=row.address,
        is_registered=is_registered,
        since_at=row.since_at if is_registered else None,
        until_at=row.until_at,
        source=row.source,
        product=row.product,
    )

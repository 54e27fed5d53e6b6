"""Sites: one by one, or all at once as a spreadsheet."""

import asyncio
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response
from sqlmodel.ext.asyncio.session import AsyncSession
from starlette.status import HTTP_201_CREATED, HTTP_204_NO_CONTENT

from api.errors import told
from api.routes.links import behind, created
from api.schemas.page import Page
from api.schemas.sites import ImportShown, SiteNew, SitePatch, SiteShown
from api.schemas.values import After, CodeInPath, Limit
from api.services import LanguageHere, ServicesHere
from orchestrator import sheet
from orchestrator.store import inventory
from orchestrator.store.database import turn
from orchestrator.store.intake import take_in
from orchestrator.store.inventory import Site, id_of
from orchestrator.store.removal import remove_site

router = APIRouter(tags=["sites"])
IMPORT_PATH = "/sites/import"


@router.post(
    IMPORT_PATH,
    openapi_extra={
        "requestBody": {"required": True, "content": {"text/csv": {"schema": {"type": "string", "format": "binary"}}}}
    },
)
async def import_sites(
    request: Request,
    services: ServicesHere,
    language: LanguageHere,
    dry_run: Annotated[bool, Query(description="say what would be done, do nothing")] = False,
) -> ImportShown:
    """Take a spreadsheet in: all of it or, with any error, nothing. Sites that are there are updated by code."""
    content = await request.body()
    read = await asyncio.to_thread(sheet.read, content, services.endpoint_families)
    intake = await take_in(services.database, read, dry_run=dry_run, time_zone=services.settings.time_zone)
    notices = [
        told(language, each.complaint, path="", row=each.row, column=each.complaint.path) for each in intake.notices
    ]
    return ImportShown(
        dry_run=dry_run,
        created=intake.created,
        updated=intake.updated,
        unchanged=intake.unchanged,
        notices=notices,
    )


@router.get("/sites.csv", response_class=Response, responses={200: {"content": {"text/csv": {}}}})
async def export_sites(services: ServicesHere) -> Response:
    """All sites, each with its first endpoint, as a spreadsheet that can be imported again."""
    async with services.database.read() as session:
        sites = await inventory.sites_with_endpoints(session, None)
    headers = {"Content-Disposition": 'attachment; filename="sites.csv"'}
    return Response(await asyncio.to_thread(sheet.write, sites), media_type="text/csv; charset=utf-8", headers=headers)


@router.get("/sites")
async def list_sites(services: ServicesHere, after: After = "", limit: Limit = 100) -> Page[SiteShown]:
    """Sites in order of code."""
    async with services.database.read() as session:
        sites = await inventory.page_of_sites(session, after, limit + 1)
        return behind(await _shown(session, sites), limit, lambda site: site.code)


@router.post("/sites", status_code=HTTP_201_CREATED)
async def create_site(new: SiteNew, services: ServicesHere, request: Request, response: Response) -> SiteShown:
    """Create a site."""
    site = Site(**new.model_dump() | {"time_zone": new.time_zone or services.settings.time_zone})
    async with services.database.write() as session:
        await inventory.add_site(session, site)
        shown = (await _shown(session, [site]))[0]
    created(request, response, "read_site", code=site.code)
    return shown


@router.get("/sites/{code}")
async def read_site(code: CodeInPath, services: ServicesHere) -> SiteShown:
    """One site."""
    async with services.database.read() as session:
        return (await _shown(session, [await inventory.site_by_code(session, code)]))[0]


@router.patch("/sites/{code}")
async def change_site(code: CodeInPath, patch: SitePatch, services: ServicesHere) -> SiteShown:
    """Change what is given; the code stays."""
    async with services.database.write() as session:
        await turn(session)
        site = await inventory.site_by_code(session, code)
        for name, value in patch.model_dump(exclude_unset=True).items():
            setattr(site, name, value)
        await session.flush()
        return (await _shown(session, [site]))[0]


@router.delete("/sites/{code}", status_code=HTTP_204_NO_CONTENT)
async def delete_site(code: CodeInPath, services: ServicesHere) -> None:
    """Take a site and its endpoints out, unless an open meeting or a live run needs it."""
    async with services.database.write() as session:
        await turn(session)
        await remove_site(session, await inventory.site_by_code(session, code), services.now())


async def _shown(session: AsyncSession, sites: list[Site]) -> list[SiteShown]:
    found = await inventory.sites_with_endpoints(session, [id_of(site) for site in sites])
    endpoints = {at.site.code: [each.endpoint.name for each in at.endpoints] for at in found}
    return [SiteShown(**site.model_dump(exclude={"id"}), endpoints=endpoints.get(site.code, [])) for site in sites]

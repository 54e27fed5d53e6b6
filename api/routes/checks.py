"""Line checks: is the line to a site good? Asked for here, read afterwards."""

from functools import partial
from typing import Annotated

from fastapi import APIRouter, Body, Query

from api.errors import NotReady
from api.lines import reason_words
from api.schemas.checks import CheckNew, CheckPage, ChecksBegun, CheckShown, check_out
from api.schemas.values import IdInPath
from api.services import LanguageHere, ServicesHere
from api.words import msgid
from orchestrator.refusal import NotThere
from orchestrator.store import checks as store
from orchestrator.store.inventory import site_by_code

router = APIRouter(tags=["checks"])

_LARGEST_ID = 2**31 - 1


@router.post("/checks", status_code=202)
async def begin_checks(services: ServicesHere, language: LanguageHere, new: Annotated[CheckNew, Body()]) -> ChecksBegun:
    """Begin to check lines by test calls with sound; ask for each again by its id until it has a verdict.

    A site that a run has in hand is not called: its check is `unchecked` at once, and says why.
    """
    if services.checks is None:
        raise NotReady("line checks are not done here")
    bridge = (new.bridge, new.number) if new.bridge is not None else None
    rows = await services.checks.begin(new.sites, bridge, new.seconds)
    return ChecksBegun(items=[check_out(row, partial(reason_words, language)) for row in rows])


@router.get("/checks")
async def list_checks(
    services: ServicesHere,
    language: LanguageHere,
    site: Annotated[str | None, Query(max_length=200, description="of this site only")] = None,
    below: Annotated[int | None, Query(ge=1, le=_LARGEST_ID, description="`next` of the page before.")] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
) -> CheckPage:
    """Line checks, newest first."""
    async with services.database.read() as session:
        if site is not None:
            await site_by_code(session, site)
        target = None if site is None else f"site:{site}"
        rows = await store.page_of_checks(session, target=target, below=below, limit=limit + 1)
    more = len(rows) > limit
    items = [check_out(row, partial(reason_words, language)) for row in rows[:limit]]
    return CheckPage(items=items, next=items[-1].id if more else None)


@router.get("/checks/{id}")
async def read_check(services: ServicesHere, language: LanguageHere, id: IdInPath) -> CheckShown:
    """One line check: its verdict once it is over, and what was measured."""
    async with services.database.read() as session:
        rows = await store.checks_by_ids(session, [id])
    if not rows:
        raise NotThere(msgid("line check"), id)
    return check_out(rows[0], partial(reason_words, language))

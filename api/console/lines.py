"""The page of lines: every site with what its last line check found, and a button to check it now."""

import contextlib
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Query, Request
from fastapi.responses import RedirectResponse, Response

from api.lines import cells, verdict_words, why
from orchestrator.refusal import NotThere
from orchestrator.store.checks import LineCheckRow, latest_checks
from orchestrator.store.inventory import page_of_sites

if TYPE_CHECKING:
    from api.console.page import Console

_A_PAGE = 200
_LOOK_AGAIN_S = 3
_LOOKS = {"good": "live", "fair": "degraded", "bad": "failed", "": "calling"}
"""Which look of the boards a verdict has."""


def add(
    routes: APIRouter,
    console: "Console",
    page: Callable[..., Response],
    logged_in: Callable[[Request], object],
    genuine_form: Callable[[Request], Awaitable[dict[str, str]]],
    language_of: Callable[["Console", Request], str],
) -> None:
    """Give the console its page of lines."""

    @routes.get("/lines")
    async def lines_page(request: Request, after: Annotated[str, Query(max_length=200)] = "") -> Response:
        logged_in(request)
        language, services = language_of(console, request), console.services
        async with services.database.read() as session:
            sites = await page_of_sites(session, after, _A_PAGE + 1)
            shown = sites[:_A_PAGE]
            latest = await latest_checks(session, [f"site:{site.code}" for site in shown])
        rows = [
            {"code": site.code, "name": site.name, **_told(language, latest.get(f"site:{site.code}"), services.now())}
            for site in shown
        ]
        answer = page(
            request, "lines.html", rows=rows, after=after, zone=services.settings.time_zone,
            next=shown[-1].code if len(sites) > _A_PAGE else "", can_check=services.checks is not None,
        )  # fmt: skip
        if any(row["under_way"] for row in rows):
            answer.headers["Refresh"] = str(_LOOK_AGAIN_S)
        return answer

    @routes.post("/lines")
    async def check_lines(request: Request) -> Response:
        form = await genuine_form(request)
        services, after = console.services, form.get("after", "")
        codes = [form["site"]] if form.get("site") else []
        if not codes:
            async with services.database.read() as session:
                codes = [site.code for site in await page_of_sites(session, after, _A_PAGE)]
        if services.checks is not None and codes:
            with contextlib.suppress(NotThere):  # taken out of the inventory since the page was loaded
                await services.checks.begin(codes)
        return RedirectResponse(f"/lines?after={quote(after)}" if after else "/lines", 303)


def _told(language: str, row: LineCheckRow | None, now: Any) -> dict[str, Any]:
    """A row of the table; a check that nobody can be doing any more is not under way."""
    if row is None:
        return {"under_way": False, "verdict": None, "look": "", "at": None, "why": "", **cells(language, {})}
    under_way = row.ended_at is None and row.deadline_at > now
    verdict = row.verdict or ("" if under_way else "unchecked")
    return {
        "under_way": under_way,
        "verdict": verdict_words(language, verdict),
        "look": _LOOKS.get(verdict, ""),
        "at": row.ended_at,
        "why": why(language, row.reasons, row.figures),
        **cells(language, row.figures),
    }

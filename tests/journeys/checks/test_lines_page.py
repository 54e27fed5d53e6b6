"""The console's page of lines, as a browser without scripts meets it."""

import asyncio
import html
import re
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from tests.journeys.checks.conftest import furnish
from tests.support.echo import Echo
from tests.support.server import TOKEN, running

WAIT_S = 60.0


@pytest.fixture
async def browser(tmp_path: Path, sqlite_database_url: str, far: Echo) -> AsyncIterator[httpx.AsyncClient]:
    async with running(tmp_path / "data", sqlite_database_url, check_s=1.0, check_ring_s=5.0) as service:
        await furnish(service.services.database, far)
        headers = {"Accept-Language": "en"}
        async with httpx.AsyncClient(base_url=service.url, headers=headers, trust_env=False, timeout=30) as client:
            answer = await client.post("/login", data={"token": TOKEN, "onward": "/lines"})
            assert (answer.status_code, answer.headers["location"]) == (303, "/lines")
            yield client


def token(page: httpx.Response) -> str:
    found = re.search(r'name="form_token" value="([0-9a-f]+)"', page.text)
    assert found is not None
    return found[1]


def row(page: httpx.Response, code: str) -> str:
    """The words of a site's row."""
    found = re.search(rf'<th scope="row">{code} .*?</tr>', page.text, re.DOTALL)
    assert found is not None
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", found[0])).split())


async def settled(browser: httpx.AsyncClient) -> httpx.Response:
    """The page once it no longer wants to be loaded again."""
    async with asyncio.timeout(WAIT_S):
        while "refresh" in (page := await browser.get("/lines")).headers:  # noqa: ASYNC110
            await asyncio.sleep(0.2)  # a browser is told to look again, not when it is over
    return page


async def test_one_line_is_checked_by_its_button(browser: httpx.AsyncClient) -> None:
    page = await browser.get("/lines")
    assert page.status_code == 200 and "refresh" not in page.headers
    assert row(page, "qt01") == "qt01 Xã qt01 Check"
    answer = await browser.post("/lines", data={"form_token": token(page), "site": "qt01"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/lines")
    page = await browser.get("/lines")
    assert page.headers["refresh"] == "3" and "being checked" in row(page, "qt01")
    page = await settled(browser)
    assert row(page, "qt01").startswith("qt01 Xã qt01 good ") and "0.0 %" in row(page, "qt01")
    assert row(page, "qt17") == "qt17 Xã qt17 Check", "the others were left alone"


async def test_all_lines_of_the_page_are_checked_at_once(browser: httpx.AsyncClient) -> None:
    page = await browser.get("/lines")
    await browser.post("/lines", data={"form_token": token(page), "after": ""})
    page = await settled(browser)
    assert " good " in row(page, "qt01") and " bad " in row(page, "qt03")
    assert "only silence comes" in row(page, "qt02") and "nobody answered" in row(page, "qt05")
    assert "not checked" in row(page, "qt40") and "it has no SIP address" in row(page, "qt40")


async def test_nobody_checks_without_being_logged_in_or_from_elsewhere(browser: httpx.AsyncClient) -> None:
    assert (await browser.post("/lines", data={"site": "qt01"})).status_code == 403
    page = await browser.get("/lines")
    gone = await browser.post("/lines", data={"form_token": token(page), "site": "qt99"})
    assert gone.status_code == 303
    browser.cookies.clear()
    assert (await browser.get("/lines")).headers["location"].startswith("/login")
    assert (await browser.post("/lines", data={"site": "qt01"})).status_code == 303

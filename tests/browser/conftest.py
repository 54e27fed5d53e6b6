from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, async_playwright

from tests.journeys.runs.stand import Stand, standing

CHROMIUM = "/usr/bin/chromium"


@pytest.fixture
async def stand(tmp_path: Path) -> AsyncIterator[Stand]:
    async with standing(tmp_path) as running:
        yield running


@pytest.fixture
async def chromium() -> AsyncIterator[Browser]:
    arguments = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield browser
        await browser.close()


@pytest.fixture
async def page(chromium: Browser, stand: Stand) -> AsyncIterator[Page]:
    """A page of an English browser; whatever goes wrong in it fails the test."""
    wrong: list[str] = []
    context = await chromium.new_context(base_url=stand.url, locale="en-GB")
    page = await context.new_page()
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
    page.on("request", lambda request: None if request.url.startswith(stand.url) else wrong.append(request.url))
    yield page
    await context.close()
    assert wrong == []

"""The board of a run that is really conducted: a virtual province, real calls, an operator at the browser."""

import asyncio
from pathlib import Path

import pytest
from playwright.async_api import Browser, expect

from api.commands.demo import book, run_of
from api.commands.stage import ProvinceProcess, demo_settings, serving

pytestmark = pytest.mark.browser

DEADLINE_S = 90
PATIENCE_MS = 20_000


async def test_an_operator_hangs_up_mutes_redials_and_ends(tmp_path: Path, chromium: Browser) -> None:
    province = await ProvinceProcess.start(3, "ring 0.3; answer")
    try:
        async with asyncio.timeout(DEADLINE_S), serving(demo_settings(tmp_path, 0)) as stage:
            run_id = await run_of(stage.client, await book(stage.client, province.papers, "en"))
            context = await chromium.new_context(base_url=stage.url, locale="en-GB")
            page = await context.new_page()
            page.set_default_timeout(PATIENCE_MS)
            expect.set_options(timeout=PATIENCE_MS)
            await page.goto(stage.console.login_path(f"/runs/{run_id}"))
            row = page.locator("#site-qt01")
            await expect(page.locator(".score")).to_contain_text("3/3")
            await expect(page.locator("#link-Phòng\\ họp\\ tỉnh")).to_have_attribute("data-state", "in")
            await expect(page.locator("#head")).to_have_attribute("data-state", "live")

            await page.get_by_role("button", name="Mute qt01", exact=True).click()
            await expect(row).to_contain_text("muted")
            await page.get_by_role("button", name="Unmute qt01").click()
            await expect(page.get_by_role("button", name="Mute qt01", exact=True)).to_be_visible()

            await page.get_by_role("button", name="Hang up qt01").click()
            await expect(row).to_have_attribute("data-state", "stopped")
            await expect(row).to_contain_text("hung up by an operator")
            await page.get_by_role("button", name="Redial qt01").click()
            await expect(row).to_have_attribute("data-state", "in")
            await expect(page.locator("#head")).to_have_attribute("data-state", "live")

            await province.ask("hang-up", site="qt02")
            await expect(page.locator("#site-qt02")).to_contain_text("+1")
            await expect(page.locator("#site-qt02")).to_have_attribute("data-state", "in")

            await page.get_by_text("End the run…").click()
            await page.get_by_role("button", name="End now").click()
            await expect(page.locator("#pulse")).to_have_text("the run is over")
            await page.get_by_role("link", name="Attendance").click()
            await expect(page.get_by_text("4 of 4 were there")).to_be_visible()
            await context.close()
        stats = (await province.ask("stats"))["stats"]
        assert (stats["calls_up"], stats["doubles"]) == (0, 0)
    finally:
        await province.stop()

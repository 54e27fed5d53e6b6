"""The board in a real browser: log in, watch sites come in, press buttons."""

from datetime import timedelta

import pytest
from playwright.async_api import Browser, Page, expect
from sqlmodel import select

from orchestrator.store.runs import ShardCommand
from tests.journeys.runs.scene import NOON
from tests.journeys.runs.stand import TOKEN, Stand

pytestmark = pytest.mark.browser


async def verbs(stand: Stand) -> list[tuple[str, dict[str, object]]]:
    async with stand.scene.database.read() as session:
        return [(command.verb, command.args) for command in await session.exec(select(ShardCommand))]


async def log_in(page: Page, onward: str) -> None:
    """Ask for a page, be sent to the login, give the token, arrive."""
    await page.goto(onward)
    await page.get_by_label("Access token").fill(TOKEN)
    await page.get_by_role("button", name="Log in").click()
    await page.wait_for_url(f"**{onward}")


async def test_sites_come_in_before_the_eyes_of_the_operator(stand: Stand, page: Page) -> None:
    run_id = await stand.scene.run(sites=3)
    await log_in(page, f"/runs/{run_id}")
    await expect(page.locator("#pulse")).to_have_text("up to date")
    row = page.locator("#site-qt02")
    await expect(row).to_contain_text("waiting")
    await expect(page.locator(".score")).to_contain_text("0/3")

    await stand.scene.change(
        run_id, "qt02", "leg-connected", state="half-in", seen_by_endpoint="connected", seen_by_bridge="not-in",
        way="third-party", attempts=1,
    )  # fmt: skip
    stand.ring(run_id)
    await expect(row).to_contain_text("the bridge does not show it yet")

    await stand.scene.change(
        run_id, "qt02", "site-in", state="in", seen_by_bridge="in", in_since=NOON + timedelta(minutes=2), muted=False
    )
    stand.ring(run_id)
    await expect(row).to_have_attribute("data-state", "in")
    await expect(row).to_contain_text("since 08:02:00")
    await expect(page.locator(".score")).to_contain_text("1/3")
    await expect(page.locator("#log li").first).to_contain_text("qt02")

    await stand.scene.change(
        run_id, "qt01", "leg-cleared", state="retrying", cause="busy", side="far_end", raw="486 Busy Here"
    )  # nobody rings: written by another process
    await expect(page.locator("#site-qt01")).to_contain_text("busy in another call (SIP 486 Busy Here)")


async def test_a_pressed_button_is_an_order_and_is_confirmed(stand: Stand, page: Page) -> None:
    run_id = await stand.scene.run(sites=2)
    await log_in(page, f"/runs/{run_id}")
    await page.get_by_role("button", name="Redial qt01").click()
    await expect(page.get_by_role("status")).to_have_text("Order accepted: redial qt01")
    await page.get_by_label("Minutes").select_option("30")
    await page.get_by_role("button", name="Extend").click()
    await expect(page.get_by_role("status")).to_have_text("Order accepted: extend the run")
    await page.get_by_text("End the run…").click()
    await page.get_by_role("button", name="End now").click()
    await expect(page.get_by_role("status")).to_have_text("Order accepted: end the run")
    assert await verbs(stand) == [("redial", {"site": "qt01"}), ("extend", {"minutes": 30}), ("end", {})]


async def test_the_end_of_the_run_takes_the_buttons_away(stand: Stand, page: Page) -> None:
    run_id = await stand.scene.run(sites=1)
    await log_in(page, f"/runs/{run_id}")
    await expect(page.get_by_role("button", name="Redial qt01")).to_be_visible()
    await stand.scene.change(run_id, "qt01", "site-absent", state="absent", cause="no_answer")
    await stand.scene.set_run(run_id, state="done", closed_at=NOON)
    stand.ring(run_id)
    await expect(page.locator("#pulse")).to_have_text("the run is over")
    await expect(page.get_by_role("button", name="Redial qt01")).to_have_count(0)
    await expect(page.get_by_role("button", name="Call the absent")).to_be_hidden()


async def test_only_those_not_in_can_be_shown_and_the_focus_stays(stand: Stand, page: Page) -> None:
    run_id = await stand.scene.run(sites=2)
    await stand.scene.change(run_id, "qt01", "site-in", state="in")
    await log_in(page, f"/runs/{run_id}")
    await page.get_by_label("Not in").check()
    await expect(page.locator("#site-qt01")).to_be_hidden()
    await expect(page.locator("#site-qt02")).to_be_visible()
    button = page.get_by_role("button", name="Redial qt02")
    await button.focus()
    await stand.scene.change(run_id, "qt02", "leg-dialed", state="dialing", attempts=1)
    stand.ring(run_id)
    await expect(page.locator("#site-qt02")).to_contain_text("dialing")
    await expect(button).to_be_focused()


async def test_the_language_can_be_changed(stand: Stand, page: Page) -> None:
    run_id = await stand.scene.run(sites=1)
    await log_in(page, f"/runs/{run_id}")
    await page.get_by_role("link", name="Tiếng Việt").click()
    await expect(page.get_by_role("button", name="Gọi các điểm cầu vắng")).to_be_visible()
    await expect(page.locator("#site-qt01")).to_contain_text("đang chờ")
    await stand.scene.change(run_id, "qt01", "leg-ringing", state="ringing")
    stand.ring(run_id)
    await expect(page.locator("#site-qt01")).to_contain_text("đang đổ chuông")


async def test_the_page_serves_without_scripts(stand: Stand, chromium: Browser) -> None:
    run_id = await stand.scene.run(sites=1)
    context = await chromium.new_context(base_url=stand.url, locale="en-GB", java_script_enabled=False)
    page = await context.new_page()
    await log_in(page, f"/runs/{run_id}")
    await page.get_by_role("button", name="Redial qt01").click()
    await expect(page.get_by_role("status")).to_have_text("Order accepted: redial qt01")
    assert await verbs(stand) == [("redial", {"site": "qt01"})]
    await context.close()

"""The console as any browser meets it: login, pages, forms, headers; scripts off."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import httpx
from sqlmodel import select

from orchestrator.store.runs import ShardCommand
from tests.journeys.runs.scene import NOON
from tests.journeys.runs.stand import TOKEN, Stand


@asynccontextmanager
async def browser(stand: Stand, *, logged_in: bool = True, language: str = "en") -> AsyncIterator[httpx.AsyncClient]:
    headers = {"Accept-Language": language}
    async with httpx.AsyncClient(base_url=stand.url, headers=headers, trust_env=False) as client:
        if logged_in:
            answer = await client.post("/login", data={"token": TOKEN, "onward": "/"})
            assert (answer.status_code, answer.headers["location"]) == (303, "/")
        yield client


def form_token(page: httpx.Response) -> str:
    found = re.search(r'name="form_token" value="([0-9a-f]+)"', page.text)
    assert found is not None
    return found[1]


async def verbs(stand: Stand) -> list[tuple[str, dict[str, object]]]:
    async with stand.scene.database.read() as session:
        return [(command.verb, command.args) for command in await session.exec(select(ShardCommand))]


async def test_the_token_lets_in_and_the_cookie_is_strict(stand: Stand) -> None:
    async with browser(stand, logged_in=False) as client:
        wrong = await client.post("/login", data={"token": "not-the-token", "onward": "/"})
        assert (wrong.status_code, "This is not the token." in wrong.text) == (401, True)
        right = await client.post("/login", data={"token": f" {TOKEN} ", "onward": "//elsewhere.example/"})
        assert right.headers["location"] == "/", "nobody is sent to another host"
        cookie = right.headers["set-cookie"]
        assert TOKEN not in cookie
        assert all(part in cookie for part in ("HttpOnly", "SameSite=strict", "Path=/"))
        assert (await client.get("/")).status_code == 200
        client.cookies.clear()
        client.cookies.set("diemcau_session", "9999999999.x.forged")
        assert (await client.get("/")).status_code == 303


async def test_a_login_link_works_once(stand: Stand) -> None:
    path = stand.app.state.console.login_path("/")
    async with browser(stand, logged_in=False) as first, browser(stand, logged_in=False) as second:
        assert (await first.get(path)).headers["location"] == "/"
        assert (await first.get("/")).status_code == 200
        again = await second.get(path)
        assert (again.status_code, "used already" in again.text) == (200, True)
        assert (await second.get("/")).status_code == 303


async def test_a_session_runs_out(stand: Stand) -> None:
    async with browser(stand) as client:
        assert (await client.get("/")).status_code == 200
        stand.clock.turn(timedelta(hours=13))
        assert (await client.get("/")).status_code == 303


async def test_ten_wrong_tokens_close_the_door_for_a_while(stand: Stand) -> None:
    async with browser(stand, logged_in=False) as client:
        for _ in range(10):
            assert (await client.post("/login", data={"token": "guess"})).status_code == 401
        assert (await client.post("/login", data={"token": TOKEN})).status_code == 429
        stand.clock.turn(timedelta(minutes=2))
        assert (await client.post("/login", data={"token": TOKEN})).status_code == 303


async def test_every_page_forbids_foreign_hosts_and_frames(stand: Stand) -> None:
    run_id = await stand.scene.run()
    async with browser(stand) as client:
        for path in ("/", f"/runs/{run_id}", f"/runs/{run_id}/attendance", "/login", "/runs/999"):
            page = await client.get(path)
            policy = page.headers["content-security-policy"]
            assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'"), path
            assert "unsafe" not in policy and "frame-ancestors 'none'" in policy
            assert not re.search(r'(src|href|action)="(https?:)?//', page.text), path
            assert not re.search(r"<script(?![^>]*src=)|\son\w+=|style=", page.text), path


async def test_the_board_is_whole_without_scripts(stand: Stand) -> None:
    run_id = await stand.scene.run(sites=2)
    await stand.scene.change(
        run_id, "qt01", "leg-connected", state="half-in", seen_by_endpoint="connected", seen_by_bridge="not-in"
    )
    await stand.scene.change(
        run_id, "qt02", "leg-cleared", state="retrying", cause="busy", side="far_end", raw="486 Busy Here",
        name="<b>Sở</b> & Ban", next_try_at=NOON + timedelta(seconds=30),
    )  # fmt: skip
    async with browser(stand) as client:
        english = (await client.get(f"/runs/{run_id}")).text
        assert "the bridge does not show it yet" in english
        assert "busy in another call (SIP 486 Busy Here)" in english
        assert "&lt;b&gt;Sở&lt;/b&gt; &amp; Ban" in english and "<b>Sở</b>" not in english
        assert "next 08:00:30" in english, "times are on the clock of the meeting's zone"
        vietnamese = await client.get(f"/runs/{run_id}?language=vi")
        assert "máy bận trong cuộc gọi khác (SIP 486 Busy Here)" in vietnamese.text
        assert '<html lang="vi">' in (await client.get("/")).text, "the choice is kept"


async def test_pressing_a_button_orders_and_comes_back(stand: Stand) -> None:
    run_id = await stand.scene.run(sites=1)
    async with browser(stand) as client:
        token = form_token(await client.get(f"/runs/{run_id}"))
        pressed = await client.post(f"/runs/{run_id}/sites/qt01/redial", data={"form_token": token})
        assert pressed.status_code == 303
        assert "Order accepted: redial qt01" in (await client.get(pressed.headers["location"])).text
        script = await client.post(
            f"/runs/{run_id}/extend",
            data={"form_token": token, "minutes": "30"},
            headers={"Accept": "application/json"},
        )
        assert (script.status_code, script.json()) == (202, {"said": "Order accepted: extend the run"})
    assert await verbs(stand) == [("redial", {"site": "qt01"}), ("extend", {"minutes": 30})]


async def test_a_forged_or_senseless_form_orders_nothing(stand: Stand) -> None:
    run_id = await stand.scene.run(sites=1)
    over = await stand.scene.run(sites=1, state="done", start=NOON - timedelta(days=7))
    async with browser(stand) as client, browser(stand) as other:
        token = form_token(await client.get(f"/runs/{run_id}"))
        strange = form_token(await other.get(f"/runs/{run_id}"))
        path = f"/runs/{run_id}/end"
        assert (await client.post(path)).status_code == 403
        assert (await client.post(path, data={"form_token": strange})).status_code == 403, "of another session"
        assert (await client.post(path, data={"form_token": token, "x": "y" * 10_000})).status_code == 403
        for verb, status in (("explode", 404), ("sites/qt99/redial", 404), ("sites/qt01/explode", 404)):
            answer = await client.post(f"/runs/{run_id}/{verb}", data={"form_token": token})
            assert answer.status_code == status, verb
        for minutes in ("0", "-5", "many", "99999", ""):
            answer = await client.post(f"/runs/{run_id}/extend", data={"form_token": token, "minutes": minutes})
            assert (answer.status_code, "is no number of minutes" in answer.text) == (409, True), minutes
        ended = await client.post(f"/runs/{over}/end", data={"form_token": token})
        assert (ended.status_code, "is over" in ended.text) == (409, True)
    assert await verbs(stand) == []


async def test_logging_out_ends_the_session_here(stand: Stand) -> None:
    async with browser(stand) as client:
        token = form_token(await client.get("/"))
        assert (await client.post("/logout", data={"form_token": token})).headers["location"] == "/login"
        assert (await client.get("/")).status_code == 303


async def test_the_first_page_lists_what_is_and_what_comes(stand: Stand) -> None:
    await stand.scene.run(sites=3)
    stand.clock.turn_to(NOON - timedelta(days=1))
    async with browser(stand) as client:
        page = (await client.get("/")).text
    assert "0/3" in page and "calling" in page
    assert "Nothing is booked." in page, "the only occurrence has its run already"

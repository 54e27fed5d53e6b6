"""Who comes in, and what everybody is told who does not."""

from collections.abc import AsyncIterator
from datetime import timedelta

import httpx
import pytest

from api.auth import Throttle
from api.console.session import COOKIE
from schedules.clock import TurnableClock
from tests.journeys.inventory.stage import SITE
from tests.support.server import TOKEN, Running

REST = "/api/v1/sites"


@pytest.fixture
async def stranger(sqlite_service: Running) -> AsyncIterator[httpx.AsyncClient]:
    """Somebody without a token."""
    async with httpx.AsyncClient(base_url=sqlite_service.url, headers={"Accept-Language": "en"}, trust_env=False) as it:
        yield it


def is_problem(answer: httpx.Response, status: int, kind: str) -> bool:
    body = answer.json()
    return (
        answer.status_code == body["status"] == status
        and answer.headers["content-type"] == "application/problem+json"
        and body["type"] == f"urn:diemcau:problem:{kind}"
        and bool(body["title"] and body["detail"])
    )


@pytest.mark.parametrize(
    "header", [None, "", "Bearer", f"Basic {TOKEN}", f"Bearer {TOKEN}x", "Bearer ẽ", f"Bearer {TOKEN[:-1]}"]
)
async def test_without_the_token_nobody_comes_in(stranger: httpx.AsyncClient, header: str | None) -> None:
    headers = {} if header is None else {"Authorization": header.encode()}
    answer = await stranger.get(REST, headers=headers)
    assert is_problem(answer, 401, "not-signed-in")
    assert answer.headers["www-authenticate"] == 'Bearer realm="diemcau"'


async def test_the_scheme_is_read_in_any_case(stranger: httpx.AsyncClient) -> None:
    assert (await stranger.get(REST, headers={"Authorization": f"bEARER {TOKEN}"})).status_code == 200


async def test_wrong_tokens_are_slowed_down(stranger: httpx.AsyncClient, clock: TurnableClock) -> None:
    wrong, right = {"Authorization": "Bearer wrong"}, {"Authorization": f"Bearer {TOKEN}"}
    for _ in range(Throttle.TRIES):
        assert (await stranger.get(REST, headers=wrong)).status_code == 401
    answer = await stranger.get(REST, headers=right)
    assert is_problem(answer, 429, "throttled")
    assert 0 < int(answer.headers["retry-after"]) <= Throttle.WITHIN.total_seconds() + 1
    clock.turn(Throttle.WITHIN + timedelta(seconds=1))
    assert (await stranger.get(REST, headers=right)).status_code == 200


async def test_a_cookie_of_the_console_reads_and_writes_only_from_our_own_pages(
    sqlite_service: Running, stranger: httpx.AsyncClient, clock: TurnableClock
) -> None:
    stranger.cookies.set(COOKIE, sqlite_service.services.gate.sessions.begin(clock.now()))
    assert (await stranger.get(REST)).status_code == 200
    assert (await stranger.post(REST, json=SITE)).status_code == 401
    for foreign in ({"Origin": "http://evil.example"}, {"Sec-Fetch-Site": "cross-site", "Origin": sqlite_service.url}):
        assert (await stranger.post(REST, json=SITE, headers=foreign)).status_code == 401
    ours = {"Sec-Fetch-Site": "same-origin"}
    assert (await stranger.post(REST, json=SITE, headers=ours)).status_code == 201
    clock.turn(timedelta(days=1))
    assert (await stranger.get(REST)).status_code == 401


async def test_whoever_is_not_let_in_learns_nothing_of_what_is_there(stranger: httpx.AsyncClient) -> None:
    for method, path in (("GET", "/nothing"), ("POST", ""), ("DELETE", "/qt01"), ("GET", ".csv")):
        assert (await stranger.request(method, REST + path)).status_code == 401


async def test_health_is_open_and_the_rest_too_on_this_machine(stranger: httpx.AsyncClient) -> None:
    assert (await stranger.get("/healthz")).json() == {"status": "ok"}
    assert (await stranger.get("/readyz")).json() == {"status": "ready"}
    await stranger.get("/no/such/path")
    figures = (await stranger.get("/metrics")).text
    assert 'diemcau_http_requests_total{method="GET",route="/healthz",status="200"} 1.0' in figures
    assert "/no/such/path" not in figures


async def test_what_comes_through_a_proxy_shows_the_token(stranger: httpx.AsyncClient) -> None:
    through = {"X-Forwarded-For": "198.51.100.7"}
    assert (await stranger.get("/healthz", headers=through)).status_code == 200
    for path in ("/readyz", "/metrics"):
        assert (await stranger.get(path, headers=through)).status_code == 401
        allowed = through | {"Authorization": f"Bearer {TOKEN}"}
        assert (await stranger.get(path, headers=allowed)).status_code == 200


async def test_ready_says_why_it_is_not(sqlite_service: Running, stranger: httpx.AsyncClient) -> None:
    async def reason() -> str | None:
        return "the alarm has stopped"

    sqlite_service.services.not_ready.append(reason)
    answer = await stranger.get("/readyz")
    assert is_problem(answer, 503, "not-ready")
    assert answer.json()["detail"] == "the alarm has stopped"


async def test_every_error_is_a_problem_document(sqlite_client: httpx.AsyncClient) -> None:
    assert is_problem(await sqlite_client.get("/api/v1/nothing"), 404, "not-found")
    answer = await sqlite_client.put(REST)
    assert is_problem(answer, 405, "method")
    assert set(answer.headers["allow"].replace(" ", "").split(",")) >= {"GET"}
    as_json = {"Content-Type": "application/json"}
    for content, kind in (
        (b"{", "invalid"),
        (b"[" * 100_000, ""),
        (b"\xff", ""),
        (b'"x"', "invalid"),
        (b"", "invalid"),
    ):
        bad = await sqlite_client.post(REST, content=content, headers=as_json)
        assert bad.status_code in (400, 422)
        assert bad.headers["content-type"] == "application/problem+json"
        assert not kind or bad.json()["type"].endswith(kind)
    body = b'{"code": "a", "name": "b"}'
    plain = await sqlite_client.post(REST, content=body, headers={"Content-Type": "text/plain"})
    assert "application/json" in plain.json()["errors"][0]["expected"]
    lonely = await sqlite_client.post(REST, content=b'{"\\ud800": 1, "name": "\\udfff", "code": "a"}', headers=as_json)
    assert lonely.status_code == 422


async def test_an_error_of_ours_shows_a_number_and_no_trace(
    sqlite_service: Running, sqlite_client: httpx.AsyncClient, capsys: pytest.CaptureFixture[str]
) -> None:
    async def fails(_meeting_id: object) -> None:
        raise RuntimeError("the secret inside")

    sqlite_service.services.bridge_changed = fails
    bridge = {"name": "main", "family": "sip", "conference_address": "sip:{number}@127.0.10.1"}
    assert (await sqlite_client.post("/api/v1/bridges", json=bridge)).status_code == 201
    answer = await sqlite_client.patch("/api/v1/bridges/main", json={"ports": 3})
    assert is_problem(answer, 500, "internal")
    assert "secret inside" not in answer.text and "Traceback" not in answer.text


async def test_a_body_that_is_too_large_is_refused_unread(sqlite_client: httpx.AsyncClient) -> None:
    answer = await sqlite_client.post(REST, content=b" " * 3_000_000, headers={"Content-Type": "application/json"})
    assert is_problem(answer, 413, "too-large")

    async def drops() -> AsyncIterator[bytes]:
        for _ in range(300):
            yield b" " * 10_000

    chunked = await sqlite_client.post(REST, content=drops(), headers={"Content-Type": "application/json"})
    assert is_problem(chunked, 413, "too-large")


async def test_the_contract_can_be_read_and_loads_nothing_foreign(stranger: httpx.AsyncClient) -> None:
    contract = (await stranger.get("/api/v1/openapi.json")).json()
    assert contract["openapi"].startswith("3.1")
    for path in ("/docs", "/redoc", "/api/v1/docs"):
        assert (await stranger.get(path)).status_code == 404


async def test_answers_tell_browsers_to_be_strict(sqlite_client: httpx.AsyncClient) -> None:
    headers = (await sqlite_client.get(REST)).headers
    assert (headers["x-content-type-options"], headers["cache-control"]) == ("nosniff", "no-store")
    assert "server" not in headers

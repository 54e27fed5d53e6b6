"""Sites, endpoints, bridges and rooms over the wire: made, listed, changed, refused, taken out."""

import httpx
import pytest
from sqlmodel import select

from orchestrator.store.inventory import Bridge, Endpoint, Room
from tests.support.server import Running

SITE = {"code": "qt01", "name": "Văn phòng Tỉnh ủy"}
ENDPOINT = {"name": "qt01", "site": "qt01", "family": "sip", "addresses": ["sip:qt01@127.0.20.1:5060"]}
BRIDGE = {"name": "main", "family": "asterisk", "conference_address": "sip:{number}@127.0.10.1"}
ROOM = {"name": "Phòng họp tỉnh", "address": "sip:9001@127.0.30.1"}


async def make(client: httpx.AsyncClient, path: str, body: dict[str, object]) -> dict[str, object]:
    answer = await client.post(f"/api/v1/{path}", json=body)
    assert answer.status_code == 201, answer.text
    return answer.json()


def errors(answer: httpx.Response) -> list[tuple[str, str]]:
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    return [(error["path"], error["problem"]) for error in answer.json()["errors"]]


async def test_a_site_is_made_read_changed_and_taken_out(client: httpx.AsyncClient) -> None:
    answer = await client.post("/api/v1/sites", json=SITE)
    assert (answer.status_code, answer.headers["location"]) == (201, "/api/v1/sites/qt01")
    made = answer.json()
    assert made == SITE | {
        "zone": "",
        "priority": 5,
        "contact_role": "",
        "contact_email": "",
        "time_zone": "Asia/Ho_Chi_Minh",
        "endpoints": [],
    }
    changed = await client.patch("/api/v1/sites/qt01", json={"priority": 1, "zone": "Hải Lăng"})
    assert changed.json() == made | {"priority": 1, "zone": "Hải Lăng"}
    assert (await client.get(answer.headers["location"])).json() == changed.json()
    assert (await client.delete("/api/v1/sites/qt01")).status_code == 204
    gone = await client.get("/api/v1/sites/qt01")
    assert (gone.status_code, gone.json()["detail"]) == (404, "there is no site 'qt01'")


async def test_a_code_that_is_taken_is_refused(client: httpx.AsyncClient) -> None:
    await make(client, "sites", SITE)
    answer = await client.post("/api/v1/sites", json=SITE)
    assert (answer.status_code, answer.json()["type"]) == (409, "urn:diemcau:problem:taken")
    assert errors(answer) == [("/code", "there is a site qt01 already")]


async def test_lists_come_in_pages_of_a_stable_order(client: httpx.AsyncClient) -> None:
    codes = [f"s{number:02}" for number in range(7)]
    for code in reversed(codes):
        await make(client, "sites", {"code": code, "name": code})
    seen, after, pages = [], "", 0
    while after is not None:
        page = (await client.get("/api/v1/sites", params={"after": after, "limit": 3})).json()
        seen += [site["code"] for site in page["items"]]
        after, pages = page["next"], pages + 1
    assert (seen, pages) == (codes, 3)


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"code": "qt/1", "name": "x"}, "/code"),
        ({"code": "", "name": "x"}, "/code"),
        ({"code": "a" * 33, "name": "x"}, "/code"),
        ({"code": "a", "name": ""}, "/name"),
        ({"code": "a", "name": " "}, "/name"),
        ({"code": "a", "name": "x" * 201}, "/name"),
        ({"code": "a", "name": "a\u0000b"}, "/name"),
        ({"code": "a"}, "/name"),
        ({"code": "a", "name": "x", "priority": 10}, "/priority"),
        ({"code": "a", "name": "x", "priority": 1.5}, "/priority"),
        ({"code": "a", "name": "x", "time_zone": "Mars/Olympus"}, "/time_zone"),
        ({"code": "a", "name": "x", "contact_email": "nobody"}, "/contact_email"),
        ({"code": "a", "name": "x", "colour/~": "red"}, "/colour~1~0"),
    ],
)
async def test_a_bad_site_is_refused_naming_the_field(
    sqlite_client: httpx.AsyncClient, body: dict[str, object], path: str
) -> None:
    answer = await sqlite_client.post("/api/v1/sites", json=body)
    assert answer.status_code == 422
    assert [error[0] for error in errors(answer)] == [path]
    assert all(error["problem"] and error["expected"] for error in answer.json()["errors"])
    assert (await sqlite_client.get("/api/v1/sites")).json()["items"] == []


async def test_every_bad_field_is_named_at_once(sqlite_client: httpx.AsyncClient) -> None:
    body = {"code": "-", "priority": 0, "time_zone": "nowhere", "extra": 1}
    answer = await sqlite_client.post("/api/v1/sites", json=body)
    assert sorted(error[0] for error in errors(answer)) == ["/code", "/extra", "/name", "/priority", "/time_zone"]


async def test_errors_are_told_in_the_language_that_is_asked_for(sqlite_client: httpx.AsyncClient) -> None:
    answer = await sqlite_client.get("/api/v1/sites/none", headers={"Accept-Language": "vi"})
    assert (answer.headers["content-language"], answer.json()["title"]) == ("vi", "Không tìm thấy")


async def test_no_two_endpoints_have_one_address(client: httpx.AsyncClient) -> None:
    for code in ("qt01", "qt02"):
        await make(client, "sites", {"code": code, "name": code})
    await make(client, "endpoints", ENDPOINT)
    other = {"name": "qt02", "site": "qt02", "family": "sip", "addresses": ["h323:x@127.0.20.2", "sip:qt01@127.0.20.1"]}
    answer = await client.post("/api/v1/endpoints", json=other)
    assert answer.status_code == 409
    problem = "sip:qt01@127.0.20.1 of endpoint qt02 is an address of endpoint qt01 already"
    assert errors(answer) == [("/addresses/1", problem)]
    assert (await client.get("/api/v1/endpoints/qt02")).status_code == 404
    await make(client, "endpoints", other | {"addresses": ["h323:x@127.0.20.2"]})
    moved = await client.patch("/api/v1/endpoints/qt02", json={"addresses": ["sip:qt01@127.0.20.1;transport=tcp"]})
    assert moved.status_code == 409
    assert (await client.get("/api/v1/endpoints/qt02")).json()["addresses"] == ["h323:x@127.0.20.2"]


async def test_an_endpoint_is_changed_in_part(client: httpx.AsyncClient) -> None:
    await make(client, "sites", SITE)
    made = await make(client, "endpoints", ENDPOINT | {"ladder": ["third-party"], "max_kbps": 768})
    changes = {"addresses": ["sip:qt01@127.0.20.9", "h323:qt01@127.0.20.9"], "max_kbps": None, "settings": {"a": [1]}}
    changed = await client.patch("/api/v1/endpoints/qt01", json=changes)
    assert changed.json() == made | changes
    assert (await client.get("/api/v1/endpoints", params={"site": "qt01"})).json()["items"] == [changed.json()]
    assert (await client.get("/api/v1/sites/qt01")).json()["endpoints"] == ["qt01"]
    assert (await client.delete("/api/v1/endpoints/qt01")).status_code == 204
    await make(client, "endpoints", ENDPOINT | {"addresses": changes["addresses"]})  # its addresses are free again


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"site": "nowhere"}, "/site"),
        ({"addresses": []}, "/addresses"),
        ({"addresses": ["qt01"]}, "/addresses/0"),
        ({"addresses": ["sip:a@h"] * 2}, "/addresses"),
        ({"addresses": [f"sip:a{n}@h" for n in range(9)]}, "/addresses"),
        ({"ladder": ["by-hand"]}, "/ladder"),
        ({"ladder": ["third-party"] * 2}, "/ladder"),
        ({"family": "SIP!"}, "/family"),
        ({"control_port": 0}, "/control_port"),
        ({"control_host": "a b"}, "/control_host"),
        ({"control_secret": "env:no way"}, "/control_secret"),
        ({"settings": {"key": "x" * 4000}}, "/settings"),
        ({"settings": {"key": "\u0000"}}, "/settings"),
        ({"name": "a/b"}, "/name"),
    ],
)
async def test_a_bad_endpoint_is_refused_naming_the_field(
    sqlite_client: httpx.AsyncClient, change: dict[str, object], path: str
) -> None:
    await make(sqlite_client, "sites", SITE)
    answer = await sqlite_client.post("/api/v1/endpoints", json=ENDPOINT | change)
    assert answer.status_code == 422
    assert [error[0] for error in errors(answer)] == [path]


async def test_a_family_without_an_adapter_may_be_kept(sqlite_client: httpx.AsyncClient) -> None:
    await make(sqlite_client, "sites", SITE)
    assert (await make(sqlite_client, "endpoints", ENDPOINT | {"family": "telepathy"}))["has_adapter"] is False


async def test_secrets_go_in_and_never_come_out(service: Running, client: httpx.AsyncClient) -> None:
    secret, pin = "s3cret-of-the-device", "123456#"
    await make(client, "sites", SITE)
    shown = [
        await make(client, "endpoints", ENDPOINT | {"control_secret": secret}),
        await make(client, "bridges", BRIDGE | {"control_secret": secret}),
        await make(client, "rooms", ROOM | {"pin": pin}),
        (await client.patch("/api/v1/bridges/main", json={"control_username": "admin"})).json(),
    ]
    assert [each.get("has_secret", each.get("has_pin")) for each in shown] == [True] * 4
    for path in ("sites", "endpoints", "bridges", "rooms", "sites.csv"):
        text = (await client.get(f"/api/v1/{path}")).text
        assert secret not in text and "123456" not in text and "fernet" not in text
    async with service.services.database.read() as session:
        stored = [
            (await session.exec(select(Endpoint.control_secret))).one(),
            (await session.exec(select(Bridge.control_secret))).one(),
            (await session.exec(select(Room.pin))).one(),
        ]
    assert [service.services.keys.unseal(text) for text in stored] == [secret, secret, pin]
    assert all(secret not in text and "123456" not in text for text in stored)


async def test_a_bridge_is_made_and_changed(client: httpx.AsyncClient) -> None:
    made = await make(client, "bridges", BRIDGE | {"ports": 120, "settings": {"context": "main"}})
    assert (made["pace_per_s"], made["first_number"], made["last_number"]) == (5.0, 8000, 8999)
    changed = await client.patch("/api/v1/bridges/main", json={"pace_per_s": None, "last_number": 8010})
    assert changed.json() == made | {"pace_per_s": None, "last_number": 8010}
    answer = await client.patch("/api/v1/bridges/main", json={"first_number": 9000})
    assert (answer.status_code, errors(answer)[0][0]) == (422, "/last_number")
    assert (await client.get("/api/v1/bridges/main")).json() == changed.json()


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"family": "abacus"}, "/family"),
        ({"conference_address": "{number}"}, "/conference_address"),
        ({"conference_address": "sip:{room}@h"}, "/conference_address"),
        ({"pace_per_s": 0}, "/pace_per_s"),
        ({"ports": 0}, "/ports"),
        ({"first_number": 10, "last_number": 9}, "/last_number"),
    ],
)
async def test_a_bad_bridge_is_refused_naming_the_field(
    sqlite_client: httpx.AsyncClient, change: dict[str, object], path: str
) -> None:
    answer = await sqlite_client.post("/api/v1/bridges", json=BRIDGE | change)
    assert (answer.status_code, [error[0] for error in errors(answer)]) == (422, [path])


async def test_a_room_knows_the_bridge_it_stands_on(client: httpx.AsyncClient) -> None:
    await make(client, "bridges", BRIDGE | {"name": "provincial"})
    made = await make(client, "rooms", ROOM | {"bridge": "provincial", "number": "9001"})
    assert made["bridge"] == "provincial"
    refused = await client.delete("/api/v1/bridges/provincial")
    assert (refused.status_code, refused.json()["type"]) == (409, "urn:diemcau:problem:in-use")
    assert "room Phòng họp tỉnh" in refused.json()["detail"]
    path = "/api/v1/rooms/Phòng họp tỉnh"
    assert (await client.patch(path, json={"bridge": None})).json()["bridge"] is None
    unknown = await client.patch(path, json={"bridge": "nobody"})
    assert (unknown.status_code, errors(unknown)[0][0]) == (422, "/bridge")
    assert (await client.delete("/api/v1/bridges/provincial")).status_code == 204
    assert (await client.delete(path)).status_code == 204


@pytest.mark.parametrize("pin", ["12a", "1" * 33, "env:a b"])
async def test_a_bad_pin_is_refused(sqlite_client: httpx.AsyncClient, pin: str) -> None:
    answer = await sqlite_client.post("/api/v1/rooms", json=ROOM | {"pin": pin})
    assert (answer.status_code, [error[0] for error in errors(answer)]) == (422, ["/pin"])
    assert pin not in answer.text

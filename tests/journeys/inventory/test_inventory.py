"""Sites, endpoints, bridges and rooms over the wire: made, listed, changed, refused, taken out."""

import httpx
from sqlmodel import select

from orchestrator.store.inventory import Bridge, Endpoint, Room
from tests.journeys.inventory.stage import BRIDGE, ENDPOINT, ROOM, SITE, errors, make
from tests.support.server import Running


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


async def test_who_still_needs_it_is_told_in_vietnamese(sqlite_client: httpx.AsyncClient) -> None:
    await make(sqlite_client, "bridges", BRIDGE)
    await make(sqlite_client, "rooms", ROOM | {"bridge": "main"})
    answer = await sqlite_client.delete("/api/v1/bridges/main", headers={"Accept-Language": "vi"})
    assert answer.json()["detail"] == "MCU main đang được dùng bởi phòng họp Phòng họp tỉnh"

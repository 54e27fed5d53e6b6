"""A spreadsheet over the wire: all of it or nothing, also when two come at once."""

import asyncio

import httpx
import pytest

from orchestrator.sheet import COLUMNS, MOST_BYTES
from tests.journeys.inventory.stage import ENDPOINT, SITE, make
from tests.support.server import Running

CSV = {"Content-Type": "text/csv"}


def row(code: str, **cells: str) -> str:
    given = {"code": code, "name": f"Điểm cầu {code}", "family": "sip", "addresses": f"sip:{code}@127.0.20.1"} | cells
    return ",".join(given.get(column, "") for column in COLUMNS)


def file(*rows: str) -> bytes:
    return "\r\n".join([",".join(COLUMNS), *rows, ""]).encode()


async def send(client: httpx.AsyncClient, content: bytes, **query: str) -> httpx.Response:
    return await client.post("/api/v1/sites/import", content=content, headers=CSV, params=query)


async def codes(client: httpx.AsyncClient) -> list[str]:
    return [site["code"] for site in (await client.get("/api/v1/sites", params={"limit": 500})).json()["items"]]


async def test_a_file_comes_in_and_goes_out_as_it_was(client: httpx.AsyncClient) -> None:
    content = file(
        row(
            "qt01", name='"Sở Văn hóa, TT và Du lịch"', priority="1", max_kbps="1024", ladder="third-party bridge-dials"
        ),
        row(
            "qt02",
            family="aver",
            control_host="127.0.20.2",
            control_port="23",
            control_secret="env:QT02",
            priority="5",
        ),
        row("qt03", family="", addresses="", priority="9"),
        row("qt04", name="'=1+1", priority="5"),
    )
    answer = await send(client, content)
    assert answer.status_code == 200, answer.text
    taken = answer.json()
    assert (taken["created"], taken["updated"]) == (["qt01", "qt02", "qt03", "qt04"], [])
    [notice] = taken["notices"]
    assert (notice["row"], notice["column"]) == (3, "family")
    assert notice["problem"] == "family aver has no adapter yet; site qt02 is reached by third-party bridge-dials"
    assert (await client.get("/api/v1/sites/qt04")).json()["name"] == "=1+1"
    out = await client.get("/api/v1/sites.csv")
    assert out.headers["content-type"] == "text/csv; charset=utf-8"
    assert sorted(out.content.splitlines()) == sorted(content.splitlines())
    again = (await send(client, out.content)).json()
    assert (again["created"], again["updated"], len(again["unchanged"])) == ([], [], 4)


async def test_a_dry_run_tells_the_same_and_does_nothing(client: httpx.AsyncClient) -> None:
    told = (await send(client, file(row("qt01")), dry_run="true")).json()
    assert (told["dry_run"], told["created"]) == (True, ["qt01"])
    assert await codes(client) == []


async def test_one_bad_row_keeps_all_out_and_every_error_is_told(client: httpx.AsyncClient) -> None:
    await make(client, "sites", SITE | {"code": "old"})
    await make(
        client, "endpoints", ENDPOINT | {"name": "old", "site": "old", "addresses": ["sip:qt03@127.0.20.1:5060"]}
    )
    content = file(
        row("qt01"),
        row("qt02", priority="0", ladder="by-magic"),
        row("qt03"),
        row("qt01", addresses="sip:other@127.0.20.1"),
        row("qt05", control_secret="plain-text"),
    )
    answer = await send(client, content)
    assert (answer.status_code, answer.json()["type"]) == (422, "urn:diemcau:problem:sheet")
    found = [(error["row"], error["column"]) for error in answer.json()["errors"]]
    assert found == [(3, "priority"), (3, "ladder"), (4, "addresses"), (5, "code"), (6, "control_secret")]
    assert all(error["expected"] for error in answer.json()["errors"])
    assert "plain-text" not in answer.text
    assert await codes(client) == ["old"]
    assert (await client.get("/api/v1/sites/old")).json()["name"] == SITE["name"]


async def test_addresses_may_be_swapped_in_one_file(client: httpx.AsyncClient) -> None:
    one, two = "sip:a@127.0.20.1", "sip:b@127.0.20.1"
    await send(client, file(row("qt01", addresses=one), row("qt02", addresses=two)))
    answer = await send(client, file(row("qt01", addresses=two), row("qt02", addresses=one)))
    assert answer.json()["updated"] == ["qt01", "qt02"]
    assert (await client.get("/api/v1/endpoints/qt01")).json()["addresses"] == [two]
    halfway = await send(client, file(row("qt01", addresses=one)))
    assert halfway.status_code == 422
    assert "endpoint qt02" in halfway.json()["errors"][0]["problem"]


async def test_a_sealed_secret_and_stand_by_endpoints_survive_an_import(
    service: Running, client: httpx.AsyncClient
) -> None:
    await send(client, file(row("qt01")))
    await client.patch("/api/v1/endpoints/qt01", json={"control_secret": "s3cret"})
    stand_by = {"name": "qt01-b", "site": "qt01", "position": 1, "family": "sip", "addresses": ["sip:b@127.0.20.9"]}
    await make(client, "endpoints", stand_by)
    answer = await send(client, file(row("qt01", max_kbps="512")))
    assert answer.json()["updated"] == ["qt01"]
    assert (await client.get("/api/v1/endpoints/qt01")).json()["has_secret"] is True
    assert (await client.get("/api/v1/sites/qt01")).json()["endpoints"] == ["qt01", "qt01-b"]
    named = await send(client, file(row("qt01-b", addresses="sip:c@127.0.20.9")))
    assert (named.status_code, named.json()["errors"][0]["column"]) == (422, "code")


async def test_two_imports_at_once_are_each_whole(client: httpx.AsyncClient) -> None:
    files = [
        file(*(row(f"s{number:03}", addresses=f"sip:s{number}@127.0.20.1", zone=zone) for number in range(60)))
        for zone in ("A", "B")
    ]
    answers = await asyncio.gather(*(send(client, content) for content in files * 2))
    assert [answer.status_code for answer in answers] == [200] * 4
    assert sorted(len(answer.json()["created"]) for answer in answers) == [0, 0, 0, 60]
    sites = (await client.get("/api/v1/sites", params={"limit": 500})).json()["items"]
    assert len(sites) == 60
    assert len({site["zone"] for site in sites}) == 1  # of one file, not half of each


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "the row is empty"),
        (b"\xff\xfe" + "code,name".encode("utf-16-le"), "line 1 is not UTF-8 text"),
        (",".join(COLUMNS).encode() + b"\r\nqt01,Tr\xe0", "line 2 is not UTF-8 text"),
        (";".join(COLUMNS).encode(), "the cells are separated by semicolons"),
        (",".join(COLUMNS).encode(), "the file has no rows"),
        (file(row("qt01"), "qt02,only two"), "the row has 2 cells"),
        (file(row("qt01", name='"open')), "the row cannot be read (unexpected end of data), nor what follows it"),
    ],
    ids=["empty", "utf-16", "latin", "semicolons", "header", "short", "open quote"],
)
async def test_a_file_that_is_none_is_refused_whole(
    sqlite_client: httpx.AsyncClient, content: bytes, problem: str
) -> None:
    answer = await send(sqlite_client, content)
    assert (answer.status_code, answer.json()["errors"][-1]["problem"]) == (422, problem)
    assert await codes(sqlite_client) == []


async def test_a_file_that_is_too_large_is_refused_unread(sqlite_client: httpx.AsyncClient) -> None:
    answer = await send(sqlite_client, b"x" * (MOST_BYTES + 2))
    assert (answer.status_code, answer.headers["content-type"]) == (413, "application/problem+json")

"""The province as a process: one ready line, line commands, an end when its input closes."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from adapters.virtual.inventory import columns
from adapters.virtual.province import Province
from adapters.virtual.remote import Remote
from tests.conformance.virtual.conftest import Manager


class Child:
    """One `python -m adapters.virtual`."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        assert process.stdin and process.stdout and process.stderr
        self.stdin, self.stdout, self.stderr = process.stdin, process.stdout, process.stderr

    @classmethod
    async def start(cls, *arguments: str) -> "Child":
        pipe = asyncio.subprocess.PIPE
        command = (sys.executable, "-m", "adapters.virtual", *arguments)
        where = Path(__file__).parents[3]
        return cls(
            await asyncio.create_subprocess_exec(
                *command, stdin=pipe, stdout=pipe, stderr=pipe, cwd=where, limit=1 << 24
            )
        )

    async def line(self) -> dict[str, object]:
        async with asyncio.timeout(20):
            return json.loads(await self.stdout.readline())

    async def do(self, **order: object) -> dict[str, object]:
        self.stdin.write(json.dumps(order).encode() + b"\n")
        return await self.line()

    async def end(self) -> int:
        self.stdin.close()
        async with asyncio.timeout(10):
            return await self.process.wait()


@pytest.fixture
async def children() -> AsyncIterator[list[Child]]:
    children: list[Child] = []
    yield children
    for child in children:
        if child.process.returncode is None:
            child.process.kill()
            await child.process.wait()


async def test_it_says_where_it_is_and_does_what_it_is_told(children: list[Child]) -> None:
    child = await Child.start("--sites", "5", "--json", "--behavior", '{"*": "answer", "qt02": "busy; answer"}')
    children.append(child)
    ready = await child.line()
    bridge, room = ready["bridge"], ready["room"]
    assert ready["ready"] is True
    assert [list(site) for site in ready["sites"]] == [columns()] * 5
    assert len(room["pin"]) == 6
    manager = await Manager.connect(bridge["control_port"], bridge["control_host"])
    login = (("Username", bridge["control_username"]), ("Secret", bridge["control_secret"]))
    assert (await manager.ask("Login", *login)).message == "Authentication accepted"

    assert (await child.do(do="call-by-hand", site="qt01", conference="8003"))["done"] == "call-by-hand"
    await manager.event("ConfbridgeJoin", Conference="8003")
    stats = (await child.do(do="stats"))["stats"]
    assert stats["rooms"] == {"mcu/8003": 1}
    assert stats["sites"]["qt01"]["calls"] == 1
    assert (await child.do(do="hang-up", site="qt01"))["calls"] == 1
    await manager.event("ConfbridgeEnd", Conference="8003")

    assert (await child.do(do="behave", site="qt03", behavior="decline")) == {"done": "behave"}
    assert (await child.do(do="die", site="qt03", **{"for": 0.01})) == {"done": "die"}
    assert (await child.do(do="come-back", site="qt03")) == {"done": "come-back"}
    assert (await child.do(do="cut-manager"))["sessions"] == 1
    async with asyncio.timeout(5):
        await manager.closed.wait()
    await manager.close()
    assert (await child.do(do="manager-down")) == {"done": "manager-down"}
    with pytest.raises(OSError, match=r"refused|Connect call failed"):
        await Manager.connect(bridge["control_port"], bridge["control_host"])
    assert (await child.do(do="manager-up", bridge="mcu")) == {"done": "manager-up"}
    again = await Manager.connect(bridge["control_port"], bridge["control_host"])
    assert (await again.ask("Login", *login)).succeeded
    await again.close()
    assert await child.end() == 0
    assert await child.stderr.read() == b""


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ("nonsense", "not a line of JSON"),
        ("[]", "expected an object"),
        ('{"do": "jump"}', "cannot do 'jump'"),
        ('{"do": "hang-up"}', "needs 'site'"),
        ('{"do": "hang-up", "site": "qt99"}', "no site 'qt99'"),
        ('{"do": "die", "site": "qt01", "for": "long"}', "seconds from 0"),
        ('{"do": "behave", "site": "qt01", "behavior": "dance"}', "'dance'"),
        ('{"do": "cut-manager", "bridge": "x"}', "no bridge 'x'"),
        ('{"do": "call-by-hand", "site": "qt13"}', "no SIP address"),
    ],
)
async def test_a_wrong_line_is_answered_by_what_is_wrong(line: str, named: str) -> None:
    async with Province(13) as province:
        answer = json.loads(await Remote(province).line(line))
        assert named in answer["error"]


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("--sites", "0"), b"expected 1 to 20000"),
        (("--behavior", "dance"), b"'dance'"),
        (("--behavior", '{"qt77": "answer"}'), b"qt77"),
        (("--behavior", '{"qt01": 5}'), b"object of texts"),
        (("--behavior", "/nowhere/behavior.csv"), b"/nowhere/behavior.csv"),
    ],
)
async def test_a_province_that_cannot_be_is_refused_with_the_reason(
    children: list[Child], arguments: tuple[str, ...], named: bytes
) -> None:
    child = await Child.start("--json", *arguments)
    children.append(child)
    assert await child.end() == 2
    assert named in await child.stderr.read()


async def test_behaviors_come_from_a_file_and_secrets_are_new_each_time(children: list[Child], tmp_path: Path) -> None:
    table = tmp_path / "behavior.csv"
    table.write_text("code,behavior\n*,answer\nqt01,ring 1; decline\n", encoding="utf-8")
    secrets = set()
    for _ in range(2):
        child = await Child.start("--sites", "2", "--json", "--behavior", str(table))
        children.append(child)
        ready = await child.line()
        secrets.add(ready["bridge"]["control_secret"])
        child.stdin.write(b'{"do": "stop"}\n')
        assert (await child.line()) == {"done": "stop"}
        async with asyncio.timeout(10):
            assert await child.process.wait() == 0
    assert len(secrets) == 2


async def test_sigterm_ends_it(children: list[Child]) -> None:
    child = await Child.start("--sites", "2", "--json")
    children.append(child)
    await child.line()
    child.process.terminate()
    async with asyncio.timeout(10):
        assert await child.process.wait() == 0

"""The demo as anybody runs it: a process, real calls on loopback, one object at the end."""

import asyncio
import json
import os
import signal
import sys

DEADLINE_S = 120


async def demo(*options: str) -> asyncio.subprocess.Process:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("DIEMCAU_")}
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "api.cli", "demo", *options,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, env=environment,
    )  # fmt: skip


async def test_everybody_who_can_be_in_comes_in_and_comes_back() -> None:
    """Eight sites: one is busy at first, one drops after nine seconds, four have a console; the room wants a PIN."""
    process = await demo("--once", "--json", "--sites", "8")
    async with asyncio.timeout(DEADLINE_S):
        out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    (line,) = out.decode().splitlines()
    told = json.loads(line)
    assert set(told) == {"sites", "connected", "absent", "ways", "links", "seconds_to_all_in", "redials"}
    assert (told["sites"], told["connected"], told["absent"]) == (8, 8, [])
    assert told["ways"]["endpoint-dials"] >= 3, "endpoints of four vendors are told to call by their own consoles"
    assert sum(told["ways"].values()) == 8
    assert told["links"] == {"Phòng họp tỉnh": "in"}
    assert told["redials"] >= 1
    assert 0 < told["seconds_to_all_in"] < DEADLINE_S
    assert b"http://127.0.0.1:" in err


async def test_ctrl_c_ends_it_cleanly_with_attendance() -> None:
    process = await demo("--sites", "3")
    assert process.stdout is not None
    async with asyncio.timeout(DEADLINE_S):
        link = await process.stdout.readline()
        assert b"/login?" in link
        process.send_signal(signal.SIGINT)
        out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    assert b"Traceback" not in err
    text = out.decode()
    assert all(code in text for code in ("qt01", "qt02", "qt03")), "the attendance stands at the end"


async def test_a_taken_port_is_said_plainly() -> None:
    server = await asyncio.start_server(lambda _reader, _writer: None, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    process = await demo("--once", "--sites", "1", "--port", str(port))
    async with asyncio.timeout(DEADLINE_S):
        _, err = await process.communicate()
    server.close()
    assert (process.returncode, b"Traceback" in err) == (2, False)
    assert b"Address already in use" in err

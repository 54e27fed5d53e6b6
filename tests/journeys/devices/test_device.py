"""`diemcau device` and `diemcau trace`, as a person types them, against a device on a real socket."""

import asyncio
import csv
import io
import json
import os
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from adapters.registry import ENDPOINTS
from adapters.transcript import parse
from adapters.values import AutoAnswerMode
from adapters.virtual.codec import Codec
from adapters.virtual.province import Province
from orchestrator.sheet import read
from orchestrator.store.database import Database
from orchestrator.store.host_keys import PinnedHostKeys
from orchestrator.store.intake import take_in
from orchestrator.store.migration import migrate
from schedules.clock import SystemClock

CODE = "qt07"
PATIENCE_S = 60.0


@dataclass
class Said:
    code: int
    out: str
    err: str


class Room:
    """A province with consoles, an installation that has it in its inventory, and a shell."""

    def __init__(self, province: Province, folder: Path) -> None:
        self.province = province
        self.folder = folder
        self.url = f"sqlite:///{folder / 'diemcau.sqlite3'}"

    @property
    def codec(self) -> Codec:
        codec = self.province.endpoint(CODE)
        assert isinstance(codec, Codec)
        return codec

    @property
    def secret(self) -> str:
        return self.province.twins[CODE].secret

    async def furnish(self) -> None:
        database = Database(self.url)
        await migrate(database)
        rows = self.province.inventory()
        file = io.StringIO()
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
        await take_in(database, read(file.getvalue().encode(), ENDPOINTS.keys()))
        await database.close()

    async def diemcau(self, *words: str) -> Said:
        environment = {
            **os.environ, **self.province.secrets,
            "DIEMCAU_DATA_DIR": str(self.folder), "DIEMCAU_DATABASE_URL": self.url, "DIEMCAU_LANGUAGE": "en",
        }  # fmt: skip
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "api.cli", *words, env=environment,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        async with asyncio.timeout(PATIENCE_S):
            out, err = await process.communicate()
        return Said(process.returncode or 0, out.decode(), err.decode())


@pytest.fixture
async def room(tmp_path: Path) -> AsyncIterator[Room]:
    async with Province(7, consoles=True) as province:
        made = Room(province, tmp_path)
        await made.furnish()
        yield made


async def test_a_call_is_dialed_stays_up_and_is_hung_up_by_a_later_command(room: Room) -> None:
    to = str(room.province.main.address("8001"))
    tape = room.folder / "dial.txt"
    dialed = await room.diemcau("device", CODE, "dial", to, "--kbps", "768", "--tape", str(tape))
    assert (dialed.code, dialed.out) == (0, "call: connected\n")
    assert [call.kbps for call in room.codec.call_table.values()] == [768]
    told = [entry.words for entry in parse(tape.read_text(encoding="utf-8")).entries if entry.kind in "!="]
    assert told[-1] == "LegConnected probe"
    assert any(words.startswith("dial ") for words in told)
    status = json.loads((await room.diemcau("device", CODE, "status", "--json")).out)
    assert [call["state"] for call in status["calls"]] == ["connected"]
    again = await room.diemcau("device", CODE, "dial", to)
    assert again.code == 2
    assert "hang it up first" in again.err
    assert (await room.diemcau("device", CODE, "digits", "12#")).code == 0
    ended = await room.diemcau("device", CODE, "hangup")
    assert (ended.code, ended.out) == (0, "call: cleared\n")
    assert not room.codec.call_table
    assert (await room.diemcau("device", CODE, "hangup")).code == 0  # twice does no harm


async def test_the_wire_is_shown_without_the_secret(room: Room) -> None:
    said = await room.diemcau("device", CODE, "identity", "--wire")
    assert said.code == 0
    assert "model:" in said.out
    assert any(line.startswith("> ") and "***" in line for line in said.err.splitlines())
    assert any(line.startswith("< ") for line in said.err.splitlines())
    assert room.secret not in said.err + said.out


async def test_what_is_set_is_set_on_the_device(room: Room) -> None:
    assert (await room.diemcau("device", CODE, "mute")).code == 0
    assert room.codec.is_muted
    assert (await room.diemcau("device", CODE, "auto-answer", "on")).out.startswith("mode: on")
    assert room.codec.auto_answer is AutoAnswerMode.ON
    refused = await room.diemcau("device", CODE, "auto-answer", "muted")
    assert refused.code == 1
    assert "microphone off" in refused.err
    assert room.codec.auto_answer is AutoAnswerMode.ON


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("device", "nowhere", "status"), "nowhere"),
        (("device", CODE, "fly"), "there is no verb 'fly'"),
        (("device", CODE, "dial"), "dial takes ADDRESS"),
        (("device", CODE, "mute", "now"), "mute takes nothing more"),
        (("device", CODE, "volume", "loud"), "'loud' is no whole number"),
        (("device", CODE, "dial", "tel:1"), "tel:1"),
        (("device", "qt01", "status"), "has no control session"),
    ],
)
async def test_wrong_usage_is_told_and_ends_with_2(room: Room, words: tuple[str, ...], told: str) -> None:
    said = await room.diemcau(*words)
    assert said.code == 2, said
    assert told in said.err


async def test_a_refused_log_in_ends_with_1_and_says_why(room: Room) -> None:
    room.province.secrets[next(name for name in room.province.secrets if CODE.upper() in name)] = "another"
    said = await room.diemcau("device", CODE, "status")
    assert said.code == 1
    assert "another" not in said.err
    assert room.province.twins[CODE].refusals == 1


async def test_a_trace_is_a_transcript_that_can_be_replayed(room: Room) -> None:
    file = room.folder / "session.txt"
    said = await room.diemcau("trace", CODE, str(file), "--seconds", "0")
    assert said.code == 0, said.err
    transcript = parse(file.read_text(encoding="utf-8"))
    assert transcript.keys["family"] == "polycom"
    assert transcript.source == "captured"
    kinds = {entry.kind for entry in transcript.entries}
    assert {"<", ">", "!"} <= kinds
    assert room.secret not in file.read_text(encoding="utf-8")
    assert (await room.diemcau("trace", CODE, str(file))).code == 2  # nothing is written over


async def test_a_device_that_shows_another_key_is_refused_until_it_is_forgotten(room: Room) -> None:
    by_ssh = "qt03"  # a Lifesize
    assert (await room.diemcau("device", by_ssh, "identity")).code == 0
    host, port = room.province.twins[by_ssh].address
    database = Database(room.url)
    keys = PinnedHostKeys(database, SystemClock().now)
    shown = await keys.pinned(f"{host}:{port}")
    assert shown is not None and shown.startswith("ssh-ed25519 ")
    assert await keys.forget(host) == 1
    await keys.pin(f"{host}:{port}", "ssh-ed25519 another")
    await keys.pin(f"{host}:{port}", shown)  # of two the first one stays
    log_ins = room.province.twins[by_ssh].log_ins
    refused = await room.diemcau("device", by_ssh, "identity")
    assert (refused.code, room.province.twins[by_ssh].log_ins) == (1, log_ins)
    assert "another SSH host key" in refused.err
    assert json.loads((await room.diemcau("device", by_ssh, "forget-key")).out) == {"forgotten": 1}
    assert (await room.diemcau("device", by_ssh, "identity")).code == 0
    assert await keys.pinned(f"{host}:{port}") == shown
    await database.close()


async def test_digits_are_shown_on_no_wire_although_the_device_echoes_them(room: Room) -> None:
    by_echo = "qt03"
    assert (await room.diemcau("device", by_echo, "dial", str(room.province.main.address("8001")))).code == 0
    said = await room.diemcau("device", by_echo, "digits", "4", "--wire")
    assert said.code == 0, said.err
    assert "< " in said.err
    [told] = [command for command in room.province.twins[by_echo].commands if " dtmf " in command]
    assert told.endswith(" 4")
    assert told not in said.err
    assert said.err.count(f"{told[:-1]}*") == 2  # told, and echoed

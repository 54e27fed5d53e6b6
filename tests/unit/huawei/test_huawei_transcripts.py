"""Recorded sessions over HTTP, played to the adapter: it asks what was asked, and tells what was told."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from adapters.control.endpoint import told
from adapters.endpoints.huawei.adapter import HuaweiEndpoint
from adapters.endpoints.huawei.grammar import call_in, said
from adapters.http.replay import HttpReplay, ReplayError, answer_of
from adapters.registry import Surroundings
from adapters.transcript import Transcript, parse
from adapters.values import Control
from tests.conformance.vendor.families.huawei import BOX
from tests.conformance.vendor.rig import NAME, SECRET, quick
from tests.conformance.vendor.test_transcripts import QUIET, call
from tests.support.heard import Heard

FILES = sorted((Path(__file__).parents[2] / "transcripts" / "huawei").glob("*.txt"))
PLAYED = [path for path in FILES if "\n! " in path.read_text(encoding="utf-8")]
READ = [path for path in FILES if path not in PLAYED]


def load(path: Path) -> Transcript:
    transcript = parse(path.read_text(encoding="utf-8"))
    assert transcript.keys["family"] == "huawei"
    return transcript


async def play(transcript: Transcript, piece: int) -> None:
    replay = HttpReplay(transcript, piece)
    host, port = await replay.start()
    heard = Heard()

    async def remember(leg: str, memory: Any) -> None:
        pass

    surroundings = Surroundings(heard, remember, lambda: datetime.now(UTC), None)  # type: ignore[arg-type]
    control = Control(NAME, host, port, "api", SECRET, settings={"transport": "http"})
    endpoint = HuaweiEndpoint(control, surroundings, quick(BOX.profile, **QUIET))
    verbs: list[asyncio.Task[Any]] = []
    events: list[str] = []
    try:
        for entry in transcript.entries:
            if entry.kind == "<":
                await replay.say(entry.data)
            elif entry.kind == ">":
                await replay.hear(entry.data)
            elif entry.kind == "!":
                await asyncio.gather(*verbs, return_exceptions=True)  # one request at a time
                verbs.append(asyncio.ensure_future(call(endpoint, *entry.verb)))
            else:
                events.append(entry.words)
                await heard.until(lambda: len(heard.events) >= len(events))
                assert [told(event) for event in heard.events[: len(events)]] == events
        async with asyncio.timeout(10):
            outcomes = await asyncio.gather(*verbs, return_exceptions=True)
        assert [told(event) for event in heard.events] == events
        failed = [type(outcome).__name__ for outcome in outcomes if isinstance(outcome, BaseException)]
        assert failed == transcript.keys.get("fails", "").split(), outcomes
    finally:
        for verb in verbs:
            verb.cancel()
        await asyncio.gather(*verbs, return_exceptions=True)
        await endpoint.close()
        await replay.stop()


@pytest.mark.parametrize("piece", [0, 1])
@pytest.mark.parametrize("path", PLAYED, ids=lambda path: path.stem)
async def test_it_is_played_again(path: Path, piece: int) -> None:
    await play(load(path), piece)


async def test_a_client_that_asks_something_else_is_noticed() -> None:
    transcript = load(next(path for path in PLAYED if path.stem == "call"))
    entries = tuple(
        replace(entry, data=entry.data.replace(b"speakerValue", b"speakerVolume")) for entry in transcript.entries
    )
    with pytest.raises(ReplayError, match="speakerVolume"):
        await play(replace(transcript, entries=entries), 0)


@pytest.mark.parametrize("path", READ, ids=lambda path: path.stem)
def test_every_answer_of_a_sample_is_understood(path: Path) -> None:
    transcript = load(path)
    answers = [answer_of(entry.data) for entry in transcript.entries if entry.kind == "<"]
    states = [call_in(data) for data in map(said, answers) if "state" in data]
    assert answers and [str(state or "idle") for state in states] == transcript.keys["expect"].split()


def test_there_are_samples_and_sessions() -> None:
    assert READ and len(PLAYED) >= 5

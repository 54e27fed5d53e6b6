"""Recorded sessions, played to the adapter as the device would, at once and byte by byte.

A file dropped into `tests/transcripts/<family>/` is a test. One with verbs (`!`) is played whole: the adapter must
send what was sent then and tell what was told then. One without is read: its lines are the same at
every split, and each call in it goes through the states that `# expect:` names.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest

from adapters import registry
from adapters.cli.dialogue import Dialogue
from adapters.cli.replay import Replay
from adapters.control.endpoint import told
from adapters.control.order import CallSeen
from adapters.registry import Surroundings
from adapters.transcript import Transcript, parse
from adapters.values import Address, AutoAnswer, AutoAnswerMode, Control, DialOptions
from tests.conformance.vendor.families import VENDORS
from tests.conformance.vendor.rig import NAME, SECRET, Vendor, quick
from tests.support.heard import Heard

FOLDER = Path(__file__).parents[2] / "transcripts"
FAMILIES = sorted({vendor.family for vendor in VENDORS if vendor.grammar is not None})
FILES = [path for family in FAMILIES for path in sorted((FOLDER / family).glob("*.txt"))]
QUIET = {"idle_poll_s": 600.0, "busy_poll_s": 600.0, "reply_s": 10.0}
"""What the device did not say is asked by polls, and polls go by the clock; a replay has none."""


def vendor_of(transcript: Transcript) -> Vendor:
    """The family, and the dialect that the transcript names, if any."""
    those = [vendor for vendor in VENDORS if vendor.family == transcript.keys["family"]]
    return next((vendor for vendor in those if vendor.label == transcript.keys.get("dialect")), those[0])


def load(path: Path) -> Transcript:
    transcript = parse(path.read_text(encoding="utf-8"))
    assert transcript.keys["family"] == path.parent.name, "a transcript lies in the folder of its family"
    return transcript


def test_every_family_in_text_has_transcripts() -> None:
    assert {path.parent.name for path in FILES} == set(FAMILIES)


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_it_reads_the_same_at_every_split(path: Path) -> None:
    transcript = load(path)
    vendor = vendor_of(transcript)
    data = b"".join(entry.data for entry in transcript.entries if entry.kind == "<")
    whole = seen(vendor, [data])
    assert seen(vendor, [data[i : i + 1] for i in range(len(data))]) == whole
    for cut in range(1, len(data)):
        assert seen(vendor, [data[:cut], data[cut:]]) == whole, data[max(0, cut - 20) : cut + 20]
    expected = transcript.keys.get("expect", "").split()
    if expected:
        call, *states = expected
        call = "" if call == "-" else call  # of a device that names none
        through = [str(report.state) for report in whole if report.id == call and report.state]
        assert [state for state, _ in groupby(through)] == states


def seen(vendor: Vendor, pieces: Sequence[bytes]) -> list[CallSeen]:
    """What the grammar makes of a stream; replies that somebody asked for mean nothing to it."""
    assert vendor.grammar is not None
    grammar = vendor.grammar()
    reports: list[CallSeen] = []
    login = vendor.profile.login

    def line(text: str) -> None:
        reports.extend(r for r in grammar.heard(text.strip()) or () if isinstance(r, CallSeen))

    dialogue = Dialogue((*login.prompts, *vendor.profile.prompts), line, lambda name: None)
    for piece in pieces:
        dialogue.feed(piece)
    return reports


PLAYED = [path for path in FILES if any(entry.kind == "!" for entry in load(path).entries)]


@pytest.mark.parametrize("piece", [0, 1])
@pytest.mark.parametrize("path", PLAYED, ids=lambda path: f"{path.parent.name}/{path.stem}")
async def test_it_is_played_again(path: Path, piece: int) -> None:
    transcript = load(path)
    vendor = vendor_of(transcript)
    keys = transcript.keys
    profile = quick(vendor.profile, **QUIET)
    if keys.get("transport") == "ssh" and profile.ssh_login is not None:
        profile = replace(profile, login=profile.ssh_login)
    replay = Replay(transcript, SECRET, piece)
    host, port = await replay.start()
    heard = Heard()

    async def remember(leg: str, memory: Any) -> None:
        pass

    settings = {"transport": "telnet", **vendor.settings}
    control = Control(NAME, host, port, keys.get("username", vendor.username), SECRET, settings=settings)
    surroundings = Surroundings(heard, remember, lambda: datetime.now(UTC), None)  # type: ignore[arg-type]
    endpoint = registry._load(registry.ENDPOINTS, "endpoint", vendor.family)(control, surroundings, profile)
    verbs: list[asyncio.Task[Any]] = []
    events: list[str] = []
    try:
        for entry in transcript.entries:
            if entry.kind == "<":
                await replay.say(entry.data)
            elif entry.kind == ">":
                await replay.hear(entry.data)
            elif entry.kind == "!":
                if verbs and entry.verb[0] != "open":
                    await asyncio.wait(verbs[:1])  # what is asked before the log-in is over is refused
                verbs.append(asyncio.ensure_future(call(endpoint, *entry.verb)))
            else:
                events.append(entry.words)
                await heard.until(lambda: len(heard.events) >= len(events))
                assert [told(event) for event in heard.events[: len(events)]] == events
        async with asyncio.timeout(10):
            outcomes = await asyncio.gather(*verbs, return_exceptions=True)
        assert [told(event) for event in heard.events] == events
        failed = [type(outcome).__name__ for outcome in outcomes if isinstance(outcome, BaseException)]
        assert failed == keys.get("fails", "").split(), outcomes
    finally:
        for verb in verbs:
            verb.cancel()
        await asyncio.gather(*verbs, return_exceptions=True)
        await endpoint.close()
        await replay.stop()


async def call(endpoint: Any, name: str, arguments: dict[str, Any]) -> Any:
    """A verb as it stands in a transcript."""
    if name == "dial":
        options = DialOptions(ring_s=600.0, max_kbps=arguments.get("max_kbps"))
        return await endpoint.dial(arguments["leg"], Address.parse(arguments["to"]), options)
    if name == "set_auto_answer":
        return await endpoint.set_auto_answer(AutoAnswer(AutoAnswerMode(arguments["mode"]), arguments.get("muted")))
    return await getattr(endpoint, name)(**arguments)

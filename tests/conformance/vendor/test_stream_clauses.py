"""The stream: split anywhere, noisy, slow, echoing; one order at a time and at the device's pace."""

import asyncio
from typing import Any

import pytest

from adapters.capabilities import Capability
from adapters.cli.dialogue import Dialogue
from adapters.events import LegConnected, LegRinging, SessionGone, SessionReady
from adapters.transcript import parse
from adapters.values import DialOptions
from tests.conformance.vendor.families import VENDORS
from tests.conformance.vendor.rig import Rig, quick
from tests.unit.sip.stage import until

LEG = "dc0a1b-1-2-1"
OPTIONS = DialOptions(display="Giao ban", ring_s=30)
TEXT = [vendor for vendor in VENDORS if vendor.grammar is not None]


async def whole_life(rig: Rig, endpoint: Any) -> list[object]:
    """A call from dialing to its end, with everything that is asked in between."""
    results: list[object] = [await endpoint.open()]
    await endpoint.dial(LEG, rig.to, OPTIONS)
    await rig.heard.event(LegConnected, LEG)
    await until(lambda: rig.far.calls_up)
    status = await endpoint.status()
    results += [[(call.leg, call.state) for call in status.calls], status.microphone_muted, status.volume]
    if Capability.AUTO_ANSWER in rig.vendor.capabilities:
        results.append(await endpoint.auto_answer())
    await endpoint.hang_up(LEG)
    results.append((await rig.heard.cleared(LEG)).cleared)
    events = [type(event) for event in rig.heard.about(LEG)]
    results += events if rig.vendor.tells_ringing is not None else [one for one in events if one is not LegRinging]
    results.append(await endpoint.snapshot())
    return results


@pytest.mark.parametrize("piece", [1, 2, 3, 7])
async def test_the_result_is_the_same_however_the_bytes_come(rig: Rig, piece: int) -> None:
    whole = await whole_life(rig, rig.adapter())
    rig.heard.events.clear()
    rig.twin.faults.piece = piece
    assert await whole_life(rig, rig.adapter(profile=quick(rig.vendor.profile, reply_s=10.0))) == whole


async def test_noise_inside_replies_changes_nothing(rig: Rig) -> None:
    whole = await whole_life(rig, rig.adapter())
    rig.heard.events.clear()
    rig.twin.faults.noise = rig.vendor.noise
    assert await whole_life(rig, rig.adapter()) == whole


async def test_every_line_of_a_quiet_session_is_understood(rig: Rig) -> None:
    endpoint = rig.adapter()
    await whole_life(rig, endpoint)
    assert getattr(endpoint, "not_understood", 0) == 0, endpoint._trace.tail()


async def test_two_verbs_at_once_go_one_behind_the_other(rig: Rig, endpoint: Any) -> None:
    rig.twin.faults.piece = 3
    said = len(turns(rig))
    rig.sent_at.clear()
    async with asyncio.timeout(60):
        states = await asyncio.gather(*(endpoint.status() for _ in range(5)))
    assert all(status.calls == () for status in states)
    # A tape joins what is sent with nothing heard in between.
    assert len(turns(rig)) - said == len(rig.sent_at), "an order left before the reply to the last one was in"


def turns(rig: Rig) -> list[str]:
    """What was sent, one for each time that it was our turn to speak."""
    return [entry.kind for entry in parse(rig.tapes[-1].text()).entries if entry.kind == ">"]


async def test_the_pace_is_kept(rig: Rig) -> None:
    gap_s = 0.05
    endpoint = rig.adapter(profile=quick(rig.vendor.profile, gap_s=gap_s, idle_poll_s=60.0))
    await endpoint.open()
    rig.sent_at.clear()
    await asyncio.gather(endpoint.status(), endpoint.status())
    gaps = [later - sooner for sooner, later in zip(rig.sent_at, rig.sent_at[1:], strict=False)]
    assert gaps and min(gaps) >= gap_s * 0.99  # asyncio wakes a timer within its clock's resolution


@pytest.mark.parametrize("vendor", TEXT, ids=str)
async def test_at_every_split_the_lines_are_the_same(vendor: Any) -> None:
    rig = await Rig(vendor).start()
    try:
        await whole_life(rig, rig.adapter())
    finally:
        await rig.stop()
    data = b"".join(entry.data for entry in parse(rig.tapes[-1].text()).entries if entry.kind == "<")
    login = vendor.profile.ssh_login if vendor.transport == "ssh" and vendor.profile.ssh_login else vendor.profile.login

    def read(*pieces: bytes) -> list[str]:
        seen: list[str] = []
        dialogue = Dialogue(
            (*login.prompts, *vendor.profile.prompts),
            lambda line: seen.append(line.strip()),
            lambda name: seen.append(f"<{name}>"),
        )
        for piece in pieces:
            dialogue.feed(piece)
        return [text for text in seen if text]

    whole = read(data)
    assert len(whole) > 5
    for cut in range(1, len(data)):
        assert read(data[:cut], data[cut:]) == whole, data[cut - 20 : cut + 20]
    assert read(*(data[i : i + 1] for i in range(len(data)))) == whole


@pytest.mark.parametrize("rig", TEXT, ids=str, indirect=True)
async def test_a_flood_without_a_line_end_ends_the_session_and_costs_no_memory(rig: Rig, endpoint: Any) -> None:
    for console in list(rig.twin.consoles):  # type: ignore[attr-defined]
        console.send(b"x" * (rig.vendor.profile.longest_line + 100))
    await rig.heard.until(lambda: rig.heard.of(SessionReady))
    assert "without a line end" in rig.heard.of(SessionGone)[0].reason
    assert await endpoint.snapshot() == ()

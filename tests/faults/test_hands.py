"""Hands that break the contract: bugs in adapters, families that nobody knows, orders without a reply."""

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from adapters import Capability, Control, OutcomeUnknown
from orchestrator.conductor import Conductor
from tests.faults.conftest import Opening, site

BY_BOTH = "third-party bridge-dials"


class Clumsy:
    """An adapter with one verb that goes wrong so many times, before or after it does its work."""

    def __init__(self, adapter: Any, hands: "ClumsyHands") -> None:
        self._adapter = adapter
        self._hands = hands

    def __getattr__(self, name: str) -> Any:
        verb = getattr(self._adapter, name)
        if name != self._hands.verb:
            return verb

        async def go_wrong(*args: Any, **kwargs: Any) -> Any:
            if self._hands.times <= 0:
                return await verb(*args, **kwargs)
            self._hands.times -= 1
            self._hands.seen[name] += 1
            if self._hands.after:
                await verb(*args, **kwargs)
            raise self._hands.error()

        return go_wrong


class ClumsyHands:
    """The real hands, with adapters that stumble."""

    def __init__(
        self, conductor: Conductor, verb: str, error: Callable[[], Exception], times: int = 1, *, after: bool = False
    ) -> None:
        self.verb, self.error, self.times, self.after = verb, error, times, after
        self.seen: Counter[str] = Counter()
        self._hands = conductor.desk.hands
        conductor.desk.hands = self

    def endpoint(self, family: str, control: Control) -> Any:
        return Clumsy(self._hands.endpoint(family, control), self)

    def bridge(self, family: str, control: Control) -> Any:
        return Clumsy(self._hands.bridge(family, control), self)

    def bridge_capabilities(self, family: str) -> frozenset[Capability]:
        return self._hands.bridge_capabilities(family)

    @property
    def dialing_families(self) -> frozenset[str]:
        return self._hands.dialing_families


BUG = KeyError("s3cret-in-an-exception")


@pytest.mark.parametrize(("verb", "ladder"), [("dial", "third-party"), ("invite", "bridge-dials")])
@pytest.mark.parametrize("after", [False, True])
async def test_a_bug_while_dialing_strands_nobody_and_rings_nobody_twice(
    theater: Opening, verb: str, ladder: str, after: bool
) -> None:
    play, conductor = await theater(2, ladder=ladder)
    hands = ClumsyHands(conductor, verb, lambda: BUG, after=after)
    await play.begin(conductor)
    await play.until_all_in()
    assert hands.seen[verb] == 1
    assert play.province.stats()["rings"] == 2
    assert play.nobody_was_rung_twice()
    assert "s3cret" not in str(await play.journal())
    await play.end(conductor)
    assert play.calls_left() == 0


@pytest.mark.parametrize(("verb", "ladder"), [("dial", "third-party"), ("invite", "bridge-dials")])
@pytest.mark.parametrize("after", [False, True])
async def test_an_order_without_a_reply_is_looked_at_and_never_given_twice_blindly(
    theater: Opening, verb: str, ladder: str, after: bool
) -> None:
    play, conductor = await theater(2, ladder=ladder)
    ClumsyHands(conductor, verb, lambda: OutcomeUnknown("x", verb, "no reply"), after=after)
    await play.begin(conductor)
    await play.until_all_in()
    assert len(await play.events("outcome-unknown")) == 1
    assert play.province.stats()["rings"] == 2
    assert play.nobody_was_rung_twice()


@pytest.mark.parametrize("verb", ["open_conference", "snapshot", "hang_up", "drop"])
async def test_a_bug_elsewhere_holds_nothing_up_for_good(theater: Opening, verb: str) -> None:
    play, conductor = await theater(2, ladder=BY_BOTH)
    hands = ClumsyHands(conductor, verb, lambda: BUG)
    await play.begin(conductor)
    await play.until_all_in()
    play.province.endpoint("qt01").hang_up()
    await play.until(lambda shown: site(shown, "qt01")["attempts"] == 2)
    await play.until_all_in()
    await play.end(conductor)
    assert play.calls_left() == 0
    assert hands.seen[verb] == (0 if verb == "drop" else 1)


async def test_a_bridge_of_an_unknown_family_is_said_so_and_keeps_nobody_else_waiting(theater: Opening) -> None:
    play, conductor = await theater(1, ladder=BY_BOTH)
    async with play.database.write() as session:
        bridge = await session.get(type(play._bridge), play._bridge_id)
        bridge.family = "teapot"
        session.add(bridge)
    await play.begin(conductor)
    async with asyncio.timeout(30):
        while not await play.events("conference-trouble"):
            await play.bell.wait(play.run_id, 0.2)
    [trouble] = await play.events("conference-trouble")
    assert "teapot" in str(trouble.facts["why"])
    await conductor.order(play.run_id, "end", {})
    await play.until(lambda shown: shown["state"] == "done")


async def test_a_refused_log_in_is_not_tried_again_and_again(theater: Opening) -> None:
    play, conductor = await theater(1, secret="not-the-secret", ladder="third-party")
    hands = ClumsyHands(conductor, "never", lambda: BUG)
    opened: Counter[str] = Counter()
    make = hands.bridge

    def counted(family: str, control: Control) -> Any:
        adapter = make(family, control)
        real = adapter._adapter.open

        async def open_() -> Any:
            opened[control.name] += 1
            return await real()

        adapter._adapter.open = open_
        return adapter

    hands.bridge = counted  # type: ignore[method-assign]
    await play.begin(conductor)
    await play.until_all_in()
    runner = conductor.runners[play.run_id]
    for _ in range(3):
        runner._seen._open_again_s = 0.0
        runner._seen.have_conference()
        async with asyncio.timeout(10):
            while runner._seen._opening:
                await play.bell.wait(play.run_id, 0.05)
    assert opened["mcu"] == 1


async def test_a_bridge_whose_entry_changes_is_opened_anew_by_its_live_run(theater: Opening) -> None:
    play, conductor = await theater(2, ladder=BY_BOTH)
    await play.begin(conductor)
    await play.until_all_in()
    async with play.database.write() as session:
        bridge = await session.get(type(play._bridge), play._bridge_id)
        bridge.ports = 7
        session.add(bridge)
    await conductor.bridge_changed("mcu")
    async with asyncio.timeout(30):
        while not await play.events("device-back"):
            await play.bell.wait(play.run_id, 0.2)
    await play.until(lambda shown: all(e["evidence"]["bridge"] == "in" for e in shown["sites"]))
    assert len(await play.events("device-gone")) == len(await play.events("device-back")) == 1
    assert conductor.desk._bridges["mcu"].adapter._profile.ports == 7  # type: ignore[attr-defined]
    assert play.province.stats()["rings"] == 2
    await play.end(conductor)
    assert play.calls_left() == 0


async def test_one_of_two_calls_by_hand_leaves_and_nobody_is_rung_until_both_have(theater: Opening) -> None:
    play, conductor = await theater(1, ladder="third-party")
    play.province.call_by_hand("qt01", "8000")
    second = play.province.call_by_hand("qt01", "8000")
    await play.province.until(lambda p: p.endpoint("qt01").calls_up == 2)
    await play.begin(conductor)
    await play.until_all_in()
    assert second is not None
    play.province.endpoint("qt01").hang_up()
    await play.until(lambda shown: site(shown, "qt01")["way"] == "third-party" and site(shown, "qt01")["state"] == "in")
    assert play.province.endpoint("qt01").tally.rings == 1
    mine = [entry.event for entry in await play.journal() if entry.event in ("site-in", "site-out")]
    assert mine == ["site-in", "site-out", "site-in"]

"""An endpoint and the exchange, without sockets: calls patched through as H.323 ones are."""

import asyncio
from collections.abc import Callable

import pytest

from adapters.values import Address
from adapters.virtual.behavior import Behavior
from adapters.virtual.endpoint import Endpoint
from adapters.virtual.exchange import NORMAL, Exchange, Line

HERE = Address.parse("h323:qt13@127.0.20.13")


class Caller:
    """Hears what becomes of its calls."""

    def __init__(self) -> None:
        self.heard: asyncio.Queue[tuple[str, object]] = asyncio.Queue()

    def rang(self, line: Line) -> None:
        self.heard.put_nowait(("rang", None))

    def answered(self, line: Line) -> None:
        self.heard.put_nowait(("answered", None))

    def digit(self, line: Line, digit: str) -> None:
        self.heard.put_nowait(("digit", digit))

    def ended(self, line: Line, code: int) -> None:
        self.heard.put_nowait(("ended", code))

    async def hears(self, *expected: tuple[str, object]) -> None:
        async with asyncio.timeout(5):
            assert [await self.heard.get() for _ in expected] == list(expected)


def placed(script: str) -> tuple[Exchange, Endpoint]:
    exchange, endpoint = Exchange(), Endpoint("qt13", Behavior.parse(script))
    exchange.settle(endpoint, HERE)
    return exchange, endpoint


async def until(condition: Callable[[], bool]) -> None:
    """Give the loop its turns until calls that were told have been heard."""
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - what is waited for is a plain count
            await asyncio.sleep(0)


RANG, ANSWERED = ("rang", None), ("answered", None)


async def test_a_call_rings_is_answered_and_is_hung_up_by_the_caller() -> None:
    exchange, endpoint = placed("ring 0.02; answer")
    caller = Caller()
    line = exchange.call_h323("mcu", "Bridge", HERE, caller)
    await caller.hears(RANG, ANSWERED)
    await until(lambda: endpoint.calls_up == 1)
    line.hang_up()
    line.hang_up()
    await until(lambda: endpoint.calls == 0)
    assert endpoint.tally.rings == endpoint.tally.answers == endpoint.tally.most_calls == 1


async def test_each_call_gets_the_next_attempt() -> None:
    exchange, endpoint = placed("busy x2; decline; answer; drop 0.01; answer")
    caller = Caller()
    for code in (486, 486, 603):
        exchange.call_h323("mcu", "", HERE, caller)
        await caller.hears(("ended", code))
    exchange.call_h323("mcu", "", HERE, caller)
    await caller.hears(ANSWERED, ("ended", NORMAL))
    exchange.call_h323("mcu", "", HERE, caller)
    await caller.hears(ANSWERED)
    assert endpoint.tally.rings == 5
    assert endpoint.tally.refusals == 3
    assert endpoint.tally.hang_ups == 1
    assert endpoint.tally.doubles == 0


async def test_a_second_call_is_busy_counted_and_uses_up_no_attempt() -> None:
    exchange, endpoint = placed("answer")
    first, second = Caller(), Caller()
    exchange.call_h323("mcu", "", HERE, first)
    await first.hears(ANSWERED)
    exchange.call_h323("prov", "", HERE, second)
    await second.hears(("ended", 486))
    assert endpoint.tally.doubles == 1
    assert endpoint.tally.most_calls == 2
    assert endpoint.calls == 1


async def test_a_cancelled_call_never_is_answered() -> None:
    exchange, endpoint = placed("never answers")
    caller = Caller()
    line = exchange.call_h323("mcu", "", HERE, caller)
    await caller.hears(RANG)
    line.hang_up()
    await until(lambda: endpoint.calls == 0)
    assert caller.heard.empty()
    assert endpoint.tally.answers == 0


async def test_silence_is_silence() -> None:
    exchange, endpoint = placed("unreachable; answer; silent death after 0.01 for 0.01; answer")
    caller = Caller()
    exchange.call_h323("mcu", "", HERE, caller)
    await until(lambda: endpoint.tally.rings == 1)
    assert endpoint.calls == 0
    line = exchange.call_h323("mcu", "", HERE, caller)
    await caller.hears(ANSWERED)
    await until(lambda: endpoint.dead)
    assert endpoint.calls == 0
    await until(lambda: not endpoint.dead)
    line.hang_up()
    exchange.call_h323("mcu", "", HERE, caller)
    await caller.hears(ANSWERED)
    assert endpoint.tally.rings == 3


async def test_people_in_the_room_hang_up_lose_power_and_come_back() -> None:
    exchange, endpoint = placed("answer")
    caller = Caller()
    exchange.call_h323("mcu", "", HERE, caller)
    await caller.hears(ANSWERED)
    assert endpoint.hang_up() == 1
    await caller.hears(("ended", NORMAL))
    assert endpoint.hang_up() == 0
    endpoint.die()
    exchange.call_h323("mcu", "", HERE, caller)
    endpoint.come_back()
    exchange.call_h323("mcu", "", HERE, caller)
    await caller.hears(ANSWERED)
    assert endpoint.tally.rings == 2
    with pytest.raises(ValueError, match="no SIP address"):
        endpoint.call_by_hand(HERE)


async def test_nobody_stands_at_an_unknown_address_and_no_two_at_one() -> None:
    exchange, endpoint = placed("answer")
    caller = Caller()
    exchange.call_h323("mcu", "", Address.parse("h323:other@127.0.20.13"), caller)
    await caller.hears(("ended", 404))
    assert exchange.has_peer("127.0.20.13")
    assert not exchange.has_peer("127.0.20.14")
    exchange.settle(endpoint, HERE)
    with pytest.raises(ValueError, match="taken by qt13"):
        exchange.settle(Endpoint("qt14", endpoint.behavior), HERE)


async def test_digits_go_both_ways() -> None:
    exchange, endpoint = placed("answer")
    caller = Caller()
    line = exchange.call_h323("mcu", "", HERE, caller)
    await caller.hears(ANSWERED)
    other = next(iter(endpoint._calls.values())).line
    other.send_digit("5")
    await caller.hears(("digit", "5"))
    line.send_digit("7")
    await until(lambda: endpoint.calls_up == 1)

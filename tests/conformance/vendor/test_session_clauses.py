"""The session: it opens and closes, refuses once, is lost and comes back, and keeps its secrets."""

import asyncio
import inspect
import logging
import re
from contextlib import nullcontext
from typing import Any

import pytest

from adapters import registry
from adapters.capabilities import Capability
from adapters.contract import EndpointAdapter
from adapters.errors import AdapterError, LoginRefused, NotSupported, OutcomeUnknown, Rejected, SessionLost, Unreachable
from adapters.events import LegConnected, SessionGone, SessionReady
from adapters.transcript import parse
from adapters.values import DialOptions
from tests.conformance.vendor.families import VENDORS
from tests.conformance.vendor.rig import NAME, REPLY_S, Rig, quick
from tests.support.port import free_port
from tests.unit.sip.stage import until

LEG = "dc0a1b-1-2-1"
OPTIONS = DialOptions(display="Giao ban", ring_s=30)


def test_every_family_with_a_control_session_is_here() -> None:
    assert {vendor.family for vendor in VENDORS} == set(registry.ENDPOINTS) - {"sip", "h323"}
    assert len({str(vendor) for vendor in VENDORS}) == len(VENDORS)


def test_every_ability_says_what_it_rests_on() -> None:
    for vendor in VENDORS:
        assert set(vendor.evidence) == vendor.capabilities, vendor


async def test_its_verbs_are_those_of_the_contract(rig: Rig) -> None:
    endpoint = rig.adapter()
    assert isinstance(endpoint, EndpointAdapter)
    for name, promised in inspect.getmembers(EndpointAdapter, inspect.isfunction):
        if name.startswith("_"):
            continue
        kept = getattr(type(endpoint), name)
        assert inspect.iscoroutinefunction(kept) is inspect.iscoroutinefunction(promised), name
        theirs = [(p.name, p.kind, p.default) for p in inspect.signature(kept).parameters.values()]
        assert theirs == [(p.name, p.kind, p.default) for p in inspect.signature(promised).parameters.values()], name


async def test_it_opens_says_what_it_is_and_closes_and_again(rig: Rig) -> None:
    endpoint = rig.adapter()
    for _ in range(2):
        identity = await endpoint.open()
        assert (identity.make, identity.model, identity.firmware) == rig.vendor.identity
        assert await endpoint.open() == identity
        assert await endpoint.snapshot() == ()
        await endpoint.close()
        await endpoint.close()
    assert rig.heard.events == []


async def test_a_wrong_password_is_refused_once_and_not_tried_again(rig: Rig) -> None:
    if not rig.vendor.secret:
        await rig.adapter(secret="nonsense").open()  # nobody asks for one
        assert rig.twin.refusals == 0
        return
    endpoint = rig.adapter(secret="not-the-secret")
    async with asyncio.timeout(rig.vendor.profile.pace.open_s + 1):
        with pytest.raises(LoginRefused) as refused:
            await endpoint.open()
    assert rig.twin.refusals == 1 and refused.value.device == NAME
    heard = rig.twin.heard_bytes
    for order in (endpoint.open(), endpoint.dial(LEG, rig.to, OPTIONS), endpoint.open()):
        with pytest.raises(LoginRefused):
            await order
    assert rig.twin.refusals == 1 and rig.twin.heard_bytes == heard
    assert "not-the-secret" not in str(refused.value) + refused.value.trace + rig.tapes[-1].text()


async def test_where_nobody_listens_is_unreachable_in_time(rig: Rig) -> None:
    endpoint = rig.adapter(port=free_port("127.0.0.1"))
    async with asyncio.timeout(rig.vendor.profile.pace.open_s + 1):
        with pytest.raises(Unreachable) as refused:
            await endpoint.open()
    assert refused.value.device == NAME and refused.value.verb == "open"


async def test_who_never_says_a_word_is_unreachable_in_time(rig: Rig) -> None:
    rig.twin.faults.is_deaf = True
    endpoint = rig.adapter(profile=quick(rig.vendor.profile, open_s=0.5))
    async with asyncio.timeout(10):
        with pytest.raises(Unreachable):
            await endpoint.open()


async def test_before_it_is_open_verbs_say_so(rig: Rig) -> None:
    endpoint = rig.adapter()
    with pytest.raises(SessionLost):
        await endpoint.dial(LEG, rig.to, OPTIONS)
    assert rig.twin.heard_bytes == 0 and await endpoint.snapshot() == ()


async def test_a_link_lost_in_the_middle_of_an_order_leaves_it_unknown(rig: Rig, endpoint: Any) -> None:
    rig.twin.faults.script(f"drop at {rig.vendor.wire['dial']}")
    with pytest.raises(OutcomeUnknown):
        await endpoint.dial(LEG, rig.to, OPTIONS)
    await rig.heard.until(lambda: rig.heard.of(SessionReady))
    assert [type(e) for e in rig.heard.of(SessionGone, SessionReady)] == [SessionGone, SessionReady]
    if not rig.vendor.lists_calls:  # nobody can look what came of it: it is ended, and then there is none for sure
        await rig.heard.cleared(LEG)
        await until(lambda: not rig.far.calls and not rig.codec.calls)
        return
    # It did what it was told, and after the log-in its lists show it.
    await rig.heard.event(LegConnected, LEG)
    await endpoint.hang_up(LEG)
    await rig.heard.cleared(LEG)
    await until(lambda: not rig.far.calls)


async def test_an_order_that_never_arrived_is_found_to_be_none(rig: Rig, endpoint: Any) -> None:
    rig.twin.faults.script(f"reset at {rig.vendor.wire['dial']}")
    with pytest.raises(OutcomeUnknown):
        await endpoint.dial(LEG, rig.to, OPTIONS)
    await rig.heard.cleared(LEG)
    assert await endpoint.snapshot() == () and rig.far.tally.rings == 0


async def test_an_outage_is_told_once_and_so_is_its_end(rig: Rig, endpoint: Any) -> None:
    await endpoint.dial(LEG, rig.to, OPTIONS)
    await rig.heard.event(LegConnected, LEG)
    await rig.twin.stop()
    with pytest.raises((SessionLost, OutcomeUnknown)):
        for _ in range(50):
            await endpoint.hang_up("dc0a1b-9-9-9")
            await endpoint.status()
    await rig.heard.until(lambda: rig.heard.of(SessionGone))
    await rig.twin.come_back()
    await rig.heard.until(lambda: rig.heard.of(SessionReady))
    assert len(rig.heard.of(SessionGone)) == len(rig.heard.of(SessionReady)) == 1
    assert [seen.leg for seen in await endpoint.snapshot()] == [LEG], "a call lives on without our session"


async def test_a_stalled_reply_honours_the_deadline(rig: Rig, endpoint: Any) -> None:
    rig.twin.faults.script(f"cut at {rig.vendor.wire['calls']}; silent at {rig.vendor.wire['dial']}")
    async with asyncio.timeout(REPLY_S + 5):
        with pytest.raises(SessionLost):  # a question: nothing can have happened
            await endpoint.status()
    await rig.heard.until(lambda: rig.heard.of(SessionReady))
    async with asyncio.timeout(REPLY_S + 5):
        with pytest.raises(OutcomeUnknown) if rig.vendor.acknowledges else nullcontext():
            await endpoint.dial(LEG, rig.to, OPTIONS)
    await rig.heard.event(LegConnected, LEG)


async def test_a_garbled_reply_is_told_as_such_and_the_session_goes_on(rig: Rig, endpoint: Any) -> None:
    rig.twin.faults.script(f"garble at {rig.vendor.wire['calls']}")
    with pytest.raises(AdapterError):
        await endpoint.status()
    async with asyncio.timeout(10):
        while True:
            try:
                assert (await endpoint.status()).calls == ()
                break
            except SessionLost:
                await rig.heard.until(lambda: rig.heard.of(SessionReady))


async def test_a_reboot_costs_the_call_and_no_more(rig: Rig, endpoint: Any) -> None:
    await endpoint.dial(LEG, rig.to, OPTIONS)
    await rig.heard.event(LegConnected, LEG)
    rig.twin.reboot()
    if not rig.vendor.lists_calls:  # to us it is a link that was lost: the call counts as up until it is hung up
        await rig.heard.until(lambda: rig.heard.of(SessionReady))
        assert [seen.leg for seen in await endpoint.snapshot()] == [LEG]
        await endpoint.hang_up(LEG)
    await rig.heard.cleared(LEG)
    await rig.heard.until(lambda: rig.heard.of(SessionReady))
    await endpoint.dial("dc0a1b-1-2-2", rig.to, OPTIONS)


async def test_old_firmware_that_knows_no_such_order_says_no(rig: Rig, endpoint: Any) -> None:
    rig.twin.faults.script(f"refuse at {rig.vendor.wire['mute']}")
    with pytest.raises(AdapterError) as refused:
        await endpoint.mute(True)
    assert not isinstance(refused.value, OutcomeUnknown | SessionLost), "it said no, and is there"
    await endpoint.mute(True)
    assert rig.codec.is_muted


async def test_what_cannot_be_a_device_of_the_family_is_refused(rig: Rig) -> None:
    with pytest.raises(Rejected) as refused:
        rig.adapter(settings_more={"nonsense": 1})
    assert "nonsense" in str(refused.value)


async def test_nothing_gives_a_secret_away(rig: Rig, endpoint: Any, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        await endpoint.dial(LEG, rig.to, OPTIONS)
        await rig.heard.event(LegConnected, LEG)
        rig.twin.faults.script(f"drop at {rig.vendor.wire['hang_up']}")
        with pytest.raises(AdapterError) as lost:
            await endpoint.hang_up(LEG)
        await rig.heard.until(lambda: rig.heard.of(SessionReady))
    tape = rig.tapes[-1].text()
    assert parse(tape).entries
    for place in (str(lost.value), lost.value.trace, repr(lost.value), caplog.text, repr(rig.heard.events), tape):
        assert not rig.vendor.secret or rig.vendor.secret not in place


async def test_digits_are_written_down_nowhere_not_even_where_the_device_echoes_them(rig: Rig, endpoint: Any) -> None:
    await endpoint.dial(LEG, rig.to, OPTIONS)
    await rig.heard.event(LegConnected, LEG)
    await until(lambda: rig.far.calls_up)
    commands = len(rig.twin.commands)
    if Capability.DTMF not in rig.vendor.capabilities:
        with pytest.raises(NotSupported):
            await endpoint.send_digits(LEG, "4711")
    else:
        await endpoint.send_digits(LEG, "4711")
        await until(lambda: rig.far.digits == "4711")
    told = [command for command in rig.twin.commands[commands:] if re.search(r"4\b|4711", command)]
    assert bool(told) is (Capability.DTMF in rig.vendor.capabilities)
    for command in told:
        assert command not in rig.tapes[-1].text()
        assert command not in endpoint._trace.tail()

"""The promises of `adapters.contract.EndpointAdapter`, one clause a test, over real sockets."""

import inspect
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest

from adapters import registry
from adapters.capabilities import Capability
from adapters.causes import ClearCause, Side
from adapters.contract import EndpointAdapter
from adapters.errors import NotSupported, Rejected
from adapters.events import LegCleared, LegConnected
from adapters.registry import Surroundings
from adapters.sip.agent import SipAgent
from adapters.sip.sdp import medias
from adapters.values import Address, AutoAnswer, AutoAnswerMode, Control, DialOptions, Identity, LegState
from tests.conformance.vendor.families import VENDORS
from tests.support.heard import Heard
from tests.unit.sip.stage import until

from .rig import NAME, RIGS, SipRig

LEG = "dc0a1b-1-2-1"
OPTIONS = DialOptions(display="Giao ban", ring_s=30)
ABILITIES = {
    Capability.DIAL,
    Capability.ADOPT,
    Capability.MUTE,
    Capability.SIP,
    Capability.DTMF,
    Capability.VIDEO,
    Capability.REFER,
}


@pytest.fixture(params=RIGS, ids=lambda kind: str(kind.name))
async def rig(request: pytest.FixtureRequest) -> AsyncIterator[SipRig]:
    rig: SipRig = request.param()
    await rig.start()
    yield rig
    await rig.stop()


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
async def endpoint(rig: SipRig, heard: Heard) -> AsyncIterator[EndpointAdapter]:
    endpoint = rig.adapter(heard)
    await endpoint.open()
    yield endpoint
    await endpoint.close()


def test_every_family_brings_a_rig() -> None:
    with_a_session = {vendor.family for vendor in VENDORS}  # tests/conformance/vendor has their clauses
    assert {rig.family for rig in RIGS} == set(registry.ENDPOINTS) - with_a_session


async def test_its_verbs_are_those_of_the_contract(endpoint: EndpointAdapter) -> None:
    assert isinstance(endpoint, EndpointAdapter)
    for name, promised in inspect.getmembers(EndpointAdapter, inspect.isfunction):
        if name.startswith("_"):
            continue
        kept = getattr(type(endpoint), name)
        assert inspect.iscoroutinefunction(kept) is inspect.iscoroutinefunction(promised), name
        theirs = [(p.name, p.kind, p.default) for p in inspect.signature(kept).parameters.values()]
        assert theirs == [(p.name, p.kind, p.default) for p in inspect.signature(promised).parameters.values()], name


async def test_it_declares_what_the_clauses_know(rig: SipRig, endpoint: EndpointAdapter) -> None:
    assert endpoint.family == rig.family
    assert endpoint.capabilities <= ABILITIES, "a new ability needs a clause here"
    assert not endpoint.capabilities or Capability.DIAL in endpoint.capabilities


async def test_opening_and_closing_may_be_repeated(endpoint: EndpointAdapter, rig: SipRig) -> None:
    assert isinstance(await endpoint.open(), Identity)
    await endpoint.close()
    await endpoint.close()
    await endpoint.open()
    assert await endpoint.snapshot() == ()
    assert rig.messages() == 0


async def test_hanging_up_a_leg_that_is_over_is_fine(endpoint: EndpointAdapter, heard: Heard, rig: SipRig) -> None:
    await endpoint.hang_up("dc0a1b-9-9-9")
    assert heard.events == [] and rig.messages() == 0


async def test_dialing_works_or_is_refused_in_silence(endpoint: EndpointAdapter, heard: Heard, rig: SipRig) -> None:
    if Capability.DIAL not in endpoint.capabilities:
        with pytest.raises(NotSupported) as refused:
            await endpoint.dial(LEG, rig.to, OPTIONS)
        assert refused.value.device == NAME and refused.value.verb == "dial"
        assert rig.messages() == 0 and heard.events == [] and await endpoint.snapshot() == ()
        return
    await endpoint.dial(LEG, rig.to, OPTIONS)
    await endpoint.dial(LEG, rig.to, OPTIONS)
    await heard.event(LegConnected, LEG)
    await until(rig.up)
    assert [(seen.leg, seen.state) for seen in await endpoint.snapshot()] == [(LEG, LegState.CONNECTED)]
    assert rig.calls() == 1
    await endpoint.hang_up(LEG)
    await endpoint.hang_up(LEG)
    cleared = (await heard.cleared(LEG)).cleared
    assert (cleared.cause, cleared.side) == (ClearCause.LOCAL, Side.OURS)
    assert await endpoint.snapshot() == ()
    assert rig.up() is (Capability.REFER in endpoint.capabilities), "a call of its own is the bridge's to end"
    assert isinstance(heard.events[-1], LegCleared) and len(heard.of(LegCleared)) == 1


async def test_a_far_end_that_hangs_up_is_an_event(endpoint: EndpointAdapter, heard: Heard, rig: SipRig) -> None:
    if Capability.DIAL not in endpoint.capabilities:
        assert await endpoint.snapshot() == ()
        return
    await endpoint.dial(LEG, rig.to, OPTIONS)
    await heard.event(LegConnected, LEG)
    await until(rig.up)
    rig.hang_up()
    if Capability.REFER in endpoint.capabilities:
        await until(lambda: not rig.up())
        assert not heard.of(LegCleared), "of a call of its own only the bridge hears the end"
        return
    assert (await heard.cleared(LEG)).cleared.cause is ClearCause.FAR_END


async def test_a_foreign_address_is_refused_in_silence(endpoint: EndpointAdapter, heard: Heard, rig: SipRig) -> None:
    with pytest.raises(NotSupported):
        await endpoint.dial(LEG, rig.foreign(), OPTIONS)
    assert rig.messages() == 0 and heard.events == []


async def test_digits_reach_the_called_party(endpoint: EndpointAdapter, heard: Heard, rig: SipRig) -> None:
    options = DialOptions(digits="24#", digits_delay_s=0.0)
    if Capability.DTMF not in endpoint.capabilities:
        with pytest.raises(NotSupported):
            await endpoint.dial(LEG, rig.to, options)
        assert rig.messages() == 0
        return
    await endpoint.dial(LEG, rig.to, options)
    await until(lambda: rig.digits() == "24#")


async def test_video_is_offered_unless_it_is_not_wanted(endpoint: EndpointAdapter, heard: Heard, rig: SipRig) -> None:
    if Capability.VIDEO not in endpoint.capabilities:
        with pytest.raises(NotSupported):
            await endpoint.dial(LEG, rig.to, OPTIONS)
        return
    await endpoint.dial(LEG, rig.to, OPTIONS)
    await heard.event(LegConnected, LEG)
    assert any(media.kind == "video" and media.port for media in medias(rig.media()))


async def test_a_leg_is_picked_up_from_its_memory(endpoint: EndpointAdapter, heard: Heard, rig: SipRig) -> None:
    if Capability.ADOPT not in endpoint.capabilities:
        with pytest.raises(NotSupported) as refused:
            await endpoint.adopt(LEG, {})
        assert refused.value.verb == "adopt" and rig.messages() == 0
        return
    await endpoint.dial(LEG, rig.to, OPTIONS)
    await heard.event(LegConnected, LEG)
    await until(rig.up)
    await endpoint.close()
    later = Heard()
    next_process = rig.adapter(later)
    for _ in range(2):
        assert (await next_process.adopt(LEG, rig.memories[LEG])).state is LegState.CONNECTED
    await next_process.hang_up(LEG)
    assert (await later.cleared(LEG)).cleared.cause is ClearCause.LOCAL
    assert not heard.of(LegCleared), "who has given the session up tells nothing more"


async def test_a_memory_that_is_none_is_refused(endpoint: EndpointAdapter, rig: SipRig) -> None:
    with pytest.raises((Rejected, NotSupported)) as refused:
        await endpoint.adopt(LEG, {"who": "knows"})
    assert refused.value.device == NAME and rig.messages() == 0


async def test_muting_works_or_is_refused_in_silence(endpoint: EndpointAdapter, rig: SipRig) -> None:
    assert Capability.MUTE not in endpoint.capabilities, "a family that can mute needs a clause of its own"
    with pytest.raises(NotSupported) as refused:
        await endpoint.mute(True)
    assert refused.value.verb == "mute" and rig.messages() == 0


@pytest.mark.parametrize(
    ("ability", "order"),
    [
        (Capability.STATUS, lambda e: e.status()),
        (Capability.ANSWER, lambda e: e.answer(LEG)),
        (Capability.VOLUME, lambda e: e.set_volume(10)),
        (Capability.PRESET, lambda e: e.recall_preset(1)),
        (Capability.CONTENT, lambda e: e.share_content(True)),
        (Capability.WAKE, lambda e: e.wake()),
        (Capability.TEXT, lambda e: e.show_text("x", 1)),
        (Capability.AUTO_ANSWER, lambda e: e.auto_answer()),
        (Capability.AUTO_ANSWER, lambda e: e.set_auto_answer(AutoAnswer(AutoAnswerMode.ON))),
    ],
)
async def test_what_needs_a_control_session_is_refused_in_silence(
    endpoint: EndpointAdapter, heard: Heard, rig: SipRig, ability: Capability, order: Any
) -> None:
    assert ability not in endpoint.capabilities
    with pytest.raises(NotSupported):
        await order(endpoint)
    assert rig.messages() == 0 and heard.events == []


async def test_digits_are_sent_into_a_leg_that_is_up(endpoint: EndpointAdapter, heard: Heard, rig: SipRig) -> None:
    if Capability.DTMF not in endpoint.capabilities:
        with pytest.raises(NotSupported):
            await endpoint.send_digits(LEG, "1")
        return
    with pytest.raises(Rejected):
        await endpoint.send_digits(LEG, "1")
    await endpoint.dial(LEG, rig.to, OPTIONS)
    await heard.event(LegConnected, LEG)
    await until(rig.up)
    await endpoint.send_digits(LEG, "24")
    await endpoint.send_digits(LEG, "#")
    await until(lambda: rig.digits() == "24#")
    with pytest.raises(Rejected):
        await endpoint.send_digits(LEG, "x")


async def test_what_cannot_be_an_endpoint_of_the_family_is_refused() -> None:
    surroundings = Surroundings(Heard(), SipRig()._remember, lambda: datetime.now(UTC), SipAgent("127.0.0.1"))
    for control in (
        Control("no address"),
        Control("h323 only", addresses=(Address.parse("h323:a@127.0.0.1"),)),
        Control("odd flow", addresses=(Address.parse("sip:a@127.0.0.1"),), settings={"flow": "IX"}),
    ):
        with pytest.raises(Rejected) as refused:
            registry.endpoint("sip", control, surroundings)
        assert control.name in str(refused.value) and "expected" in str(refused.value)
    with pytest.raises(LookupError, match=r"known are .*h323, .*sip"):
        registry.endpoint("teleprinter", Control("x"), surroundings)

"""A bridge of which only the dial string is known: what it can say, and what it refuses without a byte."""

import inspect
from datetime import UTC, datetime

import pytest

from adapters import registry
from adapters.capabilities import Capability
from adapters.contract import BridgeAdapter
from adapters.errors import NotSupported, Rejected
from adapters.registry import Surroundings
from adapters.sip.agent import SipAgent
from adapters.values import Address, ConferenceSpec, Control, DialOptions, Identity, Ports
from tests.support.heard import Heard

NOW = datetime(2026, 12, 1, 1, 0, tzinfo=UTC)
TO = Address.parse("sip:a@192.0.2.1")


async def nothing(leg: str, memory: object) -> None:
    raise AssertionError("a bridge of this family makes no calls")


def bridge(**settings: object) -> BridgeAdapter:
    surroundings = Surroundings(Heard(), nothing, lambda: NOW, SipAgent("127.0.0.1"))
    return registry.bridge("sip", Control("MCU tỉnh", settings=settings), surroundings)


def hosted() -> BridgeAdapter:
    return bridge(conference_address="sip:{number}@192.0.2.20:5062;transport=tcp", ports=40)


def test_its_verbs_are_those_of_the_contract() -> None:
    made = hosted()
    assert isinstance(made, BridgeAdapter) and made.capabilities == {Capability.SIP}
    for name, promised in inspect.getmembers(BridgeAdapter, inspect.isfunction):
        if not name.startswith("_"):
            kept = inspect.signature(getattr(type(made), name))
            assert list(kept.parameters.values()) == list(inspect.signature(promised).parameters.values()), name


async def test_it_says_where_to_dial_and_nothing_it_does_not_know() -> None:
    made = hosted()
    assert await made.open() == await made.open() == Identity()
    assert str(made.expect("8001")) == "sip:8001@192.0.2.20:5062;transport=tcp"
    assert await made.ports() == Ports(40, None)
    await made.open_conference(ConferenceSpec("8001", "Giao ban", "dc0a1b-1"))
    roster = await made.snapshot("8001")
    assert (roster.conference, roster.members, roster.known, roster.seen_at) == ("8001", (), False, NOW)
    assert await made.adopt(["dc0a1b-1-2-1"]) == ()
    await made.drop("dc0a1b-1-2-1")
    await made.end_conference("8001")
    await made.close()
    await made.close()


async def test_what_it_cannot_do_it_says() -> None:
    made = hosted()
    for verb, order in (
        ("invite", made.invite("dc0a1b-1-2-1", "8001", TO, DialOptions())),
        ("mute", made.mute("8001", "1", True)),
        ("send_digits", made.send_digits("dc0a1b-1-2-1", "1#")),
    ):
        with pytest.raises(NotSupported) as refused:
            await order
        assert (refused.value.device, refused.value.verb) == ("MCU tỉnh", verb)


def test_one_room_for_all_needs_no_number() -> None:
    assert str(bridge(conference_address="sip:giaoban@192.0.2.20").expect("8001")) == "sip:giaoban@192.0.2.20"


@pytest.mark.parametrize(
    "pattern",
    [
        "",
        "192.0.2.20",
        "h323:{number}@192.0.2.20",
        "sip:{number.__class__}@192.0.2.20",
        "sip:{number}@192.0.2.20:99999",
    ],
)
def test_a_dial_string_that_is_none_is_refused(pattern: str) -> None:
    with pytest.raises(Rejected, match="conference_address") as refused:
        bridge(conference_address=pattern)
    assert refused.value.device == "MCU tỉnh"

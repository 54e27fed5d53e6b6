"""Ladders: which ways to a site or a room there are, in which order."""

from adapters import Capability
from orchestrator.rules.plan import EndpointFacts, Rung, Way, link_rungs, site_rungs
from orchestrator.rules.tag import LegName

FULL = frozenset({Capability.INVITE, Capability.SIP, Capability.H323})
BOTH = ("h323:qt03@192.0.2.3", "sip:qt03@192.0.2.3:5060")
VENDOR = EndpointFacts("qt03", "lifesize", ("endpoint-dials", "bridge-dials", "third-party"), BOTH)


def _ways(rungs: tuple[Rung, ...]) -> list[tuple[str, str]]:
    return [(rung.way.value, rung.address.partition(":")[0]) for rung in rungs]


def test_a_family_without_an_adapter_is_reached_by_the_other_ways() -> None:
    assert _ways(site_rungs([VENDOR], FULL, ())) == [
        ("bridge-dials", "sip"),
        ("bridge-dials", "h323"),
        ("third-party", "sip"),
    ]


def test_a_family_with_an_adapter_dials_by_itself_first() -> None:
    assert site_rungs([VENDOR], FULL, {"lifesize"})[0] == Rung(Way.ENDPOINT_DIALS, BOTH[0], "qt03")


def test_a_bridge_without_h323_is_not_asked_to_call_h323() -> None:
    sip_only = frozenset({Capability.INVITE, Capability.SIP})
    assert ("bridge-dials", "h323") not in _ways(site_rungs([VENDOR], sip_only, ()))


def test_a_bridge_that_cannot_call_leaves_third_party_control() -> None:
    assert _ways(site_rungs([VENDOR], frozenset(), ())) == [("third-party", "sip")]


def test_an_endpoint_is_told_to_call_only_where_the_bridge_shows_and_ends_it_and_its_name_is_known() -> None:
    able = frozenset({Capability.ROSTER, Capability.DROP})
    told = EndpointFacts("qt03", "sip", ("refer", "third-party"), (*BOTH, "sip:192.0.2.3"))
    assert site_rungs([told], able, ())[0] == Rung(Way.REFER, BOTH[1], "qt03")
    assert [way for way, _ in _ways(site_rungs([told], able, ()))] == ["refer", "third-party", "third-party"]
    for lacking in able:
        assert "refer" not in dict(_ways(site_rungs([told], able - {lacking}, ())))


def test_a_stand_by_endpoint_comes_after_all_ways_of_the_first() -> None:
    standby = EndpointFacts("qt03-b", "sip", (), ("sip:standby@192.0.2.4",))
    rungs = site_rungs([VENDOR, standby], FULL, ())
    assert [rung.endpoint for rung in rungs] == ["qt03"] * 3 + ["qt03-b"] * 2


def test_a_link_tries_each_way_to_the_address_then_to_the_backup() -> None:
    rungs = link_rungs("sip:9001@192.0.2.9", "h323:9001@192.0.2.10", FULL)
    assert _ways(rungs) == [("bridge-dials", "sip"), ("third-party", "sip"), ("bridge-dials", "h323")]


def test_a_rung_comes_back_from_json_as_it_went() -> None:
    rung = Rung(Way.BRIDGE_DIALS, "h323:a@192.0.2.1", "a")
    assert Rung.from_json(rung.to_json()) == rung


def test_a_leg_name_is_read_back_and_nothing_else_is() -> None:
    name = LegName("7f3a", 12, 345, 1)
    assert str(name) == "dc7f3a-12-345-1"
    assert LegName.find(str(name)) == name
    for other in ("", "8001", "dc7f3a-12-345", "dc7f3a-12-345-1-9", "xdc7f3a-12-345-1", "dcZZZZ-1-1-1"):
        assert LegName.find(other) is None

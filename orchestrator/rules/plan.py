"""Who is to be reached, and by which ways: the inventory turned into ladders of rungs."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from adapters import Address, Capability


class Way(StrEnum):
    """Who places the call."""

    ENDPOINT_DIALS = "endpoint-dials"
    THIRD_PARTY = "third-party"
    REFER = "refer"  # the endpoint, told so by SIP; the call is its own
    BRIDGE_DIALS = "bridge-dials"
    BY_HAND = "by-hand"  # somebody else did; never a rung


LADDER_WORDS: tuple[str, ...] = (Way.ENDPOINT_DIALS, Way.THIRD_PARTY, Way.REFER, Way.BRIDGE_DIALS)
"""The words that may stand in an endpoint's ladder."""
USUAL_LADDER: tuple[str, ...] = (Way.THIRD_PARTY, Way.BRIDGE_DIALS)
"""The ladder of an endpoint that has none of its own."""
ONLY_THE_BRIDGE_KNOWS = frozenset({Way.BRIDGE_DIALS, Way.REFER})
"""Ways whose calls nothing but the bridge's session shows and ends."""
OF_THE_ENDPOINT = frozenset({Way.ENDPOINT_DIALS, Way.REFER})
"""Ways whose calls the endpoint makes by itself: in the roster they stand under its own name."""


@dataclass(frozen=True, slots=True)
class Rung:
    """One way to reach a participant.

    `near` is the address of the endpoint that is to call or be called; for a link by
    third-party it is the far room's address and our conference is the near side.
    """

    way: Way
    address: str
    endpoint: str = ""

    def to_json(self) -> dict[str, str]:
        return {"way": self.way.value, "address": self.address, "endpoint": self.endpoint}

    @classmethod
    def from_json(cls, row: Mapping[str, str]) -> "Rung":
        return cls(Way(row["way"]), row["address"], row["endpoint"])


@dataclass(frozen=True, slots=True)
class EndpointFacts:
    """What the plan needs to know of an endpoint."""

    name: str
    family: str
    ladder: Sequence[str]
    addresses: Sequence[str]


def _bridge_reach(addresses: Sequence[Address], bridge: Collection[Capability]) -> list[Address]:
    """The addresses a bridge can call: SIP ones first, then H.323, each in their order."""
    if Capability.INVITE not in bridge:
        return []
    sip = [a for a in addresses if a.is_sip and Capability.SIP in bridge]
    h323 = [a for a in addresses if a.scheme == "h323" and Capability.H323 in bridge]
    return sip + h323


def site_rungs(
    endpoints: Sequence[EndpointFacts],
    bridge: Collection[Capability],
    dialing_families: Collection[str],
) -> tuple[Rung, ...]:
    """The ladder of a site: its endpoints in order (stand-by ones last), each by its own ladder.

    `dialing_families` are the vendor families whose adapter can make the endpoint dial; a
    family without an adapter loses that rung and keeps the others. A call by `refer` is known
    and ended by the bridge's roster alone, and by its caller's name: what lacks these has no such rung.
    """
    rungs: list[Rung] = []
    for endpoint in endpoints:
        addresses = [Address.parse(text) for text in endpoint.addresses]
        for word in endpoint.ladder or USUAL_LADDER:
            match Way(word):
                case Way.ENDPOINT_DIALS if endpoint.family in dialing_families and addresses:
                    rungs.append(Rung(Way.ENDPOINT_DIALS, str(addresses[0]), endpoint.name))
                case Way.THIRD_PARTY:
                    rungs += [Rung(Way.THIRD_PARTY, str(a), endpoint.name) for a in addresses if a.is_sip]
                case Way.REFER if {Capability.ROSTER, Capability.DROP} <= set(bridge):
                    rungs += [Rung(Way.REFER, str(a), endpoint.name) for a in addresses if a.is_sip and a.user]
                case Way.BRIDGE_DIALS:
                    rungs += [Rung(Way.BRIDGE_DIALS, str(a), endpoint.name) for a in _bridge_reach(addresses, bridge)]
    return tuple(rungs)


def link_rungs(address: str, backup_address: str, bridge: Collection[Capability]) -> tuple[Rung, ...]:
    """The ladder of a link: per address the bridge's own call first, then third-party."""
    rungs: list[Rung] = []
    for text in filter(None, (address, backup_address)):
        far = Address.parse(text)
        rungs += [Rung(Way.BRIDGE_DIALS, text) for _ in _bridge_reach([far], bridge)]
        if far.is_sip:
            rungs.append(Rung(Way.THIRD_PARTY, text))
    return tuple(rungs)

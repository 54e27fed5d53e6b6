"""Where a SIP URI leads: transport, address and port, from the records of the DNS (RFC 3263 section 4).

    transport in the URI             that one; sips: always TLS
    a literal address, or a port     UDP, TLS for sips:
    otherwise                        by NAPTR, else by whichever SRV there are, else UDP or TLS
    the port is in the URI           no SRV

Pure but for the asking, which is handed in. Of servers with equal priority the weights decide by
the call's own name, so that the same call goes the same way in every process.
"""

import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

from adapters.sip.uri import Uri

MAX_TARGETS = 4
"""Places that one request is tried at."""
_MAX_RECORDS = 32
_SERVICES = {"SIP+D2U": "UDP", "SIP+D2T": "TCP", "SIPS+D2T": "TLS"}
_LABELS = {"UDP": "_sip._udp", "TCP": "_sip._tcp", "TLS": "_sips._tcp"}
_PORTS = {"UDP": 5060, "TCP": 5060, "TLS": 5061}


class NoWay(Exception):
    """A name leads nowhere; says why in words."""


class Naptr(NamedTuple):
    order: int
    preference: int
    flags: str
    service: str
    replacement: str


class Srv(NamedTuple):
    priority: int
    weight: int
    port: int
    target: str


class Target(NamedTuple):
    """One place to send to."""

    transport: str
    host: str  # a literal address
    port: int


@dataclass(frozen=True, slots=True)
class Plan:
    """Every place a URI's host leads to: groups in order, in each group (weight, places of one server)."""

    groups: tuple[tuple[tuple[int, tuple[Target, ...]], ...], ...]
    ttl_s: float

    def targets(self, key: str) -> tuple[Target, ...]:
        """In the order to try them; the same for the same key (RFC 2782's choice by weight)."""
        found: list[Target] = []
        for group in self.groups:
            for places in _by_weight(group, key):
                found += [place for place in places if place not in found]
            if len(found) >= MAX_TARGETS:
                break
        return tuple(found[:MAX_TARGETS])


T = TypeVar("T")
Answer = tuple[Sequence[T], float]
"""Records and for how many seconds they hold; none for a name or type that is not there."""


class Names(NamedTuple):
    """Whom to ask; `srv` and `addresses` take any number of names at once."""

    naptr: Callable[[str], Awaitable[Answer[Naptr]]]
    srv: Callable[[Sequence[str]], Awaitable[Sequence[Answer[Srv]]]]
    addresses: Callable[[Sequence[str]], Awaitable[Sequence[Answer[str] | NoWay]]]


def transport_of(uri: Uri) -> str:
    """The transport that a URI itself asks for; empty when it leaves that open."""
    if uri.secure:
        return "TLS"
    return uri.transport.upper() if uri.transport in ("udp", "tcp") else ""


def direct(uri: Uri, host: str) -> Target:
    """Where a URI leads whose host is the literal address `host`."""
    transport = transport_of(uri) or "UDP"
    return Target(transport, host, uri.port or _PORTS[transport])


async def locate(uri: Uri, names: Names) -> Plan:
    """Every place a URI with a name leads to. Raises NoWay."""
    host = uri.maddr or uri.host
    wanted = transport_of(uri)
    if uri.port is not None:
        return await _plain(host, wanted or "UDP", uri.port, names)
    services, ttl_s = await _services(host, wanted, names)
    answers = await names.srv([service for _, service in services])
    found = [await _servers(answer, transport, names) for (transport, _), answer in zip(services, answers, strict=True)]
    ttl_s = min([ttl_s, *(plan.ttl_s for plan in found)])
    groups = tuple(group for plan in found for group in plan.groups)
    if groups:
        return Plan(groups, ttl_s)
    transport = wanted or "UDP"
    plain = await _plain(host, transport, _PORTS[transport], names)
    return Plan(plain.groups, min(ttl_s, plain.ttl_s))


async def _plain(host: str, transport: str, port: int, names: Names) -> Plan:
    (found,) = await names.addresses([host])
    if isinstance(found, NoWay):
        raise found
    addresses, ttl_s = found
    return Plan((((0, tuple(Target(transport, address, port) for address in addresses)),),), ttl_s)


async def _services(host: str, wanted: str, names: Names) -> tuple[list[tuple[str, str]], float]:
    """(transport, name of its SRV records) in order."""
    if wanted:
        return [(wanted, f"{_LABELS[wanted]}.{host}")], 3600.0
    records, ttl_s = await names.naptr(host)
    usable = [
        (_SERVICES[one.service.upper()], one.replacement)
        for one in sorted(records[:_MAX_RECORDS], key=lambda one: (one.order, one.preference))
        if one.service.upper() in _SERVICES and one.flags.lower() == "s" and one.replacement
    ]
    if usable:
        return usable[:MAX_TARGETS], ttl_s
    return [(transport, f"{label}.{host}") for transport, label in _LABELS.items()], ttl_s


async def _servers(answer: Answer[Srv], transport: str, names: Names) -> Plan:
    """The servers of one service in groups of equal priority; none when it has none."""
    records, ttl_s = answer
    records = [one for one in records[:_MAX_RECORDS] if one.target.strip(".")]
    looked_up = await names.addresses([one.target for one in records]) if records else ()
    groups: dict[int, list[tuple[int, tuple[Target, ...]]]] = {}
    for one, found in zip(records, looked_up, strict=True):
        if isinstance(found, NoWay):
            continue
        addresses, holds_s = found
        ttl_s = min(ttl_s, holds_s)
        places = tuple(Target(transport, address, one.port) for address in addresses)
        if places:
            groups.setdefault(one.priority, []).append((one.weight, places))
    return Plan(tuple(tuple(sorted(groups[priority])) for priority in sorted(groups)), ttl_s)


def _by_weight(group: Sequence[tuple[int, tuple[Target, ...]]], key: str) -> list[tuple[Target, ...]]:
    """RFC 2782: one after another, each with the chance that its weight gives it among the rest."""
    if len(group) == 1:
        return [group[0][1]]
    dice = random.Random(key)
    rest = sorted(group)  # those of weight 0 first, as the RFC wants
    out = []
    while rest:
        point = dice.randint(0, sum(weight for weight, _ in rest))
        for at, (weight, places) in enumerate(rest):
            point -= weight
            if point <= 0:
                out.append(places)
                del rest[at]
                break
    return out

"""Which family's adapter drives a device: names to classes, imported when first used."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from importlib import import_module
from typing import Any

from adapters.capabilities import Capability
from adapters.contract import BridgeAdapter, EndpointAdapter, MayAct, Remember, Sink, always
from adapters.hostkeys import HostKeys, HostKeysInMemory
from adapters.sip.agent import SipAgent
from adapters.transcript import Tape
from adapters.values import Control

ENDPOINTS = {
    "sip": "adapters.endpoints.sip.adapter:SipEndpoint",
    "h323": "adapters.endpoints.h323.adapter:H323Endpoint",
    "lifesize": "adapters.endpoints.lifesize.adapter:LifesizeEndpoint",
    "polycom": "adapters.endpoints.polycom.adapter:PolycomEndpoint",
    "huawei": "adapters.endpoints.huawei.adapter:HuaweiEndpoint",
    "cisco": "adapters.endpoints.cisco.adapter:CiscoEndpoint",
    "tandberg": "adapters.endpoints.tandberg.adapter:TandbergEndpoint",
    "yealink": "adapters.endpoints.yealink.adapter:YealinkEndpoint",
    "sony": "adapters.endpoints.sony.adapter:SonyEndpoint",
}
REFERRERS = {
    "sip": "adapters.endpoints.sip.referrer:SipReferrer",
}
"""Families whose endpoints can also be told to call by themselves (REFER), and what tells them."""
WITHOUT_CONSOLE = frozenset({"sip", "h323"})
"""Families that have no control session: others place their calls."""
BRIDGES = {
    "asterisk": "adapters.bridges.asterisk.adapter:AsteriskBridge",
    "sip": "adapters.bridges.sip.adapter:SipBridge",
}


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What every adapter is given besides its device."""

    sink: Sink
    remember: Remember
    now: Callable[[], datetime]
    sip: SipAgent
    seed: bytes = b""  # makes what our calls are known by on the wire unguessable, and the same after a restart
    may_act: MayAct = always
    host_keys: HostKeys = field(default_factory=HostKeysInMemory)
    tape: Callable[[str, str, str], Tape] | None = None
    """`tape(device, family, secret)` records the sessions of a device, where somebody wants that."""


def _load(table: dict[str, str], kind: str, family: str) -> Any:
    if family not in table:
        raise LookupError(f"there is no {kind} family {family!r}; known are {', '.join(sorted(table))}")
    module, _, name = table[family].partition(":")
    return getattr(import_module(module), name)


def endpoint(family: str, control: Control, surroundings: Surroundings) -> EndpointAdapter:
    """The adapter of an endpoint; with the setting `way: refer` the one that tells it to call by itself.

    Raises LookupError for a family that has none.
    """
    table = REFERRERS if control.settings.get("way") == "refer" else ENDPOINTS
    adapter: EndpointAdapter = _load(table, "endpoint", family)(control, surroundings)
    return adapter


def bridge(family: str, control: Control, surroundings: Surroundings) -> BridgeAdapter:
    """The adapter of a bridge. Raises LookupError for a family that has none."""
    adapter: BridgeAdapter = _load(BRIDGES, "bridge", family)(control, surroundings)
    return adapter


def endpoint_capabilities(family: str) -> frozenset[Capability]:
    """What an endpoint family can do, without having one. Raises LookupError for an unknown family."""
    declared: frozenset[Capability] = _load(ENDPOINTS, "endpoint", family).capabilities
    return declared


def bridge_capabilities(family: str) -> frozenset[Capability]:
    """What a bridge family can do, without having one. Raises LookupError for an unknown family."""
    declared: frozenset[Capability] = _load(BRIDGES, "bridge", family).capabilities
    return declared

"""What the Asterisk family needs to know of one bridge: its settings, and its pace and deadlines.

Settings come from the inventory (`Control.settings`); the README card explains each.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from adapters.errors import Rejected
from adapters.values import Address, Control

DEFAULT_PORT = 5038
H323_PORT = 1720

_TOKEN = re.compile(r"[A-Za-z0-9_.-]{1,64}", re.ASCII)
_USER = re.compile(r"[A-Za-z0-9_.~+*#!%=$-]{1,128}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Pace:
    """Deadlines and waits, in seconds unless the name says otherwise."""

    open_s: float = 5.0
    """Connection, greeting and login together; a refused login takes Asterisk one second."""
    boot_s: float = 5.0
    """The manager answers before the dialplan is there; how long to wait for FullyBooted."""
    order_s: float = 5.0
    list_s: float = 15.0
    ping_every_s: float = 15.0
    ping_s: float = 5.0
    retry_first_s: float = 0.25
    retry_most_s: float = 15.0
    settle_s: float = 1.5
    """How long a verdict may lag: a failed Originate comes before or after its Hangup."""
    no_channel_s: float = 0.2
    """The same for an Originate that failed before a channel was seen."""
    overdue_s: float = 10.0
    """Beyond the ring time: a call that nothing was heard of is looked for."""
    digit_ms: int = 160
    digit_gap_s: float = 0.1
    digit_pause_s: float = 0.5
    digit_sessions: int = 8
    """How many extra AMI sessions digits may take at a time."""


PACE = Pace()


class SettingError(Rejected, ValueError):
    """A setting of the bridge is wrong; says which, where, and what would be right."""


@dataclass(frozen=True, slots=True)
class Profile:
    """The settings of one bridge, checked."""

    conference_address: str = "sip:{number}@{host}:5060"
    sip_channel: str = "PJSIP/{endpoint}/{address}"
    sip_endpoint: str = "diemcau"
    h323_channel: str = "OOH323/{user}@{peer}"
    h323_peers: Mapping[str, str] = field(default_factory=dict)
    bridge_profile: str = ""
    user_profile: str = ""
    menu: str = ""
    codecs: str = "ulaw,alaw,g722,h264"
    ports: int | None = None

    @property
    def application_profiles(self) -> tuple[str, str, str]:
        return (self.bridge_profile, self.user_profile, self.menu)


_TEMPLATES = {
    "conference_address": {"number", "host"},
    "sip_channel": {"endpoint", "address", "user", "host", "port", "transport"},
    "h323_channel": {"user", "peer", "host", "port"},
}


def read(control: Control) -> Profile:
    """The profile of a bridge from its settings. Raises SettingError."""
    known = {item.name for item in fields(Profile)}
    # A key without a value is a key left out: the inventory has columns for some.
    given: dict[str, Any] = {key: value for key, value in control.settings.items() if value not in (None, "")}

    def wrong(key: str, why: str) -> SettingError:
        return SettingError(control.name, "settings", f"{key!r} {why}")

    for key in given:
        if key not in known:
            raise wrong(key, f"is not one of {', '.join(sorted(known))}")
    for key, allowed in _TEMPLATES.items():
        text = given.get(key, getattr(Profile(), key))
        if not isinstance(text, str):
            raise wrong(key, "must be text")
        try:
            text.format_map(dict.fromkeys(allowed, "1"))
        except (KeyError, ValueError, IndexError, AttributeError) as error:
            expected = " ".join(f"{{{name}}}" for name in sorted(allowed))
            raise wrong(key, f"{text!r} cannot be filled ({error}); it may hold {expected}") from None
    for key in ("bridge_profile", "user_profile", "menu", "sip_endpoint"):
        text = given.get(key, "")
        if not isinstance(text, str) or (text and not _TOKEN.fullmatch(text)):
            raise wrong(key, f"{text!r} must be a name of letters, digits, dot, dash or underscore")
    codecs = given.get("codecs", "")
    if not isinstance(codecs, str) or not re.fullmatch(r"[A-Za-z0-9_,]{0,200}", codecs):
        raise wrong("codecs", f"{codecs!r} must be names with commas between them, like ulaw,alaw,h264")
    peers = given.get("h323_peers", {})
    if not isinstance(peers, Mapping) or not all(
        isinstance(host, str) and isinstance(peer, str) and _TOKEN.fullmatch(peer) for host, peer in peers.items()
    ):
        raise wrong("h323_peers", 'must map hosts to peers of ooh323.conf, like {"192.0.2.10": "unit-12"}')
    ports = given.get("ports")
    if ports is not None and (not isinstance(ports, int) or isinstance(ports, bool) or not 0 < ports <= 100_000):
        raise wrong("ports", f"{ports!r} must be a whole number from 1 to 100000, or left out")
    profile = Profile(**{**given, "h323_peers": {host.lower(): peer for host, peer in peers.items()}})
    try:
        Address.parse(profile.conference_address.format(number="1", host=control.host or "127.0.0.1"))
    except ValueError as error:
        raise wrong("conference_address", f"is wrong: {error}") from None
    return profile


def is_token(text: str) -> bool:
    """Whether a conference number or a leg name can stand in an action without doubt."""
    return _TOKEN.fullmatch(text) is not None


def channel(profile: Profile, to: Address) -> str:
    """The dial string for an address.

    Raises ValueError for an address whose user part could mean something else to Asterisk.
    """
    if to.user and not _USER.fullmatch(to.user):
        raise ValueError(f"{str(to)!r}: the part before @ may hold letters, digits and _.~+*#!%=$- only")
    if to.is_sip:
        return profile.sip_channel.format(
            endpoint=profile.sip_endpoint,
            address=str(to),
            user=to.user,
            host=to.host,
            port=to.port or (5061 if to.scheme == "sips" else 5060),
            transport=to.transport or ("tls" if to.scheme == "sips" else "udp"),
        )
    peer = profile.h323_peers.get(to.host, to.host)
    dial = profile.h323_channel.format(user=to.user, peer=peer, host=to.host, port=to.port or H323_PORT)
    # Without a user the peer itself is called: OOH323/peer.
    return dial.replace("/@", "/", 1) if not to.user else dial

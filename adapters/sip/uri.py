"""SIP URIs and Via values, as far as a user agent has to understand them to send something.

RFC 3261 sections 19.1 (URI), 20.42 (Via) and 18.2.1 (received), RFC 3581 (rport).
"""

import re
from dataclasses import dataclass
from functools import lru_cache

_URI = re.compile(
    r"(?P<scheme>sips?):(?:(?P<user>[^@\x00-\x20\x7f<>]*)@)?"
    r"(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::(?P<port>[0-9]{1,5}))?(?P<params>;[^?\x00-\x20\x7f<>]*)?(?:\?[^\x00-\x20\x7f<>]*)?",
    re.ASCII | re.IGNORECASE,
)
_VIA = re.compile(
    r"SIP\s*/\s*[0-9.]+\s*/\s*(?P<transport>[A-Za-z0-9-]+)\s+"
    r"(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)\s*+(?::\s*(?P<port>[0-9]{1,5})\s*+)?(?P<params>(?:;.*)?)",
    re.ASCII | re.IGNORECASE | re.DOTALL,
)


MAX_URI = 1000


class BadUri(ValueError):
    """Not a sip: or sips: URI, or not a Via."""


@dataclass(frozen=True, slots=True)
class Uri:
    """Where a request can be sent; `host` is without brackets."""

    scheme: str
    user: str
    host: str
    port: int | None
    transport: str
    loose: bool
    maddr: str = ""

    @classmethod
    def parse(cls, text: str) -> "Uri":
        """Read a sip: or sips: URI. Raises BadUri."""
        if len(text) > MAX_URI:
            raise BadUri(f"a URI of {len(text)} characters; the limit is {MAX_URI}")
        return _parse_uri(text)

    @property
    def secure(self) -> bool:
        """Whether nothing but TLS will do."""
        return self.scheme == "sips" or self.transport == "tls"


@lru_cache(maxsize=4096)
def _parse_uri(text: str) -> Uri:
    match = _URI.fullmatch(text.strip())
    if match is None:
        raise BadUri(f"{text[:80]!r} is not a sip: URI")
    port = int(match["port"]) if match["port"] else None
    if port is not None and not 0 < port < 65536:
        raise BadUri(f"{text[:80]!r}: port {port} is outside 1..65535")
    params = {name.strip().lower(): value.strip() for name, _, value in _pairs(match["params"] or "")}
    return Uri(
        match["scheme"].lower(),
        (match["user"] or "").partition(":")[0],
        match["host"].strip("[]").lower(),
        port,
        params.get("transport", "").lower(),
        "lr" in params,
        params.get("maddr", "").strip("[]").lower(),
    )


def _pairs(params: str) -> list[tuple[str, str, str]]:
    return [part.partition("=") for part in params.split(";") if part.strip()]


def host_port(host: str, port: int) -> str:
    """`host:port` as it stands in a URI or a Via (IPv6 in brackets)."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def stamp_via(via: str, host: str, port: int) -> str:
    """The top Via of a request with where it really came from.

    RFC 3261 section 18.2.1 and RFC 3581 section 4: `received` when sent-by differs or
    rport was asked for, and the value of `rport`. Raises BadUri for what is no Via.
    """
    match = _VIA.fullmatch(via)
    if match is None:
        raise BadUri(f"{via[:80]!r} is not a Via")
    params = match["params"]
    asked = re.search(r";\s*rport\s*(?=;|$)", params, re.IGNORECASE)
    if asked:
        params = f"{params[: asked.start()]};rport={port}{params[asked.end() :]}"
    params = re.sub(r";\s*received\s*=[^;]*", "", params, flags=re.IGNORECASE)  # not for a sender to say
    if asked or match["host"].strip("[]").lower() != host:
        params += f";received={host}"
    return via[: match.start("params")].rstrip() + params


def via_target(via: str) -> tuple[str, int]:
    """Where a response to this (stamped) Via goes over UDP (RFC 3261 section 18.2.2).

    `maddr` is not followed: it is for multicast, and would have us answer whomever a stranger names.
    """
    match = _VIA.fullmatch(via)
    if match is None:
        raise BadUri(f"{via[:80]!r} is not a Via")
    params = {name.strip().lower(): value.strip() for name, _, value in _pairs(match["params"])}
    host = params.get("received") or match["host"]
    rport = params.get("rport", "")
    port = int(rport) if rport.isascii() and rport.isdigit() else int(match["port"] or 5060)
    return host.strip("[]"), port


def sent_by(via: str) -> str:
    """The sent-by of a Via, lower case: part of a server transaction's name (17.2.3)."""
    match = _VIA.match(via)
    return f"{match['host']}:{match['port'] or ''}".lower() if match else ""

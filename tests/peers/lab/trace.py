"""What a SIP endpoint saw on its wire, read from its own trace: the calls that rang it and how they ended."""

import re
from dataclasses import dataclass, field

_PACKET = re.compile(
    rb"#\n(?:UDP|TCP|TLS) (\S+) -> (\S+)\n((?:INVITE|BYE|CANCEL) \S+ SIP/2\.0\r?\n.*?\r?\n)\r?\n", re.DOTALL
)
_CALL_ID = re.compile(rb"^(?:Call-ID|i)\s*:\s*(\S+)", re.IGNORECASE | re.MULTILINE)
_TO_TAG = re.compile(rb"^(?:To|t)\s*:[^\r\n]*;tag=", re.IGNORECASE | re.MULTILINE)


@dataclass
class Seen:
    """Call-IDs: of calls that came in, of calls ended by the other side, of calls ended by this side."""

    invited: list[str] = field(default_factory=list)
    said_bye: set[str] = field(default_factory=set)
    got_bye: set[str] = field(default_factory=set)


def read(trace: bytes, own: str) -> Seen:
    """Read a trace of the endpoint at address `own` (host:port).

    A call that came in is an INVITE without a To tag (RFC 3261, 12.2); a retransmission or a
    re-INVITE of a known Call-ID is not another one.
    """
    seen = Seen()
    for match in _PACKET.finditer(trace):
        target, message = match[2].decode(), match[3]
        call = _CALL_ID.search(message)
        if call is None:
            continue
        ident = call[1].decode(errors="replace")
        arrived = target == own
        if message.startswith(b"INVITE"):
            if arrived and not _TO_TAG.search(message) and ident not in seen.invited:
                seen.invited.append(ident)
        elif arrived:
            seen.got_bye.add(ident)
        else:
            seen.said_bye.add(ident)
    return seen

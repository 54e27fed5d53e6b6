"""A piece of a SIP message as a body: what a NOTIFY about a REFER carries (RFC 3420, RFC 3515 section 2.4.5)."""

import re

SIPFRAG = "message/sipfrag"

_STATUS = re.compile(rb"\s*SIP\s*/\s*2\.0[ \t]+([1-6][0-9]{2})(?:[ \t]+([^\r\n]*))?", re.IGNORECASE)
_MOST = 2000


def status_of(body: bytes) -> tuple[int, str] | None:
    """The status and reason that a fragment begins with; None when it is no status line.

    Only the first line is of use here; whatever follows (headers, some peers send whole
    responses) is left alone.
    """
    match = _STATUS.match(body[:_MOST])
    if match is None:
        return None
    return int(match[1]), (match[2] or b"").decode("utf-8", "surrogateescape").strip()[:200]


def status_line(status: int, reason: str) -> bytes:
    """The fragment that tells a status."""
    return f"SIP/2.0 {status} {reason}\r\n".encode()

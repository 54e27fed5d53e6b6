"""Pure: what a pair's end means, and how a digit is written."""

from adapters.causes import ClearCause, Cleared, Side, from_sip
from adapters.sip.listener import Ending
from adapters.sip.registrar import NOT_REGISTERED
from adapters.sip.third_party import Party, Verdict

DTMF_RELAY = "application/dtmf-relay"
DIGITS = frozenset("0123456789*#ABCD")


def relay(digit: str, length_ms: int) -> bytes:
    """The body of an INFO that presses one key (application/dtmf-relay, as Asterisk reads it)."""
    return f"Signal={digit}\r\nDuration={length_ms}\r\n".encode()


def _words(said: str) -> str:
    """What a device said, fit to be stored: bytes that are no text shown as such, length bounded."""
    said = said.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return "".join(char for char in said if char.isprintable())[:_MOST_WORDS]


_MOST_WORDS = 200
_SIDES = {Party.NEAR: Side.FAR_END, Party.FAR: Side.BRIDGE, Party.OURS: Side.OURS}
_HUNG_UP = {Party.NEAR: ClearCause.FAR_END, Party.FAR: ClearCause.BRIDGE_ENDED, Party.OURS: ClearCause.LOCAL}


def meaning(verdict: Verdict, *, has_rung: bool) -> Cleared:
    """How a leg ended, from the verdict on its pair.

    480 after ringing is nobody there; the same words before any ringing are a device that
    cannot be reached, and 408 always is.
    """
    side = _SIDES[verdict.party]
    reason = _words(verdict.reason)
    if verdict.party is Party.OURS and not verdict.status:
        return Cleared(ClearCause.LOCAL, Side.OURS)
    if reason.startswith(NOT_REGISTERED):  # nothing was sent, so nobody gave a status
        return Cleared(ClearCause.UNREACHABLE, Side.NETWORK, reason)
    raw = f"{verdict.status} {reason}".strip() if verdict.status else reason
    if verdict.ending is Ending.LOST:
        return Cleared(ClearCause.LOST, Side.NETWORK if verdict.status == 408 else side, raw)
    if verdict.ending is not None:
        return Cleared(_HUNG_UP[verdict.party], side, reason or "BYE")
    if verdict.status == 408:
        return Cleared(ClearCause.UNREACHABLE, Side.NETWORK, raw)
    if verdict.status == 480 and not has_rung and verdict.party is Party.NEAR:
        return Cleared(ClearCause.UNREACHABLE, side, raw)
    return Cleared(from_sip(verdict.status, verdict.reason), side, raw)

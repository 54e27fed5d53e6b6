"""How long a pair waits for what, as data."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds; the session timers' are `adapters.sip.session_timer.Policy`'s."""

    ack_s: float = 20.0
    """The near side's 200 for its ACK: it gives up after 64*T1 = 32 s."""
    probe_s: float = 50.0
    """A near side that was silent so long is asked whether it lives."""
    host_s: float = 30.0
    """Of the calls at one far host one is asked so often, in turn."""
    round_s: float = 900.0
    """So long at most until every call at a far host had its turn."""
    probe_limit_s: float = 8.0
    again_s: float = 1.0
    """From a question without answer to the next: a dead side is known about a minute after its last word."""
    misses: int = 2
    """A side that leaves so many questions in a row without any answer is lost."""
    adopt_s: float = 4.0
    """For the answer of a side that an earlier process left."""
    straggler_s: float = 2.0
    """The end of one side for the other side's, before it is told."""
    glare_s: float = 2.1
    """Before a re-INVITE that met another is repeated: up to 4 s (RFC 3261 section 14.1, we made the Call-ID)."""
    offer_s: float = 6 * 3600.0
    """So long is a near side remembered that refused an INVITE without SDP."""

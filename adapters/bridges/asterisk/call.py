"""One call that the bridge was asked to make: what is known of it, and how it ended.

Pure. The verdict follows the table measured on Asterisk 22.10.1 (README, "Why a call ended"):
the SIP status in TechCause says most, then the Q.850 cause, then the Reason of OriginateResponse.
"""

from dataclasses import dataclass, field

from adapters.bridges.asterisk.meaning import HungUp
from adapters.causes import ClearCause, Cleared, Side, from_q850, from_sip

NO_ANSWER_REASON = 3
"""OriginateResponse Reason: still ringing, or nothing heard at all, when the time was up."""
_NORMAL = (0, 16, 31)
_TIMER_SLACK_S = 0.5

_SIDES = {
    ClearCause.UNREACHABLE: Side.NETWORK,
    ClearCause.LOST: Side.NETWORK,
    ClearCause.BANDWIDTH: Side.NETWORK,
    ClearCause.BRIDGE_FULL: Side.BRIDGE,
    ClearCause.BRIDGE_ENDED: Side.BRIDGE,
    ClearCause.LOCAL: Side.OURS,
    ClearCause.UNKNOWN: Side.UNKNOWN,
}


@dataclass(slots=True)
class Call:
    """What is known of a leg that this bridge makes."""

    leg: str
    conference: str = ""
    target: str = ""
    ring_s: float = 0.0
    ordered_at: float = 0.0
    """Loop time of the order; 0 for a call that an earlier process ordered."""
    action_id: str = ""
    digits: str = field(default="", repr=False)
    digits_delay_s: float = 0.0
    channel: str = ""
    """The channel's name once there is one."""
    alive: bool = False
    """The far side gave a sign of life."""
    rung: bool = False
    answered: bool = False
    connected: bool = False
    unsure: bool = False
    """The order was sent and not acknowledged."""
    dropping: bool = False
    far_end_asked: bool = False
    failed: int | None = None
    """The Reason of a failed OriginateResponse."""
    over: bool = False


def _cleared(cause: ClearCause, raw: str, side: Side | None = None) -> Cleared:
    return Cleared(cause, side or _SIDES.get(cause, Side.FAR_END), raw)


def _words(end: HungUp) -> str:
    words = f"Q.850 {end.cause if end.cause is not None else '?'} {end.text}".rstrip()
    return f"SIP {end.tech}, {words}" if end.tech else words


def verdict(call: Call, end: HungUp | None, now: float) -> Cleared:
    """Why `call` is over; `end` is its Hangup, None where the bridge has no such channel (any more)."""
    if end is None:
        return _without_hangup(call)
    raw = _words(end)
    if call.dropping:
        return _cleared(ClearCause.LOCAL, raw)
    if call.connected:
        return _after_talk(call, end, raw)
    if call.answered:
        if call.far_end_asked:
            return _cleared(ClearCause.FAR_END, raw)
        # ConfBridge turns a caller away from a full or locked room after the answer: no join, cause 0.
        return _cleared(ClearCause.BRIDGE_FULL, f"answered, but the conference let nobody more in ({raw})")
    return _before_answer(call, end, raw, now)


def _after_talk(call: Call, end: HungUp, raw: str) -> Cleared:
    if end.cause is None or end.cause in _NORMAL:
        # HangupRequest precedes the Hangup only when the party itself went; a kick or a hang-up on the bridge has none.
        return _cleared(ClearCause.FAR_END if call.far_end_asked else ClearCause.BRIDGE_ENDED, raw)
    cause = from_sip(end.tech) if end.tech else from_q850(end.cause)
    return _cleared(ClearCause.LOST if cause is ClearCause.UNREACHABLE else cause, raw)


def _before_answer(call: Call, end: HungUp, raw: str, now: float) -> Cleared:
    if end.tech:
        cause = from_sip(end.tech)
    elif end.cause is None or end.cause == 0:
        # H.323 says 0 when nobody listens on the port.
        cause = ClearCause.UNKNOWN if call.alive else ClearCause.UNREACHABLE
    elif end.cause in _NORMAL:
        cause = ClearCause.DECLINED if call.far_end_asked else ClearCause.BRIDGE_ENDED
    else:
        cause = from_q850(end.cause)
    timed_out = call.failed == NO_ANSWER_REASON or (
        call.ordered_at > 0 and now - call.ordered_at >= call.ring_s - _TIMER_SLACK_S
    )
    if cause is ClearCause.NO_ANSWER and timed_out and not call.alive:
        # Over UDP a dead host looks like silence until the ring time is up: 19/480 without any ringing.
        return _cleared(ClearCause.UNREACHABLE, f"no sign of life in {call.ring_s:g} s ({raw})")
    return _cleared(cause, raw)


def _without_hangup(call: Call) -> Cleared:
    if call.dropping:
        return _cleared(ClearCause.LOCAL, "the bridge has no such call")
    if call.connected:
        return _cleared(ClearCause.LOST, "the bridge no longer has the call", Side.UNKNOWN)
    if call.failed is not None and not call.channel:
        return _cleared(
            ClearCause.UNREACHABLE,
            f"the bridge could not make a channel {call.target!r}: does it know that endpoint or peer?",
            Side.BRIDGE,
        )
    if call.failed == NO_ANSWER_REASON:
        return _cleared(ClearCause.NO_ANSWER if call.alive else ClearCause.UNREACHABLE, "Originate reason 3")
    return _cleared(ClearCause.LOST, "the bridge has no such call", Side.UNKNOWN)

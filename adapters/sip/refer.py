"""REFER (RFC 3515) as a table of states: an endpoint is asked to call a conference by itself. Pure.

Outside a call where the endpoint takes that; else inside a call of ours that is placed for it
and ended as soon as the endpoint's own call stands. The endpoint's call is a dialog of its
own: nothing here ends it, and of its end nothing is heard.
"""

from enum import StrEnum

from adapters.values import Address


class Step(StrEnum):
    """How far it is."""

    PREPARING = "preparing"  # what a later process needs is being stored, then the endpoint is asked
    ASKING = "asking"  # REFER is out, outside a call
    TURNING = "turning"  # not taken outside a call; that is being stored
    CALLING = "calling"  # our own call is being set up, to ask inside it
    STORING = "storing"  # our call is answered, and is being stored
    ASKING_INSIDE = "asking inside"
    FOLLOWING = "following"  # accepted: NOTIFYs tell what comes of it
    UNTOLD = "untold"  # accepted, and nobody will tell
    IN = "in"  # the endpoint's own call stands
    WITHDRAWING = "withdrawing"  # given up before it was asked; our call is being ended
    LEAVING = "leaving"  # given up, and what comes of it is open: it cannot be called back
    PARTING = "parting"  # given up when its call stood already; the bridge may still see it come in
    OVER = "over"


class Came(StrEnum):
    """What can come in."""

    STORED = "stored"
    NOT_OUTSIDE = "not taken outside a call"
    REFUSED = "refused"  # or not answered at all
    ACCEPTED = "accepted"
    ACCEPTED_UNTOLD = "accepted without a subscription"  # Refer-Sub: false (RFC 4488)
    ANSWERED = "our call was answered"
    CALL_ENDED = "our call ended"
    RANG = "its call rings"
    SUCCEEDED = "its call was answered"
    FAILED = "its call failed"
    TOLD_NO_MORE = "the subscription ended without an outcome"
    WAITED = "waited"
    PATIENCE_OVER = "patience over"
    ORDERED = "given up by order"


class Do(StrEnum):
    """What is to be done, in this order."""

    STORE = "store what a later process needs"
    ASK = "REFER outside a call"
    CALL = "INVITE without SDP, or with an offer into a black hole"
    ASK_INSIDE = "ACK, with a hold answer where there was an offer; REFER inside"
    LEAVE_CALL = "end our own call"
    UNSUBSCRIBE = "end the subscription"
    WAIT = "wait for the bridge to see the call"
    TELL_RINGING = "tell that it rings"
    TELL_IN = "tell that it is in, and store that"
    TELL_OVER = "tell that it is over"


S, C, D = Step, Came, Do

_IN = (D.LEAVE_CALL, D.UNSUBSCRIBE, D.TELL_IN)
_LOST = (D.LEAVE_CALL, D.UNSUBSCRIBE, D.TELL_OVER)
_TOLD = {C.SUCCEEDED: (S.IN, _IN), C.FAILED: (S.OVER, _LOST)}
_OPEN = (S.ASKING, S.ASKING_INSIDE, S.FOLLOWING, S.UNTOLD)
"""Asked, and the outcome is open: a NOTIFY may overtake the answer to its REFER."""

TABLE: dict[tuple[Step, Came], tuple[Step, tuple[Do, ...]]] = {
    # outside a call
    (S.PREPARING, C.STORED): (S.ASKING, (D.ASK,)),
    (S.ASKING, C.NOT_OUTSIDE): (S.TURNING, (D.STORE,)),
    (S.ASKING, C.REFUSED): (S.OVER, (D.TELL_OVER,)),
    (S.ASKING, C.ACCEPTED): (S.FOLLOWING, ()),
    (S.ASKING, C.ACCEPTED_UNTOLD): (S.UNTOLD, ()),
    # inside a call of ours
    (S.TURNING, C.STORED): (S.CALLING, (D.CALL,)),
    (S.CALLING, C.ANSWERED): (S.STORING, (D.STORE,)),
    (S.CALLING, C.CALL_ENDED): (S.OVER, (D.TELL_OVER,)),
    (S.STORING, C.STORED): (S.ASKING_INSIDE, (D.ASK_INSIDE,)),
    (S.STORING, C.CALL_ENDED): (S.OVER, (D.TELL_OVER,)),
    (S.ASKING_INSIDE, C.ACCEPTED): (S.FOLLOWING, ()),
    (S.ASKING_INSIDE, C.ACCEPTED_UNTOLD): (S.UNTOLD, (D.LEAVE_CALL,)),
    (S.ASKING_INSIDE, C.REFUSED): (S.OVER, (D.LEAVE_CALL, D.TELL_OVER)),
    # what comes of it
    **{(at, came): row for at in _OPEN for came, row in _TOLD.items()},
    **{(at, C.RANG): (at, (D.TELL_RINGING,)) for at in _OPEN},
    (S.FOLLOWING, C.TOLD_NO_MORE): (S.UNTOLD, (D.LEAVE_CALL,)),
    (S.FOLLOWING, C.PATIENCE_OVER): (S.OVER, _LOST),
    (S.UNTOLD, C.PATIENCE_OVER): (S.OVER, _LOST),
    # given up
    (S.PREPARING, C.ORDERED): (S.OVER, (D.TELL_OVER,)),
    (S.TURNING, C.ORDERED): (S.OVER, (D.TELL_OVER,)),
    (S.CALLING, C.ORDERED): (S.WITHDRAWING, (D.LEAVE_CALL,)),
    (S.STORING, C.ORDERED): (S.WITHDRAWING, (D.LEAVE_CALL,)),
    (S.WITHDRAWING, C.CALL_ENDED): (S.OVER, (D.TELL_OVER,)),
    **{(at, C.ORDERED): (S.LEAVING, (D.LEAVE_CALL,)) for at in _OPEN},
    **{(S.LEAVING, came): (S.OVER, _LOST) for came in (C.REFUSED, C.NOT_OUTSIDE, C.FAILED, C.PATIENCE_OVER)},
    (S.LEAVING, C.SUCCEEDED): (S.PARTING, (D.UNSUBSCRIBE, D.WAIT)),
    (S.IN, C.ORDERED): (S.PARTING, (D.WAIT,)),
    (S.PARTING, C.WAITED): (S.OVER, (D.TELL_OVER,)),
}


def step(at: Step, came: Came) -> tuple[Step, tuple[Do, ...]]:
    """Where it stands now, and what is to be done about it; what has no meaning there changes nothing."""
    return TABLE.get((at, came), (at, ()))


INSIDE_ONLY = frozenset({400, 403, 405, 420, 481, 489, 501})
"""Answers to a REFER outside a call that leave open whether it is taken inside one.

baresip 1.0.0 and Asterisk 22 say 501 (measured), others 405 or, bound to RFC 6665, 481.
"""


def headers(to: Address, referred_by: str) -> list[tuple[str, str]]:
    """What a REFER carries: whom to call (RFC 3515), who asks for it (RFC 3892), and that we want to hear of it."""
    return [("Refer-To", f"<{to}>"), ("Referred-By", f"<{referred_by}>"), ("Refer-Sub", "true")]

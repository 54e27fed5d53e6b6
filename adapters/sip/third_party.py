"""Third-party call control (RFC 3725) as a table of states: what comes in, what is to be done.

    I     near <- INVITE without SDP;  200 offer;  far <- INVITE offer;  200 answer;
          far <- ACK;  near <- ACK answer
    III   near <- INVITE without SDP;  200 offer;  near <- ACK hold;  far <- INVITE without SDP;
          200 offer;  near <- re-INVITE offer;  200 answer;  far <- ACK answer;  near <- ACK
    IV    near <- INVITE with an offer into a black hole;  200 answer;  near <- ACK;  then as III

Which one it is shows by itself: a near side that refuses an INVITE without SDP is called once
more by IV (RFC 3725 sections 4.3 and 4.4, with a media line, since IV's empty offer is refused
by baresip, Asterisk and FreeSWITCH: measured); a far side that refuses one is offered what the
near side said, which then is on hold as if it had been parked.

Flow I leaves the near side's 200 without an ACK while the far side rings, and the near side
gives up after 64*T1 = 32 s (measured with baresip and Asterisk). When the far side takes that
long the near side is parked as in flow III and gets its media by re-INVITE in the end.

`STORE` comes before every ACK that a later process would have to know of. No I/O, no clock:
`adapters.sip.pair` performs what stands here.
"""

from dataclasses import dataclass
from enum import StrEnum

from adapters.sip.listener import Ending


class Party(StrEnum):
    """Whose doing it was."""

    NEAR = "near"
    FAR = "far"
    OURS = "ours"


@dataclass(frozen=True, slots=True)
class Verdict:
    """Why a pair is over: whose doing, by which SIP status or ending, in which words."""

    party: Party
    status: int = 0
    reason: str = ""
    ending: Ending | None = None


class Step(StrEnum):
    """Where an arrangement stands."""

    CALLING = "calling"  # flow I: the near side is being called
    CALLING_HELD = "calling-held"  # flow III: the same
    CALLING_HOLE = "calling-hole"  # flow IV: the same, with an offer into a black hole
    OFFERING = "offering"  # the near side's 200 waits, the far side has its offer
    JOINING = "joining"  # both have answered; it is being stored
    PARKING = "parking"  # the far side takes long; the near half is being stored
    PARKED = "parked"  # the near side is on hold, the far side has its offer
    UNPARKING = "unparking"  # the far side has answered; it is being stored
    REOFFERING = "reoffering"  # the near side is offered what the far side answered
    REJOINING = "rejoining"  # the near side took it; it is being stored
    ADJUSTING = "adjusting"  # the near side took it with other media; the far side is told
    ADJUSTED = "adjusted"  # the far side took that; it is being stored
    HOLDING = "holding"  # flows III and IV: the near half is being stored
    ASKING = "asking"  # the near side is on hold, the far side is asked for an offer
    RELAYING = "relaying"  # the far side's offer is with the near side
    HANDING = "handing"  # the near side has answered it; it is being stored
    UP = "up"
    NEAR_CHANGES = "near-changes"  # the near side wants other media, the far side is asked
    FAR_CHANGES = "far-changes"
    DOWN = "down"  # both sides have been told to go


class Came(StrEnum):
    """What can come in."""

    NEAR_ANSWERED = "near answered"
    NEAR_WANTS_OFFER = "near refused an INVITE without SDP"
    NEAR_CHOOSY = "near refused one media twice on one port"
    FAR_ANSWERED = "far answered"
    FAR_CHOOSY = "far refused one media twice on one port"
    FAR_WANTS_OFFER = "far refused an INVITE without SDP"
    FAR_RINGS = "far rings"
    PATIENCE_OVER = "patience over"
    STORED = "stored"
    NEAR_AGREED = "near agreed"  # a 2xx to our re-INVITE or UPDATE
    NEAR_AGREED_OTHERWISE = "near agreed otherwise"  # ... with other media than it first offered
    FAR_AGREED = "far agreed"
    NEAR_DISAGREED = "near disagreed"
    FAR_DISAGREED = "far disagreed"
    GLARE = "glare"  # 491, or a re-INVITE of theirs was under way
    WAITED = "waited"
    NEAR_WISHES = "near wishes"  # a re-INVITE or UPDATE of theirs
    FAR_WISHES = "far wishes"
    OVER = "over"  # refused, hung up, lost, given up, not stored


class Do(StrEnum):
    """What is to be done, in this order."""

    OFFER_HOLE_TO_NEAR = "INVITE near again, with an offer into a black hole"
    OFFER_TO_FAR = "INVITE far with the near side's offer"
    OFFER_HELD_TO_FAR = "INVITE far again, with what the near side on hold said"
    OFFER_PLAIN_TO_FAR = "INVITE far again, each media once"
    ASK_FAR = "INVITE far without SDP"
    STORE = "store what a later process needs"
    STORE_RINGING = "store what a later process needs to CANCEL far"
    HOLD_NEAR = "ACK near with a hold answer"
    ACK_NEAR = "ACK near"
    ACK_FAR = "ACK far"
    ANSWER_NEAR = "ACK near with the far side's answer"
    ANSWER_FAR = "ACK far with the near side's answer"
    REOFFER_TO_NEAR = "re-INVITE near with the far side's SDP"
    REOFFER_PLAIN_TO_NEAR = "the same, each media once"
    REOFFER_TO_FAR = "re-INVITE far with the near side's SDP"
    WAIT = "wait a moment for the glare to pass"
    WISH_TO_FAR = "pass the near side's wish to far"
    WISH_TO_NEAR = "pass the far side's wish to near"
    GRANT = "answer the wish with what the other side answered"
    DENY = "refuse the wish as the other side did"
    NOT_NOW = "refuse the wish with 491"
    TELL_UP = "tell that it is up"
    LEAVE = "end both sides, each as its state demands"


S, C, D = Step, Came, Do

TABLE: dict[tuple[Step, Came], tuple[Step, tuple[Do, ...]]] = {
    # flow I
    (S.CALLING, C.NEAR_ANSWERED): (S.OFFERING, (D.OFFER_TO_FAR,)),
    (S.OFFERING, C.FAR_CHOOSY): (S.OFFERING, (D.OFFER_PLAIN_TO_FAR,)),
    (S.OFFERING, C.FAR_ANSWERED): (S.JOINING, (D.STORE,)),
    (S.JOINING, C.STORED): (S.UP, (D.ACK_FAR, D.ANSWER_NEAR, D.TELL_UP)),
    # the far side takes long
    (S.OFFERING, C.PATIENCE_OVER): (S.PARKING, (D.STORE,)),
    (S.PARKING, C.FAR_ANSWERED): (S.JOINING, (D.STORE,)),
    (S.PARKING, C.FAR_CHOOSY): (S.PARKING, (D.OFFER_PLAIN_TO_FAR,)),
    (S.PARKING, C.STORED): (S.PARKED, (D.HOLD_NEAR,)),
    (S.PARKED, C.FAR_CHOOSY): (S.PARKED, (D.OFFER_PLAIN_TO_FAR,)),
    (S.PARKED, C.FAR_RINGS): (S.PARKED, (D.STORE_RINGING,)),
    (S.PARKED, C.FAR_ANSWERED): (S.UNPARKING, (D.STORE,)),
    (S.UNPARKING, C.STORED): (S.REOFFERING, (D.ACK_FAR, D.REOFFER_TO_NEAR)),
    (S.REOFFERING, C.NEAR_AGREED): (S.REJOINING, (D.STORE,)),
    (S.REJOINING, C.STORED): (S.UP, (D.ACK_NEAR, D.TELL_UP)),
    (S.REOFFERING, C.NEAR_AGREED_OTHERWISE): (S.ADJUSTING, (D.ACK_NEAR, D.REOFFER_TO_FAR)),
    (S.REOFFERING, C.NEAR_CHOOSY): (S.REOFFERING, (D.REOFFER_PLAIN_TO_NEAR,)),
    (S.REOFFERING, C.GLARE): (S.REOFFERING, (D.WAIT,)),
    (S.REOFFERING, C.WAITED): (S.REOFFERING, (D.REOFFER_TO_NEAR,)),
    (S.ADJUSTING, C.FAR_AGREED): (S.ADJUSTED, (D.STORE,)),
    (S.ADJUSTED, C.STORED): (S.UP, (D.ACK_FAR, D.TELL_UP)),
    (S.ADJUSTING, C.GLARE): (S.ADJUSTING, (D.WAIT,)),
    (S.ADJUSTING, C.WAITED): (S.ADJUSTING, (D.REOFFER_TO_FAR,)),
    # flow III
    (S.CALLING_HELD, C.NEAR_ANSWERED): (S.HOLDING, (D.STORE,)),
    (S.HOLDING, C.STORED): (S.ASKING, (D.HOLD_NEAR, D.ASK_FAR)),
    (S.ASKING, C.FAR_RINGS): (S.ASKING, (D.STORE_RINGING,)),
    (S.ASKING, C.FAR_WANTS_OFFER): (S.PARKED, (D.OFFER_HELD_TO_FAR,)),
    (S.ASKING, C.FAR_ANSWERED): (S.RELAYING, (D.REOFFER_TO_NEAR,)),
    (S.RELAYING, C.NEAR_CHOOSY): (S.RELAYING, (D.REOFFER_PLAIN_TO_NEAR,)),
    (S.RELAYING, C.NEAR_AGREED): (S.HANDING, (D.STORE,)),
    (S.RELAYING, C.NEAR_AGREED_OTHERWISE): (S.HANDING, (D.STORE,)),
    (S.RELAYING, C.GLARE): (S.RELAYING, (D.WAIT,)),
    (S.RELAYING, C.WAITED): (S.RELAYING, (D.REOFFER_TO_NEAR,)),
    (S.HANDING, C.STORED): (S.UP, (D.ANSWER_FAR, D.ACK_NEAR, D.TELL_UP)),
    # flow IV
    (S.CALLING, C.NEAR_WANTS_OFFER): (S.CALLING_HOLE, (D.OFFER_HOLE_TO_NEAR,)),
    (S.CALLING_HELD, C.NEAR_WANTS_OFFER): (S.CALLING_HOLE, (D.OFFER_HOLE_TO_NEAR,)),
    (S.CALLING_HOLE, C.NEAR_ANSWERED): (S.HOLDING, (D.STORE,)),
    # while it is up
    (S.UP, C.NEAR_WISHES): (S.NEAR_CHANGES, (D.WISH_TO_FAR,)),
    (S.NEAR_CHANGES, C.FAR_AGREED): (S.UP, (D.GRANT,)),
    (S.NEAR_CHANGES, C.FAR_DISAGREED): (S.UP, (D.DENY,)),
    (S.NEAR_CHANGES, C.GLARE): (S.UP, (D.DENY,)),
    (S.UP, C.FAR_WISHES): (S.FAR_CHANGES, (D.WISH_TO_NEAR,)),
    (S.FAR_CHANGES, C.NEAR_AGREED): (S.UP, (D.GRANT,)),
    (S.FAR_CHANGES, C.NEAR_AGREED_OTHERWISE): (S.UP, (D.GRANT,)),
    (S.FAR_CHANGES, C.NEAR_DISAGREED): (S.UP, (D.DENY,)),
    (S.FAR_CHANGES, C.GLARE): (S.UP, (D.DENY,)),
}

ENDS = frozenset({C.OVER, C.NEAR_DISAGREED, C.FAR_DISAGREED, C.NEAR_WANTS_OFFER, C.FAR_WANTS_OFFER})
"""Without a row of its own each of these takes the pair down."""
WISHES = frozenset({C.NEAR_WISHES, C.FAR_WISHES})
"""Without a row of its own a wish is refused with 491: it may be repeated later."""

WANTS_OFFER = frozenset({400, 406, 415, 488, 500, 606})
"""What an INVITE without SDP is refused with by who cannot make an offer of its own.

RFC 3261 sections 21.4.1, 21.4.6, 21.4.13, 21.4.26 and 21.6.4 have 400, 406, 415, 488 and 606 for a body that
is missing or does not do; 500 is what an application server says that ran into the missing one. Believed only
before any ringing, and once: a side that rang has understood the INVITE.
"""

HALF = frozenset({S.PARKING, S.HOLDING})
"""What is stored here is the near side alone."""
WHOLE = frozenset({S.JOINING, S.REJOINING, S.ADJUSTED, S.HANDING})
"""What is stored here is a pair that only needs its ACKs."""


def step(at: Step, came: Came) -> tuple[Step, tuple[Do, ...]]:
    """Where the arrangement stands now, and what is to be done about it.

    What has no meaning in a state (a late `STORED`, a second answer) changes nothing.
    """
    row = TABLE.get((at, came))
    if row is not None:
        return row
    if at is Step.DOWN:
        return at, (Do.NOT_NOW,) if came in WISHES else ()
    if came in ENDS:
        return Step.DOWN, (Do.LEAVE,)
    if came in WISHES:
        return at, (Do.NOT_NOW,)
    return at, ()

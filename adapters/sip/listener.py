"""What the owner of a call is told, and in what words."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from adapters.sip import sdp as sdps
from adapters.sip.message import Request, Response

if TYPE_CHECKING:
    from adapters.sip.call import Call
    from adapters.sip.offer import Offer


class CallState(StrEnum):
    """`answered`: a 2xx went over the wire and its ACK has not yet."""

    CALLING = "calling"
    RINGING = "ringing"
    ANSWERED = "answered"
    CONFIRMED = "confirmed"
    ENDED = "ended"


class Ending(StrEnum):
    """How a call ended after it had come about, or was given up by its caller."""

    BYE = "bye"  # the peer hung up
    CANCEL = "cancel"  # the peer gave up before we answered
    LOCAL = "local"  # we hung up, and the peer knows or was asked long enough
    LOST = "lost"  # the peer denies the call, or our answer was never acknowledged


class CallListener:
    """Told what happens to a call. Every method may be left as it is."""

    __slots__ = ()

    def ringing(self, call: Call, response: Response) -> None:
        """Our INVITE got a 1xx above 100."""

    def answered(self, call: Call, sdp: bytes) -> None:
        """Our INVITE got a 2xx; whoever overrides this owes it `call.ack`."""
        call.ack(sdps.refusal(sdp, 1, call.host) if sdp and not call.local_sdp else b"")

    def refused(self, call: Call, status: int, reason: str, response: Response | None) -> None:
        """Our INVITE failed, for good; `response` is None when nobody answered."""

    def rang_out(self, call: Call) -> None:
        """Our INVITE's ring time is over; left as it is, the call is given up."""
        call.hang_up()

    def confirmed(self, call: Call, sdp: bytes) -> None:
        """The ACK for our answer (or our answer to a re-INVITE) came."""

    def offered(self, call: Call, offer: Offer) -> None:
        """The peer wants other media; `offer.answer` or `offer.refuse`, now or later."""
        if call.local_sdp:
            offer.answer(call.local_sdp)
        else:
            offer.refuse(488)

    def informed(self, call: Call, content_type: str, body: bytes) -> int:
        """An INFO came; returns the status to answer."""
        return 200

    def notified(self, call: Call, request: Request) -> int:
        """A NOTIFY came; returns the status to answer."""
        return 200

    def referred(self, call: Call, request: Request) -> int:
        """A REFER came; returns the status to answer. Whoever says 202 owes the NOTIFYs."""
        return 405

    def may_refresh(self, call: Call) -> bool:
        """Whether this process may refresh the session now; False: it is asked again."""
        return True

    def moved(self, call: Call) -> None:
        """A session refresh or other media came about: what a later process must know may have changed."""

    def reanswered(self, call: Call, sdp: bytes) -> None:
        """The peer answered our session refresh with this SDP, perhaps another one than before."""

    def ended(self, call: Call, ending: Ending, request: Request | None) -> None:
        """The call is over; told once, and not when `refused` was."""

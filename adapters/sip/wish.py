"""Other media that one side of a pair that is up wants: passed on to the other side, and the answer back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from adapters.sip.message import Response
from adapters.sip.third_party import Came

if TYPE_CHECKING:
    from adapters.sip.call import Call
    from adapters.sip.offer import Offer
    from adapters.sip.pair import Pair

_NOT_PASSED_ON = (401, 407, 408, 481)
"""Concern one dialog only: to the side that wishes they would say that its own call is gone."""


class Wish:
    """A re-INVITE or UPDATE of `call` that waits for what the other side says."""

    __slots__ = ("_pair", "_response", "call", "offer")

    def __init__(self, pair: Pair, call: Call, offer: Offer) -> None:
        self._pair = pair
        self._response: Response | None = None
        self.call = call
        self.offer = offer

    def pass_on(self) -> None:
        """Ask the other side the same."""
        pair = self._pair
        other = pair.other(self.call)
        if other is None:
            pair.deny(491)
            return
        agreed, disagreed = (
            (Came.NEAR_AGREED, Came.NEAR_DISAGREED) if other is pair.near else (Came.FAR_AGREED, Came.FAR_DISAGREED)
        )

        def replied(response: Response | None) -> None:
            if pair.wish is not self:
                return  # it was withdrawn; what the other side accepted is acknowledged when it is left
            self._response = response
            pair.take(agreed if response is not None and response.status < 300 else disagreed)

        sdp = pair.fitted(self.offer.sdp, other)
        if self.offer.method == "UPDATE" and other.updates:
            other.update(sdp, replied)
        else:
            other.reinvite(sdp, replied)

    def grant(self) -> None:
        """Answer what the other side answered."""
        other = self._pair.other(self.call)
        if other is not None and other.owes_ack and self.offer.sdp:
            other.ack()
        # without an offer in it the wish is answered with one, and its answer comes to `confirmed`
        sdp = self._response.sdp if self._response is not None else b""
        self.offer.answer(self._pair.fitted(sdp, self.call))

    def deny(self, status: int) -> None:
        """Refuse it with `status`, or (0) as the other side did."""
        status = status or (self._response.status if self._response is not None else 500)
        self.offer.refuse(status if status >= 400 and status not in _NOT_PASSED_ON else 500)

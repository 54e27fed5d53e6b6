"""A pair in the making: what is needed only until it is up, and the doing of its steps."""

from __future__ import annotations

import logging
import random
from typing import TYPE_CHECKING, Any, NamedTuple

from adapters.sip import sdp as sdps
from adapters.sip.exchange import Identity
from adapters.sip.message import Response
from adapters.sip.third_party import HALF, WANTS_OFFER, WHOLE, Came, Do, Party, Step, Verdict
from adapters.values import Address

if TYPE_CHECKING:
    from adapters.sip.call import Call
    from adapters.sip.pair import Pair

_log = logging.getLogger(__name__)

OUR_SESSION = 1
_GLARE_SPREAD = 1.9
_HALVES = frozenset({Step.PARKED, Step.ASKING})
"""Here the near half is stored, and the far side may ring."""


class Voice(NamedTuple):
    """As whom we speak to one side: user and display name of the From, and what names the call."""

    user: str
    display: str = ""
    identity: Identity | None = None
    credentials: tuple[str, str] | None = None


class Arrangement:
    """Calls both sides for a pair and brings them together as the table prescribes."""

    __slots__ = (
        "_far_address", "_is_storing", "_near_address", "_pair", "_ring_s", "_to_far", "_to_near", "_to_store",
        "far_rang", "from_far", "from_near", "offer",
    )  # fmt: skip

    def __init__(self, pair: Pair, near: Address, far: Address, to_near: Voice, to_far: Voice, ring_s: float) -> None:
        self._pair = pair
        self._near_address = near
        self._far_address = far
        self._to_near = to_near
        self._to_far = to_far
        self._ring_s = ring_s
        self._to_store: tuple[Step, bool] | None = None
        self._is_storing = False
        self.offer = b""
        """The near side's first SDP."""
        self.from_near = b""
        """What the near side said last."""
        self.from_far = b""
        self.far_rang = False

    # -- the calls --------------------------------------------------------------------

    def _call(self, to: Address, voice: Voice, sdp: bytes) -> Call:
        return self._pair.agent.call(
            to,
            self._pair,
            sdp=sdp,
            user=voice.user,
            display=voice.display,
            credentials=voice.credentials,
            ring_s=self._ring_s,
            identity=voice.identity,
        )

    def call_near(self) -> None:
        """Call it without SDP."""
        self._pair.near = self._call(self._near_address, self._to_near, b"")

    def call_near_with_hole(self) -> None:
        """Call it with an offer into a black hole: always another call than the one without SDP."""
        pair = self._pair
        pair.version = 1
        voice = self._to_near
        if voice.identity is not None:
            voice = voice._replace(identity=voice.identity.again())
        host = pair.agent.host_for(self._near_address.host)
        pair.near = self._call(self._near_address, voice, sdps.black_hole(OUR_SESSION, host))

    def _call_far(self, sdp: bytes) -> None:
        pair = self._pair
        if pair.far is not None and self._to_far.identity is not None:  # it refused the one before: a new call
            self._to_far = self._to_far._replace(identity=self._to_far.identity.again())
        self.far_rang = False
        pair.far = self._call(self._far_address, self._to_far, pair.fitted(sdp, None))

    # -- what comes in ----------------------------------------------------------------

    def answered(self, call: Call, sdp: bytes) -> None:
        pair, party = self._pair, self._pair.party(call)
        if not sdps.has_media(sdp):
            pair.end(Verdict(party, 488, "answered with no media" if call.local_sdp else "answered with no offer"))
        elif party is Party.NEAR:
            self.offer = self.from_near = sdp
            pair.take(Came.NEAR_ANSWERED)
        else:
            self.from_far = sdp
            pair.take(Came.FAR_ANSWERED)

    def mends(self, call: Call, status: int) -> bool:
        """Whether a refusal is one that another way of asking gets round; then that is on its way."""
        pair, step = self._pair, self._pair.step
        if call is pair.far:
            if status == 488 and call.local_sdp and (plain := sdps.without_doubles(self.offer)) != self.offer:
                if step in (Step.OFFERING, Step.PARKING, Step.PARKED):
                    self.offer = plain
                    pair.plain = True
                    pair.take(Came.FAR_CHOOSY)
                    return True
            elif step is Step.ASKING and status in WANTS_OFFER and not self.far_rang:
                pair.take(Came.FAR_WANTS_OFFER)
                return True
        elif step in (Step.CALLING, Step.CALLING_HELD) and status in WANTS_OFFER and not pair.has_rung:
            pair.take(Came.NEAR_WANTS_OFFER)
            return True
        return False

    # -- the table --------------------------------------------------------------------

    def do(self, action: Do) -> None:
        pair = self._pair
        near, far = pair.near, pair.far
        match action:
            case Do.OFFER_HOLE_TO_NEAR:
                pair.agent.offer_first.note(str(self._near_address), pair.agent.time() + pair.patience.offer_s)
                self.call_near_with_hole()
            case Do.OFFER_TO_FAR:
                self._call_far(self.offer)
                pair.set_alarm(pair.agent.later(pair.patience.ack_s, lambda: pair.take(Came.PATIENCE_OVER)))
            case Do.OFFER_PLAIN_TO_FAR:
                self._call_far(self.offer)
            case Do.OFFER_HELD_TO_FAR:
                self._call_far(sdps.awake(self.offer))
            case Do.ASK_FAR:
                self._call_far(b"")
            case Do.HOLD_NEAR if near is not None:
                if near.local_sdp:  # it has our offer into the black hole
                    near.ack()
                else:
                    pair.version = 1
                    near.ack(sdps.hold(self.offer, OUR_SESSION, near.host))
            case Do.ACK_NEAR if near is not None:
                near.ack()
            case Do.ANSWER_NEAR if near is not None:
                near.ack(self.from_far)
            case Do.ACK_FAR if far is not None:
                far.ack()
            case Do.ANSWER_FAR if far is not None:
                far.ack(pair.fitted(self.from_near, far))
            case Do.REOFFER_TO_NEAR | Do.REOFFER_PLAIN_TO_NEAR if near is not None:
                near.reinvite(pair.fitted(self.from_far, near), self._near_replied)
            case Do.REOFFER_TO_FAR if far is not None:
                far.reinvite(pair.fitted(self.from_near, far), self._far_replied)
            case Do.WAIT:
                glare_s = pair.patience.glare_s * random.uniform(1.0, _GLARE_SPREAD)
                pair.set_alarm(pair.agent.later(glare_s, lambda: pair.take(Came.WAITED)))

    def _near_replied(self, response: Response | None) -> None:
        pair = self._pair
        if pair.arrangement is not self:
            return
        if response is not None and response.status == 488:
            plain = sdps.without_doubles(self.from_far)
            if plain != self.from_far:
                self.from_far, pair.plain = plain, True
                pair.take(Came.NEAR_CHOOSY)
                return
        if self._took(Party.NEAR, response):
            assert response is not None
            self.from_near = response.sdp
            same = sdps.same_media(response.sdp, self.offer)
            pair.take(Came.NEAR_AGREED if same else Came.NEAR_AGREED_OTHERWISE)

    def _far_replied(self, response: Response | None) -> None:
        if self._pair.arrangement is self and self._took(Party.FAR, response):
            self._pair.take(Came.FAR_AGREED)

    def _took(self, party: Party, response: Response | None) -> bool:
        """Whether a re-INVITE that sets the pair up was accepted."""
        if response is not None and response.status < 300:
            return True
        if response is not None and response.status == 491:
            self._pair.take(Came.GLARE)
        else:
            status, reason = (response.status, response.reason) if response else (408, "no answer to a re-INVITE")
            disagreed = Came.NEAR_DISAGREED if party is Party.NEAR else Came.FAR_DISAGREED
            self._pair.end(Verdict(party, status, reason), disagreed)
        return False

    # -- the memory -------------------------------------------------------------------

    async def store(self, at: Step, ringing: bool) -> None:
        """Let what stands be remembered; the step that waits for it goes on then (`ringing`: none does).

        One after the other: what is stored last is what was so last.
        """
        self._to_store = (at, ringing)
        if self._is_storing:
            return
        self._is_storing = True
        while self._to_store is not None:
            (at, ringing), self._to_store = self._to_store, None
            await self._store(at, ringing)
        self._is_storing = False

    async def _store(self, at: Step, ringing: bool) -> None:
        pair = self._pair
        if pair.arrangement is not self or pair.near is None or at is not pair.step:
            return
        if not ringing:
            pair.set_alarm(None)
        try:
            await pair.listener.remember(pair, self._memory(at))
        except Exception as error:
            if ringing:  # a later process could not CANCEL it: it rings out then
                _log.warning("sip.ringing_not_stored: %s", type(error).__name__)
            else:  # what is not stored may not come about: a restart could never end it
                pair.end(Verdict(Party.OURS, 500, f"not stored: {type(error).__name__}"))
            return
        if not ringing and pair.arrangement is self and self._to_store is None:
            pair.take(Came.STORED)

    def _memory(self, at: Step) -> dict[str, Any]:
        half = at in HALF or at in _HALVES
        far = self._pair.far
        return {
            **self._pair.memory(),
            "far": far.memory() if far is not None and not half else None,
            "ringing": far.invite_memory() if far is not None and half else None,
            "whole": at in WHOLE,
            "near_ack": self.from_far.decode("latin-1") if at is Step.JOINING else "",
            "far_ack": self._pair.fitted(self.from_near, far).decode("latin-1") if at is Step.HANDING else "",
        }

"""A pair: the call of a near side and the call of a far side, with media between the two.

Performs what `third_party` prescribes: `arrangement` until it is up, `wish` when a side wants
other media, `liveness` in between. A pair that is up lives in tables and on the agent's
wheel, no task runs for it. Of a pair that is down its owner is told once, with the reason.
SDP is relayed byte for byte; only a dialog that has seen an origin line of ours keeps it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine, Mapping
from functools import partial
from typing import Any

from adapters.sip import sdp as sdps
from adapters.sip.adoption import ask, take_up
from adapters.sip.agent import SipAgent
from adapters.sip.arrangement import OUR_SESSION, Arrangement, Voice
from adapters.sip.call import Call, Offer
from adapters.sip.listener import CallListener, CallState, Ending
from adapters.sip.liveness import Vigil
from adapters.sip.message import Request, Response
from adapters.sip.pair_listener import PairListener, PairState
from adapters.sip.patience import Patience
from adapters.sip.third_party import Came, Do, Party, Step, Verdict, step
from adapters.sip.wheel import Alarm
from adapters.sip.wish import Wish
from adapters.values import Address

_log = logging.getLogger(__name__)

__all__ = ["Pair", "PairListener", "PairState", "Patience", "Voice"]


_SEEN = {
    Step.CALLING: PairState.NEAR,
    Step.CALLING_HELD: PairState.NEAR,
    Step.CALLING_HOLE: PairState.NEAR,
    Step.OFFERING: PairState.FAR,
    Step.PARKING: PairState.FAR,
    Step.PARKED: PairState.FAR,
    Step.HOLDING: PairState.FAR,
    Step.ASKING: PairState.FAR,
    Step.UP: PairState.UP,
    Step.NEAR_CHANGES: PairState.UP,
    Step.FAR_CHANGES: PairState.UP,
    Step.DOWN: PairState.DOWN,
}


class Pair(CallListener):
    """One arranged call; `arrange` or `adopt` begins it, `hang_up` ends it in every state.

    `start` runs a coroutine beside the caller (it must keep the task).
    """

    __slots__ = (
        "_alarm",
        "_is_storing",
        "_start",
        "_told",
        "agent",
        "arrangement",
        "far",
        "has_rung",
        "known",
        "listener",
        "near",
        "patience",
        "plain",
        "step",
        "verdict",
        "version",
        "video",
        "vigil",
        "wish",
    )

    def __init__(
        self,
        agent: SipAgent,
        listener: PairListener,
        start: Callable[[Coroutine[Any, Any, None]], object],
        patience: Patience | None = None,
    ) -> None:
        self.agent = agent
        self.listener = listener
        self._start = start
        self.patience = patience or _DEFAULT
        self.step = Step.CALLING
        self.arrangement: Arrangement | None = None
        self.wish: Wish | None = None
        self.version = 0
        """Of our own SDP origin toward the near side; 0: it has never seen one."""
        self.plain = False
        """Whether a side refuses one media twice on one port."""
        self.video = True
        self._alarm: Alarm | None = None
        self._is_storing = False
        self.vigil: Vigil | None = None
        self.known = 0
        self._told = False
        self.near: Call | None = None
        self.far: Call | None = None
        self.verdict: Verdict | None = None
        self.has_rung = False

    @property
    def state(self) -> PairState:
        return _SEEN.get(self.step, PairState.JOINING)

    # -- beginning and ending ---------------------------------------------------------

    def arrange(
        self,
        near: Address,
        far: Address,
        to_near: Voice,
        to_far: Voice,
        *,
        ring_s: float,
        flow: str = "I",
        video: bool = True,
    ) -> None:
        """Call `near`, and `far` for it once it has answered. Raises BadUri.

        `flow` is how it begins (`third_party`); a near side that was seen to want an offer
        gets one.
        """
        self.video = video
        self.arrangement = made = Arrangement(self, near, far, to_near, to_far, ring_s)
        if flow == "IV" or self.agent.offer_first.has(str(near), self.agent.time()):
            self.step = Step.CALLING_HOLE
            made.call_near_with_hole()
        else:
            self.step = Step.CALLING_HELD if flow == "III" else Step.CALLING
            made.call_near()

    def hang_up(self) -> None:
        """End both sides at once, whatever the state. Safe to repeat."""
        self.end(_ORDERED)

    def let_go(self) -> None:
        """Do nothing more about a pair that is not up yet: a later process goes on with it.

        One that is up is left as it is; both kinds outlive the process.
        """
        if self.state not in (PairState.UP, PairState.DOWN):
            self._forsake()

    def _forsake(self) -> None:
        """Leave the pair as it is and say nothing more: it is another process's."""
        self.step, self.arrangement, self.wish, self._told = Step.DOWN, None, None, True
        self._rest()
        for call in (self.near, self.far):
            if call is not None:
                call.let_go()

    def may_go_on(self, again: Callable[..., None], *words: object) -> bool:
        """Whether the next step is ours to take; as long as nobody knows, `again(*words)` comes later."""
        if self.step is Step.DOWN:
            return True
        may = self.listener.may_act(self)
        if may is None:
            self.agent.later(_ASK_AGAIN_S, partial(again, *words))
        elif not may:
            self._forsake()
        return bool(may)

    def end(self, verdict: Verdict, came: Came = Came.OVER) -> None:
        """It cannot go on, for this reason; the first one counts."""
        if not self.may_go_on(self.end, verdict, came):
            return
        if self.verdict is None:
            self.verdict = verdict
        self._go_on(came)
        if self.step is Step.DOWN and self._gone():
            self.agent.soon(self._tell)

    def _gone(self) -> bool:
        near, far = self.near, self.far
        return (near is None or near.state is CallState.ENDED) and (far is None or far.state is CallState.ENDED)

    def _tell(self) -> None:
        if not self._told and self.verdict is not None:
            self._told = True
            self.set_alarm(None)
            listener, self.listener = self.listener, _NOBODY
            listener.over(self, self.verdict)

    # -- what calls tell --------------------------------------------------------------

    def ringing(self, call: Call, response: Response) -> None:
        if self.arrangement is None or self.step is Step.DOWN:
            return
        if call is self.near:
            if not self.has_rung:
                self.has_rung = True
                self.listener.rang(self)
        elif not self.arrangement.far_rang:
            self.arrangement.far_rang = True
            self.take(Came.FAR_RINGS)

    def answered(self, call: Call, sdp: bytes) -> None:
        if self.arrangement is None or self.step is Step.DOWN:
            self._leave(call, sdp)
        else:
            self.arrangement.answered(call, sdp)

    def refused(self, call: Call, status: int, reason: str, response: Response | None) -> None:
        if self.arrangement is not None and self.step is not Step.DOWN and self.arrangement.mends(call, status):
            return
        party = self.party(call)
        if status == 487 and self.verdict is None:
            # nobody but us gives up our INVITE: its ring time is over
            alive = response is not None or (party is Party.NEAR and self.has_rung)
            status, reason = (480, "rang out") if alive else (408, "no sign of life")
        self.end(Verdict(party, status, reason))

    def rang_out(self, call: Call) -> None:
        if self.may_go_on(self.rang_out, call):
            call.hang_up()

    def ended(self, call: Call, ending: Ending, request: Request | None) -> None:
        words = request.get("reason") if request is not None else ""
        if ending is Ending.LOCAL:  # answered just when its ring time was over, if it is not our hanging up
            self.end(Verdict(self.party(call), 480, "rang out"))
        else:
            self.end(Verdict(self.party(call), 0, words, ending))

    def offered(self, call: Call, offer: Offer) -> None:
        if self.wish is not None:
            offer.refuse(491)
        elif self._only_refreshes(call, offer.sdp):
            offer.answer(call.said)
        else:
            self.wish = Wish(self, call, offer)
            self.take(Came.NEAR_WISHES if call is self.near else Came.FAR_WISHES)

    def _only_refreshes(self, call: Call, sdp: bytes) -> bool:
        """Whether an offer repeats what was already passed on: then the other side need not hear of it."""
        other = self.other(call)
        if self.step is not Step.UP or other is None or not sdp or not call.said or not other.said:
            return False
        return sdps.same_session(self._trimmed(sdp), other.said)

    def confirmed(self, call: Call, sdp: bytes) -> None:
        other = self.other(call)
        if other is not None and other.owes_ack:
            other.ack(self.fitted(sdp, other))  # the wish asked for an offer, and here is the answer to it

    def may_refresh(self, call: Call) -> bool:
        if self.state is not PairState.UP:
            return False
        may = self.listener.may_act(self)
        if may is False:
            self._forsake()
        return bool(may)

    def moved(self, call: Call) -> None:
        if self.state is PairState.UP and not self._is_storing and self.facts() != self.known:
            self._is_storing = True
            self._start(self._store_again())

    def reanswered(self, call: Call, sdp: bytes) -> None:
        other = self.other(call)
        if self.state is not PairState.UP or other is None or not other.said:
            return
        if not sdps.same_media(self._trimmed(sdp), other.said):  # it moved its media with a mere refresh
            other.reinvite(self.fitted(sdp, other), lambda response: other.ack() if other.owes_ack else None)

    def party(self, call: Call) -> Party:
        return Party.NEAR if call is self.near else Party.FAR

    def other(self, call: Call) -> Call | None:
        return self.far if call is self.near else self.near

    # -- the table --------------------------------------------------------------------

    def take(self, came: Came) -> None:
        """Something came: do what the table says."""
        if self.may_go_on(self.take, came):
            self._go_on(came)

    def _go_on(self, came: Came) -> None:
        self.step, actions = step(self.step, came)
        for action in actions:
            self._do(action)

    def _do(self, action: Do) -> None:
        made = self.arrangement
        match action:
            case Do.LEAVE:
                self._leave_both()
            case Do.NOT_NOW | Do.DENY:
                self.deny(491 if action is Do.NOT_NOW else 0)
            case Do.GRANT:
                wish, self.wish = self.wish, None
                if wish is not None:
                    wish.grant()
            case Do.WISH_TO_FAR | Do.WISH_TO_NEAR:
                if self.wish is not None:
                    self.wish.pass_on()
            case Do.TELL_UP:
                self._up()
            case Do.STORE | Do.STORE_RINGING if made is not None:
                self._start(made.store(self.step, ringing=action is Do.STORE_RINGING))
            case _ if made is not None:
                made.do(action)

    def deny(self, status: int) -> None:
        """Refuse the wish there is."""
        wish, self.wish = self.wish, None
        if wish is not None:
            wish.deny(status)

    def _trimmed(self, sdp: bytes) -> bytes:
        """An SDP as the other side may see it: without the video nobody asked for, each media once."""
        if not self.video:
            sdp = sdps.without_video(sdp)
        return sdps.without_doubles(sdp) if self.plain else sdp

    def fitted(self, sdp: bytes, to: Call | None) -> bytes:
        """The same for `to`; a near side that has seen our origin keeps it, one version on (RFC 3264 section 8)."""
        sdp = self._trimmed(sdp)
        if not sdp or not self.version or to is None or to is not self.near:
            return sdp
        self.version += 1
        return sdps.with_origin(sdp, OUR_SESSION, self.version, to.host)

    def _leave_both(self) -> None:
        self._rest()
        self.deny(487)
        made, self.arrangement = self.arrangement, None
        for call, offer in ((self.near, "offer"), (self.far, "from_far")):
            if call is not None:
                self._leave(call, getattr(made, offer) if made is not None else b"")
        if self.verdict is not None and self.verdict != _ORDERED and not self._told:
            self.set_alarm(self.agent.later(self.patience.straggler_s, self._tell))

    def _leave(self, call: Call, offer: bytes) -> None:
        """End one side; an offer of its that waits for an answer is refused in the ACK."""
        if call.owes_ack:
            owed = offer and not call.local_sdp
            call.ack(sdps.refusal(offer, OUR_SESSION, call.host) if owed else b"")
        call.hang_up()

    def set_alarm(self, alarm: Alarm | None) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm = alarm

    def _rest(self) -> None:
        """Ask nobody any more."""
        self.set_alarm(None)
        if self.vigil is not None:
            vigil, self.vigil = self.vigil, None
            vigil.end()

    # -- while it is up ---------------------------------------------------------------

    def _up(self) -> None:
        self.arrangement = None
        self.known = self.facts()
        self.vigil = Vigil(self)
        self.listener.joined(self)

    # -- after a restart --------------------------------------------------------------

    def memory(self) -> dict[str, Any]:
        """What a later process needs of the near side, and what was found out."""
        near = self.near.memory() if self.near is not None else None
        return {"near": near, "origin": self.version, "video": self.video, "plain": self.plain}

    def facts(self) -> int:
        """What of the calls must be stored anew when it changes: where they are, and who refreshes."""
        calls = [call for call in (self.near, self.far) if call is not None]
        return hash(tuple((call.dialog.target, call.timer and call.timer.terms) for call in calls))

    async def _store_again(self) -> None:
        """Best done, but a pair that is up does not end for it."""
        near, far = self.near, self.far
        acked: dict[str, Any] = {"whole": True, "near_ack": "", "far_ack": "", "is_acked": True}
        while self.state is PairState.UP and near is not None and far is not None and self.facts() != self.known:
            self.known = self.facts()
            try:
                await self.listener.remember(self, {**self.memory(), "far": far.memory(), "ringing": None, **acked})
            except Exception as error:
                _log.warning("sip.change_not_stored: %s", type(error).__name__)
        self._is_storing = False

    def adopt(self, memory: Mapping[str, Any], credentials: tuple[str, str] | None = None) -> bool:
        """See `adoption.take_up`."""
        return take_up(self, memory, credentials)

    def ask(self, done: Callable[[bool | None], None]) -> None:
        """See `adoption.ask`."""
        ask(self, done)


_DEFAULT = Patience()
_ORDERED = Verdict(Party.OURS)
"""Hung up by order: told when both sides have been heard, or have been asked long enough."""
_NOBODY = PairListener()
_ASK_AGAIN_S = 0.2

"""A pair: the call of a near side and the call of a far side, with media between the two.

Performs what `third_party` prescribes. A pair that is up lives in tables and on the agent's
wheel, no task runs for it. Of a pair that is down its owner is told once, with the reason.
SDP is relayed byte for byte; only a dialog that has seen an origin line of ours keeps it.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from functools import partial
from typing import Any

from adapters.sip import sdp as sdps
from adapters.sip.agent import SipAgent
from adapters.sip.call import Call, Offer
from adapters.sip.exchange import Identity
from adapters.sip.listener import CallListener, CallState, Ending
from adapters.sip.message import Request, Response
from adapters.sip.third_party import HALF, WHOLE, Came, Do, Party, Step, Verdict, step
from adapters.sip.wheel import Alarm
from adapters.values import Address


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a pair waits for what; seconds."""

    ack_s: float = 20.0
    """The near side's 200 for its ACK: it gives up after 64*T1 = 32 s."""
    probe_s: float = 30.0
    """From one question whether a side lives to the next."""
    probe_limit_s: float = 8.0
    misses: int = 2
    """A side that leaves so many questions in a row without any answer is lost."""
    adopt_s: float = 4.0
    """For the answer of a side that an earlier process left."""
    straggler_s: float = 2.0
    """The end of one side for the other side's, before it is told."""
    glare_s: float = 2.1
    """Before a re-INVITE that met another is repeated (RFC 3261 section 14.1: 2.1 to 4 s)."""


class PairState(StrEnum):
    """How far it is, for those who only look."""

    NEAR = "near"  # the near side is being called
    FAR = "far"  # the near side has answered, the far side is being called
    JOINING = "joining"  # both have answered
    UP = "up"
    DOWN = "down"


_SEEN = {
    Step.CALLING: PairState.NEAR,
    Step.CALLING_HELD: PairState.NEAR,
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


@dataclass(frozen=True, slots=True)
class Voice:
    """As whom we speak to one side: user and display name of the From, and what names the call."""

    user: str
    display: str = ""
    identity: Identity | None = None
    credentials: tuple[str, str] | None = None


class PairListener:
    """Told what becomes of a pair."""

    __slots__ = ()

    def may_act(self, pair: Pair) -> bool | None:
        """Whether this process may send for the pair; None: ask again, False: never more."""
        return True

    def rang(self, pair: Pair) -> None:
        """The near side alerts people."""

    async def remember(self, pair: Pair, memory: Mapping[str, Any]) -> None:
        """Return when `memory` is stored; the ACKs go out then."""

    def joined(self, pair: Pair) -> None:
        """Both sides have their ACK."""

    def over(self, pair: Pair, verdict: Verdict) -> None:
        """It is down; told once."""


@dataclass(slots=True)
class _Setting:
    """What is needed only until the pair is up."""

    call_far: Callable[[bytes], Call]
    offer: bytes = b""  # the near side's first
    from_near: bytes = b""  # what the near side last said
    from_far: bytes = b""
    near_ack: bytes = b""  # what the ACKs carry, for a process that must repeat them
    far_ack: bytes = b""
    stored: int = 0


class Pair(CallListener):
    """One arranged call; `arrange` or `adopt` begins it, `hang_up` ends it in every state.

    `start` runs a coroutine beside the caller (it must keep the task).
    """

    __slots__ = (
        "_agent",
        "_alarm",
        "_asked",
        "_listener",
        "_misses",
        "_patience",
        "_setting",
        "_start",
        "_step",
        "_told",
        "_version",
        "_wish",
        "far",
        "has_rung",
        "near",
        "verdict",
    )

    def __init__(
        self,
        agent: SipAgent,
        listener: PairListener,
        start: Callable[[Coroutine[Any, Any, None]], object],
        patience: Patience | None = None,
    ) -> None:
        self._agent = agent
        self._listener = listener
        self._start = start
        self._patience = patience or _DEFAULT
        self._step = Step.CALLING
        self._setting: _Setting | None = None
        self._alarm: Alarm | None = None
        self._wish: tuple[Call, Offer, Response | None] | None = None
        self._version = 0  # of our own SDP origin toward the near side; 0: it has never seen one
        self._misses = (0, 0)
        self._asked = 0
        self._told = False
        self.near: Call | None = None
        self.far: Call | None = None
        self.verdict: Verdict | None = None
        self.has_rung = False

    @property
    def state(self) -> PairState:
        return _SEEN.get(self._step, PairState.JOINING)

    # -- beginning and ending ---------------------------------------------------------

    def arrange(
        self,
        near: Address,
        far: Address,
        to_near: Voice,
        to_far: Voice,
        *,
        ring_s: float,
        flow_three: bool = False,
        video: bool = True,
    ) -> None:
        """Call `near`, and `far` for it once it has answered. Raises BadUri."""

        def call(to: Address, voice: Voice, sdp: bytes) -> Call:
            return self._agent.call(
                to,
                self,
                sdp=sdp if video else sdps.without_video(sdp),
                user=voice.user,
                display=voice.display,
                credentials=voice.credentials,
                ring_s=ring_s,
                identity=voice.identity,
            )

        def call_far(sdp: bytes) -> Call:
            voice = to_far
            if self.far is not None and voice.identity is not None:  # refused the first offer: a new call
                voice = replace(voice, identity=voice.identity.again())
            return call(far, voice, sdp)

        self._step = Step.CALLING_HELD if flow_three else Step.CALLING
        self._setting = _Setting(call_far)
        self.near = call(near, to_near, b"")

    def hang_up(self) -> None:
        """End both sides at once, whatever the state. Safe to repeat."""
        self._end(_ORDERED)

    def let_go(self) -> None:
        """Do nothing more about a pair that is not up yet: a later process goes on with it.

        One that is up is left as it is; both kinds outlive the process.
        """
        if self.state not in (PairState.UP, PairState.DOWN):
            self._forsake()

    def _forsake(self) -> None:
        """Leave the pair as it is and say nothing more: it is another process's."""
        self._step, self._setting, self._wish, self._told = Step.DOWN, None, None, True
        self._set_alarm(None)
        for call in (self.near, self.far):
            if call is not None:
                call.let_go()

    def _may_go_on(self, again: Callable[[], None]) -> bool:
        """Whether the next step is ours to take; as long as nobody knows, `again` comes later."""
        if self._step is Step.DOWN:
            return True
        may = self._listener.may_act(self)
        if may is None:
            self._agent.later(_ASK_AGAIN_S, again)
        elif not may:
            self._forsake()
        return bool(may)

    def _end(self, verdict: Verdict, came: Came = Came.OVER) -> None:
        if not self._may_go_on(partial(self._end, verdict, came)):
            return
        if self.verdict is None:
            self.verdict = verdict
        self._take(came)
        if self._step is Step.DOWN and self._gone():
            self._agent.soon(self._tell)

    def _gone(self) -> bool:
        return all(call is None or call.state is CallState.ENDED for call in (self.near, self.far))

    def _tell(self) -> None:
        if not self._told and self.verdict is not None:
            self._told = True
            self._set_alarm(None)
            listener, self._listener = self._listener, _NOBODY
            listener.over(self, self.verdict)

    # -- what calls tell --------------------------------------------------------------

    def ringing(self, call: Call, response: Response) -> None:
        if call is self.near and not self.has_rung and self._step is not Step.DOWN:
            self.has_rung = True
            self._listener.rang(self)

    def answered(self, call: Call, sdp: bytes) -> None:
        setting = self._setting
        if setting is None or self._step is Step.DOWN:
            self._leave(call, sdp)
        elif call is self.near:
            setting.offer = setting.from_near = sdp
            if sdps.has_media(sdp):
                self._take(Came.NEAR_ANSWERED)
            else:
                self._end(Verdict(Party.NEAR, 488, "answered an INVITE without SDP with no offer"))
        else:
            setting.from_far = sdp
            if sdps.has_media(sdp):
                self._take(Came.FAR_ANSWERED)
            else:
                self._end(Verdict(Party.FAR, 488, "answered with no media"))

    def refused(self, call: Call, status: int, reason: str, response: Response | None) -> None:
        setting = self._setting
        if call is self.far and status == 488 and setting is not None and self._step is not Step.DOWN:
            plain = sdps.without_doubles(setting.offer)
            if plain != setting.offer and self._step in (Step.OFFERING, Step.PARKING, Step.PARKED):
                setting.offer = plain
                self._take(Came.FAR_CHOOSY)
                return
        party = self._party(call)
        if status == 487 and self.verdict is None:
            # nobody but us gives up our INVITE: its ring time is over
            alive = response is not None or (party is Party.NEAR and self.has_rung)
            status, reason = (480, "rang out") if alive else (408, "no sign of life")
        self._end(Verdict(party, status, reason))

    def rang_out(self, call: Call) -> None:
        if self._may_go_on(partial(self.rang_out, call)):
            call.hang_up()

    def ended(self, call: Call, ending: Ending, request: Request | None) -> None:
        words = request.get("reason") if request is not None else ""
        if ending is Ending.LOCAL:  # answered just when its ring time was over, if it is not our hanging up
            self._end(Verdict(self._party(call), 480, "rang out"))
        else:
            self._end(Verdict(self._party(call), 0, words, ending))

    def offered(self, call: Call, offer: Offer) -> None:
        if self._wish is None:
            self._wish = (call, offer, None)
            self._take(Came.NEAR_WISHES if call is self.near else Came.FAR_WISHES)
        else:
            offer.refuse(491)

    def confirmed(self, call: Call, sdp: bytes) -> None:
        other = self._other(call)
        if other is not None and other.owes_ack:
            other.ack(sdp)  # the wish asked for an offer, and here is the answer to it

    def _party(self, call: Call) -> Party:
        return Party.NEAR if call is self.near else Party.FAR

    def _other(self, call: Call) -> Call | None:
        return self.far if call is self.near else self.near

    # -- the table --------------------------------------------------------------------

    def _take(self, came: Came) -> None:
        if not self._may_go_on(partial(self._take, came)):
            return
        self._step, actions = step(self._step, came)
        for action in actions:
            self._do(action)

    def _do(self, action: Do) -> None:
        near, far, setting = self.near, self.far, self._setting
        match action:
            case Do.LEAVE:
                self._leave_both()
            case Do.NOT_NOW | Do.DENY:
                self._deny(491 if action is Do.NOT_NOW else 0)
            case Do.GRANT:
                self._grant()
            case Do.WISH_TO_FAR | Do.WISH_TO_NEAR:
                self._pass_on()
            case Do.TELL_UP:
                self._up()
            case Do.STORE:
                self._start(self._store(self._step))
            case Do.WAIT:
                self._set_alarm(self._agent.later(self._patience.glare_s, lambda: self._take(Came.WAITED)))
            case _ if near is not None and setting is not None:
                self._set_up(action, near, far, setting)

    def _set_up(self, action: Do, near: Call, far: Call | None, setting: _Setting) -> None:
        match action:
            case Do.OFFER_TO_FAR:
                self.far = setting.call_far(setting.offer)
                self._set_alarm(self._agent.later(self._patience.ack_s, lambda: self._take(Came.PATIENCE_OVER)))
            case Do.OFFER_PLAIN_TO_FAR:
                self.far = setting.call_far(setting.offer)
            case Do.ASK_FAR:
                self.far = setting.call_far(b"")
            case Do.HOLD_NEAR:
                self._version = 1
                near.ack(sdps.hold(setting.offer, _OUR_SESSION, near.host))
            case Do.ACK_NEAR:
                near.ack()
            case Do.ANSWER_NEAR:
                near.ack(setting.from_far)
            case Do.ACK_FAR if far is not None:
                far.ack()
            case Do.ANSWER_FAR if far is not None:
                far.ack(setting.from_near)
            case Do.REOFFER_TO_NEAR:
                near.reinvite(self._under_our_origin(setting.from_far, near), self._near_replied)
            case Do.REOFFER_TO_FAR if far is not None:
                far.reinvite(setting.from_near, self._far_replied)

    def _under_our_origin(self, sdp: bytes, call: Call) -> bytes:
        """The near side has seen our origin on this dialog: it stays, one version on."""
        if not self._version or not sdp:
            return sdp
        self._version += 1
        return sdps.with_origin(sdp, _OUR_SESSION, self._version, call.host)

    def _near_replied(self, response: Response | None) -> None:
        setting = self._setting
        if setting is None or not self._took(Party.NEAR, response):
            return
        assert response is not None
        setting.from_near = response.sdp
        same = sdps.same_media(response.sdp, setting.offer)
        self._take(Came.NEAR_AGREED if same else Came.NEAR_AGREED_OTHERWISE)

    def _far_replied(self, response: Response | None) -> None:
        if self._setting is not None and self._took(Party.FAR, response):
            self._take(Came.FAR_AGREED)

    def _took(self, party: Party, response: Response | None) -> bool:
        """Whether a re-INVITE that sets the pair up was accepted."""
        if response is not None and response.status < 300:
            return True
        if response is not None and response.status == 491:
            self._take(Came.GLARE)
        else:
            status, reason = (response.status, response.reason) if response else (408, "no answer to a re-INVITE")
            disagreed = Came.NEAR_DISAGREED if party is Party.NEAR else Came.FAR_DISAGREED
            self._end(Verdict(party, status, reason), disagreed)
        return False

    async def _store(self, at: Step) -> None:
        setting = self._setting
        if setting is None or self.near is None or at is not self._step:
            return
        self._set_alarm(None)
        setting.stored = number = setting.stored + 1
        whole = at in WHOLE
        memory = {
            "near": self.near.memory(),
            "far": self.far.memory() if self.far is not None and at not in HALF else None,
            "whole": whole,
            "origin": self._version,
            "near_ack": setting.from_far.decode("latin-1") if at is Step.JOINING else "",
            "far_ack": setting.from_near.decode("latin-1") if at is Step.HANDING else "",
        }
        try:
            await self._listener.remember(self, memory)
        except Exception as error:  # what is not stored may not come about: a restart could never end it
            self._end(Verdict(Party.OURS, 500, f"not stored: {type(error).__name__}"))
            return
        if self._setting is setting and number == setting.stored:
            self._take(Came.STORED)

    def _leave_both(self) -> None:
        self._set_alarm(None)
        self._deny(487)
        setting, self._setting = self._setting, None
        for call, offer in ((self.near, "offer"), (self.far, "from_far")):
            if call is not None:
                self._leave(call, getattr(setting, offer) if setting is not None else b"")
        if self.verdict is not None and self.verdict != _ORDERED and not self._told:
            self._set_alarm(self._agent.later(self._patience.straggler_s, self._tell))

    def _leave(self, call: Call, offer: bytes) -> None:
        """End one side; an offer of its that waits for an answer is refused in the ACK."""
        if call.owes_ack:
            owed = offer and not call.local_sdp
            call.ack(sdps.refusal(offer, _OUR_SESSION, call.host) if owed else b"")
        call.hang_up()

    def _set_alarm(self, alarm: Alarm | None) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm = alarm

    # -- while it is up ---------------------------------------------------------------

    def _up(self) -> None:
        self._setting = None
        self._keep_asking()
        self._listener.joined(self)

    def _pass_on(self) -> None:
        """One side wants other media: the other side is asked the same."""
        if self._wish is None:
            return
        call, offer, _ = self._wish
        other = self._other(call)
        if other is None:
            self._deny(491)
            return
        to_near = other is self.near
        agreed, disagreed = (
            (Came.NEAR_AGREED, Came.NEAR_DISAGREED) if to_near else (Came.FAR_AGREED, Came.FAR_DISAGREED)
        )

        def replied(response: Response | None) -> None:
            if self._wish is None or self._wish[1] is not offer:
                return  # it was withdrawn; what the other side accepted is acknowledged when it is left
            self._wish = (call, offer, response)
            self._take(agreed if response is not None and response.status < 300 else disagreed)

        sdp = self._under_our_origin(offer.sdp, other) if to_near else offer.sdp
        if offer.method == "UPDATE" and "UPDATE" in other.peer_allows.upper():
            other.update(sdp, replied)
        else:
            other.reinvite(sdp, replied)

    def _grant(self) -> None:
        if self._wish is None:
            return
        call, offer, response = self._wish
        self._wish = None
        other = self._other(call)
        if other is not None and other.owes_ack and offer.sdp:
            other.ack()
        # without an offer in it the wish is answered with one, and its answer comes to `confirmed`
        sdp = response.sdp if response is not None else b""
        offer.answer(self._under_our_origin(sdp, call) if call is self.near else sdp)

    def _deny(self, status: int) -> None:
        if self._wish is None:
            return
        _, offer, response = self._wish
        self._wish = None
        status = status or (response.status if response is not None else 500)
        offer.refuse(status if status >= 400 and status not in _NOT_PASSED_ON else 500)

    def _keep_asking(self) -> None:
        """Ask both sides now and then whether they live; pairs are spread over the time."""
        patience = self._patience
        spread = 0.5 + hash(self) // 16 % 1000 / 1000 if not self._asked else 1.0
        self._asked += 1
        self._set_alarm(self._agent.later(patience.probe_s * spread, self._ask))

    def _ask(self) -> None:
        if self.state is not PairState.UP or self.near is None or self.far is None:
            return
        if not self._may_go_on(self._ask):
            return
        limit_s = self._patience.probe_limit_s
        self.near.probe(lambda response: self._replied(0, response), limit_s, question(self.near))
        self.far.probe(lambda response: self._replied(1, response), limit_s, question(self.far))
        self._keep_asking()

    def _replied(self, side: int, response: Response | None) -> None:
        if self.state is not PairState.UP:
            return
        party = Party.FAR if side else Party.NEAR
        missed = 0 if lives(response) else self._misses[side] + 1
        self._misses = (self._misses[0], missed) if side else (missed, self._misses[1])
        if denies(response):
            self._end(Verdict(party, 481, "denies the call", Ending.LOST))
        elif missed >= self._patience.misses:
            self._end(Verdict(party, 408, "silent", Ending.LOST))

    # -- after a restart --------------------------------------------------------------

    def adopt(self, memory: Mapping[str, Any], credentials: tuple[str, str] | None = None) -> bool:
        """Take up the pair of an earlier process; `ask` then tells whether it lives.

        False: it was not whole, so whatever there was of it is being ended, and `over` follows.
        The ACKs of a young pair go out once more, for the earlier process may have
        ended just before sending them. Raises ValueError for a memory that is none.
        """
        try:
            near, far = memory["near"], memory["far"]
            whole, self._version = bool(memory["whole"]), int(memory["origin"])
            near_ack, far_ack = (str(memory[key]).encode("latin-1") for key in ("near_ack", "far_ack"))
            young = (self._agent.now() - datetime.fromisoformat(near["at"])).total_seconds() < 2 * _LIMIT_S
        except (KeyError, TypeError, ValueError) as wrong:
            raise ValueError(f"this is no memory of a pair: {wrong!r}") from None
        self.near = self._agent.adopt(near, self, credentials=credentials)
        try:
            self.far = self._agent.adopt(far, self) if far is not None else None
        except ValueError:
            self.near.let_go()
            raise
        self._step = Step.UP
        if not whole or self.far is None:
            self._end(Verdict(Party.OURS, 481, "was only half made when the process before ended", Ending.LOST))
            return False
        if young:
            self.near.acknowledge_again(near_ack)
            self.far.acknowledge_again(far_ack)
        return True

    def ask(self, done: Callable[[bool | None], None]) -> None:
        """Ask both sides of an adopted pair; safe to repeat.

        `done(True)`: at least one knows the call and none denies it; `done(False)`: a side
        denies it, the other is being hung up and `over` follows; `done(None)`: nobody
        answers, and `hang_up` still works.
        """
        heard: dict[Party, Response | None] = {}

        def told(party: Party, response: Response | None) -> None:
            heard[party] = response
            if self._step is Step.DOWN:
                done(False)
            elif denies(response):
                self._end(Verdict(party, 481, "denies the call", Ending.LOST))
                done(False)
            elif len(heard) == 2:
                alive = any(lives(answer) for answer in heard.values())
                if alive and self._alarm is None:
                    self._keep_asking()
                done(True if alive else None)

        for party, call in ((Party.NEAR, self.near), (Party.FAR, self.far)):
            if call is None or call.state is CallState.ENDED:
                told(party, None)
            else:
                call.probe(partial(told, party), self._patience.adopt_s, question(call))


def question(call: Call) -> str:
    """The method by which this peer says truly whether it knows the call.

    baresip 1.0.0 answers 200 to every OPTIONS, also inside a call it does not know; an INFO
    without body gets 481 then, and 488 inside a living call (measured). Asterisk 22 tells
    with OPTIONS.
    """
    return "INFO" if call.peer_product.lower().startswith("baresip") else "OPTIONS"


def lives(response: Response | None) -> bool:
    """Whether an answer to a question inside a call shows that somebody is there."""
    return response is not None and response.status != 408


def denies(response: Response | None) -> bool:
    """Whether it shows that this call is unknown there."""
    return response is not None and response.status == 481


_DEFAULT = Patience()
_ORDERED = Verdict(Party.OURS)
"""Hung up by order: told when both sides have been heard, or have been asked long enough."""
_NOT_PASSED_ON = (401, 407, 408, 481)
"""Concern one dialog only: to the side that wishes they would say that its own call is gone."""
_NOBODY = PairListener()
_OUR_SESSION = 1
_ASK_AGAIN_S = 0.2
_LIMIT_S = 32.0
"""64*T1: so long does a peer repeat a 2xx."""

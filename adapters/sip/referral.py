"""A referral: an endpoint is asked by REFER to call a conference by itself, and what comes of it is followed.

Performs what `refer` prescribes. It lives in tables and on the agent's wheel, no task runs for
it. What the endpoint's call comes to is told once; its end is not heard here.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from adapters.sip import sdp as sdps
from adapters.sip.agent import SipAgent
from adapters.sip.call import Call, Offer
from adapters.sip.dialog import Dialog
from adapters.sip.following import Following
from adapters.sip.listener import CallListener, Ending
from adapters.sip.message import Request, Response
from adapters.sip.pair import Voice
from adapters.sip.refer import INSIDE_ONLY, Came, Do, Step, headers, step
from adapters.sip.subscription import Notice, wants_none
from adapters.sip.third_party import WANTS_OFFER, Party, Verdict
from adapters.sip.uri import BadUri, Uri
from adapters.sip.wheel import Alarm
from adapters.values import Address


@dataclass(frozen=True, slots=True)
class ReferPatience:
    """How long a referral waits for what; seconds."""

    outcome_s: float = 20.0
    """Beyond the ring time, for word of what came of it."""
    part_s: float = 3.0
    """From word that its call stands until the bridge must have seen it."""
    offer_s: float = 6 * 3600.0
    """How long it is remembered that an endpoint wants an offer in an INVITE."""


class ReferralListener:
    """Told what becomes of a referral."""

    __slots__ = ()

    def may_act(self, referral: Referral) -> bool | None:
        """Whether this process may send for it; None: ask again, False: never more."""
        return True

    def only_inside(self, referral: Referral) -> None:
        """The endpoint takes no REFER outside a call."""

    def rang(self, referral: Referral) -> None:
        """It rings: our call at the endpoint, or the endpoint's at the conference."""

    async def remember(self, referral: Referral, memory: Mapping[str, Any]) -> None:
        """Return when `memory` is stored; nothing that it tells of is done before."""

    def succeeded(self, referral: Referral) -> None:
        """The endpoint's own call was answered; of its end nothing will be heard here."""

    def over(self, referral: Referral, verdict: Verdict) -> None:
        """Nothing came of it, or nothing of ours is left; told once."""


@dataclass(frozen=True, slots=True)
class Order:
    """Who is to call whom, and as whom we speak: `outside` to ask, `inside` to call the endpoint first."""

    near: Address
    to: Address
    outside: Voice
    inside: Voice
    leg: str
    ring_s: float


_STORED_AS = {Step.PREPARING: "asked", Step.TURNING: "calling", Step.STORING: "inside", Step.IN: "in"}


class Referral(CallListener):
    """One referral; `ask` or `adopt` begins it, `hang_up` gives it up in every state.

    `start` runs a coroutine beside the caller (it must keep the task).
    """

    __slots__ = (
        "_agent",
        "_alarm",
        "_following",
        "_hold",
        "_listener",
        "_order",
        "_patience",
        "_start",
        "_step",
        "_succeeded_s",
        "_told",
        "_until",
        "call",
        "has_rung",
        "is_refused",
        "verdict",
    )

    def __init__(
        self,
        agent: SipAgent,
        listener: ReferralListener,
        start: Callable[[Coroutine[Any, Any, None]], object],
        patience: ReferPatience | None = None,
    ) -> None:
        self._agent = agent
        self._listener = listener
        self._start = start
        self._patience = patience or _DEFAULT
        self._step = Step.PREPARING
        self._order: Order
        self._following = Following(agent, self._noticed, lambda: self._take(Came.TOLD_NO_MORE))
        self._hold = b""  # what our call's ACK carries
        self._alarm: Alarm | None = None
        self._until: datetime
        self._succeeded_s = 0.0
        self._told = False
        self.call: Call | None = None
        self.has_rung = False
        self.is_refused = False
        """Whether the endpoint takes no REFER, whoever sends it and wherever."""
        self.verdict: Verdict | None = None

    @property
    def step(self) -> Step:
        return self._step

    # -- beginning and ending ---------------------------------------------------------

    def ask(self, order: Order, *, inside: bool = False) -> None:
        """Have `order.near` call `order.to`; `inside`: it is known to take that only inside a call.

        Raises BadUri.
        """
        self._begin(order, self._agent.now() + timedelta(seconds=order.ring_s + self._patience.outcome_s))
        if inside:
            self._step = Step.CALLING
            self._call()
        else:
            self._following.use(self._dialog_outside(), order.outside.credentials)
            self._start(self._store(self._step))

    def _begin(self, order: Order, until: datetime) -> None:
        self._order, self._until = order, until
        Uri.parse(str(order.near))
        left_s = max(0.0, (until - self._agent.now()).total_seconds())
        self._alarm = self._agent.later(left_s, lambda: self._take(Came.PATIENCE_OVER))

    def hang_up(self) -> None:
        """Give it up: what is ours is ended. A call that the endpoint makes is the bridge's to end."""
        if self.verdict is None:
            self.verdict = _ORDERED
        self._take(Came.ORDERED)
        if self._step is Step.LEAVING and self._agent.now() >= self._until:
            self._take(Came.PATIENCE_OVER)

    def let_go(self) -> None:
        """Do nothing more about it and tell nothing: a later process goes on with it, or has done."""
        self._step, self._told = Step.OVER, True
        self._still()
        self._following.stop()
        if self.call is not None:
            self.call.let_go()

    def adopt(self, memory: Mapping[str, Any], order: Order) -> bool:
        """Take up what an earlier process remembered; what it may have asked for is not asked for again.

        True: the endpoint's call had been answered. Raises ValueError for a memory that is none.
        """
        try:
            stage, until = str(memory["stage"]), datetime.fromisoformat(str(memory["until"]))
            if stage not in _STORED_AS.values():
                raise ValueError(stage)
            dialog = Dialog.from_memory(memory["dialog"], 0.0) if stage == "asked" else None
            hold = str(memory.get("hold", "")).encode("latin-1")
            if until.tzinfo is None:
                raise ValueError("an instant without its zone")
            if stage == "inside":
                self.call = self._agent.adopt(memory["dialog"], self, credentials=order.inside.credentials)
        except (KeyError, TypeError, ValueError) as wrong:
            raise ValueError(f"this is no memory of a referral: {wrong!r}") from None
        self._begin(order, until)
        match stage:
            case "in":
                self._step, self._succeeded_s = Step.IN, self._agent.time() - self._patience.part_s
                self._still()
            case "calling":  # the same INVITE again is the same call
                self._step = Step.CALLING
                self._call()
            case _:
                self._step = Step.FOLLOWING
                if dialog is not None:
                    self._following.use(dialog, order.outside.credentials)
                    self._following.listen()
                elif self.call is not None:
                    self._following.use(self.call.dialog, order.inside.credentials)
                    self.call.acknowledge_again(hold)
        return self._step is Step.IN

    # -- what our call tells ----------------------------------------------------------

    def ringing(self, call: Call, response: Response) -> None:
        if self._step is Step.CALLING:
            self._rings()

    def answered(self, call: Call, sdp: bytes) -> None:
        if self._step is not Step.CALLING or not sdps.has_media(sdp):
            self.verdict = self.verdict or Verdict(Party.NEAR, 488, "answered with no media")
            call.ack(sdps.refusal(sdp, 1, call.host) if sdp and not call.local_sdp else b"")
            call.hang_up()
            return
        self._hold = b"" if call.local_sdp else sdps.hold(sdp, 1, call.host)
        self._following.use(call.dialog, self._order.inside.credentials)
        self._take(Came.ANSWERED)

    def refused(self, call: Call, status: int, reason: str, response: Response | None) -> None:
        if self._step is Step.CALLING and status in WANTS_OFFER and not call.local_sdp and not self.has_rung:
            if self._may_go_on(partial(self.refused, call, status, reason, response)):
                now = self._agent.time()
                self._agent.offer_first.note(str(self._order.near), now + self._patience.offer_s)
                self._call()
            return
        if status == 487 and self.verdict is None:
            alive = response is not None or self.has_rung
            status, reason = (480, "rang out") if alive else (408, "no sign of life")
        self._call_ended(Verdict(Party.NEAR, status, reason))

    def rang_out(self, call: Call) -> None:
        if self._may_go_on(partial(self.rang_out, call)):
            call.hang_up()

    def ended(self, call: Call, ending: Ending, request: Request | None) -> None:
        words = request.get("reason") if request is not None else ""
        if self._step in (Step.FOLLOWING, Step.LEAVING, Step.ASKING_INSIDE):
            self._following.listen()  # a referral outlives the call it was asked in
        self._call_ended(Verdict(Party.NEAR, 0, words, ending))

    def _call_ended(self, verdict: Verdict) -> None:
        self.call = None
        if self._step in (Step.CALLING, Step.STORING):
            self.verdict = self.verdict or verdict
        self._take(Came.CALL_ENDED)

    def offered(self, call: Call, offer: Offer) -> None:
        offer.refuse(488)  # it has no sound to change

    # -- what NOTIFYs tell ------------------------------------------------------------

    def notified(self, call: Call, request: Request) -> int:
        return 481 if self._step in _BEFORE else self._following.take(request)

    def _noticed(self, notice: Notice) -> None:
        if notice.is_final:
            if notice.status >= 300 and self._step not in (Step.LEAVING, Step.PARTING):
                self.verdict = self.verdict or Verdict(Party.FAR, notice.status, notice.reason)
            self._succeeded_s = self._agent.time()
            self._take(Came.SUCCEEDED if notice.status < 300 else Came.FAILED)
        elif notice.over:
            self._take(Came.TOLD_NO_MORE)
        else:
            if notice.status >= 180:
                self._take(Came.RANG)
            if notice.expires_s is not None:
                left_s = (self._until - self._agent.now()).total_seconds()
                self._following.keep_up(notice.expires_s, left_s, self._may_ask)
        if notice.over and self._step in (Step.IN, Step.OVER, Step.PARTING):
            self._following.stop()

    def _may_ask(self, again: Callable[[], None]) -> bool:
        return self._step in _AFTER and self._may_go_on(again)

    # -- the table --------------------------------------------------------------------

    def _may_go_on(self, again: Callable[[], None]) -> bool:
        """Whether the next step is ours to take; as long as nobody knows, `again` comes later."""
        if self._step is Step.OVER:
            return True
        may = self._listener.may_act(self)
        if may is None:
            self._agent.later(_ASK_AGAIN_S, again)
        elif not may:
            self.let_go()
        return bool(may)

    def _take(self, came: Came) -> None:
        if not self._may_go_on(partial(self._take, came)):
            return
        self._step, actions = step(self._step, came)
        for action in actions:
            self._do(action)

    def _do(self, action: Do) -> None:
        match action:
            case Do.STORE:
                self._start(self._store(self._step))
            case Do.ASK:
                self._ask()
            case Do.CALL:
                self._call()
            case Do.ASK_INSIDE if self.call is not None:
                self.call.ack(self._hold)
                self.call.send("REFER", partial(self._answered_refer, False), headers=self._headers())
            case Do.LEAVE_CALL if self.call is not None:
                if self.call.owes_ack:
                    self.call.ack(self._hold)
                self.call.hang_up()
            case Do.UNSUBSCRIBE:
                self._following.end()
            case Do.WAIT:
                wait_s = self._succeeded_s + self._patience.part_s - self._agent.time()
                self._agent.later(max(0.0, wait_s), lambda: self._take(Came.WAITED))
            case Do.TELL_RINGING:
                self._rings()
            case Do.TELL_IN:
                self._still()
                self._start(self._store(Step.IN))
                self._listener.succeeded(self)
            case Do.TELL_OVER:
                self._tell()

    def _rings(self) -> None:
        if not self.has_rung:
            self.has_rung = True
            self._listener.rang(self)

    def _tell(self) -> None:
        self._still()
        if not self._told:
            self._told = True
            listener, self._listener = self._listener, _NOBODY
            listener.over(self, self.verdict or Verdict(Party.NEAR, 480, "nobody told what came of it"))
        self._following.stop()

    def _still(self) -> None:
        self._following.be_still()
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None

    # -- what is sent -----------------------------------------------------------------

    def _dialog_outside(self) -> Dialog:
        """The dialog that the REFER will make, before it is sent: a later process follows it."""
        order = self._order
        identity = order.outside.identity
        assert identity is not None
        shown = self._shown()
        return Dialog(
            identity.call_id, f"<sip:{order.outside.user}@{shown}>", identity.tag, f"<{order.near}>", str(order.near)
        )

    def _shown(self) -> str:
        return self._agent.routes.at(self._agent.address).shown(self._order.near.host)

    def _headers(self) -> Iterable[tuple[str, str]]:
        return headers(self._order.to, f"sip:{self._order.leg}@{self._shown()}")

    def _ask(self) -> None:
        order = self._order
        dialog = self._agent.send(
            "REFER",
            order.near,
            partial(self._answered_refer, True),
            user=order.outside.user,
            headers=self._headers(),
            credentials=order.outside.credentials,
            identity=order.outside.identity,
        )
        self._following.use(dialog, order.outside.credentials)
        self._following.listen()

    def _answered_refer(self, outside: bool, response: Response | None) -> None:
        if response is not None and 200 <= response.status < 300:
            self._following.accepted(response)
            self._take(Came.ACCEPTED_UNTOLD if wants_none(response) else Came.ACCEPTED)
            return
        if response is None and self._following.has_told:
            self._take(Came.ACCEPTED)  # its answer got lost, but its NOTIFYs come
            return
        status, reason = (response.status, response.reason) if response is not None else (408, "no answer to REFER")
        if outside:
            self._following.stop()
            if status in INSIDE_ONLY:
                self._listener.only_inside(self)
                self._take(Came.NOT_OUTSIDE)
                return
        self.is_refused = status in INSIDE_ONLY and status != 481  # 481: it has lost the call
        self.verdict = self.verdict or Verdict(Party.NEAR, status, f"{reason} (to REFER)")
        self._take(Came.REFUSED)

    def _call(self) -> None:
        """Call the endpoint without SDP or, where that was refused, with an offer into a black hole."""
        order, agent, sdp = self._order, self._agent, b""
        identity = order.inside.identity
        if agent.offer_first.has(str(order.near), agent.time()):
            sdp = sdps.black_hole(1, agent.host_for(order.near.host))
            identity = identity.again() if identity is not None else None
        try:
            self.call = agent.call(
                order.near,
                self,
                sdp=sdp,
                user=order.inside.user,
                display=order.inside.display,
                credentials=order.inside.credentials,
                ring_s=order.ring_s,
                identity=identity,
            )
        except BadUri as wrong:
            self._call_ended(Verdict(Party.NEAR, 404, str(wrong)))

    async def _store(self, at: Step) -> None:
        memory: dict[str, Any] = {"stage": _STORED_AS[at], "until": self._until.isoformat()}
        if at is Step.PREPARING and self._following.dialog is not None:
            memory["dialog"] = self._following.dialog.to_memory()
        elif at is Step.STORING and self.call is not None:
            memory["dialog"], memory["hold"] = self.call.memory(), self._hold.decode("latin-1")
        order = self._order
        memory |= {"to": str(order.to), "display": order.inside.display, "ring_s": order.ring_s}
        try:
            await self._listener.remember(self, memory)
        except Exception as error:  # what is not stored may not come about: a restart could never follow it
            if at is not Step.IN:
                self.verdict = self.verdict or Verdict(Party.OURS, 500, f"not stored: {type(error).__name__}")
                self._take(Came.ORDERED)
            return
        if at is self._step:
            self._take(Came.STORED)


_DEFAULT = ReferPatience()
_NOBODY = ReferralListener()
_ORDERED = Verdict(Party.OURS)
_ASK_AGAIN_S = 0.2
_BEFORE = frozenset({Step.PREPARING, Step.TURNING, Step.CALLING, Step.STORING, Step.WITHDRAWING})
"""Nothing was asked for yet: a NOTIFY belongs to nothing."""
_AFTER = frozenset({Step.ASKING, Step.ASKING_INSIDE, Step.FOLLOWING, Step.LEAVING})

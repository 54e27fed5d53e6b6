"""Third-party call control (RFC 3725): we arrange a call between two others; media flows between them.

    I     near <- INVITE without SDP;  200 offer;  far <- INVITE offer;  200 answer;
          far <- ACK;  near <- ACK answer
    III   near <- INVITE without SDP;  200 offer;  near <- ACK hold;  far <- INVITE without SDP;
          200 offer;  near <- re-INVITE offer;  200 answer;  near <- ACK;  far <- ACK answer

Flow I leaves the near side's 200 without an ACK while the far side rings, and the near side
gives up after 32 s (measured with baresip and Asterisk). So after `PATIENCE_S` the near side
is put on hold as in flow III and gets its media by re-INVITE when the far side answers.

SDP is relayed byte for byte; only a dialog that has seen an origin line of ours keeps it.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from adapters.sip import sdp as sdps
from adapters.sip.exchange import Identity
from adapters.sip.listener import CallListener, CallState, Ending
from adapters.sip.message import Request, Response
from adapters.values import Address

if TYPE_CHECKING:
    from adapters.sip.agent import SipAgent
    from adapters.sip.call import Call, Offer

PATIENCE_S = 20.0
"""How long the near side's 200 may wait for its ACK; it gives up after 64*T1 = 32 s."""
PROBE_S = 30.0
"""How often a pair that is up is asked whether it lives."""
PROBE_LIMIT_S = 8.0
MISSES = 2
"""A party that is silent to so many probes in a row is lost."""
STRAGGLER_S = 2.0
"""How long the end of one side waits for the other side's before it is told."""
_OUR_SESSION = 1


class PairState(StrEnum):
    """How far the arrangement is."""

    NEAR = "near"  # the near side is being called
    FAR = "far"  # the near side waits, the far side is being called
    JOINING = "joining"  # both have answered; it is remembered, then they hear of each other
    UP = "up"
    DOWN = "down"


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

    def rang(self, pair: Pair) -> None:
        """The near side alerts people."""

    async def remember(self, pair: Pair, memory: Mapping[str, Any]) -> None:
        """Return when `memory` is stored; the ACKs go out then."""

    def joined(self, pair: Pair) -> None:
        """Both sides have their ACK."""

    def over(self, pair: Pair, verdict: Verdict) -> None:
        """It is down; told once."""


class Pair(CallListener):
    """One arranged call; `arrange` or `adopt` begins it, `hang_up` ends it in every state.

    `start` runs a coroutine beside the caller (it must keep the task).
    """

    __slots__ = (
        "_agent",
        "_answer",
        "_call_far",
        "_flow_three",
        "_held",
        "_listener",
        "_misses",
        "_offer",
        "_probe",
        "_start",
        "_timer",
        "_told",
        "_version",
        "far",
        "has_rung",
        "near",
        "state",
        "verdict",
    )

    def __init__(
        self, agent: SipAgent, listener: PairListener, start: Callable[[Coroutine[Any, Any, None]], None]
    ) -> None:
        self._agent = agent
        self._listener = listener
        self._start = start
        self._call_far: Callable[[bytes], Call] | None = None
        self._flow_three = False
        self._held = False
        self._offer = self._answer = b""
        self._version = _OUR_SESSION
        self._misses = {Party.NEAR: 0, Party.FAR: 0}
        self._timer: Any = None
        self._probe: Any = None
        self._told = False
        self.near: Call | None = None
        self.far: Call | None = None
        self.state = PairState.NEAR
        self.verdict: Verdict | None = None
        self.has_rung = False

    # -- beginning --------------------------------------------------------------------

    def arrange(
        self, near: Address, far: Address, to_near: Voice, to_far: Voice, *, ring_s: float, flow_three: bool = False
    ) -> None:
        """Call `near`, and `far` for it once it has answered. Raises BadUri."""
        self._flow_three = flow_three

        def call_far(offer: bytes) -> Call:
            return self._call(far, to_far, offer, ring_s)

        self._call_far = call_far
        self.near = self._call(near, to_near, b"", ring_s)

    def _call(self, to: Address, voice: Voice, sdp: bytes, ring_s: float) -> Call:
        return self._agent.call(
            to,
            self,
            sdp=sdp,
            user=voice.user,
            display=voice.display,
            credentials=voice.credentials,
            ring_s=ring_s,
            identity=voice.identity,
        )

    def adopt(self, memory: Mapping[str, Any], done: Callable[[bool | None], None]) -> None:
        """Take up the pair of an earlier process and ask both sides.

        `done(True)`: it is up; `done(False)`: a side denies it, the other is hung up and
        `over` follows; `done(None)`: nobody answers. The ACKs go out once more, for the
        earlier process may have ended just before sending them. Raises ValueError.
        """
        answer = str(memory["answer"]).encode("latin-1")
        self.near = self._agent.adopt(memory["near"], self)
        self.far = self._agent.adopt(memory["far"], self)
        self.state = PairState.UP
        if not memory["held"]:
            self.near.acknowledge_again(answer)
            self.far.acknowledge_again(b"")
        heard: dict[Party, bool | None] = {}

        def told(party: Party, response: Response | None) -> None:
            heard[party] = None if response is None or response.status == 408 else response.status != 481
            if len(heard) < 2 or self.state is PairState.DOWN:
                return
            if False in heard.values():
                denied = Party.NEAR if heard[Party.NEAR] is False else Party.FAR
                self._down(Verdict(denied, 481, "Call/Transaction Does Not Exist", Ending.LOST))
                done(False)
            elif True in heard.values():
                self._keep_probing()
                done(True)
            else:
                self._forget()
                done(None)

        self.near.probe(lambda response: told(Party.NEAR, response), PROBE_LIMIT_S)
        self.far.probe(lambda response: told(Party.FAR, response), PROBE_LIMIT_S)

    def _forget(self) -> None:
        for call in (self.near, self.far):
            if call is not None:
                self._agent.forget(call)
        self.state = PairState.DOWN

    # -- arranging --------------------------------------------------------------------

    def _party(self, call: Call) -> Party:
        return Party.NEAR if call is self.near else Party.FAR

    def ringing(self, call: Call, response: Response) -> None:
        if call is self.near and not self.has_rung:
            self.has_rung = True
            self._listener.rang(self)

    def answered(self, call: Call, sdp: bytes) -> None:
        if self.state is PairState.DOWN:
            self._leave(call)
        elif call is self.near:
            self._near_answered(sdp)
        else:
            self._far_answered(sdp)

    def _near_answered(self, offer: bytes) -> None:
        assert self.near is not None and self._call_far is not None
        self._offer = offer
        if not sdps.medias(offer):
            self._down(Verdict(Party.NEAR, 488, "answered an INVITE without SDP with no offer"))
            return
        self.state = PairState.FAR
        if self._flow_three:
            self._hold_near()
            self.far = self._call_far(b"")
        else:
            self.far = self._call_far(offer)
            self._timer = self._agent.later(PATIENCE_S, self._hold_near)

    def _hold_near(self) -> None:
        """Acknowledge the near side with a hold answer: the far side takes its time."""
        if self.near is not None and not self._held and self.state is PairState.FAR:
            self._held = True
            self.near.ack(sdps.hold(self._offer, _OUR_SESSION, self.near.host))

    def _far_answered(self, sdp: bytes) -> None:
        self._still()
        self._answer = sdp
        self.state = PairState.JOINING
        self._start(self._join())

    async def _join(self) -> None:
        near, far = self.near, self.far
        assert near is not None and far is not None
        memory = {
            "near": near.memory(),
            "far": far.memory(),
            "held": self._held,
            "answer": self._answer.decode("latin-1"),
        }
        try:
            await self._listener.remember(self, memory)
        except Exception as error:  # what is not remembered may not come about: a restart could never end it
            self._down(Verdict(Party.OURS, 500, f"not remembered: {type(error).__name__}"))
            return
        if self.state is not PairState.JOINING:
            return
        if not self._held:
            far.ack()
            near.ack(self._answer)
            self._joined()
        elif self._flow_three:
            near.reinvite(self._ours(self._answer, near), self._near_took_offer)
        else:
            far.ack()
            near.reinvite(b"", self._near_offered_again)

    def _ours(self, sdp: bytes, call: Call) -> bytes:
        """The SDP under our own origin, one version on: this dialog has seen ours."""
        self._version += 1
        return sdps.with_origin(sdp, _OUR_SESSION, self._version, call.host)

    def _near_took_offer(self, response: Response | None) -> None:
        """Flow III: the near side's answer to the far side's offer."""
        if self.state is not PairState.JOINING or self.near is None or self.far is None:
            return
        if response is None or response.status >= 300:
            self._down(_no(Party.NEAR, response))
            return
        self.near.ack()
        self.far.ack(response.sdp)
        self._joined()

    def _near_offered_again(self, response: Response | None) -> None:
        """After a long ring: the near side's new offer, which the far side may have answered already."""
        if self.state is not PairState.JOINING or self.near is None or self.far is None:
            return
        if response is None or response.status >= 300:
            self._down(_no(Party.NEAR, response))
            return
        near, far, offer = self.near, self.far, response.sdp
        if sdps.same_media(offer, self._offer):
            near.ack(self._ours(self._answer, near))
            self._joined()
            return

        def answered(second: Response | None) -> None:
            if self.state is not PairState.JOINING:
                return
            if second is None or second.status >= 300:
                self._down(_no(Party.FAR, second))
                return
            far.ack()
            near.ack(self._ours(second.sdp, near))
            self._joined()

        far.reinvite(offer, answered)

    def _joined(self) -> None:
        self.state = PairState.UP
        self._offer = self._answer = b""
        self._keep_probing()
        self._listener.joined(self)

    # -- while it is up ---------------------------------------------------------------

    def _keep_probing(self) -> None:
        spread = hash(self) % 1000 / 1000
        self._probe = self._agent.later(PROBE_S * (0.5 + spread), self._ask_both)

    def _ask_both(self) -> None:
        if self.state is not PairState.UP or self.near is None or self.far is None:
            return
        self.near.probe(lambda response: self._probed(Party.NEAR, response), PROBE_LIMIT_S)
        self.far.probe(lambda response: self._probed(Party.FAR, response), PROBE_LIMIT_S)
        self._probe = self._agent.later(PROBE_S, self._ask_both)

    def _probed(self, party: Party, response: Response | None) -> None:
        if self.state is not PairState.UP:
            return
        if response is not None and response.status == 481:
            self._down(Verdict(party, 481, response.reason, Ending.LOST))
        elif response is not None:
            self._misses[party] = 0
        else:
            self._misses[party] += 1
            if self._misses[party] >= MISSES:
                self._down(Verdict(party, 408, "silent", Ending.LOST))

    def offered(self, call: Call, offer: Offer) -> None:
        """One side wants other media: the other side is asked, and its answer comes back."""
        other = self.far if call is self.near else self.near
        if self.state is not PairState.UP or other is None:
            offer.refuse(491)
            return

        def answered(response: Response | None) -> None:
            if response is None or response.status >= 300:
                offer.refuse(response.status if response is not None else 408)
                return
            if offer.sdp:
                other.ack()
            # else the other side has made the offer; its answer comes with the ACK (`confirmed`)
            offer.answer(response.sdp)

        if offer.method == "UPDATE":
            other.update(offer.sdp, lambda r: offer.answer(r.sdp) if r is not None and r.status < 300 else answered(r))
        else:
            other.reinvite(offer.sdp, answered)

    def confirmed(self, call: Call, sdp: bytes) -> None:
        other = self.far if call is self.near else self.near
        if sdp and other is not None and other.owes_ack:
            other.ack(sdp)

    # -- ending -----------------------------------------------------------------------

    def hang_up(self) -> None:
        """End both sides at once, whatever the state. Safe to repeat."""
        self._down(Verdict(Party.OURS))

    def refused(self, call: Call, status: int, reason: str, response: Response | None) -> None:
        if call is self.far and status == 488 and self.state is PairState.FAR and self._without_doubles():
            return
        party = self._party(call)
        if status == 487 and self.verdict is None:
            # nobody but us gives up our INVITE: its ring time is over
            status, reason = (480, "rang out") if self.has_rung or party is Party.FAR else (408, "no sign of life")
        self._down(Verdict(party, status, reason))

    def _without_doubles(self) -> bool:
        """Offer once more, each media once: Asterisk refuses one media twice on one port (measured)."""
        plain = sdps.without_doubles(self._offer)
        if self._flow_three or self._call_far is None or plain == self._offer:
            return False
        self._offer = plain
        self.far = self._call_far(plain)
        return True

    def ended(self, call: Call, ending: Ending, request: Request | None) -> None:
        words = request.get("reason") if request is not None else ""
        self._down(Verdict(self._party(call), 0, words[:200], ending))

    def _down(self, verdict: Verdict) -> None:
        if self.verdict is None:
            self.verdict = verdict
        if self.state is not PairState.DOWN:
            self.state = PairState.DOWN
            self._still()
            for call in (self.near, self.far):
                if call is not None:
                    self._leave(call)
            if verdict.party is not Party.OURS:
                self._timer = self._agent.later(STRAGGLER_S, self._tell)
        if all(call is None or call.state is CallState.ENDED for call in (self.near, self.far)):
            self._agent.soon(self._tell)

    def _leave(self, call: Call) -> None:
        """Hang up one side; an offer that waits for its answer is refused in the ACK."""
        if call.state is CallState.ANSWERED:
            refused = (call is self.near and self._offer) or (call is self.far and self._flow_three and self._answer)
            call.ack(sdps.refusal(refused, _OUR_SESSION, call.host) if refused else b"")
        call.hang_up()

    def _still(self) -> None:
        for alarm in (self._timer, self._probe):
            if alarm is not None:
                alarm.cancel()
        self._timer = self._probe = None

    def _tell(self) -> None:
        if not self._told and self.verdict is not None:
            self._told = True
            self._still()
            self._listener.over(self, self.verdict)


def _no(party: Party, response: Response | None) -> Verdict:
    if response is None:
        return Verdict(party, 408, "no answer to a re-INVITE")
    return Verdict(party, response.status, response.reason)

"""The second way to drive a SIP endpoint: REFER tells it to call the conference by itself.

Its call and its media go straight to the conference; no signaling of ours stays in the path.
So its end is not heard here, and only the bridge can end it (docs/decisions/0009).
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from adapters.capabilities import Capability
from adapters.causes import ClearCause, Side
from adapters.endpoints.sip.adapter import SipEndpoint
from adapters.endpoints.sip.grammar import meaning
from adapters.endpoints.sip.profile import PROFILE, Profile
from adapters.errors import NotSupported, Rejected
from adapters.events import LegCleared, LegConnected, LegRinging
from adapters.sip.exchange import Identity
from adapters.sip.pair import Voice
from adapters.sip.refer import Step
from adapters.sip.referral import Order, Referral, ReferralListener
from adapters.sip.third_party import Verdict
from adapters.sip.uri import BadUri
from adapters.values import Address, Control, DialOptions, LegMemory, LegSeen, LegState

if TYPE_CHECKING:
    from adapters.registry import Surroundings

_ENDING = frozenset({Step.WITHDRAWING, Step.LEAVING, Step.PARTING})


class SipReferrer(SipEndpoint):
    """One SIP endpoint that is asked to call by itself. There is no session: opening and closing send nothing."""

    capabilities = frozenset({Capability.DIAL, Capability.ADOPT, Capability.SIP, Capability.VIDEO, Capability.REFER})

    def __init__(self, control: Control, surroundings: "Surroundings", profile: Profile = PROFILE) -> None:
        super().__init__(control, surroundings, profile)
        self._asked: dict[str, _Leg] = {}
        self._inside_until_s = 0.0
        self._refused_until_s = 0.0

    async def close(self) -> None:
        """Calls stay as they are, and nothing more is told of them."""
        for leg in self._asked.values():
            leg.is_let_go = True
            leg.referral.let_go()
        self._asked.clear()

    async def snapshot(self) -> tuple[LegSeen, ...]:
        """What was asked for here, as far as anybody told: a call that stands may be over by now."""
        now = self._s.now()
        return tuple(LegSeen(name, leg.state, now) for name, leg in self._asked.items())

    async def dial(self, leg: str, to: Address, options: DialOptions) -> None:
        """Ask the endpoint to call `to`: outside a call, or inside one of ours where it takes it only there.

        One that has refused it in both places is not asked again for a time: NotSupported.

        LegConnected: it says that its call was answered. LegCleared: it came to nothing, or nobody
        told what came of it, or it was given up.
        """
        if leg in self._asked:
            return
        if self._s.sip.time() < self._refused_until_s:  # asking again would ring people for nothing
            raise NotSupported(self._name, "dial", "the endpoint takes no REFER, neither outside a call nor inside one")
        if not to.is_sip:
            raise NotSupported(self._name, "dial", f"by REFER it reaches sip: addresses only, not {to}")
        if options.digits:
            raise NotSupported(self._name, "dial", "nobody can press keys in a call that the endpoint makes by itself")
        if not options.video:
            raise NotSupported(self._name, "dial", "what an endpoint offers in its own call is its own choice")
        made = self._asked[leg] = _Leg(self, leg)
        inside = self._s.sip.time() < self._inside_until_s
        try:
            made.referral.ask(self._order(leg, to, options.display, options.ring_s), inside=inside)
        except BadUri as wrong:
            del self._asked[leg]
            raise Rejected(self._name, "dial", str(wrong)) from None

    async def hang_up(self, leg: str) -> None:
        """Give up what is ours of a leg; a leg that is not here is over.

        What the endpoint was asked for cannot be called back: LegCleared comes when that is
        settled, and a call that stands by then is the bridge's to end.
        """
        made = self._asked.get(leg)
        if made is not None:
            made.referral.hang_up()

    async def adopt(self, leg: str, memory: LegMemory) -> LegSeen:
        """Take up what an earlier process asked for: it is not asked for again, what comes of it is told.

        `connected` is what the endpoint last said; whether its call still stands only the bridge knows.
        """
        made = self._asked.get(leg)
        if made is None:
            made = _Leg(self, leg)
            try:
                to = Address.parse(str(memory["to"]))
                order = self._order(leg, to, str(memory["display"]), float(memory["ring_s"]))
                made.referral.adopt(memory, order)
            except (KeyError, TypeError, ValueError) as wrong:
                raise Rejected(self._name, "adopt", f"this is no memory of a referral: {wrong!r}") from None
            self._asked[leg] = made
        return LegSeen(leg, made.state, self._s.now())

    def _order(self, leg: str, to: Address, display: str, ring_s: float) -> Order:
        seed = self._s.seed
        outside = Voice(to.user, "", Identity.derive(leg + ".r", seed), self._credentials)
        inside = Voice(to.user, display or f"{to.user}@{to.host}", Identity.derive(leg + ".i", seed), self._credentials)
        return Order(self._near, to, outside, inside, leg, ring_s)


class _Leg(ReferralListener):
    """One leg: what its referral tells, in the words of the contract."""

    __slots__ = ("_endpoint", "_name", "is_let_go", "referral")

    def __init__(self, endpoint: SipReferrer, name: str) -> None:
        self._endpoint = endpoint
        self._name = name
        self.is_let_go = False
        self.referral = Referral(endpoint._s.sip, self, endpoint._run, endpoint._profile.refer_patience)

    @property
    def state(self) -> LegState:
        step = self.referral.step
        if step in _ENDING:
            return LegState.CLEARING
        if step is Step.IN:
            return LegState.CONNECTED
        return LegState.RINGING if self.referral.has_rung else LegState.DIALING

    def may_act(self, referral: Referral) -> bool | None:
        may = self._endpoint._s.may_act(self._name)
        if may is False:  # it is forsaken now, and unknown here
            self.is_let_go = True
            self._endpoint._asked.pop(self._name, None)
        return may

    def only_inside(self, referral: Referral) -> None:
        self._endpoint._inside_until_s = self._endpoint._s.sip.time() + self._endpoint._profile.refused_s

    def rang(self, referral: Referral) -> None:
        if not self.is_let_go:
            self._endpoint._s.sink(LegRinging(self._name, self._endpoint._s.now()))

    async def remember(self, referral: Referral, memory: Mapping[str, Any]) -> None:
        await self._endpoint._s.remember(self._name, memory)

    def succeeded(self, referral: Referral) -> None:
        if not self.is_let_go:
            self._endpoint._s.sink(LegConnected(self._name, self._endpoint._s.now()))

    def over(self, referral: Referral, verdict: Verdict) -> None:
        self._endpoint._asked.pop(self._name, None)
        if referral.is_refused:
            self._endpoint._refused_until_s = self._endpoint._s.sip.time() + self._endpoint._profile.refused_s
        if not self.is_let_go:
            ended = meaning(verdict, has_rung=referral.has_rung)
            if referral.is_refused and ended.side is not Side.OURS:
                ended = replace(ended, cause=ClearCause.NOT_ALLOWED)
            self._endpoint._s.sink(LegCleared(self._name, self._endpoint._s.now(), ended))

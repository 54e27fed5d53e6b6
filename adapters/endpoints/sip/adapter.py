"""The family `sip`: an endpoint that only speaks SIP, made to call by third-party control.

`Control.addresses[0]` is the near side: the endpoint itself, or for a link the conference.
"""

import asyncio
import logging
from collections.abc import Coroutine, Mapping
from typing import TYPE_CHECKING, Any

from adapters.capabilities import Capability
from adapters.control.refusal import Refusing
from adapters.endpoints.sip.grammar import DIGITS, DTMF_RELAY, meaning, relay
from adapters.endpoints.sip.profile import PROFILE, Profile
from adapters.errors import NotSupported, OutcomeUnknown, Rejected
from adapters.events import LegCleared, LegConnected, LegRinging
from adapters.sip.exchange import Identity
from adapters.sip.message import Response
from adapters.sip.pair import Pair, PairListener, PairState, Voice
from adapters.sip.third_party import Verdict
from adapters.sip.uri import BadUri
from adapters.values import Address, Control, DialOptions, LegMemory, LegSeen, LegState
from adapters.values import Identity as Device

if TYPE_CHECKING:
    from adapters.registry import Surroundings

_log = logging.getLogger(__name__)

_STATES = {
    PairState.NEAR: LegState.DIALING,
    PairState.FAR: LegState.DIALING,
    PairState.JOINING: LegState.DIALING,
    PairState.UP: LegState.CONNECTED,
    PairState.DOWN: LegState.CLEARING,
}


class SipEndpoint(Refusing):
    """One SIP endpoint. There is no session: opening and closing send nothing."""

    family = "sip"
    lacking = "a SIP endpoint has no control session; what it has to do is asked of its bridge"
    capabilities = frozenset({Capability.DIAL, Capability.ADOPT, Capability.SIP, Capability.DTMF, Capability.VIDEO})

    def __init__(self, control: Control, surroundings: "Surroundings", profile: Profile = PROFILE) -> None:
        if not control.addresses or not control.addresses[0].is_sip:
            raise Rejected(control.name, "open", "has no SIP address; expected like sip:room@192.0.2.10:5060")
        self._name = control.name
        self._near = control.addresses[0]
        flow = control.settings.get("flow", "I")
        if flow not in ("I", "III", "IV"):
            raise Rejected(control.name, "open", f"flow is {flow!r}; expected 'I', 'III' or 'IV'")
        self._flow = flow
        self._credentials = (control.username, control.secret) if control.username else None
        self._s = surroundings
        self._profile = profile
        self._legs: dict[str, _Leg] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def open(self) -> Device:
        """Nothing to open; what the device is shows only in its calls."""
        return Device()

    async def close(self) -> None:
        """Calls stay as they are, and nothing more is told of them."""
        for leg in self._legs.values():
            leg.is_let_go = True
            leg.pair.let_go()
        self._legs.clear()

    async def snapshot(self) -> tuple[LegSeen, ...]:
        """The calls made here, as the signaling stands."""
        now = self._s.now()
        return tuple(LegSeen(name, leg.state, now) for name, leg in self._legs.items() if not leg.is_unknown)

    async def dial(self, leg: str, to: Address, options: DialOptions) -> None:
        """Call the near side, and `to` for it once it has answered.

        Ordering the same leg again, even by a later process, repeats the same messages:
        nobody is rung twice.
        """
        if leg in self._legs:
            return
        if not to.is_sip:
            raise NotSupported(self._name, "dial", f"third-party control reaches sip: addresses only, not {to}")
        if set(options.digits) - DIGITS:
            raise Rejected(self._name, "dial", "the digits to send are not all of 0-9 * # A-D")
        made = _Leg(self, leg, options)
        self._legs[leg] = made
        seed = self._s.seed
        try:
            made.pair.arrange(
                self._near,
                to,
                Voice(to.user, f"{to.user}@{to.host}", Identity.derive(leg + ".n", seed), self._credentials),
                Voice(leg, options.display, Identity.derive(leg + ".f", seed)),
                ring_s=options.ring_s,
                flow=self._flow,
                video=options.video,
            )
        except BadUri as wrong:
            del self._legs[leg]
            raise Rejected(self._name, "dial", str(wrong)) from None

    async def hang_up(self, leg: str) -> None:
        """End a call; a leg that is not here is over."""
        made = self._legs.get(leg)
        if made is not None:
            made.pair.hang_up()

    async def adopt(self, leg: str, memory: LegMemory) -> LegSeen:
        """Take up a pair of an earlier process: both sides are asked whether it lives.

        `cleared` also means that what was left of a half-dead or half-made pair is being sent
        its BYE; LegCleared follows. After OutcomeUnknown the leg can be asked for
        again, and hung up.
        """
        made = self._legs.get(leg)
        if made is None:
            made = self._legs[leg] = _Leg(self, leg, DialOptions())
            try:
                whole = made.pair.adopt(memory, self._credentials)
            except ValueError as wrong:
                del self._legs[leg]
                raise Rejected(self._name, "adopt", str(wrong)) from None
            if not whole:
                return LegSeen(leg, LegState.CLEARED, self._s.now())
            made.is_unknown = True
        elif not made.is_unknown:
            return LegSeen(leg, made.state, self._s.now())
        told: asyncio.Future[bool | None] = asyncio.get_running_loop().create_future()

        def done(lives: bool | None) -> None:
            if not told.done():
                told.set_result(lives)

        made.pair.ask(done)
        lives = await told
        if lives is None:
            raise OutcomeUnknown(self._name, "adopt", "neither side answers")
        made.is_unknown = False
        return LegSeen(leg, LegState.CONNECTED if lives else LegState.CLEARED, self._s.now())

    async def send_digits(self, leg: str, digits: str) -> None:
        """Press keys at the far side of a leg, behind those that are still being pressed."""
        if Capability.DTMF not in self.capabilities:
            raise self._refuse("send_digits")
        made = self._legs.get(leg)
        if not digits or set(digits) - DIGITS:
            raise Rejected(self._name, "send_digits", "the digits to send are not all of 0-9 * # A-D")
        if made is None or made.pair.state is not PairState.UP:
            raise Rejected(self._name, "send_digits", f"leg {leg} is not connected")
        made.press(digits)

    def _run(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


class _Leg(PairListener):
    """One leg: what its pair tells, in the words of the contract."""

    __slots__ = ("_digits", "_digits_delay_s", "_endpoint", "_name", "is_let_go", "is_unknown", "pair")

    def __init__(self, endpoint: SipEndpoint, name: str, options: DialOptions) -> None:
        self._endpoint = endpoint
        self._name = name
        self._digits = options.digits
        self._digits_delay_s = options.digits_delay_s
        self.is_let_go = False
        self.is_unknown = False  # taken up from its memory, and nobody has answered yet
        self.pair = Pair(endpoint._s.sip, self, endpoint._run, endpoint._profile.patience)

    @property
    def state(self) -> LegState:
        state = _STATES[self.pair.state]
        return LegState.RINGING if state is LegState.DIALING and self.pair.has_rung else state

    def may_act(self, pair: Pair) -> bool | None:
        may = self._endpoint._s.may_act(self._name)
        if may is False:  # it is forsaken now, and unknown here
            self.is_let_go = True
            self._endpoint._legs.pop(self._name, None)
        return may

    def rang(self, pair: Pair) -> None:
        if not self.is_let_go:
            self._endpoint._s.sink(LegRinging(self._name, self._endpoint._s.now()))

    async def remember(self, pair: Pair, memory: Mapping[str, Any]) -> None:
        await self._endpoint._s.remember(self._name, memory)

    def joined(self, pair: Pair) -> None:
        if not self.is_let_go:
            self._endpoint._s.sink(LegConnected(self._name, self._endpoint._s.now()))
        if self._digits:
            self._endpoint._s.sip.later(self._digits_delay_s, self._press)

    def press(self, digits: str) -> None:
        is_pressing = bool(self._digits)
        self._digits += digits
        if not is_pressing:
            self._endpoint._s.sip.later(0.0, self._press)

    def _press(self) -> None:
        """Press the next key at the far side; the one after it follows when this one was taken."""
        far = self.pair.far
        if not self._digits or far is None or self.pair.state is not PairState.UP:
            return
        may = self.may_act(self.pair)
        if not may:
            if may is None:
                self._endpoint._s.sip.later(self._endpoint._profile.digit_pace_s, self._press)
            return
        digit, self._digits = self._digits[0], self._digits[1:]
        far.inform(DTMF_RELAY, relay(digit, self._endpoint._profile.digit_length_ms), self._pressed)

    def _pressed(self, response: Response | None) -> None:
        if response is not None and response.status < 300:
            self._endpoint._s.sip.later(self._endpoint._profile.digit_pace_s, self._press)
            return
        # a PIN with a hole in it is a wrong PIN: the room hangs up, and that is told
        why = f"{response.status} {response.reason}" if response is not None else "no answer"
        _log.warning("sip.digits_not_taken leg=%s: INFO got %s", self._name, why)
        self._digits = ""

    def over(self, pair: Pair, verdict: Verdict) -> None:
        self._endpoint._legs.pop(self._name, None)
        if not self.is_let_go:
            ended = meaning(verdict, has_rung=pair.has_rung)
            self._endpoint._s.sink(LegCleared(self._name, self._endpoint._s.now(), ended))

"""The family `sip`: an endpoint that only speaks SIP, made to call by third-party control.

`Control.addresses[0]` is the near side: the endpoint itself, or for a link the conference.
"""

import asyncio
from collections.abc import Coroutine, Mapping
from typing import TYPE_CHECKING, Any

from adapters.capabilities import Capability
from adapters.endpoints.sip.grammar import DIGITS, DTMF_RELAY, meaning, relay
from adapters.endpoints.sip.profile import PROFILE
from adapters.errors import NotSupported, OutcomeUnknown, Rejected
from adapters.events import LegCleared, LegConnected, LegRinging
from adapters.sip.exchange import Identity
from adapters.sip.third_party import Pair, PairListener, PairState, Verdict, Voice
from adapters.sip.uri import BadUri
from adapters.values import Address, Control, DialOptions, LegMemory, LegSeen, LegState
from adapters.values import Identity as Device

if TYPE_CHECKING:
    from adapters.registry import Surroundings

_STATES = {
    PairState.NEAR: LegState.DIALING,
    PairState.FAR: LegState.DIALING,
    PairState.JOINING: LegState.DIALING,
    PairState.UP: LegState.CONNECTED,
    PairState.DOWN: LegState.CLEARING,
}


class SipEndpoint:
    """One SIP endpoint. There is no session: opening and closing send nothing."""

    family = "sip"
    capabilities = frozenset({Capability.DIAL, Capability.ADOPT, Capability.SIP, Capability.DTMF, Capability.VIDEO})

    def __init__(self, control: Control, surroundings: "Surroundings") -> None:
        if not control.addresses or not control.addresses[0].is_sip:
            raise Rejected(control.name, "open", "has no SIP address; expected like sip:room@192.0.2.10:5060")
        self._name = control.name
        self._near = control.addresses[0]
        self._flow_three = control.settings.get("flow") == "III"
        self._s = surroundings
        self._legs: dict[str, _Leg] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def open(self) -> Device:
        """Nothing to open; what the device is shows only in its calls."""
        return Device()

    async def close(self) -> None:
        """Calls stay as they are, and nothing more is told of them."""
        for leg in self._legs.values():
            leg.is_let_go = True
        self._legs.clear()

    async def snapshot(self) -> tuple[LegSeen, ...]:
        """The calls made here, as the signaling stands."""
        now = self._s.now()
        return tuple(LegSeen(name, leg.state, now) for name, leg in self._legs.items())

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
                Voice(to.user, f"{to.user}@{to.host}", Identity.derive(leg + ".n", seed)),
                Voice(leg, options.display, Identity.derive(leg + ".f", seed)),
                ring_s=options.ring_s,
                flow_three=self._flow_three,
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
        """Take up a pair of an earlier process: both sides are asked whether it lives."""
        if leg in self._legs:
            return LegSeen(leg, self._legs[leg].state, self._s.now())
        told: asyncio.Future[bool | None] = asyncio.get_running_loop().create_future()
        made = _Leg(self, leg, DialOptions())
        made.was_connected = True

        def done(lives: bool | None) -> None:
            if not told.done():
                told.set_result(lives)

        try:
            made.pair.adopt(memory, done)
        except (ValueError, KeyError, TypeError) as wrong:
            raise Rejected(self._name, "adopt", f"its memory cannot be read: {wrong}") from None
        self._legs[leg] = made
        lives = await told
        if lives is None:
            self._legs.pop(leg, None)
            raise OutcomeUnknown(self._name, "adopt", "neither side answers")
        return LegSeen(leg, LegState.CONNECTED if lives else LegState.CLEARED, self._s.now())

    async def mute(self, on: bool) -> None:
        raise NotSupported(self._name, "mute", "a SIP endpoint has no control session; mute it on the bridge")

    def _run(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


class _Leg(PairListener):
    """One leg: what its pair tells, in the words of the contract."""

    __slots__ = ("_endpoint", "_name", "_options", "is_let_go", "pair", "was_connected")

    def __init__(self, endpoint: SipEndpoint, name: str, options: DialOptions) -> None:
        self._endpoint = endpoint
        self._name = name
        self._options = options
        self.is_let_go = False
        self.was_connected = False
        self.pair = Pair(endpoint._s.sip, self, endpoint._run)

    @property
    def state(self) -> LegState:
        if self.pair.state is PairState.NEAR and self.pair.has_rung:
            return LegState.RINGING
        return _STATES[self.pair.state]

    def rang(self, pair: Pair) -> None:
        if not self.is_let_go:
            self._endpoint._s.sink(LegRinging(self._name, self._endpoint._s.now()))

    async def remember(self, pair: Pair, memory: Mapping[str, Any]) -> None:
        await self._endpoint._s.remember(self._name, memory)

    def joined(self, pair: Pair) -> None:
        self.was_connected = True
        if not self.is_let_go:
            self._endpoint._s.sink(LegConnected(self._name, self._endpoint._s.now()))
        if self._options.digits:
            self._endpoint._s.sip.later(self._options.digits_delay_s, lambda: self._press(self._options.digits))

    def _press(self, digits: str) -> None:
        """Press the keys one by one at the far side, each after the one before was taken."""
        far = self.pair.far
        if not digits or far is None or self.pair.state is not PairState.UP:
            return

        def next_digit(_: object) -> None:
            self._endpoint._s.sip.later(PROFILE.digit_pace_s, lambda: self._press(digits[1:]))

        far.inform(DTMF_RELAY, relay(digits[0], PROFILE.digit_length_ms), next_digit)

    def over(self, pair: Pair, verdict: Verdict) -> None:
        self._endpoint._legs.pop(self._name, None)
        if not self.is_let_go:
            ended = meaning(verdict, has_rung=pair.has_rung)
            self._endpoint._s.sink(LegCleared(self._name, self._endpoint._s.now(), ended))

"""An endpoint with a control session: the verbs of the contract over a family's grammar.

A family gives its grammar, its profile and its way to connect; everything else is here: what
is refused in silence, which calls are ours, events in order and once, polling where the device does not
tell, ring time, digits after the answer, and what an outage leaves unknown.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from adapters.capabilities import Capability
from adapters.causes import ClearCause, Cleared, Side
from adapters.control.grammar import Grammar
from adapters.control.leg import Happened, Leg, Legs, Step
from adapters.control.link import Connect, Link
from adapters.control.order import CallSeen, LookAgain, Order, Report, RoomSeen
from adapters.control.pace import Pace
from adapters.control.refusal import Refusing
from adapters.control.session import Session
from adapters.errors import AdapterError, Busy, LoginRefused, NotSupported, OutcomeUnknown, Rejected, SessionLost
from adapters.events import Event, LegCleared, LegConnected, LegRinging, SessionGone, SessionReady
from adapters.values import (
    Address,
    AutoAnswer,
    CallStatus,
    Control,
    DialOptions,
    EndpointStatus,
    Identity,
    LegMemory,
    LegSeen,
    LegState,
)

if TYPE_CHECKING:
    from adapters.registry import Surroundings

_log = logging.getLogger(__name__)
_DIGITS = frozenset("0123456789*#ABCD")
_LOCAL = Cleared(ClearCause.LOCAL, Side.OURS)
T = TypeVar("T")


class ControlledEndpoint(Refusing):
    """One endpoint that is told what to do over its control session.

    A family sets `family`, `capabilities`, `grammar` (a class or function that makes one) and calls
    `__init__` with its pace and its way to connect.
    """

    family: ClassVar[str]
    capabilities: frozenset[Capability]
    """Of the whole family; a dialect that lacks some has fewer, set before `__init__`."""
    has_call_ids: ClassVar[bool] = True
    """False for a device that names no calls: it has one at most, and a second dial is Busy."""
    tells_changes: bool = True
    """False for a device that is polled: what happens is seen within `lag_s`."""

    def __init__(
        self,
        control: Control,
        surroundings: "Surroundings",
        pace: Pace,
        connect: Connect,
        grammar: Callable[[], Grammar],
    ) -> None:
        self._name = control.name
        self._s = surroundings
        self._tape = surroundings.tape(control.name, self.family, control.secret) if surroundings.tape else None
        self._pace = pace
        self._connect_link = connect
        self._make_grammar = grammar
        self._grammar = grammar()
        self._legs = Legs(self.has_call_ids)
        self._identity = Identity()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._options: dict[str, DialOptions] = {}
        self._poll: asyncio.TimerHandle | None = None
        self._looking: asyncio.Task[None] | None = None
        self._look_again = False
        self._session = Session(
            control.name,
            pace,
            self._connect,
            on_up=self._catch_up,
            on_gone=self._gone,
            on_ready=lambda: self._sink(SessionReady(control.name, surroundings.now())),
        )

    @property
    def lag_s(self) -> float:
        """How late an event may come after the fact."""
        return self._pace.reply_s + (0.0 if self.tells_changes else self._pace.busy_poll_s)

    # ---- the session

    async def open(self) -> Identity:
        """Log in, switch notifications on, and say what the device is. Safe to repeat."""
        self._record("open")
        await self._session.open()
        return self._identity

    async def close(self) -> None:
        """Calls stay as they are, and nothing more is told of them."""
        self._legs.forget_all()
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        self._options.clear()
        self._stop_polling()
        await self._session.close()  # who waits for a reply hears that there is none
        tasks = {task for task in self._tasks if task is not asyncio.current_task()}
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def _connect(self) -> Link:
        self._grammar = self._make_grammar()
        return await self._connect_link()

    async def _catch_up(self, link: Link) -> None:
        for order in self._grammar.prepare():
            with suppress(Rejected, NotSupported, Busy):
                await link.ask(order, "open")
        identity = Identity()
        for question in self._grammar.identity():
            with suppress(Rejected, NotSupported):
                said = await link.ask(question, "open")
                identity = Identity(*(getattr(said, f) or getattr(identity, f) for f in _IDENTITY))
        self._identity = identity
        await self._list(link)
        self._plan_poll()

    def _gone(self, reason: str) -> None:
        self._stop_polling()
        self._sink(SessionGone(self._name, self._s.now(), reason))

    # ---- what is seen

    async def snapshot(self) -> tuple[LegSeen, ...]:
        """Our calls as the device lists them now."""
        self._record("snapshot")
        if not self._legs:
            return ()
        await self._list(self._session)
        now = self._s.now()
        return tuple(LegSeen(leg.name, leg.state, now) for leg in self._legs if leg.call is not None or leg.is_sent)

    async def status(self) -> EndpointStatus:
        self._needs(Capability.STATUS, "status")
        calls = await self._list(self._session, "status")
        room = RoomSeen()
        for question in self._grammar.room():
            with suppress(Rejected, NotSupported):
                said = await self._session.ask(question, "status")
                room = replace(room, **{f: v for f in _ROOM if (v := getattr(said, f)) is not None})
        ours = {leg.call: leg.name for leg in self._legs if leg.call is not None}
        shown = tuple(
            CallStatus(ours.get(call.id, ""), call.state, call.far, call.outgoing)
            for call in calls
            if call.state not in (None, LegState.CLEARED)
        )
        return EndpointStatus(
            self._s.now(), shown, room.microphone_muted, room.volume, room.auto_answer, room.asleep, room.sharing
        )

    async def _list(self, link: "Link | Session", verb: str = "snapshot") -> Sequence[CallSeen]:
        loop = asyncio.get_running_loop()
        asked_at = loop.time()
        calls = await link.ask(self._grammar.calls(), verb)
        self._tell(self._legs.listed(calls, asked_at, loop.time(), self._pace.unseen_s))
        return calls

    def heard(self, line: str) -> bool:
        """A line that nobody asked for; False when it was not understood. Called by the link."""
        reports = self._grammar.heard(line)
        for report in reports or ():
            self._report(report)
        return reports is not None

    def _report(self, report: Report) -> None:
        if isinstance(report, LookAgain):
            self._look()
            return
        self._tell(self._legs.heard(report))

    def _tell(self, happened: Sequence[Happened]) -> None:
        for leg, step in happened:
            if step is Step.NAMED:
                self._named(leg)
            elif step is Step.RANG:
                self._sink(LegRinging(leg.name, self._s.now()))
            elif step is Step.CONNECTED:
                self._connected(leg)
            else:
                self._still(leg.name)
                assert leg.cleared is not None
                self._sink(LegCleared(leg.name, self._s.now(), leg.cleared))
        if happened:
            self._plan_poll()

    def _named(self, leg: Leg) -> None:
        if Capability.ADOPT in self.capabilities:
            self._spawn(self._s.remember(leg.name, self._memory(leg)))
        if leg.ending is not None:  # it was to be hung up before the device had named it
            self._spawn(self._hang_up_late(leg))

    def _connected(self, leg: Leg) -> None:
        self._still(leg.name, keep_options=True)
        self._sink(LegConnected(leg.name, self._s.now()))
        if leg.ending is not None:  # answered at the very moment, or the device had not seen it yet
            self._spawn(self._hang_up_late(leg))
        options = self._options.pop(leg.name, None)
        if options is not None and options.digits:
            self._after(leg.name, options.digits_delay_s, lambda: self._spawn(self._press(leg, options.digits)))

    # ---- polling

    def _plan_poll(self) -> None:
        self._stop_polling()
        pace = self._pace
        if self._legs.is_ending or (not self.tells_changes and len(self._legs)):
            wait_s = pace.busy_poll_s
        elif self._legs.is_setting_up:  # it tells; and some want no questions meanwhile (Polycom)
            wait_s = pace.unseen_s
        else:
            wait_s = pace.idle_poll_s
        self._poll = asyncio.get_running_loop().call_later(wait_s, self._look)

    def _stop_polling(self) -> None:
        if self._poll is not None:
            self._poll.cancel()
            self._poll = None

    def _look(self) -> None:
        if self._looking is not None and not self._looking.done():
            self._look_again = True
            return
        self._looking = self._spawn(self._look_once())

    async def _look_once(self) -> None:
        while True:
            self._look_again = False
            try:
                await self._list(self._session, "poll")
            except AdapterError as error:
                _log.debug("control.no_answer_to_poll device=%s: %s", self._name, error.why)
                if not self._session.is_up:
                    return  # polling begins again after the next log-in
            if not self._look_again:
                self._plan_poll()
                return

    # ---- calls

    async def dial(self, leg: str, to: Address, options: DialOptions) -> None:
        """Make the endpoint call. The ring time is kept here: most devices know none."""
        self._needs(
            Capability.DIAL,
            "dial",
            leg=leg,
            to=str(to),
            max_kbps=options.max_kbps,
        )
        scheme = Capability.SIP if to.is_sip else Capability.H323
        if scheme not in self.capabilities:
            raise NotSupported(self._name, "dial", f"family {self.family} places no {to.scheme}: calls, so not {to}")
        if options.digits:
            if Capability.DTMF not in self.capabilities:
                raise self._refuse("dial")
            self._check_digits(options.digits, "dial")
        if self._legs.get(leg) is not None:
            return
        try:
            order = self._grammar.dial(to, options)
        except ValueError as wrong:
            raise Rejected(self._name, "dial", str(wrong)) from None
        if not self.has_call_ids and (len(self._legs) or self._legs.foreign):
            raise Busy(self._name, "dial", "it is in a call, and has no second one")
        made = self._legs.order(leg, to, asyncio.get_running_loop().time())
        self._options[leg] = options
        await self._carry(made, self._place(made, order, options.ring_s))

    async def _carry(self, leg: Leg, work: Coroutine[Any, Any, None]) -> None:
        """Do what makes a leg; cancelled before it is sent, there is none, and afterwards it goes on."""
        task = self._spawn(work)
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            if not leg.is_sent:
                self._drop(leg)
                task.cancel()
            elif not task.done():
                task.add_done_callback(_heed)
            raise

    async def _place(self, leg: Leg, order: Order[str], ring_s: float) -> None:
        if Capability.ADOPT in self.capabilities:
            await self._s.remember(leg.name, self._memory(leg))
        try:
            call = await self._session.ask(order, "dial", lambda: self._sent(leg, ring_s))
        except OutcomeUnknown:
            leg.is_doubtful = True
            raise
        except AdapterError:
            self._drop(leg)
            raise
        self._tell(self._legs.name(leg, call))
        if leg.ending is not None and leg.call == "":  # hung up before it was sent, and named by nobody
            self._spawn(self._hang_up_late(leg))
        self._plan_poll()

    def _sent(self, leg: Leg, ring_s: float) -> None:
        leg.is_sent = True
        if not self.has_call_ids:
            leg.call = ""
        leg.ordered_at = asyncio.get_running_loop().time()
        self._after(leg.name, ring_s, lambda: self._rang_out(leg, ring_s))

    def _drop(self, leg: Leg) -> None:
        self._legs.forget(leg)
        self._still(leg.name)

    def _rang_out(self, leg: Leg, ring_s: float) -> None:
        may = self._s.may_act(leg.name)
        if may is None:
            self._after(leg.name, 1.0, lambda: self._rang_out(leg, ring_s))
        elif may and leg.state in (LegState.DIALING, LegState.RINGING) and leg.ending is None:
            leg.ending = Cleared(ClearCause.NO_ANSWER, Side.FAR_END, f"not answered within {ring_s:g} s")
            self._spawn(self._hang_up_late(leg))

    async def hang_up(self, leg: str) -> None:
        """End one call of ours; one that the device has not named yet is ended as soon as it does."""
        self._record("hang_up", leg=leg)
        made = self._legs.get(leg)
        if made is None or made.cleared is not None:
            return
        if not made.is_sent:
            made.ending = _LOCAL  # it is being sent at this moment, or waits for its turn
            return
        is_repeated = made.ending is not None
        made.ending = made.ending or _LOCAL
        self._still(leg)
        if made.call is None:
            await self._list(self._session, "hang_up")
            if made.call is None:
                if made.is_doubtful and made.cleared is None:
                    self._tell(self._legs.give_up(made, _LOCAL))
                return  # `_named` ends it
        if made.cleared is None and (not is_repeated or made.state is not LegState.CLEARING):
            await self._end(made)

    async def _end(self, leg: Leg) -> None:
        assert leg.call is not None
        try:
            if await self._session.ask(self._grammar.hang_up(leg.call), "hang_up") is True:
                leg.is_shown = True  # the next list without it is its end
        except Rejected:
            # It ended by itself a moment ago, most likely: the list says whether.
            await self._list(self._session, "hang_up")
            if leg.cleared is None:
                raise
        self._plan_poll()
        if not self.tells_changes:
            self._look()

    async def _hang_up_late(self, leg: Leg) -> None:
        try:
            if leg.call is None:
                await self._list(self._session, "hang_up")
            if leg.call is not None and leg.cleared is None:
                await self._end(leg)
        except AdapterError as error:
            _log.warning("control.not_hung_up device=%s leg=%s: %s", self._name, leg.name, error.why)
            if leg.cleared is None and not isinstance(error, LoginRefused):
                self._after(leg.name, self._pace.busy_poll_s, lambda: self._spawn(self._hang_up_late(leg)))

    async def answer(self, leg: str) -> None:
        self._needs(Capability.ANSWER, "answer", leg=leg)
        if self._legs.get(leg) is not None:
            return
        await self._list(self._session, "answer")
        ringing = [call for call in self._legs.foreign if call.outgoing is not True and call.state is LegState.RINGING]
        if not ringing:
            raise Rejected(self._name, "answer", "no call is ringing here")
        made = self._legs.order(leg, None, asyncio.get_running_loop().time())
        await self._carry(made, self._take_call(made, ringing[0]))

    async def _take_call(self, leg: Leg, call: CallSeen) -> None:
        def sent() -> None:
            leg.is_sent = True

        self._legs.claim(leg, call)  # its events are the leg's from here on
        try:
            await self._session.ask(self._grammar.answer(call.id), "answer", sent)
        except OutcomeUnknown:
            leg.is_doubtful = True
            raise
        except AdapterError:
            self._drop(leg)
            raise
        self._tell([(leg, Step.NAMED)])
        await self._list(self._session, "answer")

    async def adopt(self, leg: str, memory: LegMemory) -> LegSeen:
        """Find the call of an earlier process in the device's list."""
        self._needs(Capability.ADOPT, "adopt", leg=leg, memory=dict(memory))
        made = self._legs.get(leg)
        if made is None:
            made = self._remembered(leg, memory)
        try:
            await self._list(self._session, "adopt")
        except (SessionLost, OutcomeUnknown) as error:
            self._legs.forget(made)
            raise OutcomeUnknown(self._name, "adopt", error.why, error.trace) from None
        if made.cleared is None and (made.call is None or not made.is_shown):
            self._legs.forget(made)  # nothing shows it: it is over
            return LegSeen(leg, LegState.CLEARED, self._s.now())
        return LegSeen(leg, made.state, self._s.now())

    def _memory(self, leg: Leg) -> Mapping[str, Any]:
        call = leg.call if self.has_call_ids else ""  # of one call at most the name is known beforehand
        return {"to": str(leg.to) if leg.to else "", "call": call, "before": sorted(leg.before)}

    def _remembered(self, name: str, memory: LegMemory) -> Leg:
        call, before = memory.get("call"), memory.get("before", [])
        try:
            to = Address.parse(memory["to"]) if memory["to"] else None
            if not (call is None or isinstance(call, str)) or not all(isinstance(one, str) for one in before):
                raise ValueError("'call' and 'before' are texts")
        except (KeyError, ValueError, TypeError, AttributeError) as wrong:
            raise Rejected(self._name, "adopt", f"this is no memory of a leg: {wrong}") from None
        leg = self._legs.order(name, to, asyncio.get_running_loop().time())
        leg.call, leg.before, leg.is_sent = call, frozenset(before), True
        return leg

    # ---- the other verbs

    async def mute(self, on: bool) -> None:
        self._needs(Capability.MUTE, "mute", on=on)
        await self._session.ask(self._grammar.mute(on), "mute")

    async def set_volume(self, percent: int) -> None:
        self._needs(Capability.VOLUME, "set_volume", percent=percent)
        if not 0 <= percent <= 100:
            raise Rejected(self._name, "set_volume", f"a volume of {percent} %; expected 0 to 100")
        await self._session.ask(self._grammar.volume(percent), "set_volume")

    async def send_digits(self, leg: str, digits: str) -> None:
        self._needs(Capability.DTMF, "send_digits", leg=leg, digits="*" * len(digits))
        self._check_digits(digits, "send_digits")
        made = self._legs.get(leg)
        if made is None or made.call is None or made.state is not LegState.CONNECTED:
            raise Rejected(self._name, "send_digits", f"leg {leg} is not connected")
        await self._type(made, digits, "send_digits")

    async def _type(self, leg: Leg, digits: str, verb: str) -> None:
        assert leg.call is not None
        try:
            orders = self._grammar.digits(leg.call, digits)
        except ValueError as wrong:  # a digit that this device has not
            raise Rejected(self._name, verb, str(wrong)) from None
        for count, order in enumerate(orders):
            if count and self._pace.digit_gap_s:
                await asyncio.sleep(self._pace.digit_gap_s)
            await self._session.ask(order, verb)

    async def _press(self, leg: Leg, digits: str) -> None:
        may = self._s.may_act(leg.name)
        if may is None:
            self._after(leg.name, 1.0, lambda: self._spawn(self._press(leg, digits)))
        elif may and leg.state is LegState.CONNECTED:
            try:
                await self._type(leg, digits, "dial")
            except AdapterError as error:
                # a PIN with a hole in it is a wrong PIN: the room hangs up, and that is told
                _log.warning("control.digits_not_taken device=%s leg=%s: %s", self._name, leg.name, error.why)

    async def recall_preset(self, number: int) -> None:
        self._needs(Capability.PRESET, "recall_preset", number=number)
        await self._wish("recall_preset", lambda: self._grammar.preset(number))

    async def share_content(self, on: bool) -> None:
        self._needs(Capability.CONTENT, "share_content", on=on)
        await self._session.ask(self._grammar.content(on), "share_content")

    async def wake(self) -> None:
        self._needs(Capability.WAKE, "wake")
        await self._session.ask(self._grammar.wake(), "wake")

    async def show_text(self, text: str, for_s: float) -> None:
        self._needs(Capability.TEXT, "show_text", text=text, for_s=for_s)
        await self._wish("show_text", lambda: self._grammar.text(text, for_s))

    async def auto_answer(self) -> AutoAnswer:
        self._needs(Capability.AUTO_ANSWER, "auto_answer")
        asked = self._grammar.auto_answer()
        if isinstance(asked, Order):
            return await self._session.ask(asked, "auto_answer")
        told = [await self._session.ask(order, "auto_answer") for order in asked]
        return next(one for one in reversed(told) if one is not None)

    async def set_auto_answer(self, wanted: AutoAnswer) -> None:
        self._needs(Capability.AUTO_ANSWER, "set_auto_answer", mode=wanted.mode, muted=wanted.muted)
        try:
            orders = self._grammar.set_auto_answer(wanted)
        except ValueError as wrong:
            raise NotSupported(self._name, "set_auto_answer", str(wrong)) from None
        for order in orders:
            await self._session.ask(order, "set_auto_answer")

    async def _wish(self, verb: str, order: Callable[[], Order[object]]) -> None:
        try:
            made = order()
        except ValueError as wrong:
            raise Rejected(self._name, verb, str(wrong)) from None
        await self._session.ask(made, verb)

    # ---- small things

    def _sink(self, event: Event) -> None:
        if self._tape is not None:
            self._tape.event(told(event))
        self._s.sink(event)

    def _needs(self, ability: Capability, verb: str, **arguments: object) -> None:
        """Refuse an undeclared verb in silence; put a declared one on the tape."""
        if ability not in self.capabilities:
            raise self._refuse(verb)
        self._record(verb, **arguments)

    def _record(self, verb: str, **arguments: object) -> None:
        if self._tape is not None:
            self._tape.verb(verb, arguments)

    def _check_digits(self, digits: str, verb: str) -> None:
        if not digits or len(digits) > 64 or set(digits) - _DIGITS:
            raise Rejected(self._name, verb, "the digits to send are not 1 to 64 of 0-9 * # A-D")

    def _after(self, leg: str, wait_s: float, act: Callable[[], object]) -> None:
        """One timer per leg: what is due next."""
        if (timer := self._timers.pop(leg, None)) is not None:
            timer.cancel()
        self._timers[leg] = asyncio.get_running_loop().call_later(wait_s, act)

    def _still(self, leg: str, *, keep_options: bool = False) -> None:
        if (timer := self._timers.pop(leg, None)) is not None:
            timer.cancel()
        if not keep_options:
            self._options.pop(leg, None)

    def _spawn(self, work: Any) -> "asyncio.Task[Any]":
        task: asyncio.Task[Any] = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


def told(event: Event) -> str:
    """An event as it stands in a transcript."""
    words = type(event).__name__
    if isinstance(event, LegCleared):
        return f"{words} {event.leg} {event.cleared.cause} {event.cleared.side}"
    return f"{words} {event.leg}" if isinstance(event, LegRinging | LegConnected) else words


def _heed(task: "asyncio.Task[Any]") -> None:
    """Take note of how an order ended that nobody waits for any more."""
    if not task.cancelled() and (error := task.exception()) is not None:
        _log.info("control.order_ended_unheard: %s", error)


_IDENTITY = ("make", "model", "firmware", "serial")
_ROOM = ("microphone_muted", "volume", "auto_answer", "asleep", "sharing")

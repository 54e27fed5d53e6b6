"""A logged-in HTTP session with one device, as `adapters.control.link.Link` promises it.

A family derives from `HttpLink` and says how one logs in (`enter`), how an action is written (`request`), what an
answer means (`meaning`) and whether our session still counts (`is_known`). A reply that is missed ends the session:
the next one logs in anew and looks what came of the order.
"""

import asyncio
from collections.abc import Callable
from typing import Any, ClassVar, TypeVar, cast

from adapters.control.order import Order
from adapters.control.pace import Pace
from adapters.control.turn import Turn
from adapters.errors import (
    AdapterError,
    Busy,
    Garbled,
    NotSupported,
    OutcomeUnknown,
    Rejected,
    SessionLost,
    Unreachable,
)
from adapters.http.order import Action, Answer, NotNow, Refused, Request, SessionOver, Talk, Unknown
from adapters.http.veil import Veil
from adapters.http.wire import HttpWire, NoReply, NotSent, Target
from adapters.trace import Trace
from adapters.transcript import Tape

T = TypeVar("T")

MOST_STEPS = 20
"""A talk that is longer is a mistake of ours."""
_SHOWN = 400
"""Characters of a body that stand in a trace."""


class HttpLink:
    """One session, from the log-in to its end. Made by `open`."""

    tape_headers: ClassVar[frozenset[str]] = frozenset({"set-cookie"})
    """Those of an answer that are recorded; the others say nothing of the device."""

    def __init__(self, wire: HttpWire, target: Target, pace: Pace, trace: Trace, tape: Tape | None, veil: Veil) -> None:
        self.ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.target = target
        self.wire = wire
        self.veil = veil
        self._pace = pace
        self._trace = trace
        self._tape = tape
        self._turn = Turn(pace.gap_s)
        self._free_at = 0.0
        self._work: asyncio.Task[Any] | None = None

    # ---- what a family says

    async def enter(self) -> None:
        """Log in, by `exchange`. Raises LoginRefused, and what `exchange` and `meaning` raise."""
        raise NotImplementedError

    def request(self, action: Action[Any]) -> Request:
        """How an action is asked for."""
        raise NotImplementedError

    def meaning(self, action: Action[Any], answer: Answer) -> Any:
        """What an answer means. Raises Refused, Unknown, NotNow, SessionOver, ValueError."""
        raise NotImplementedError

    async def is_known(self, refused: Action[Any]) -> bool:
        """Whether the device still knows our session, after it refused an action. May use `exchange`."""
        raise NotImplementedError

    # ---- the log-in

    @classmethod
    async def open(cls, target: Target, pace: Pace, trace: Trace, tape: Tape | None, veil: Veil) -> "HttpLink":
        """Log in. Raises Unreachable, LoginRefused; each request within the profile's `reply_s`."""
        link = cls(await HttpWire.to(target), target, pace, trace, tape, veil)
        try:
            await link.enter()
            return link
        except (NotSent, NoReply) as error:
            why: AdapterError = link._unreachable(str(error))
        except TimeoutError:
            why = link._unreachable(f"no reply within {pace.reply_s:g} s")
        except (Refused, Unknown, NotNow, SessionOver, ValueError, LookupError) as error:
            why = link._unreachable(f"the log-in is answered by what is no log-in: {str(error) or 'nothing'}")
        except AdapterError as error:
            error.trace = error.trace or trace.tail()
            why = error
        except BaseException:
            await link.close()
            raise
        await link.close()
        raise why from None

    def _unreachable(self, why: str) -> Unreachable:
        why = f"{self.target.place}: {self.veil.over(why)}"
        return Unreachable(self.target.device, "open", why, self._trace.tail())

    # ---- orders

    async def ask(self, order: Order[T], verb: str, sent: Callable[[], None] | None = None) -> T:
        """See `adapters.control.link.Link.ask`."""
        await self._turn.take()
        if self.ended.done():
            self._turn.give()
            raise SessionLost(self.target.device, verb, self.ended.result(), self._trace.tail())
        if sent is not None:
            sent()
        # Cancelled from here on, it is carried to its end all the same: half an order is the worst of both.
        work = self._work = asyncio.get_running_loop().create_task(self._carry(order, verb))
        work.add_done_callback(self._carried)
        try:
            return cast(T, await asyncio.shield(work))
        except asyncio.CancelledError:
            if work.cancelled():  # closed before it had begun
                raise self._lost(verb, "closed by us", changes=False) from None
            raise

    def _carried(self, work: "asyncio.Task[Any]") -> None:
        self._turn.give()
        if not work.cancelled():
            work.exception()  # perhaps nobody waits for it any more

    async def _carry(self, order: Order[Any], verb: str) -> Any:
        try:
            if isinstance(order, Talk):
                return await self._talk(order, verb)
            return await self._step(cast(Action[Any], order), verb, order.changes)
        except asyncio.CancelledError:  # by `close`, in the middle of it
            raise self._lost(verb, "closed by us", order.changes) from None

    async def _talk(self, talk: Talk[Any], verb: str) -> Any:
        steps = talk.steps()
        has_changed = False
        said: Any = None
        error: Rejected | None = None
        for _ in range(MOST_STEPS):
            try:
                action = steps.send(said) if error is None else steps.throw(error)
            except StopIteration as end:
                return end.value
            has_changed = has_changed or action.changes
            said = error = None
            try:
                said = await self._step(action, verb, has_changed)
            except Rejected as no:
                error = no
        raise AssertionError(f"a talk of more than {MOST_STEPS} steps")

    async def _step(self, action: Action[Any], verb: str, changes: bool) -> Any:
        device = self.target.device
        try:
            try:
                return action.read(self.meaning(action, await self.exchange(self.request(action), action.deadline_s)))
            except Refused as no:
                if await self.is_known(action):
                    why = self.veil.over(str(no)) or "no reason given"
                    raise Rejected(device, verb, f"{action.name}: {why}", self._trace.tail()) from None
                raise SessionOver from None
        except SessionOver:
            # It was told no, or nothing: in either case it has done nothing.
            self._end("the device no longer knows our session")
            raise self._lost(verb, self.ended.result(), changes=False) from None
        except NotSent as error:
            self._end(str(error))
            raise self._lost(verb, str(error), changes=False) from None
        except NoReply as error:
            self._end(str(error))
            raise self._lost(verb, str(error), changes) from None
        except TimeoutError:
            self._end(f"no reply to {action.name} within {action.deadline_s or self._pace.reply_s:g} s")
            raise self._lost(verb, self.ended.result(), changes) from None
        except Unknown as error:
            why = f"this firmware has no {action.name} ({self.veil.over(str(error))})"
            raise NotSupported(device, verb, why, self._trace.tail()) from None
        except NotNow as error:
            raise Busy(device, verb, f"{action.name}: {self.veil.over(str(error))}", self._trace.tail()) from None
        except (ValueError, LookupError, TypeError) as error:
            kind = OutcomeUnknown if changes else Garbled
            why = f"the reply to {action.name} cannot be read: {self.veil.over(str(error))}"
            raise kind(device, verb, why, self._trace.tail()) from None

    def _lost(self, verb: str, why: str, changes: bool) -> AdapterError:
        why = self.veil.over(why)
        if changes:
            return OutcomeUnknown(self.target.device, verb, f"{why}; the order was sent", self._trace.tail())
        return SessionLost(self.target.device, verb, why, self._trace.tail())

    # ---- one request

    async def exchange(self, request: Request, deadline_s: float | None = None) -> Answer:
        """Send one request and give its answer, at the device's pace. Raises NotSent, NoReply, TimeoutError."""
        loop = asyncio.get_running_loop()
        if (wait_s := self._free_at - loop.time()) > 0:
            await asyncio.sleep(wait_s)
        self._free_at = loop.time() + self._pace.gap_s
        self._turn.sent()
        self._note_sent(request)
        async with asyncio.timeout(deadline_s or self._pace.reply_s):
            answer = await self.wire.send(request)
        self._note_received(answer)
        return answer

    def _note_sent(self, request: Request) -> None:
        body = request.body.decode("utf-8", "replace")
        self._trace.sent(self.veil.over(f"{request.method} {request.target} {body}")[:_SHOWN])
        if self._tape is not None:
            lines = [f"{request.method} {request.target}", *(f"{n}: {v}" for n, v in request.headers.items())]
            self._tape.sent(self.veil.over("\r\n".join([*lines, "", body])).encode())

    def _note_received(self, answer: Answer) -> None:
        body = answer.body.decode("utf-8", "replace")
        self._trace.received(self.veil.over(f"{answer.status} {body}")[:_SHOWN])
        if self._tape is not None:
            lines = [str(answer.status), *(f"{n}: {v}" for n, v in answer.headers if n in self.tape_headers)]
            self._tape.received(self.veil.over("\r\n".join([*lines, "", body])).encode())

    # ---- the end

    def _end(self, why: str) -> None:
        if not self.ended.done():
            self.ended.set_result(self.veil.over(why))

    async def close(self) -> None:
        """End it. Safe to repeat, raises nothing."""
        self._end("closed by us")
        if self._work is not None and not self._work.done():
            self._work.cancel()
            await asyncio.wait({self._work})
        await self.wire.close()

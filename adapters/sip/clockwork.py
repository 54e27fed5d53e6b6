"""What turns an agent: the one timer wheel, the transactions on it, and the doing of what they ask.

Nothing waits in a task of its own; the clock stands still while nothing waits.
"""

import asyncio
import logging
from collections.abc import Callable
from functools import partial

from adapters.sip.transaction import Deliver, Send, Server, Timing, Transactions
from adapters.sip.wheel import Alarm, Wheel

_log = logging.getLogger(__name__)


class Clockwork:
    """The wheel and the transactions of one agent; it turns from `start` to `stop`."""

    __slots__ = ("_performing", "_ticking", "layer", "loop", "running", "wheel")

    def __init__(self, timing: Timing) -> None:
        self.wheel = Wheel()
        self.layer = Transactions(timing, self.wheel)
        self.loop: asyncio.AbstractEventLoop
        self.running = False
        self._ticking: asyncio.TimerHandle | None = None
        self._performing = False

    def start(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.running = True

    def stop(self) -> None:
        self.running = False
        if self._ticking is not None:
            self._ticking.cancel()
            self._ticking = None

    def later(self, delay_s: float, action: Callable[[], None]) -> Alarm:
        """Do something later; costs no task."""
        alarm = Alarm(self.wheel, action)
        self.wheel.arm(alarm, self.loop.time() + delay_s)
        if self._ticking is None:
            self._tick()
        return alarm

    def soon(self, action: Callable[[], None]) -> None:
        """Do something in the next turn of the loop."""
        self.loop.call_soon(self.guarded, action)

    def perform(self) -> None:
        """Do what the transactions want done, in order; not entered twice."""
        if self._performing:
            return
        self._performing = True
        layer = self.layer
        try:
            while layer.out:
                actions, layer.out = layer.out, []
                for action in actions:
                    if isinstance(action, Send):
                        action.flow.send(action.data)
                    elif isinstance(action, Deliver):
                        if action.client.user is not None:
                            self.guarded(partial(action.client.user.response, action.response))
                            action.client.lighten()
                    elif isinstance(action.transaction, Server):
                        if action.transaction.user is not None:
                            self.guarded(action.transaction.user.no_ack)
                    elif action.transaction.user is not None:
                        self.guarded(partial(action.transaction.user.expired, action.why))
        finally:
            self._performing = False
        if self._ticking is None and self.wheel:
            self._tick()

    def guarded(self, action: Callable[[], object]) -> None:
        """Somebody else's code: its failure is logged and stops nothing."""
        try:
            action()
        except Exception:
            _log.exception("sip.listener_failed")
        if self.layer.out and not self._performing:
            self.perform()

    def _tick(self) -> None:
        """Turn the wheel."""
        self._ticking = None
        if not self.running:
            return
        now = self.loop.time()
        for timed in self.wheel.advance(now):
            self.guarded(partial(timed.expire, now))
        if self.layer.out:
            self.perform()
        if self.wheel and self._ticking is None:
            self._ticking = self.loop.call_later(self.wheel.grain_s, self._tick)

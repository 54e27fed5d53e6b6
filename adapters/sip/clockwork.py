"""What turns an agent: the one timer wheel, the transactions on it, and the doing of what they ask.

Nothing waits in a task of its own; the clock stands still until the next thing is due.
"""

import asyncio
import logging
from collections.abc import Callable

from adapters.sip.transaction import Timing, Transactions
from adapters.sip.wheel import NEVER, Alarm, Wheel

_log = logging.getLogger(__name__)

_SLACK = 1 / 64
_MAX_SLACK_S = 0.1
"""How late an alarm may be: this part of its delay, but no later than that. Ten thousand alarms
spread over half a minute then wake the process ten times a second, not fifty."""


class Clockwork:
    """The wheel and the transactions of one agent; it turns from `start` to `stop`."""

    __slots__ = ("_performing", "_ticking", "_turns_in", "layer", "loop", "running", "wheel")

    def __init__(self, timing: Timing) -> None:
        self.wheel = Wheel()
        self.layer = Transactions(timing, self.wheel)
        self.loop: asyncio.AbstractEventLoop
        self.running = False
        self._ticking: asyncio.TimerHandle | None = None
        self._turns_in = NEVER
        """The bucket for which the clock is set."""
        self._performing = False

    def start(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.running = True

    def stop(self) -> None:
        self.running = False
        self._turns_in = NEVER
        if self._ticking is not None:
            self._ticking.cancel()
            self._ticking = None

    def later(self, delay_s: float, action: Callable[[], None]) -> Alarm:
        """Do something later; costs no task."""
        alarm = Alarm(self.wheel, action)
        self.wheel.arm(alarm, self.loop.time() + delay_s, min(delay_s * _SLACK, _MAX_SLACK_S))
        if self.wheel.soonest < self._turns_in:
            self._wind()
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
                    try:
                        action.perform()
                    except Exception:
                        _log.exception("sip.listener_failed")
        finally:
            self._performing = False
        if self.wheel.soonest < self._turns_in:
            self._wind()

    def guarded(self, action: Callable[[], object]) -> None:
        """Somebody else's code: its failure is logged and stops nothing."""
        try:
            action()
        except Exception:
            _log.exception("sip.listener_failed")
        if self.layer.out and not self._performing:
            self.perform()

    def _wind(self) -> None:
        """Set the clock for the first bucket in which something waits."""
        if not self.running:
            return
        if self._ticking is not None:
            self._ticking.cancel()
        self._turns_in = self.wheel.soonest
        self._ticking = self.loop.call_at(self.wheel.at(self._turns_in), self._turn)

    def _turn(self) -> None:
        """Let expire what is due."""
        self._ticking = None
        now = self.loop.time()
        for timed in self.wheel.advance(now):
            try:
                timed.expire(now)
            except Exception:
                _log.exception("sip.listener_failed")
        if self.layer.out:
            self.perform()
        self._turns_in = NEVER
        if self.wheel and self.running:
            self._wind()

"""The session timer of one dialog at work: it refreshes, or ends what nobody refreshed (RFC 4028 sections 7.4, 10)."""

from __future__ import annotations

import random
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from adapters.sip.message import Response
from adapters.sip.session_timer import Terms, longer

if TYPE_CHECKING:
    from adapters.sip.standing import Standing
    from adapters.sip.wheel import Alarm

_DEAD = (408, 481)
_LEAST_S = 1.0
_TAKEN_UP_S = (1.0, 8.0)
"""Refreshes of taken-up dialogs are spread over this time."""


def glare_s(owns_call_id: bool) -> float:
    """How long to wait after a 491 (RFC 3261 section 14.1): who made the Call-ID waits longer."""
    return random.uniform(2.1, 4.0) if owns_call_id else random.uniform(0.0, 2.0)


class SessionTimer:
    """One dialog's; it exists only where both sides agreed on one."""

    __slots__ = ("_alarm", "_dies_at", "_usage", "terms")

    def __init__(self, usage: Standing, terms: Terms) -> None:
        self._usage = usage
        self._alarm: Alarm | None = None
        self.terms = terms
        self._dies_at = 0.0

    def begin(self, terms: Terms) -> None:
        """A refresh has come about, whosever it was: the time counts anew."""
        self.terms = terms
        self._dies_at = self._usage.agent.time() + terms.deadline_s
        self._arm(terms.refresh_s if terms.ours else terms.deadline_s)

    def take_up(self) -> None:
        """An earlier process's: when it was refreshed last is not known, so ours is refreshed soon."""
        self._dies_at = self._usage.agent.time() + self.terms.deadline_s
        self._arm(random.uniform(*_TAKEN_UP_S) if self.terms.ours else self.terms.deadline_s)

    def stop(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None

    def _arm(self, delay_s: float) -> None:
        self.stop()
        self._alarm = self._usage.agent.later(delay_s, self._due)

    def _due(self) -> None:
        self._alarm = None
        usage = self._usage
        left_s = self._dies_at - usage.agent.time()
        if left_s <= 0.05 and usage.listener.may_refresh(usage.call):  # a wheel's grain
            usage.expire()
        elif left_s <= 0.05:
            self._arm(_LEAST_S)
        elif self.terms.ours:
            self._arm(left_s)
            if usage.listener.may_refresh(usage.call):
                usage.refresh(partial(self._refreshed, self.terms))
            else:
                self._arm(min(left_s, _LEAST_S))
        else:
            self._arm(left_s)

    def _refreshed(self, terms: Terms, response: Response | None) -> None:
        """What became of a refresh; a 2xx has begun the time anew already."""
        if self._usage.timer is not self:
            return
        left_s = max(0.0, self._dies_at - self._usage.agent.time())
        if response is None or response.status in _DEAD:
            self._usage.expire()
        elif response.status < 300:
            return
        elif response.status == 491:
            self._arm(min(left_s, glare_s(not self._usage.call.incoming)))
        elif (floor_s := longer(response, self._usage.agent.session)) is not None and floor_s > terms.interval_s:
            self.terms = replace(terms, interval_s=floor_s)
            self._arm(0.0)
        else:
            self._arm(min(left_s, max(_LEAST_S, left_s / 2)))

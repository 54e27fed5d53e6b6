"""DTMF to a called party: a PIN for the room behind it.

PlayDTMF holds the AMI session that asks for it until the tone has been played (measured:
0.16 s a digit), so digits go over sessions of their own and hold up neither events nor orders.
"""

import asyncio
import re

from adapters.bridges.asterisk import grammar
from adapters.bridges.asterisk.connection import Connection
from adapters.bridges.asterisk.profile import Pace
from adapters.bridges.asterisk.session import Session
from adapters.contract import MayAct, always
from adapters.errors import Unreachable

_DIGITS = re.compile(r"[0-9A-D*#w,]{1,64}", re.ASCII)
PAUSES = "w,"
_ASK_AGAIN_S = 0.2


def are_digits(text: str) -> bool:
    """0-9, A-D, * and #; `w` and `,` are pauses."""
    return _DIGITS.fullmatch(text) is not None


class Keypad:
    """Plays digits to channels, several channels at a time, the digits of one in their order."""

    def __init__(self, session: Session, pace: Pace, may_act: MayAct = always) -> None:
        self._session = session
        self._may_act = may_act
        self._pace = pace
        self._free = asyncio.Semaphore(pace.digit_sessions)

    async def press(self, channel: str, digits: str) -> None:
        """Returns when the last digit has been played, or the leg is another process's now.

        Raises Rejected for a channel that is gone.
        """
        async with self._free:
            try:
                connection = await Connection.open(
                    self._session.target,
                    events="off",
                    deadline_s=self._pace.open_s,
                    on_event=lambda packet: None,
                    trace=self._session.trace,
                )
            except Unreachable:
                # No further session to be had (a limit, allowmultiplelogin = no): better slowly than not at all.
                await self._play(self._session, channel, digits)
                return
            try:
                await self._play(connection, channel, digits)
            finally:
                await connection.close()

    async def _play(self, over: Connection | Session, channel: str, digits: str) -> None:
        for digit in digits:
            while (may := self._may_act(channel)) is None:  # noqa: ASYNC110 - a clock compare, no event of its own
                await asyncio.sleep(_ASK_AGAIN_S)
            if not may:
                return
            if digit in PAUSES:
                await asyncio.sleep(self._pace.digit_pause_s)
                continue
            action = grammar.play_digit(channel, digit, self._pace.digit_ms)
            await over.ask(action, "send_digits", self._pace.order_s, changes=True)
            await asyncio.sleep(self._pace.digit_gap_s)

"""Pure: what a family's grammar gives for each verb of the contract.

A family's grammar derives from this and gives the orders of the verbs that its adapter
declares; the endpoint asks for no other. It is made anew for each session, so that half
a message of a session that ended is in nobody's way.
"""

from collections.abc import Sequence

from adapters.control.order import CallSeen, Order, Reports, RoomSeen
from adapters.values import Address, AutoAnswer, DialOptions, Identity


class Undeclared(NotImplementedError):
    """An order was asked for that the family does not declare: a mistake of ours."""


class Grammar:
    """The words of one family. Every method is pure."""

    # ---- what every family has ----

    def prepare(self) -> Sequence[Order[object]]:
        """What is sent first in every session: echo off, notifications on. A refusal here is no failure."""
        return ()

    def identity(self) -> Sequence[Order[Identity]]:
        """Questions whose answers together say what the device is."""
        raise Undeclared

    def calls(self) -> Order[Sequence[CallSeen]]:
        """The question for all calls the device has."""
        raise Undeclared

    def room(self) -> Sequence[Order[RoomSeen]]:
        """Questions whose answers together say what is set in the room."""
        return ()

    def heard(self, line: str) -> Reports | None:
        """What a line means that nobody asked for; empty: nothing to us; None: not understood."""
        return None

    # ---- the verbs; only those that the adapter declares ----

    def dial(self, to: Address, options: DialOptions) -> Order[str]:
        """Call somebody; the answer is the device's name of the call, or "" where it does not say.

        Raises ValueError for an address or a number that the device cannot be given.
        """
        raise Undeclared

    def hang_up(self, call: str) -> Order[object]:
        """End a call. The answer True says that it was there: a list without it then is its end."""
        raise Undeclared

    def answer(self, call: str) -> Order[object]:
        raise Undeclared

    def mute(self, on: bool) -> Order[object]:
        raise Undeclared

    def volume(self, percent: int) -> Order[object]:
        raise Undeclared

    def digits(self, call: str, digits: str) -> Sequence[Order[object]]:
        """Raises ValueError for a digit that the device has not."""
        raise Undeclared

    def preset(self, number: int) -> Order[object]:
        raise Undeclared

    def content(self, on: bool) -> Order[object]:
        raise Undeclared

    def wake(self) -> Order[object]:
        raise Undeclared

    def text(self, text: str, for_s: float) -> Order[object]:
        raise Undeclared

    def auto_answer(self) -> Order[AutoAnswer] | Sequence[Order[AutoAnswer | None]]:
        """One question, or several; of several the last counts that does not answer None, and the first never does."""
        raise Undeclared

    def set_auto_answer(self, wanted: AutoAnswer) -> Sequence[Order[object]]:
        """Raises ValueError for a wish that the device has no setting for."""
        raise Undeclared

"""Pure: what the device told of its one call. It can be asked for nothing, so this is all anybody knows.

Kept over sessions: a call lives on when a session is lost, and what became of it meanwhile is never told.
"""

from dataclasses import dataclass

from adapters.control.order import CallSeen
from adapters.values import LegState


@dataclass(slots=True)
class Line:
    """The one call, as far as it was told."""

    state: LegState | None = None
    far: str = ""
    outgoing: bool | None = None

    def began(self, state: LegState, outgoing: bool) -> None:
        if self.state is None:
            self.state, self.outgoing, self.far = state, outgoing, ""

    def answered(self) -> None:
        self.state = LegState.CONNECTED

    def ended(self) -> None:
        self.state, self.outgoing, self.far = None, None, ""

    @property
    def seen(self) -> tuple[CallSeen, ...]:
        """The list of calls that the device would give."""
        return () if self.state is None else (CallSeen("", self.state, self.far, self.outgoing),)

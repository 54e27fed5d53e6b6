"""Pure: a command in text, and how its reply is told from everything else on the line.

Lines come without their ends, prompts by name. A reply says of each whether it belongs to it;
what does not is an unsolicited line and goes to the grammar.
"""

import re
from collections.abc import Callable, Sequence
from enum import Enum, auto
from typing import ClassVar, Generic, TypeVar

from adapters.control.order import Order

T_co = TypeVar("T_co", covariant=True)

MOST_LINES = 2000
"""A reply of more lines is no reply."""


class Taken(Enum):
    """What a line is to a reply that is awaited."""

    NOT_MINE = auto()  # nobody asked for it
    MORE = auto()  # belongs to the reply, which goes on
    DONE = auto()  # the reply's end, and all is well
    REFUSED = auto()  # the device says no
    BUSY = auto()  # not now
    UNKNOWN = auto()  # the device does not know such a command


Patterns = re.Pattern[str] | None


class Reply:
    """How one reply is known. The patterns are matched at the start of a line.

    `done` ends it well, `refused`, `busy` and `unknown` end it badly, `takes` belongs to it; a prompt of the name
    `until` ends it well too. `quiet_s` is for a device that may say nothing to a command it takes, or whose
    reply has no known end: when nothing more of the reply came for so long, it is done. A family whose
    replies need more memory than that derives from this and has its own `line`.
    """

    sees_echo: ClassVar[bool] = False
    """True for a family whose reply begins with the echo: then `line` gets it like any other line."""

    __slots__ = ("_busy", "_done", "_refused", "_takes", "_unknown", "_until", "lines", "quiet_s")

    def __init__(
        self,
        done: Patterns = None,
        *,
        refused: Patterns = None,
        busy: Patterns = None,
        unknown: Patterns = None,
        takes: Patterns = None,
        until: str = "",
        quiet_s: float | None = None,
    ) -> None:
        self._done = done
        self._refused = refused
        self._busy = busy
        self._unknown = unknown
        self._takes = takes
        self._until = until
        self.quiet_s = quiet_s
        self.lines: list[str] = []

    def line(self, text: str) -> Taken:
        """What a line is to this reply; it is kept when it belongs to it."""
        for pattern, taken in (
            (self._busy, Taken.BUSY),
            (self._unknown, Taken.UNKNOWN),
            (self._refused, Taken.REFUSED),
            (self._done, Taken.DONE),
            (self._takes, Taken.MORE),
        ):
            if pattern is not None and pattern.match(text):
                self.lines.append(text)
                return taken
        return Taken.NOT_MINE

    def prompt(self, name: str) -> Taken:
        """What a prompt is to this reply."""
        return Taken.DONE if name == self._until else Taken.NOT_MINE

    @property
    def why(self) -> str:
        """The device's words of refusal."""
        return self.lines[-1].strip() if self.lines else "no reason given"


class Ask(Order[T_co], Generic[T_co]):
    """A command, how its reply is known, and what the reply means.

    `text` goes out without its line end; `shown` is what is written down of it. `read` is given the lines of the
    reply and raises ValueError for what it cannot read. An Ask is used once.
    """

    __slots__ = ("read", "reply", "shown", "text")

    def __init__(
        self,
        text: str,
        reply: Reply,
        read: Callable[[Sequence[str]], T_co],
        *,
        changes: bool = False,
        deadline_s: float | None = None,
        shown: str = "",
    ) -> None:
        super().__init__(changes=changes, deadline_s=deadline_s)
        if any(char in text for char in "\r\n\0"):
            raise ValueError(f"{text!r} is not one line")
        self.text = text
        self.reply = reply
        self.read = read
        self.shown = shown or text

    def hidden(self, line: str) -> str:
        """A line as it may be written down: a device echoes the command, or quotes it in a refusal."""
        return line.replace(self.text, self.shown) if self.shown != self.text else line


def nothing(lines: Sequence[str]) -> None:
    """For a command whose reply says only that it was taken."""


def last(pattern: re.Pattern[str]) -> Callable[[Sequence[str]], str]:
    """Reads the first group of the last line, which must match."""

    def read(lines: Sequence[str]) -> str:
        match = pattern.match(lines[-1]) if lines else None
        if match is None:
            raise ValueError(f"{lines[-1] if lines else 'nothing'!r} is not {pattern.pattern!r}")
        return match[1]

    return read

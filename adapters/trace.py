"""The tail of a conversation with a device, secrets blacked out, for errors and logs."""

from collections import deque
from collections.abc import Iterable

_SHORTEST_SECRET = 3
"""A shorter secret would black out half of every line; it is not worth calling one."""


class Trace:
    """Remembers the last lines that went over one session, without its secrets."""

    __slots__ = ("_lines", "_secrets", "unread")

    def __init__(self, secrets: Iterable[str] = (), keep: int = 40) -> None:
        self._lines: deque[str] = deque(maxlen=keep)
        self._secrets = tuple(s for s in secrets if len(s) >= _SHORTEST_SECRET)
        self.unread = 0
        """How many lines came that nobody understood."""

    def redact(self, text: str) -> str:
        """`text` with every known secret replaced by `***`."""
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return text

    def sent(self, text: str) -> None:
        self._lines.append("> " + self.redact(text.rstrip()))

    def received(self, text: str) -> None:
        self._lines.append("< " + self.redact(text.rstrip()))

    def not_understood(self, text: str) -> None:
        self.unread += 1
        self._lines.append("? " + self.redact(text.rstrip()))

    def tail(self) -> str:
        """The remembered lines, oldest first."""
        return "\n".join(self._lines)

"""Cuts a byte stream into SIP messages by Content-Length (RFC 3261 section 18.3).

CR LF between messages is keep-alive (RFC 5626 section 3.5.1): a double one is a ping
that wants a pong. Bytes in, messages out; no I/O.
"""

import re

from adapters.sip.message import MAX_BODY, MAX_HEAD, Malformed, content_length

_LENGTH = re.compile(rb"\r?\n(?:content-length|l)[ \t]*+:[ \t]*+(?:\r?\n[ \t]++)?([^\r\n]*+)(?=\r?\n)", re.IGNORECASE)
_END = re.compile(rb"\r?\n\r?\n")


class Framer:
    """Feed it what arrived; it returns whole messages and counts pings.

    After `Malformed` the stream cannot be trusted any more: the connection is to be closed.
    """

    __slots__ = ("_buffer", "_need", "_searched", "pings")

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._need = 0
        self._searched = 0
        self.pings = 0
        """Double CR LFs since somebody set this back to 0."""

    @property
    def partial(self) -> bool:
        """Whether a message has begun that is not whole yet."""
        return bool(self._buffer.strip(b"\r\n")) if len(self._buffer) < 4 else True

    def take_pong(self) -> bool:
        """Whether a lone CR LF has come: the answer to a ping, when one was sent; it is taken away."""
        if self._buffer != b"\r\n":
            return False
        self._buffer.clear()
        return True

    def feed(self, data: bytes) -> list[bytes]:
        """The messages that are whole now. Raises Malformed."""
        buffer = self._buffer
        buffer += data
        out: list[bytes] = []
        while buffer:
            if not self._need and not self._skip_keep_alive():
                break
            if not self._need:
                self._need = self._measure()
            if not self._need or len(buffer) < self._need:
                break
            out.append(bytes(buffer[: self._need]))
            del buffer[: self._need]
            self._need = 0
        return out

    def _skip_keep_alive(self) -> bool:
        """Drop line ends before a message; False when nothing else is there yet."""
        buffer = self._buffer
        while buffer.startswith(b"\r\n\r\n"):
            self.pings += 1
            del buffer[:4]
        if b"\r\n\r\n".startswith(buffer):
            return False  # perhaps the first half of a ping
        if buffer.startswith((b"\r", b"\n")):
            del buffer[: len(buffer) - len(buffer.lstrip(b"\r\n"))]
        return bool(buffer)

    def _measure(self) -> int:
        """How long the first message is with its body; 0 while its head is not whole."""
        end = _END.search(self._buffer, self._searched, MAX_HEAD + 4)
        if end is None:
            self._searched = max(0, len(self._buffer) - 3)
            if len(self._buffer) > MAX_HEAD:
                raise Malformed(f"a head of more than {MAX_HEAD} bytes")
            return 0
        self._searched = 0
        lengths = _LENGTH.findall(self._buffer, 0, end.end())
        if not lengths:
            raise Malformed("no Content-Length on a stream")
        length = content_length([value.decode("latin-1").strip(" \t") for value in lengths])
        if length > MAX_BODY:
            raise Malformed(f"a body of {length} bytes; the limit is {MAX_BODY}")
        return end.end() + length

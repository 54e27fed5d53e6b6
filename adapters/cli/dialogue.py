"""Bytes to lines and prompts: pexpect's engine, fed by whoever has bytes instead of reading itself.

A `SpawnBase` holds the buffer and an `Expecter` always expects the prompts of the moment
or a whole line, whichever comes first. Nothing blocks, nothing sleeps (`delaybeforesend` and its
kin play no part: sending is the wire's). Bytes of an unfinished line wait outside until
something can match, so that a device that drips costs no more than one that talks.
"""

import re
from collections.abc import Callable, Sequence

from pexpect.expect import Expecter, searcher_re
from pexpect.spawnbase import SpawnBase

from adapters.cli.profile import Prompt

_LINE = re.compile(rb"\A[^\n]*\n")
_ANSI = re.compile(r"\x1b(?:\[[0-9;?]*[ -/]*[@-~]|[@-Z\\-_])")
_BITE = 4096
"""So many bytes are searched at a time: pexpect copies what is left after every match."""


class LineTooLong(Exception):
    """More bytes without a line end than any line of the family has."""


class Dialogue(SpawnBase):  # type: ignore[misc]
    """One device's stream. `on_line(text)` and `on_prompt(name)` are called in its order."""

    def __init__(
        self,
        prompts: Sequence[Prompt],
        on_line: Callable[[str], None],
        on_prompt: Callable[[str], None],
        *,
        encoding: str = "utf-8",
        longest: int = 16_384,
    ) -> None:
        super().__init__(timeout=None)
        self.delaybeforesend = None
        self._on_line = on_line
        self._on_prompt = on_prompt
        self._charset = encoding
        self._longest = longest
        self._held = bytearray()
        self._unfinished = 0  # bytes that pexpect holds of an unfinished line
        self.expect_prompts(prompts)

    def expect_prompts(self, prompts: Sequence[Prompt]) -> None:
        """From now on these are the prompts; may be called while one is being told."""
        self._names = tuple(prompt.name for prompt in prompts)
        self._ends = bytes(set(b"".join(prompt.ends for prompt in prompts)))
        patterns = [re.compile(rb"\A(?:" + p.pattern.pattern + rb")", p.pattern.flags) for p in prompts]
        self._expecter = Expecter(self, searcher_re([*patterns, _LINE]), searchwindowsize=None)

    def feed(self, data: bytes) -> bool:
        """Take what came; True when it ends in the middle of a line. Raises LineTooLong."""
        if b"\n" not in data and data[-1] not in self._ends:
            self._held += data
            if len(self._held) + self._unfinished > self._longest:
                raise LineTooLong(f"more than {self._longest} bytes without a line end")
            return True
        if self._held:
            data = bytes(self._held) + data
            self._held.clear()
        for start in range(0, len(data), _BITE):
            self._search(data[start : start + _BITE])
        return self._unfinished > 0

    def _search(self, data: bytes) -> None:
        index = self._expecter.new_data(data)
        while index is not None:
            if index < len(self._names):
                self._on_prompt(self._names[index])
            else:
                self._on_line(self._text(self.after))
            index = self._expecter.existing_data()
        self._unfinished = self._buffer.tell()
        if self._unfinished > self._longest:
            raise LineTooLong(f"more than {self._longest} bytes without a line end")

    def _text(self, raw: bytes) -> str:
        r"""A line as a person reads it: `\r\r\n` is one end, a lone `\r` starts the line anew."""
        text = raw.decode(self._charset, "replace").rstrip("\r\n\0 \t")
        if "\r" in text:
            text = text.rpartition("\r")[2]
        if "\x1b" in text:
            text = _ANSI.sub("", text)
        return text.replace("\0", "")

    @property
    def unfinished(self) -> str:
        """What stands there without a line end; for a person to read."""
        return self._text((self._buffer.getvalue() + bytes(self._held))[-200:])

r"""Recorded conversations: written, redacted, read again byte for byte. Pure.

    # Dial, connect, hang up
    # family: polycom
    # source: manual
    # ... more `# key: value`, and prose
    < 0.000 \r\n\r\nPassword:
    > 0.012 ***\r
    ! 1.500 dial {"leg": "leg-1", "to": "sip:conf@127.0.0.1"}
    = 2.250 LegConnected leg-1

`<` is what the device sent, `>` what we sent, `!` a verb that was called, `=` an event that was
told; the number is seconds from the start. Bytes are UTF-8 text with `\r`, `\n`, `\\` and `\xNN`
written out, so that a line of the file is one piece of the stream and nothing is lost. A long piece goes on in
the next line with the same mark. A secret is `***`.
"""

import codecs
import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

MOST_BYTES = 4_000_000
"""A recording is cut here; the tape says so."""
SECRET = "***"

_ENTRY = re.compile(r"([<>!=]) +([0-9]+(?:\.[0-9]+)?) (.*)", re.DOTALL)
_KEY = re.compile(r"#\s*([a-z][a-z-]*):\s*(.*)")
_HIDDEN = re.compile(r"[\x00-\x1f\x7f\\]")
_SHORT = {"\r": r"\r", "\n": r"\n", "\\": r"\\", "\t": r"\t"}
_SOURCES = ("captured", "manual", "made up")


class TranscriptError(ValueError):
    """A transcript that cannot be read; says which line, and what would be right."""


class Tape(Protocol):
    """Records one session."""

    def sent(self, data: bytes) -> None: ...

    def received(self, data: bytes) -> None: ...

    def verb(self, name: str, arguments: Mapping[str, Any]) -> None: ...

    def event(self, words: str) -> None: ...

    def hide(self, told: bytes, shown: bytes) -> None:
        """Write `shown` wherever `told` comes: digits that a device echoes."""
        ...


class Blackout:
    """What must not stand in a transcript, and what stands there instead."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._shown: dict[str, str] = {}
        for secret in sorted({s for s in secrets if s}, key=len, reverse=True):
            self._shown |= {written(secret.encode()): SECRET, secret: SECRET}

    def hide(self, told: bytes, shown: bytes) -> None:
        """`told` is written as `shown`, too."""
        self._shown[written(told)] = written(shown)

    def over(self, text: str) -> str:
        """The text, which is as `written` gives it, without what must not stand there."""
        for told, shown in self._shown.items():
            text = text.replace(told, shown)
        return text


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that happened: `kind` is one of `< > ! =`."""

    kind: str
    at_s: float
    data: bytes = b""
    words: str = ""

    @property
    def verb(self) -> tuple[str, dict[str, Any]]:
        """The verb of a `!` entry and its arguments."""
        name, _, arguments = self.words.partition(" ")
        read: dict[str, Any] = json.loads(arguments or "{}")
        return name, read


@dataclass(frozen=True, slots=True)
class Transcript:
    """A whole recorded session."""

    title: str
    entries: tuple[Entry, ...]
    keys: Mapping[str, str] = field(default_factory=dict)

    @property
    def source(self) -> str:
        """`captured`, `manual` or `made up`."""
        return self.keys["source"].partition(",")[0].strip()


def written(data: bytes) -> str:
    """Bytes as they stand in a transcript."""
    text = data.decode("utf-8", "surrogateescape")
    text = _HIDDEN.sub(lambda c: _SHORT.get(c[0], f"\\x{ord(c[0]):02x}"), text)
    return "".join(f"\\x{ord(c) - 0xDC00:02x}" if 0xDC80 <= ord(c) <= 0xDCFF else c for c in text)


def unwritten(text: str) -> bytes:
    r"""The bytes that `written` made. Raises ValueError for an escape that is none."""
    out = bytearray()
    for plain, escape in re.findall(r"([^\\]+)|(\\(?:x[0-9a-fA-F]{2}|[rnt\\]|.?))", text):
        if plain:
            out += plain.encode()
        elif len(escape) < 2 or escape[1] not in "xrnt\\" or (escape[1] == "x" and len(escape) != 4):
            raise ValueError(rf"{escape!r} is no escape; there are \r \n \t \\ \xNN")
        else:
            out += codecs.escape_decode(escape.encode())[0]
    return bytes(out)


def parse(text: str) -> Transcript:
    """Read a transcript. Raises TranscriptError that names the line."""
    title, keys, entries = "", {}, []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        if line.startswith("#"):
            title = title or line[1:].strip()
            if key := _KEY.match(line):
                keys[key[1]] = key[2].strip()
            continue
        match = _ENTRY.fullmatch(line)
        if match is None:
            raise TranscriptError(f"line {number}: {line[:60]!r}; expected < > ! or = and seconds, like '< 0.25 OK'")
        kind, at_s, rest = match[1], float(match[2]), match[3]
        try:
            entry = Entry(kind, at_s, unwritten(rest)) if kind in "<>" else Entry(kind, at_s, words=rest)
            if kind == "!":
                _ = entry.verb
        except ValueError as wrong:
            raise TranscriptError(f"line {number}: {wrong}") from None
        entries.append(entry)
    transcript = Transcript(title, tuple(entries), keys)
    if "source" not in keys or transcript.source not in _SOURCES:
        raise TranscriptError(f"no line '# source: ...' that begins with one of {', '.join(_SOURCES)}")
    return transcript


class Recorder:
    """A tape in memory; `text()` is the transcript so far, without the secrets."""

    def __init__(self, family: str, secrets: Iterable[str], clock: Callable[[], float], title: str = "") -> None:
        self._family = family
        self._blackout = Blackout(secrets)
        self._clock = clock
        self._title = title or f"A session with a {family}"
        self._began = clock()
        self._entries: list[tuple[str, float, bytearray]] = []
        self._bytes = 0
        self.is_cut = False

    def sent(self, data: bytes) -> None:
        self._add(">", data)

    def received(self, data: bytes) -> None:
        self._add("<", data)

    def verb(self, name: str, arguments: Mapping[str, Any]) -> None:
        self._add("!", words=f"{name} {json.dumps(dict(arguments), ensure_ascii=False)}" if arguments else name)

    def event(self, words: str) -> None:
        self._add("=", words=words)

    def hide(self, told: bytes, shown: bytes) -> None:
        self._blackout.hide(told, shown)

    def _add(self, kind: str, data: bytes = b"", words: str = "") -> None:
        self._bytes += len(data) + len(words) + 16
        if self._bytes > MOST_BYTES:
            self.is_cut = True
            return
        if kind in "<>":
            # One piece as long as nobody else speaks: a secret that came bit by bit must be found too.
            if not self._entries or self._entries[-1][0] != kind:
                self._entries.append((kind, self._clock() - self._began, bytearray()))
            self._entries[-1][2].extend(data)
        else:
            self._entries.append((kind, self._clock() - self._began, bytearray(" ".join(words.split("\n")).encode())))

    def text(self) -> str:
        lines = [f"# {self._title}", f"# family: {self._family}", "# source: captured"]
        if self.is_cut:
            lines.append(f"# cut after {MOST_BYTES} bytes")
        for kind, at_s, data in self._entries:
            body = written(bytes(data)) if kind in "<>" else data.decode()
            lines.append(f"{kind} {at_s:.3f} {self._blackout.over(body)}")
        return "\n".join(lines) + "\n"

"""Pure: the commands of the PCS-XG series in our words, both ways.

Sources: two control-system modules in the field and one program of an installation; Sony's own manual was not
found. The README card says which line rests on what.
"""

import re
from collections.abc import Callable, Sequence
from typing import TypeVar

from adapters.causes import ClearCause, Cleared, Side
from adapters.cli.reply import Ask, Reply, Taken
from adapters.control.grammar import Grammar
from adapters.control.order import CallSeen, Order, Reports, RoomSeen
from adapters.endpoints.sony.line import Line
from adapters.values import Address, DialOptions, Identity, LegState

VOLUME_TOP = 23
PRESETS = range(1, 101)
ERRORS = (
    "not init",
    "busy",
    "syntax error",
    "status error",
    "socket error",
    "execute error",
    "buffer full",
    "not supported",
    "not power on",
    "on network test",
    "not communication",
    "on update",
    "not connect",
    "timeout",
    "preset type error",
    "preset no memory",
    "error",
)
"""Each stands on a line of its own; none is longer, so a name that begins like one is not taken for it."""

_BUSY = re.compile(r"(?:busy|buffer full|on network test|on update|not init)$")
_UNKNOWN = re.compile(r"not supported$")
_ERROR = re.compile(rf"(?:{'|'.join(sorted(ERRORS, key=len, reverse=True))})$")
_NO_CALL = re.compile(r"(?:not connect|not communication|status error|execute error)$")
_ADDRESS = re.compile(r"[^\s/\x00-\x1f]{1,200}")
_STEP = re.compile(r"[0-9]$")
_SETTLE_S = 0.3
"""So long after our words came back an error word or the prompt may follow."""
_QUIET_S = 0.6
"""So long a command is waited for whose reply no source shows."""
_MIC = re.compile(r"audio mic-(?:on|off)$")
_POWER = re.compile(r"status power (power-on|stand-by)$")
_NOISE = re.compile(
    r"(?:CNTR> ?)*(?:$|audio |status |camera |far |layout |video |setup |record |stream |rgb |power-on$|stand-by$|"
    r"list |answer |remcom |welcome|last login)",
    re.IGNORECASE,
)
T = TypeVar("T")


class _Words(Reply):
    """A reply that is our own words come back, and nothing else, or an error word.

    A prompt ends it only behind those words: one that comes before is that of an event. Where no source shows that
    the words come (`is_sourced`), silence is a yes as well.
    """

    __slots__ = ("_has_words", "_words")

    def __init__(self, words: str, *, is_sourced: bool, no_call: bool = False) -> None:
        super().__init__(busy=_BUSY, unknown=_UNKNOWN, refused=_ERROR, quiet_s=None if is_sourced else _QUIET_S)
        self._words = words
        self._has_words = False
        if no_call:  # an order to end what is not there has nothing to do
            self._done = _NO_CALL

    def line(self, text: str) -> Taken:
        if text == self._words:
            self._has_words = True
            self.quiet_s = _SETTLE_S
            self.lines.append(text)
            return Taken.MORE
        if self._done is not None and self._done.match(text):
            self.lines.append(text)
            return Taken.DONE
        return super().line(text)

    def prompt(self, name: str) -> Taken:
        return Taken.DONE if self._has_words else Taken.NOT_MINE


class _Dial(Reply):
    """`connect status` and its number; `connect complete` where that comes at once is everybody's to hear."""

    __slots__ = ("_begins",)

    def __init__(self) -> None:
        super().__init__(busy=_BUSY, unknown=_UNKNOWN, refused=_ERROR)
        self._begins = False

    def line(self, text: str) -> Taken:
        if self._begins and _STEP.match(text):
            self.lines.append(text)
            return Taken.DONE
        if text == "connect status":
            self._begins = True
            return Taken.MORE
        return super().line(text)


class SonyGrammar(Grammar):
    """PCS-XG55/77/80/100, XL55, XA55/80, G60. `mic_on_mutes`: see the card."""

    def __init__(self, line: Line, mic_on_mutes: bool = False) -> None:
        self._line = line
        self._mic_on_mutes = mic_on_mutes
        self._expects = ""  # the event whose second line comes next

    # ---- questions

    def identity(self) -> Sequence[Order[Identity]]:
        # It cannot be asked what it is; that it answers this in this way is all.
        return (self._power(lambda word: Identity("Sony", "IPELA PCS")),)

    def calls(self) -> Order[Sequence[CallSeen]]:
        """It cannot be asked for calls. The question keeps the session, and what was told by itself is the answer."""
        return self._power(lambda word: self._line.seen)

    def room(self) -> Sequence[Order[RoomSeen]]:
        return (self._power(lambda word: RoomSeen(asleep=word == "stand-by")),)

    @staticmethod
    def _power(read: Callable[[str], T]) -> Ask[T]:
        def reading(lines: Sequence[str]) -> T:
            match = _POWER.match(lines[-1])
            assert match is not None
            return read(match[1])

        return Ask("status power", Reply(_POWER, busy=_BUSY, unknown=_UNKNOWN, refused=_ERROR), reading)

    # ---- orders

    def dial(self, to: Address, options: DialOptions) -> Order[str]:
        def read(lines: Sequence[str]) -> str:
            self._line.began(LegState.DIALING, True)
            return ""

        return Ask(f"dial /{number(to)}/", _Dial(), read, changes=True)

    def hang_up(self, call: str) -> Order[object]:
        def read(lines: Sequence[str]) -> bool:
            self._line.ended()
            return True

        return Ask("disconnect", _Words("disconnect", is_sourced=True, no_call=True), read, changes=True)

    def answer(self, call: str) -> Order[object]:
        return _order("answer accept")

    def mute(self, on: bool) -> Order[object]:
        return _order("audio mic-on" if on is self._mic_on_mutes else "audio mic-off", is_sourced=True)

    def volume(self, percent: int) -> Order[object]:
        return _order(f"audio volume-{round(percent * VOLUME_TOP / 100)}")

    def preset(self, number: int) -> Order[object]:
        if number not in PRESETS:
            raise ValueError(f"preset {number}; expected {PRESETS[0]} to {PRESETS[-1]}")
        return _order(f"camera move /{number}/")

    def content(self, on: bool) -> Order[object]:
        return _order(f"rgb {'start' if on else 'stop'}")

    def wake(self) -> Order[object]:
        return _order("power-on")

    # ---- what nobody asked for

    def heard(self, line: str) -> Reports | None:
        expects, self._expects = self._expects, ""
        if line in ("connect status", "ring manual"):
            self._expects = line
            return self._rings() if line == "ring manual" else ()
        if line == "connect complete":
            self._line.answered()
            return self._line.seen
        if line in ("disconnect", "dial cancel"):
            self._line.ended()
            return (CallSeen("", LegState.CLEARED, cleared=_CANCELLED if line == "dial cancel" else None),)
        if expects == "connect status" and _STEP.match(line):
            self._line.began(LegState.DIALING, True)
            return self._line.seen
        if expects == "ring manual":
            if self._line.state is LegState.RINGING:
                self._line.far = line[:200]
                return self._line.seen
            return ()
        return () if _NOISE.match(line) or _ERROR.match(line) else None

    def _rings(self) -> Reports:
        """A call that comes in while there is one is none of ours, and nothing tells them apart."""
        if self._line.state not in (None, LegState.RINGING):
            return ()
        self._line.began(LegState.RINGING, False)
        return self._line.seen


_CANCELLED = Cleared(ClearCause.UNKNOWN, Side.DEVICE, "dial cancel")


def _order(text: str, *, is_sourced: bool = False) -> Ask[None]:
    return Ask(text, _Words(text, is_sourced=is_sourced), lambda lines: None, changes=True)


def number(to: Address) -> str:
    """What is dialed for an address. Raises ValueError for one that the device cannot be given."""
    if to.scheme == "sips":
        raise ValueError(f"{to}: the device cannot be asked for TLS; what it uses is set in it")
    host = to.host if to.port is None else f"{to.host}:{to.port}"
    text = f"{to.user}@{host}" if to.user else host
    if not _ADDRESS.fullmatch(text):
        raise ValueError(f"{text!r} cannot be dialed: no slashes or blanks, 200 characters at most")
    return text

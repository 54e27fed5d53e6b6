"""Pure: the XACLI of the MXP series in our words, both ways.

Sources: reference guide for system integrators of the 3000/6000 MXP (F7, F8), the API guide of the MPS, which
speaks the same dialect, and a driver in the field; the README card says which line rests on what.
"""

import re
from collections.abc import Sequence

from adapters.cli.reply import MOST_LINES, Ask, Reply, Taken, nothing
from adapters.control.grammar import Grammar
from adapters.control.order import CallSeen, Order, Reports, RoomSeen
from adapters.values import Address, DialOptions, Identity, LegState

RATES = (64, 128, 192, 256, 320, 384, 512, 768, 1152, 1472, 1920, 2560, 3072, 4096)
PRESETS = 14

_NUMBER = re.compile(r"[^\s\"\\\x00-\x1f]{1,60}")
_STATES = {
    "callidle": LegState.CLEARED,
    "idle": LegState.CLEARED,
    "disconnected": LegState.CLEARED,
    "dialing": LegState.DIALING,
    "dialling": LegState.DIALING,
    "proceeding": LegState.DIALING,
    "establout": LegState.DIALING,
    "establin": LegState.RINGING,
    "alerting": LegState.RINGING,
    "connected": LegState.CONNECTED,
    "synced": LegState.CONNECTED,
    "disconnecting": LegState.CLEARING,
    "clearout": LegState.CLEARING,
    "clearin": LegState.CLEARING,
}
_HEAD = re.compile(r"\*s (\w+)(?: (\d+))? ?(?:\((.*)\))?: ?/?$")
_RESULT = re.compile(r"\*r (?:\w+ )?\(status=(\w+)\): ?/?$")
_FIELD = re.compile(r"(\w+)(?: \d+)?(?: \(.*\))?: ?(.*)$")
_NOISE = re.compile(r"\*[rscehl](?:/end| )|OK$|ERROR|CONNECT|NO CARRIER|NO ANSWER|BUSY|RING|Command not recognized|$")
_SETTING = re.compile(r"\*c xConfiguration Audio Microphones Mode: ?(\w+)", re.IGNORECASE)


def rate(kbps: int | None) -> str:
    """The rate word for a wish; `Auto` without one."""
    return "Auto" if kbps is None else str(max((one for one in RATES if one <= kbps), default=RATES[0]))


class _Answer(Reply):
    """All that comes until `OK` or `ERROR`.

    Blocks of status (`about`) are kept and told on as feedback too: they look the same, and are true whoever asked.
    """

    __slots__ = ("_about", "_has_other", "_is_open", "_status")

    def __init__(self, about: str = "") -> None:
        super().__init__()
        self._about = about
        self._status = "OK"
        self._is_open = False
        self._has_other = False  # a block of feedback inside ours

    def line(self, text: str) -> Taken:
        if not text:
            return Taken.NOT_MINE
        if text == "OK":
            return Taken.DONE if self._status == "OK" else Taken.REFUSED
        if text.startswith("ERROR") or text.startswith("Command not recognized"):
            self.lines.append(text)
            return Taken.REFUSED if text.startswith("ERROR") else Taken.UNKNOWN
        if result := _RESULT.match(text):
            self._status, self._is_open = result[1], True
            self.lines.append(text)
            return Taken.MORE
        if text.startswith("*"):
            return self._star(text)
        if self._is_open and not self._has_other and _FIELD.match(text):
            return self._keep(text)
        return Taken.NOT_MINE

    def _star(self, text: str) -> Taken:
        """The beginning or the end of a block, ours or another."""
        head = _HEAD.match(text)
        if text.endswith("/end"):
            self._is_open, self._has_other = self._is_open and self._has_other, False
        elif self._about and (text.startswith("*c ") if self._about == "*c" else head and head[1] == self._about):
            self._is_open = True
            return self._keep(text)
        elif not text.startswith("*c "):  # a setting is one line, without an end of its own
            self._has_other = True
        return Taken.NOT_MINE

    def _keep(self, text: str) -> Taken:
        self.lines.append(text)
        is_shared = self._about == "Call" and len(self.lines) <= MOST_LINES
        return Taken.NOT_MINE if is_shared else Taken.MORE

    @property
    def why(self) -> str:
        return " ".join(self.lines[:6]) or "no reason given"


class _Calls:
    """Reads blocks of calls, line by line, and remembers what later lines leave out."""

    __slots__ = ("_far", "_has_other", "_open", "_states", "_way")

    def __init__(self) -> None:
        self._open = ""
        self._has_other = False
        self._states: dict[str, LegState | None] = {}
        self._far: dict[str, str] = {}
        self._way: dict[str, bool] = {}

    def line(self, text: str) -> CallSeen | None:
        head = _HEAD.match(text)
        if head is None or head[1] != "Call" or not head[2]:
            if text.startswith("*"):
                if text.endswith("/end"):
                    self._open, self._has_other = self._open if self._has_other else "", False
                elif not text.startswith("*c "):
                    self._has_other = True
                return None
            field = _FIELD.match(text)
            if self._open and not self._has_other and field is not None and field[1] == "RemoteNumber":
                self._far[self._open] = field[2].strip('"')
                return self._seen(self._open)
            return None
        call = self._open = head[2]
        self._has_other = False
        if len(self._states) > 64:
            self._states.clear()
        told = dict(part.strip().partition("=")[::2] for part in (head[3] or "").split(","))
        if told.get("direction") in ("Outgoing", "Incoming"):
            self._way[call] = told["direction"] == "Outgoing"
        self._states[call] = _STATES.get(told.get("status", "").lower())
        seen = self._seen(call)
        if seen.state is LegState.CLEARED:  # the next call has the same number
            self._far.pop(call, None)
            self._way.pop(call, None)
        return seen

    def _seen(self, call: str) -> CallSeen:
        return CallSeen(call, self._states.get(call), self._far.get(call, ""), self._way.get(call))

    @property
    def is_open(self) -> bool:
        return bool(self._open) or self._has_other


class TandbergGrammar(Grammar):
    """One MXP; `profiles` are its numbers of the network profiles for `sip` and `h323`, where they are known."""

    def __init__(self, sip_profile: int | None = None, h323_profile: int | None = None) -> None:
        self._sip = sip_profile
        self._h323 = h323_profile
        self._calls = _Calls()

    # ---- questions

    def prepare(self) -> Sequence[Order[object]]:
        return (Ask("xfeedback register status/call", _Answer(), nothing),)

    def identity(self) -> Sequence[Order[Identity]]:
        return (Ask("xstatus systemunit", _Answer("SystemUnit"), _identity),)

    def calls(self) -> Order[Sequence[CallSeen]]:
        return Ask("xstatus call", _Answer("Call"), _list)

    def room(self) -> Sequence[Order[RoomSeen]]:
        return (Ask("xconfiguration audio microphones mode", _Answer("*c"), _muted),)

    # ---- orders

    def dial(self, to: Address, options: DialOptions) -> Order[str]:
        if to.is_sip and self._sip is None:
            raise ValueError(
                "which of its network profiles is SIP's is not known; give the setting sip_profile, 1 to 7"
            )
        host = to.host if to.port is None else f"{to.host}:{to.port}"
        number = f"{to.user}@{host}" if to.user else host
        if not _NUMBER.fullmatch(number):
            raise ValueError(f"{number!r} cannot be dialed: no blanks, quotes or backslashes, 60 characters at most")
        text = f'xcommand dial number:"{number}" callrate:{rate(options.max_kbps)}'
        profile = self._sip if to.is_sip else self._h323
        if profile is not None:
            text += f" netprofile:{profile}"
        return Ask(text, _Answer(), _dialed, changes=True)

    def hang_up(self, call: str) -> Order[object]:
        return _order(f"xcommand disconnectcall call:{call}")

    def answer(self, call: str) -> Order[object]:
        return _order("xcommand callaccept")

    def mute(self, on: bool) -> Order[object]:
        text = f"xconfiguration audio microphones mode:{'off' if on else 'on'}"
        return Ask(text, _Answer("*c"), nothing, changes=True)

    def digits(self, call: str, digits: str) -> Sequence[Order[object]]:
        return [_order(f"xcommand dtmfsend value:{digit}", "xcommand dtmfsend value:*") for digit in digits]

    def preset(self, number: int) -> Order[object]:
        if not 0 <= number <= PRESETS:
            raise ValueError(f"preset {number}; expected 0 to {PRESETS}")
        return _order(f"xcommand presetactivate number:{number}")

    def content(self, on: bool) -> Order[object]:
        return _order(f"xcommand duovideo{'start' if on else 'stop'}")

    def wake(self) -> Order[object]:
        return _order("xcommand screensaverdeactivate")

    # ---- what nobody asked for

    def heard(self, line: str) -> Reports | None:
        seen = self._calls.line(line)
        if seen is not None:
            return (seen,)
        return () if _NOISE.match(line) or (_FIELD.match(line) and self._calls.is_open) else None


def _order(text: str, shown: str = "") -> Ask[None]:
    return Ask(text, _Answer(), nothing, changes=True, shown=shown)


def _fields(lines: Sequence[str]) -> dict[str, str]:
    """Values by name, the first of each; how deep they stand is nobody's business."""
    told: dict[str, str] = {}
    for line in lines:
        if not line.startswith("*") and (match := _FIELD.match(line)) and match[2]:
            told.setdefault(match[1], match[2].strip('"'))
    return told


def _dialed(lines: Sequence[str]) -> str:
    call = _fields(lines).get("CallRef", "")
    if not call.isdecimal():
        raise ValueError(f"no CallRef in {' / '.join(lines)!r}")
    return call


def _list(lines: Sequence[str]) -> Sequence[CallSeen]:
    calls, last = _Calls(), dict[str, CallSeen]()
    for line in lines:
        if (seen := calls.line(line)) is not None:
            last[seen.id] = seen
    return list(last.values())


def _identity(lines: Sequence[str]) -> Identity:
    told = _fields(lines)
    model = re.sub(r"^TANDBERG ", "", told.get("ProductId", ""), flags=re.IGNORECASE)
    return Identity("TANDBERG", model, told.get("Version", ""), told.get("SerialNumber", ""))


def _muted(lines: Sequence[str]) -> RoomSeen:
    for line in lines:
        if match := _SETTING.match(line):
            return RoomSeen(microphone_muted=match[1].lower() == "off")
    return RoomSeen()

"""Pure: the xAPI of TC, CE and RoomOS in our words, both ways.

Sources: API reference guides of TC5 to TC7 and of CE8 to CE9.14, and what drivers in the field match on;
the README card says which line rests on what. What differs between TC and CE is in `Words`.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from adapters.cli.reply import Ask, Reply, nothing
from adapters.control.grammar import Grammar
from adapters.control.order import CallSeen, Order, Reports, RoomSeen
from adapters.endpoints.cisco.block import Block, Manners, fields, unquoted
from adapters.endpoints.cisco.feedback import STATES, Feedback
from adapters.values import Address, AutoAnswer, AutoAnswerMode, DialOptions, Identity

RATES = (64, 6000)
DIGITS_AT_ONCE = 32
TEXT_TOP = 255
FEEDBACK = (
    "/Status/Call",
    "/Event/OutgoingCallIndication",
    "/Event/IncomingCallIndication",
    "/Event/CallSuccessful",
    "/Event/CallDisconnect",
)
T = TypeVar("T")

_ADDRESS = re.compile(r"[^\s\"\\\x00-\x1f]{1,250}")
_CALLS = re.compile(r"\*s Call \d")
_CALL = re.compile(r"\*s Call (\d+) (\w+): ?(.*)$")
_DONE = re.compile(r"OK$")
_NOTHING = re.compile(r"(?!)")


@dataclass(frozen=True, slots=True)
class Words:
    """What a line of software says differently."""

    volume: str
    digits: str
    preset: str
    presets: int
    text: str
    auto_answer: str
    has_tags: bool


TC = Words(
    volume="xConfiguration Audio Volume: {}",
    digits="xCommand DTMFSend",
    preset="xCommand Preset Activate",
    presets=15,
    text="xCommand Message Alert Display",
    auto_answer="xConfiguration Conference 1 AutoAnswer",
    has_tags=False,
)
CE = Words(
    volume="xCommand Audio Volume Set Level: {}",
    digits="xCommand Call DTMFSend",
    preset="xCommand Camera Preset Activate",
    presets=35,
    text="xCommand UserInterface Message Alert Display",
    auto_answer="xConfiguration Conference AutoAnswer",
    has_tags=True,
)
DIALECTS = {"tc": TC, "ce": CE}


def dialect_of(firmware: str) -> Words:
    """TC and what was before it, or CE and what came after."""
    return CE if re.match(r"(?:ce|room|spark|1\d\.)", firmware, re.IGNORECASE) else TC


def number(to: Address) -> str:
    """What is dialed for an address. Raises ValueError for one that no quotes can hold."""
    host = to.host if to.port is None else f"{to.host}:{to.port}"
    text = f"{to.user}@{host}" if to.user else host
    if to.transport:
        text += f";transport={to.transport}"
    if not _ADDRESS.fullmatch(text):
        raise ValueError(f"{text!r} cannot be dialed: no blanks, quotes or backslashes, 250 characters at most")
    return text


class CiscoGrammar(Grammar):
    """TC, CE or RoomOS. Without a dialect it is the one of the version that the device tells."""

    def __init__(self, dialect: str = "") -> None:
        self._fixed = bool(dialect)
        self._words = DIALECTS[dialect or "tc"]
        self._manners = Manners()
        self._feedback = Feedback(self._manners)
        self._tags = 0

    def _ask(
        self, text: str, read: Callable[[Sequence[str]], T], own: str | None = None, *, changes: bool, shown: str = ""
    ) -> Ask[T]:
        tag = ""
        if self._words.has_tags:
            self._tags += 1
            tag = str(self._tags)
            text += f' | resultId="{tag}"'
            shown = shown and f'{shown} | resultId="{tag}"'
        return Ask(
            text, Block(self._manners, re.compile(own) if own else None, tag), read, changes=changes, shown=shown
        )

    def _order(self, text: str, shown: str = "") -> Ask[None]:
        """A command; `*r` answers it."""
        return self._ask(text, nothing, changes=True, shown=shown)

    def _set(self, text: str) -> Ask[None]:
        """A setting; only the end of a block and an `OK` answer it."""
        return self._ask(text, nothing, r"\*c ", changes=True)

    def _question(self, text: str, own: str, read: Callable[[Sequence[str]], T]) -> Ask[T]:
        return self._ask(text, read, own, changes=False)

    # ---- questions

    def prepare(self) -> Sequence[Order[object]]:
        return (
            Ask("echo off", Reply(_DONE), nothing),
            *(Ask(f"xFeedback register {path}", Block(self._manners, _NOTHING), nothing) for path in FEEDBACK),
        )

    def identity(self) -> Sequence[Order[Identity]]:
        return (self._question("xStatus SystemUnit", r"\*s SystemUnit ", self._identity),)

    def _identity(self, lines: Sequence[str]) -> Identity:
        told = fields(lines, "*s SystemUnit ")
        firmware = told.get("Software Version", "")
        if firmware and not self._fixed:
            self._words = dialect_of(firmware)
        model = told.get("ProductId", "")
        return Identity(
            "TANDBERG" if "tandberg" in model.lower() else "Cisco" if model else "",
            re.sub(r"^(?:Cisco|TANDBERG) ", "", model, flags=re.IGNORECASE),
            firmware,
            told.get("Hardware Module SerialNumber", ""),
        )

    def calls(self) -> Order[Sequence[CallSeen]]:
        return self._question("xStatus Call", _CALLS.pattern, _calls)

    def room(self) -> Sequence[Order[RoomSeen]]:
        return (
            self._question("xStatus Audio Microphones Mute", r"\*s Audio Microphones Mute:", _muted),
            self._question("xStatus Audio Volume", r"\*s Audio Volume", _volume),
            self._question("xStatus Standby", r"\*s Standby ", _asleep),
            self._question(
                self._words.auto_answer, _AUTO.pattern, lambda lines: RoomSeen(auto_answer=_auto_answer(lines))
            ),
        )

    def auto_answer(self) -> Order[AutoAnswer]:
        return self._question(self._words.auto_answer, _AUTO.pattern, _auto_answer)

    # ---- orders

    def dial(self, to: Address, options: DialOptions) -> Order[str]:
        text = f'xCommand Dial Number: "{number(to)}" Protocol: {"Sip" if to.is_sip else "H323"}'
        if options.max_kbps is not None:
            text += f" CallRate: {min(max(options.max_kbps, RATES[0]), RATES[1])}"
        text += f" CallType: {'Video' if options.video else 'Audio'}"
        return self._ask(text, _dialed, changes=True)

    def hang_up(self, call: str) -> Order[object]:
        return self._order(f"xCommand Call Disconnect CallId: {call}")

    def answer(self, call: str) -> Order[object]:
        return self._order(f"xCommand Call Accept CallId: {call}")

    def mute(self, on: bool) -> Order[object]:
        return self._order(f"xCommand Audio Microphones {'Mute' if on else 'Unmute'}")

    def volume(self, percent: int) -> Order[object]:
        text = self._words.volume.format(percent)
        return self._order(text) if text.startswith("xCommand") else self._set(text)

    def digits(self, call: str, digits: str) -> Sequence[Order[object]]:
        pieces = [digits[start : start + DIGITS_AT_ONCE] for start in range(0, len(digits), DIGITS_AT_ONCE)]
        said = f"{self._words.digits} CallId: {call} DTMFString:"
        return [self._order(f'{said} "{piece}"', shown=f'{said} "{"*" * len(piece)}"') for piece in pieces]

    def preset(self, number: int) -> Order[object]:
        if not 1 <= number <= self._words.presets:
            raise ValueError(f"preset {number}; expected 1 to {self._words.presets}")
        return self._order(f"{self._words.preset} PresetId: {number}")

    def content(self, on: bool) -> Order[object]:
        return self._order(f"xCommand Presentation {'Start' if on else 'Stop'}")

    def wake(self) -> Order[object]:
        return self._order("xCommand Standby Deactivate")

    def text(self, text: str, for_s: float) -> Order[object]:
        line = " ".join(text.replace('"', "'").split())  # no quote can stand in a value
        if not 1 <= len(line) <= TEXT_TOP:
            raise ValueError(f"a text of {len(line)} characters; expected 1 to {TEXT_TOP}")
        return self._order(f'{self._words.text} Text: "{line}" Duration: {max(1, round(for_s))}')

    def set_auto_answer(self, wanted: AutoAnswer) -> Sequence[Order[object]]:
        if wanted.mode is AutoAnswerMode.DO_NOT_DISTURB:
            raise ValueError("Do-Not-Disturb is another setting there, with a time of its own; on or off can be set")
        where, is_on = self._words.auto_answer, wanted.mode is AutoAnswerMode.ON
        mode = self._set(f"{where} Mode: {'On' if is_on else 'Off'}")
        if wanted.muted is None:
            return (mode,)
        mute = self._set(f"{where} Mute: {'On' if wanted.muted else 'Off'}")
        return (mute, mode) if is_on else (mode, mute)  # never answered with the microphone on in between

    # ---- what nobody asked for

    def heard(self, line: str) -> Reports | None:
        return self._feedback.heard(line)


_AUTO = re.compile(r"\*c xConfiguration Conference (?:1 )?AutoAnswer (\w+): ?(.*)$")


def _dialed(lines: Sequence[str]) -> str:
    call = fields(lines).get("CallId", "")
    if not call.isdecimal():
        raise ValueError(f"no CallId in {' / '.join(lines)!r}")
    return call


def _calls(lines: Sequence[str]) -> Sequence[CallSeen]:
    told: dict[str, dict[str, str]] = {}
    for line in lines:
        if match := _CALL.match(line):
            told.setdefault(match[1], {})[match[2]] = unquoted(match[3])
    return [
        CallSeen(
            call,
            STATES.get(said.get("Status", "").replace(" ", "").lower()),
            said.get("RemoteNumber") or said.get("CallbackNumber", ""),
            said["Direction"].lower() == "outgoing" if "Direction" in said else None,
            name=said.get("DisplayName", ""),
        )
        for call, said in told.items()
    ]


def _value(lines: Sequence[str], name: str) -> str:
    return fields(lines, "*s ").get(name, "").lower()


def _muted(lines: Sequence[str]) -> RoomSeen:
    said = _value(lines, "Audio Microphones Mute")
    return RoomSeen(microphone_muted=said == "on" if said in ("on", "off") else None)


def _volume(lines: Sequence[str]) -> RoomSeen:
    said = _value(lines, "Audio Volume")
    return RoomSeen(volume=int(said) if said.isdecimal() and int(said) <= 100 else None)


def _asleep(lines: Sequence[str]) -> RoomSeen:
    """TC says whether it is active, CE in which state it is; half awake is not asleep."""
    state, active = _value(lines, "Standby State"), _value(lines, "Standby Active")
    if state:
        return RoomSeen(asleep=state in ("standby", "enteringstandby"))
    return RoomSeen(asleep=active == "on" if active in ("on", "off") else None)


def _auto_answer(lines: Sequence[str]) -> AutoAnswer:
    told = {match[1]: unquoted(match[2]).lower() for line in lines if (match := _AUTO.match(line))}
    if told.get("Mode") not in ("on", "off"):
        raise ValueError(f"no AutoAnswer Mode in {' / '.join(lines)!r}")
    mode = AutoAnswerMode.ON if told["Mode"] == "on" else AutoAnswerMode.OFF
    return AutoAnswer(mode, told["Mute"] == "on" if "Mute" in told else None)

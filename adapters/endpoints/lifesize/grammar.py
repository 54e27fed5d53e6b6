"""Pure: the automation shell of Room, Team and Express in our words, and the two shells of Icon.

Sources: the automation CLI manuals (command names, error codes), two vendor-independent drivers of Room and
Express, one for each firmware of Icon; the README card says which line rests on what.
"""

import re
from collections.abc import Callable, Sequence
from typing import TypeVar

from adapters.cli.reply import Ask, nothing
from adapters.control.grammar import Grammar
from adapters.control.order import CallSeen, Order, Reports, RoomSeen
from adapters.endpoints.lifesize import calls
from adapters.endpoints.lifesize.framing import Answer, Entered, status
from adapters.values import Address, AutoAnswer, AutoAnswerMode, DialOptions, Identity

T = TypeVar("T")
Read = Callable[[Sequence[str]], T]

MOST_TEXT = 400
"""Characters on the screen; no source has a figure."""
_NUMBER = re.compile(r"[^\s\"\\,;\x00-\x1f]{1,250}")
_VERSION = re.compile(r"\d+\.\d")
_NOISE = re.compile(r"\$*$|clish|Usage:|help-mode", re.IGNORECASE)
_ON = {"on": True, "enabled": True, "muted": True, "1": True, "asleep": True}
_OFF = {"off": False, "disabled": False, "unmuted": False, "0": False, "awake": False}
_SWITCH = {**_ON, **_OFF}
_SHARES = {
    "local.single": True,
    "tx.started": True,
    "presenting": True,
    "rx.started": False,
    "not presenting": False,
    "": False,
}


def number(to: Address) -> str:
    """What is dialed for an address. Raises ValueError for one that the shell would take apart."""
    host = to.host if to.port is None else f"{to.host}:{to.port}"
    text = "@".join(filter(None, (to.user, host))) if to.is_sip else "##".join(filter(None, (host, to.user)))
    if not _NUMBER.fullmatch(text):
        raise ValueError(f"{text!r} cannot be dialed: no blanks, quotes, commas, semicolons or backslashes")
    return text


def ask(text: str, read: Read[T]) -> Ask[T]:
    """A question."""
    return Ask(text, Answer(text), read)


def order(text: str, shown: str = "") -> Ask[None]:
    """Something to do."""
    return Ask(text, Answer(text), nothing, changes=True, shown=shown)


def _one(lines: Sequence[str]) -> str:
    """The only line of a reply, which may be empty."""
    if len(lines) > 1:
        raise ValueError(f"{lines[1]!r} is a line too many")
    return lines[0].strip() if lines else ""


def _switch(lines: Sequence[str]) -> bool:
    word = _one(lines).lower()
    if word not in _SWITCH:
        raise ValueError(f"{word!r} is neither on nor off")
    return _SWITCH[word]


class LifesizeGrammar(Grammar):
    """Room, Team and Express; what Icon has other words for stands in its own class below."""

    disturb_words = ("enabled", "disabled")
    presets = range(1, 20)

    # ---- questions

    def prepare(self) -> Sequence[Order[object]]:
        return (Ask("set help-mode off", Answer("set help-mode off"), nothing),)

    def identity(self) -> Sequence[Order[Identity]]:
        return (
            ask("get system model", _model),
            ask("get system version", _firmware),
            ask("get system serial-number", lambda lines: Identity(serial=_one(lines).partition(",")[0].strip())),
        )

    def calls(self) -> Order[Sequence[CallSeen]]:
        return ask("status call active", self._calls)

    def _calls(self, lines: Sequence[str]) -> Sequence[CallSeen]:
        return [calls.row(line) for line in lines]

    def room(self) -> Sequence[Order[RoomSeen]]:
        return (
            ask("get audio mute", lambda lines: RoomSeen(microphone_muted=_switch(lines))),
            ask("get volume speaker", lambda lines: RoomSeen(volume=int(_one(lines)))),
            *(ask(q.text, _as_room(q.read)) for q in self.auto_answer()),
        )

    def auto_answer(self) -> Sequence[Ask[AutoAnswer | None]]:
        return (
            ask("get call auto-answer", lambda ls: AutoAnswer(_MODES[_switch(ls)])),
            # With Do-Not-Disturb on it does not matter what the other switch says.
            ask(
                "get system do-not-disturb",
                lambda ls: AutoAnswer(AutoAnswerMode.DO_NOT_DISTURB) if _switch(ls) else None,
            ),
        )

    # ---- orders

    def dial(self, to: Address, options: DialOptions) -> Order[str]:
        text = f"control call dial -p {'sip' if to.is_sip else 'h323'} {number(to)}"
        if options.max_kbps is not None:
            text += f" -b {options.max_kbps}"
        return _dialing(text)

    def hang_up(self, call: str) -> Order[object]:
        return order(f"control call hangup {call}")

    def answer(self, call: str) -> Order[object]:
        return order(f"control call answer {call} -t video")

    def mute(self, on: bool) -> Order[object]:
        return order(f"set audio mute {'on' if on else 'off'}")

    def volume(self, percent: int) -> Order[object]:
        return order(f"set volume speaker {percent}")

    def digits(self, call: str, digits: str) -> Sequence[Order[object]]:
        return [order(f"control call dtmf {call} {digit}", f"control call dtmf {call} *") for digit in digits]

    def preset(self, number: int) -> Order[object]:
        self._check_preset(number)
        return order(f"set camera position -P {number}")

    def _check_preset(self, number: int) -> None:
        if number not in self.presets:
            raise ValueError(f"preset {number}; expected {self.presets[0]} to {self.presets[-1]}")

    def content(self, on: bool) -> Order[object]:
        return order(f"control call presentation 1 {'start' if on else 'stop'}")

    def wake(self) -> Order[object]:
        return order("control wakeup")

    def text(self, text: str, for_s: float) -> Order[object]:
        plain = "\\n".join(text.replace('"', "'").replace("\\", "/").splitlines())
        if len(plain) > MOST_TEXT or any(ord(char) < 32 for char in plain):
            raise ValueError(
                f"a text of {len(plain)} characters; expected {MOST_TEXT} at most, without control characters"
            )
        return order(f'set system message "{plain}" -t {max(1, round(for_s))}')

    def set_auto_answer(self, wanted: AutoAnswer) -> Sequence[Order[object]]:
        if wanted.muted:
            raise ValueError("it has no setting to answer with the microphone off; mute it before")
        is_quiet = wanted.mode is AutoAnswerMode.DO_NOT_DISTURB
        disturb = order(f"set system do-not-disturb {self.disturb_words[0 if is_quiet else 1]}")
        answers = order(f"set call auto-answer {'on' if wanted.mode is AutoAnswerMode.ON else 'off'}")
        # Nothing may be answered unasked in between, nor when somebody ends Do-Not-Disturb by hand.
        return (disturb, answers) if wanted.mode is AutoAnswerMode.ON else (answers, disturb)

    # ---- what nobody asked for

    def heard(self, line: str) -> Reports | None:
        line = line.lstrip("$ ")
        told = calls.event(line)
        if told is not None:
            return told
        return () if status(line) is not None or _NOISE.match(line) else None


class IconGrammar(LifesizeGrammar):
    """Icon: its shell has to be entered, and calls are hung up by their number."""

    def __init__(self) -> None:
        self._numbers: dict[str, str] = {}

    def prepare(self) -> Sequence[Order[object]]:
        return (Ask("clish", Entered(), nothing), *super().prepare())

    def room(self) -> Sequence[Order[RoomSeen]]:
        return (
            *super().room(),
            ask("get system asleep", lambda lines: RoomSeen(asleep=_switch(lines))),
            ask("get presentation state", lambda lines: RoomSeen(sharing=_SHARES.get(_one(lines).lower()))),
        )

    def _calls(self, lines: Sequence[str]) -> Sequence[CallSeen]:
        seen = super()._calls(lines)
        self._numbers = {call.id: call.far for call in seen if _NUMBER.fullmatch(call.far)}
        return seen

    def dial(self, to: Address, options: DialOptions) -> Order[str]:
        return _dialing(f"control call dial {number(to)} -t {'video' if options.video else 'voice'} -p sip")

    def hang_up(self, call: str) -> Order[object]:
        return order(f"control call hangup {self._numbers.get(call, call)}")

    def answer(self, call: str) -> Order[object]:
        return order("control call answer")

    def digits(self, call: str, digits: str) -> Sequence[Order[object]]:
        return [order(f"control call dtmf {digit}", "control call dtmf *") for digit in digits]

    def content(self, on: bool) -> Order[object]:
        return order(f"control presentation {'start' if on else 'stop'}")


class LaterIconGrammar(IconGrammar):
    """Icon with the later firmware: other words for some settings, another camera."""

    disturb_words = ("true", "false")
    presets = range(10)

    def digits(self, call: str, digits: str) -> Sequence[Order[object]]:
        return [order(f'control call dtmf "{digit}"', 'control call dtmf "*"') for digit in digits]

    def preset(self, number: int) -> Order[object]:
        self._check_preset(number)
        return order(f"get camera preset Gems-Camera {number}")


_MODES = {True: AutoAnswerMode.ON, False: AutoAnswerMode.OFF}


def _as_room(read: Read[AutoAnswer | None]) -> Read[RoomSeen]:
    return lambda lines: RoomSeen(auto_answer=read(lines))


def _dialing(text: str) -> Ask[str]:
    """`dial` names no call; events and the list do."""
    return Ask(text, Answer(text), lambda lines: "", changes=True)


def _model(lines: Sequence[str]) -> Identity:
    make, comma, model = _one(lines).partition(",")
    return Identity(make.strip(), model.partition(",")[0].strip()) if comma else Identity("LifeSize", make.strip())


def _firmware(lines: Sequence[str]) -> Identity:
    fields = [field.strip() for field in _one(lines).split(",")]
    return Identity(firmware=next((field for field in fields if _VERSION.search(field)), ""))

"""The twin of a VC room: its text API on a real socket, its calls real calls.

As the family's notes have it: it says who it is and asks for nothing, takes orders in silence, refuses with an
error line, and tells of the room's state when it changes. What a line of several states looks like, and
what a wrong password gets, is made up.
"""

import shlex
from collections.abc import Callable

from adapters.cli.twin import Console, TextTwin
from adapters.control.fault import Faults
from adapters.endpoints.yealink.grammar import PRESET_TOP, VOLUME_TOP
from adapters.values import Address, AutoAnswerMode, LegState
from adapters.virtual.codec import Codec, CodecCall

_ILLEGAL = "error: command has illegal parameters"
_UNKNOWN = "error: command not found"
_SHOWN = {
    LegState.DIALING: "outgoing",
    LegState.RINGING: "outgoing",  # it does not tell the two apart
    LegState.CONNECTED: "talking",
    LegState.CLEARING: "talking",
}
_ON = {"on": True, "off": False}


class YealinkTwin(TextTwin):
    """`asks_password`: as a driver in the field has met it; else nobody is asked for anything."""

    def __init__(
        self,
        codec: Codec,
        *,
        secret: str = "",
        username: str = "",
        faults: Faults | None = None,
        model: str = "VC400",
        asks_password: bool = False,
    ) -> None:
        super().__init__(codec, secret=secret, username=username, faults=faults)
        self.model = model
        self.asks_password = asks_password
        self._verbs: dict[str, Callable[[Console, list[str]], None]] = {
            "version": lambda console, words: self._introduce(console),
            "sysstatus": self._sysstatus,
            "dial": self._dial,
            "answer": self._answer,
            "button": self._button,
            "getcallid": lambda console, words: console.say(*(str(call) for call in self.codec.call_table)),
            "mute": self._mute,
            "volume": self._volume,
            "gendial": self._gendial,
            "preset": self._preset,
            "donotdisturb": self._donotdisturb,
            "inputsource": self._inputsource,
            "storage": lambda console, words: console.say("storage get unavailable"),
        }

    # ---- sessions

    def greet(self, console: Console) -> None:
        if self.asks_password:
            console.send(b"Password:")
        else:
            self._enter(console)

    def log_in(self, console: Console, line: str) -> None:
        if line == self.secret:
            self._enter(console)
        else:
            self.refusals += 1
            console.send(b"\r\nPassword:")

    def _enter(self, console: Console) -> None:
        console.is_logged_in = True
        self.log_ins += 1
        self._introduce(console)

    def _introduce(self, console: Console) -> None:
        console.say(
            f'version "model:{self.model}" "firmware:30.20.254.12" "hardware:30.2.0.0" "productId:x" "cc_version:x"'
        )

    # ---- commands

    def took(self, console: Console, line: str) -> None:
        try:
            words = shlex.split(line)
        except ValueError:
            words = [""]
        if not words:
            return
        verb = self._verbs.get(words[0])
        if verb is None:
            console.say(_UNKNOWN)
            return
        try:
            verb(console, words[1:])
        except (IndexError, KeyError, ValueError):
            console.say(_ILLEGAL)

    def does_not_know(self, console: Console, line: str) -> None:
        console.say(_UNKNOWN)

    def _state(self) -> str:
        calls = list(self.codec.call_table.values())
        if not calls:
            return "sleeping" if self.codec.is_asleep else "idle"
        return " ".join(dict.fromkeys(_shown(call) for call in calls))

    def _sysstatus(self, console: Console, words: list[str]) -> None:
        if words != ["get"]:
            raise ValueError(words)
        console.say(f"sysstatus get {self._state()}")

    def _dial(self, console: Console, words: list[str]) -> None:
        protocol, kbps, numbers = "auto", 0, words[1:]
        if words[0] == "manual":
            kind, protocol, speed, *numbers = words[1:]
            if kind not in ("video", "audio", "auto") or protocol not in ("auto", "sip", "h323"):
                raise ValueError(words)
            kbps = 0 if speed == "auto" else int(speed)
        elif words[0] != "auto":
            raise ValueError(words)
        for number in (numbers[0], *numbers[1:]):
            to = _address(number, protocol)
            if to is None:
                self.codec.refuse_to_dial(number, kbps, 404)
            else:
                self.codec.dial(to, kbps).far = number

    def _answer(self, console: Console, words: list[str]) -> None:
        is_yes = {"yes": True, "no": False}[words[0]]
        for call in self._calls():
            if not call.is_outgoing and call.state is LegState.RINGING:
                (self.codec.take if is_yes else self.codec.end)(call)

    def _button(self, console: Console, words: list[str]) -> None:
        if words[0] == "hangup":
            for call in self._calls():
                self.codec.end(call)
        elif words[0] == "power":
            self.codec.is_asleep = not self.codec.is_asleep

    def _mute(self, console: Console, words: list[str]) -> None:
        if words[0] != "near":
            raise ValueError(words)
        if words[1] == "get":
            console.say(self._muted())
            return
        on = not self.codec.is_muted if words[1] == "toggle" else _ON[words[1]]
        if on is not self.codec.is_muted:
            self.codec.is_muted = on
            self._tell(self._muted())

    def _muted(self) -> str:
        return f"mute near get {'on' if self.codec.is_muted else 'off'}"

    def _volume(self, console: Console, words: list[str]) -> None:
        step = round(self.codec.volume * VOLUME_TOP / 100)
        if words[0] == "get":
            console.say(f"volume get {step}")
            return
        step = int(words[1]) if words[0] == "set" else step + {"up": 1, "down": -1}[words[0]]
        if not 0 <= step <= VOLUME_TOP:
            raise ValueError(words)
        self.codec.volume = round(step * 100 / VOLUME_TOP)

    def _gendial(self, console: Console, words: list[str]) -> None:
        if len(words) != 1 or words[0] not in tuple("0123456789*#"):
            raise ValueError(words)
        for call in self._calls():
            if call.state is LegState.CONNECTED:
                call.line.send_digit(words[0])

    def _preset(self, console: Console, words: list[str]) -> None:
        if words[0] != "near" or words[1] not in ("go", "set") or not 0 <= int(words[2]) <= PRESET_TOP:
            raise ValueError(words)
        if words[1] == "go":
            self.codec.preset = int(words[2])

    def _donotdisturb(self, console: Console, words: list[str]) -> None:
        quiet = AutoAnswerMode.DO_NOT_DISTURB
        if words[0] not in ("global", "talk"):
            raise ValueError(words)
        if words[1] != "get" and words[0] == "global":
            self.codec.auto_answer = quiet if _ON[words[1]] else AutoAnswerMode.OFF
        is_on = self.codec.auto_answer is quiet and words[0] == "global"
        console.say(f"donotdisturb {words[0]} get {'on' if is_on else 'off'}")

    def _inputsource(self, console: Console, words: list[str]) -> None:
        if words[0] not in ("camera", "pc", "share"):
            raise ValueError(words)
        if words[0] == "share" and not any(call.state is LegState.CONNECTED for call in self._calls()):
            raise ValueError("only in a call")
        self.codec.is_sharing = words[0] == "share"

    def _calls(self) -> list[CodecCall]:
        return list(self.codec.call_table.values())

    # ---- what it tells unasked

    def _tell(self, *lines: str) -> None:
        for console in self.logged_in():
            console.say(*lines)

    def changed(self, call: CodecCall) -> None:
        if call.state is LegState.CLEARED:
            self._tell("sysstatus get finished", f"sysstatus get {self._state()}")
        elif not call.is_outgoing and call.state is LegState.RINGING:
            self._tell(f'incoming "num:{call.far}" "name:{call.line.caller_name}"', "sysstatus get ringing")
        elif call.state in (LegState.DIALING, LegState.CONNECTED) and (
            call.is_outgoing or call.state is LegState.CONNECTED
        ):
            self._tell(f"sysstatus get {_shown(call)}")


def _shown(call: CodecCall) -> str:
    if not call.is_outgoing and call.state in (LegState.DIALING, LegState.RINGING):
        return "ringing"
    return _SHOWN[call.state]


def _address(number: str, protocol: str) -> Address | None:
    """Where a dialed number leads; None for one that the device cannot call."""
    if protocol == "h323" or "##" in number:
        host, _, user = number.partition("##")
        text = f"h323:{user}@{host}" if user else f"h323:{host}"
    else:
        text = f"sip:{number}"
    try:
        return Address.parse(text)
    except ValueError:
        return None

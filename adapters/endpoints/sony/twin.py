"""The twin of a PCS-XG: its console on a real socket, its calls real calls.

As the notes have it: lines end in CR CR LF, events come by themselves with a prompt behind them, errors are bare words.
`has_echo`: the terminal echoes what is typed, or only the words of the reply come. `mic_on_mutes` is the other reading
of `audio mic-on`.
"""

from collections.abc import Callable
from typing import ClassVar

from adapters.cli.twin import Console, TextTwin
from adapters.control.fault import Faults
from adapters.endpoints.sony.grammar import PRESETS, VOLUME_TOP
from adapters.values import Address, LegState
from adapters.virtual.codec import Codec, CodecCall

_PROMPT = b"CNTR>"


class SonyTwin(TextTwin):
    """One device, powered on."""

    eol: ClassVar[str] = "\r\r\n"
    # DO TTYPE, TSPEED, XDISPLOC, NEW-ENVIRON, NAWS, ECHO, LFLOW; WILL SGA, STATUS: what a working client answers to
    opening: ClassVar[bytes] = bytes.fromhex("fffd18 fffd20 fffd23 fffd27 fffb03 fffd01 fffd1f fffb05 fffd21")

    def __init__(
        self,
        codec: Codec,
        *,
        secret: str = "",
        username: str = "",
        faults: Faults | None = None,
        has_echo: bool = True,
        mic_on_mutes: bool = False,
    ) -> None:
        super().__init__(codec, secret=secret, username=username, faults=faults)
        self.has_echo = has_echo
        self.mic_on_mutes = mic_on_mutes
        self._verbs: dict[str, Callable[[Console, str], str | None]] = {
            "dial": self._dial,
            "disconnect": self._disconnect,
            "answer": self._answer,
            "audio": self._audio,
            "status": self._status,
            "power-on": self._power_on,
            "stand-by": self._stand_by,
            "camera": self._camera,
            "far": lambda console, rest: None if self._up() else "not communication",
            "rgb": self._rgb,
        }

    # ---- sessions

    def greet(self, console: Console) -> None:
        console.stage = "user"
        console.send(b"\r\nlogin: " if self.secret else b"")

    def log_in(self, console: Console, line: str) -> None:
        if not self.secret:  # a serial line
            console.is_logged_in = True
            self.log_ins += 1
            console.send(_PROMPT)
        elif console.stage == "user":
            console.notes = {line}
            console.stage = "secret"
            console.send(b"Password:")
        elif (console.notes, line) == ({self.username}, self.secret):
            console.notes = set()
            console.is_logged_in = True
            self.log_ins += 1
            console.send(b"\r\r\n" + _PROMPT)
        else:
            self.refusals += 1
            console.stage = "user"
            console.send(b"\r\r\nlogin: ")

    # ---- commands

    def took(self, console: Console, line: str) -> None:
        words = line.strip()
        if not words:
            console.send(b"\r\r\n" + _PROMPT)
            return
        if self.has_echo:
            console.send(words.encode() + b"\r\n")
        verb, _, rest = words.partition(" ")
        act = self._verbs.get(verb)
        error = act(console, rest) if act is not None else "syntax error"
        if error is not None:
            console.say(error)
        console.send(_PROMPT)

    def does_not_know(self, console: Console, line: str) -> None:
        console.say("not supported")
        console.send(_PROMPT)

    def _up(self) -> bool:
        return any(call.state is LegState.CONNECTED for call in self.codec.call_table.values())

    def _dial(self, console: Console, rest: str) -> str | None:
        number = rest.strip("/")
        if self.codec.is_asleep:
            return "not power on"
        if self.codec.call_table:
            return "status error"
        if not number or rest != f"/{number}/" or "/" in number:
            return "syntax error"
        try:
            to = Address.parse(f"sip:{number}")
        except ValueError:
            self.codec.refuse_to_dial(number, 0, 404)
        else:
            self.codec.dial(to)
        return None

    def _disconnect(self, console: Console, rest: str) -> str | None:
        calls = list(self.codec.call_table.values())
        if not calls:
            return "not connect"
        for call in calls:
            self.codec.end(call)
        return None

    def _answer(self, console: Console, rest: str) -> str | None:
        ringing = [c for c in self.codec.call_table.values() if not c.is_outgoing and c.state is not LegState.CONNECTED]
        if not ringing or rest not in ("accept", "reject"):
            return "status error"
        if rest == "accept":
            self.codec.take(ringing[0])
        else:
            self.codec.end(ringing[0])
        return None

    def _audio(self, console: Console, rest: str) -> str | None:
        if rest in ("mic-on", "mic-off"):
            self.codec.is_muted = (rest == "mic-on") is self.mic_on_mutes
            console.say(f"audio {rest}")
            return None
        level = rest.removeprefix("volume-")
        if not level.isdecimal() or int(level) > VOLUME_TOP:
            return "syntax error"
        self.codec.volume = round(int(level) * 100 / VOLUME_TOP)
        return None

    def _status(self, console: Console, rest: str) -> str | None:
        if rest == "power":
            console.say(f"status power {'stand-by' if self.codec.is_asleep else 'power-on'}")
        elif rest == "macstatus":
            console.say("CAMERA")
        else:
            return "syntax error"
        return None

    def _power_on(self, console: Console, rest: str) -> str | None:
        self.codec.is_asleep = False
        return None

    def _stand_by(self, console: Console, rest: str) -> str | None:
        self.codec.is_asleep = True
        return None

    def _camera(self, console: Console, rest: str) -> str | None:
        verb, _, number = rest.partition(" ")
        number = number.strip("/")
        if verb != "move" or not number.isdecimal() or int(number) not in PRESETS:
            return "preset type error"
        self.codec.preset = int(number)
        return None

    def _rgb(self, console: Console, rest: str) -> str | None:
        if rest not in ("start", "stop"):
            return "syntax error"
        self.codec.is_sharing = rest == "start"
        return None

    # ---- what it tells unasked

    def changed(self, call: CodecCall) -> None:
        for console in self.logged_in():
            if call.state is LegState.CLEARED:
                console.say("disconnect")
            elif call.state is LegState.CONNECTED:
                console.say("connect complete")
            elif not call.is_outgoing and call.state is LegState.RINGING:
                console.say("ring manual", call.far.partition("@")[0].rpartition(":")[2] or "unknown")
                console.send(b"\r\n" + _PROMPT)
            elif call.is_outgoing and call.state is not LegState.CLEARING:
                console.say("connect status", "2" if call.state is LegState.DIALING else "3")

"""The twin of a Room or an Icon: its automation shell on a real socket, its calls real calls.

Byte for byte as the family's notes have it: the echo stands behind the prompt, a blank line before the status
line, events come at any time with a status line and a prompt of their own. What no source shows of an Icon's
lists is made up as its drivers take it.
"""

import shlex
from collections.abc import Callable

from adapters.cli.twin import Console, TextTwin
from adapters.control.fault import Faults
from adapters.endpoints.lifesize.framing import ERRORS
from adapters.values import Address, AutoAnswerMode, LegState
from adapters.virtual.codec import Codec, CodecCall

_SHOWN = {
    LegState.DIALING: "Dialing",
    LegState.RINGING: "Ringing",
    LegState.CONNECTED: "Connected",
    LegState.CLEARING: "Terminating",
    LegState.CLEARED: "Terminated",
}
_ICON_SHOWN = {
    LegState.DIALING: "dialing",
    LegState.RINGING: "ringing",
    LegState.CONNECTED: "media-connected",
    LegState.CLEARING: "terminating",
    LegState.CLEARED: "terminated",
}
_ENDS = {486: "Busy", 600: "Busy", 503: "Unreachable"}
_ICON_ENDS = {486: "error-busy", 480: "error-no-answer", 404: "error-bad-number", 503: "error-unreachable"}


class LifesizeTwin(TextTwin):
    """`dialect` is `room`, `icon` or `icon-later`; `model` goes with it."""

    def __init__(
        self,
        codec: Codec,
        *,
        secret: str = "",
        username: str = "",
        faults: Faults | None = None,
        dialect: str = "room",
        model: str = "Room 220",
    ) -> None:
        super().__init__(codec, secret=secret, username=username, faults=faults)
        self.model = model
        self.is_icon = dialect != "room"
        self.is_later = dialect == "icon-later"
        self.is_answering = False  # the two switches behind `codec.auto_answer`
        self.is_quiet = False
        self._ended: list[str] = []  # of an Icon: it shows how a call ended once
        self._objects: dict[str, Callable[[Console, list[str]], None]] = {
            "set help-mode": lambda console, words: self._ok(console),
            "status call": self._status_call,
            "control call": self._control_call,
            "set audio": self._set_audio,
            "get audio": self._get_audio,
            "set volume": self._set_volume,
            "get volume": lambda console, words: self._ok(console, str(self.codec.volume)),
            "set call": self._set_call,
            "get call": lambda console, words: self._ok(console, "on" if self.is_answering else "off"),
            "set camera": self._set_camera,
            "get camera": self._get_camera,
            "set system": self._set_system,
            "get system": self._get_system,
            "control presentation": self._control_presentation,
            "get presentation": self._get_presentation,
            "control wakeup": lambda console, words: self._sleep(console, False),
            "control sleep": lambda console, words: self._sleep(console, True),
            "control reboot": self._control_reboot,
        }

    # ---- sessions

    @property
    def _prompt(self) -> bytes:
        return b"$" if self.is_later else b"$ "

    def greet(self, console: Console) -> None:
        if console.is_logged_in:
            console.send(self._prompt)
        else:
            console.send(b"login: ")

    def log_in(self, console: Console, line: str) -> None:
        if not console.stage:
            console.stage = line or "?"
            console.send(f"{line}\r\nPassword: ".encode())
        elif (console.stage, line) == (self.username, self.secret):
            console.is_logged_in = True
            self.log_ins += 1
            console.send(b"\r\n" + self._prompt)
        else:
            console.stage = ""
            self.refusals += 1
            console.send(b"\r\nLogin incorrect\r\nlogin: ")

    # ---- replies

    def _ok(self, console: Console, *data: str) -> None:
        console.say(*data, *(("Success, 0",) if self.is_later else ("", "ok,00")))
        console.send(self._prompt)

    def _no(self, console: Console, code: str) -> None:
        if self.is_later:
            console.say(f"{ERRORS[code]}, {int(code, 16)}")
        else:
            console.say("", f"error,{code}")
        console.send(self._prompt)

    def _event(self, line: str) -> None:
        for console in self.logged_in():
            console.say(line, "", "ok,00")
            console.send(self._prompt)

    # ---- commands

    def took(self, console: Console, line: str) -> None:
        console.send(f"{line}\r\n".encode())
        try:
            words = shlex.split(line)
        except ValueError:
            self._no(console, "04")
            return
        if words == ["clish"]:
            self._clish(console)
        elif not words:
            self._ok(console)
        elif self.is_icon and not self.is_later and "clish" not in console.notes:
            console.say(f"sh: {words[0]}: not found")
            console.send(self._prompt)
        elif (verb := self._objects.get(" ".join(words[:2]))) is None:
            self._no(console, "09")
        else:
            try:
                verb(console, words[2:])
            except IndexError:
                self._no(console, "07")
            except ValueError:
                self._no(console, "04")

    def does_not_know(self, console: Console, line: str) -> None:
        console.send(f"{line}\r\n".encode())
        self._no(console, "09")

    def _clish(self, console: Console) -> None:
        if self.is_icon and not self.is_later and "clish" not in console.notes:
            console.notes.add("clish")
            console.send(self._prompt)
        else:
            self._no(console, "09")

    def _status_call(self, console: Console, words: list[str]) -> None:
        if words[0] != "active":
            raise ValueError(words[0])
        calls = [call for call in self.codec.call_table.values() if "-C" not in words or str(call.id) == words[-1]]
        ended, self._ended = self._ended, []
        rows = [self._row(call) for call in calls] + ended
        if self.is_later and not rows:
            console.say("Usage: status call active")
            self._no(console, "0d")
        else:
            self._ok(console, *rows)

    def _row(self, call: CodecCall) -> str:
        incoming = "No" if call.is_outgoing else "Yes"
        protocol = "h323" if call.protocol == "h323" else "sip"
        duration = ",00:01:10" if call.state is LegState.CONNECTED else ""
        kbps = call.kbps or 1024
        name = call.far.partition("@")[0].rpartition(":")[2]
        far = call.far.removeprefix("sip:")
        return f"{call.id},1,{self._shown(call)},{incoming},Video,{far},{name},{kbps},{protocol},{kbps}{duration}"

    def _shown(self, call: CodecCall) -> str:
        if not call.is_outgoing and call.state is LegState.RINGING:
            return "incoming" if self.is_icon else "Ring Incoming"
        if self.is_icon and call.state is LegState.CLEARED:
            return _ICON_ENDS.get(call.code, "terminated")
        return (_ICON_SHOWN if self.is_icon else _SHOWN)[call.state]

    def _control_call(self, console: Console, words: list[str]) -> None:
        verb, rest = words[0], words[1:]
        if verb == "dial":
            self._dial(console, rest)
        elif verb == "hangup":
            self._hang_up(console, rest)
        elif verb == "answer":
            ringing = [c for c in self.codec.call_table.values() if not c.is_outgoing and c.state is LegState.RINGING]
            if not ringing:
                self._no(console, "0e")
                return
            self._ok(console)
            self.codec.take(ringing[0])
        elif verb == "dtmf":
            self._ok(console)
            for call in self.codec.call_table.values():
                if call.state is LegState.CONNECTED and (self.is_icon or str(call.id) == rest[0]):
                    for digit in rest[-1]:
                        call.line.send_digit(digit)
        elif verb == "presentation" and not self.is_icon:
            self._share(console, rest[1])
        else:
            self._no(console, "06")

    def _dial(self, console: Console, words: list[str]) -> None:
        options, numbers = {}, []
        while words:
            word = words.pop(0)
            if word in ("-p", "-b", "-t"):
                options[word] = words.pop(0)
            else:
                numbers.append(word)
        (number,) = numbers
        kbps = int(options.get("-b", "0"))
        if (self.is_icon and kbps) or options.get("-p", "auto") not in ("auto", "sip", "h323"):
            raise ValueError(options)
        self._ok(console)
        to = _address(number, options.get("-p", "auto"))
        if to is None:
            self.codec.refuse_to_dial(number, kbps, 404)
        else:
            self.codec.dial(to, kbps).far = number

    def _hang_up(self, console: Console, words: list[str]) -> None:
        every = list(self.codec.call_table.values())
        those = every if not words or words[0] == "-a" else [c for c in every if words[0] in (str(c.id), c.far)]
        if not those:
            self._no(console, "03" if every else "0e")
            return
        self._ok(console)
        for call in those:
            self.codec.end(call)

    def _set_audio(self, console: Console, words: list[str]) -> None:
        if words[0] != "mute" or words[1] not in ("on", "off"):
            raise ValueError(words)
        self.codec.is_muted = words[1] == "on"
        self._ok(console)
        if not self.is_icon:
            self._event(f"MS,{str(self.codec.is_muted).lower()}")

    def _get_audio(self, console: Console, words: list[str]) -> None:
        said = ("unmuted", "muted") if self.is_later else ("off", "on")
        self._ok(console, said[self.codec.is_muted])

    def _set_volume(self, console: Console, words: list[str]) -> None:
        volume = int(words[1])
        if words[0] != "speaker" or not 0 <= volume <= 100:
            raise ValueError(words)
        self.codec.volume = volume
        self._ok(console)

    def _set_call(self, console: Console, words: list[str]) -> None:
        if words[0] != "auto-answer" or words[1] not in ("on", "off"):
            raise ValueError(words)
        self.is_answering = words[1] == "on"
        self._switched()
        self._ok(console)

    def _switched(self) -> None:
        mode = AutoAnswerMode.ON if self.is_answering else AutoAnswerMode.OFF
        self.codec.auto_answer = AutoAnswerMode.DO_NOT_DISTURB if self.is_quiet else mode

    def _set_camera(self, console: Console, words: list[str]) -> None:
        if self.is_later or words[:2] != ["position", "-P"]:
            raise ValueError(words)
        self.codec.preset = int(words[2])
        self._ok(console)

    def _get_camera(self, console: Console, words: list[str]) -> None:
        if not self.is_later or words[0] != "preset":
            raise ValueError(words)
        self.codec.preset = int(words[2])
        self._ok(console)

    def _set_system(self, console: Console, words: list[str]) -> None:
        if words[0] == "message" and not self.is_icon:
            self.codec.screen = words[1].replace("\\n", "\n")
        elif words[0] == "do-not-disturb":
            self.is_quiet = {"enabled": True, "true": True, "disabled": False, "false": False}[words[1]]
            self._switched()
        else:
            raise ValueError(words)
        self._ok(console)

    def _get_system(self, console: Console, words: list[str]) -> None:
        asleep = ("awake", "asleep") if self.is_later else ("0", "1")
        said = {
            "model": f"LifeSize,{self.model}",
            "name": self.codec.title,
            "version": "LifeSize,4.11.13 (2)",
            "serial-number": f"{self.codec.serial},SB{self.codec.serial}",
            "uptime": "1,2,3,4",
            "do-not-disturb": "enabled" if self.is_quiet else "disabled",
            "asleep": asleep[self.codec.is_asleep] if self.is_icon else None,
        }.get(words[0])
        if said is None:
            self._no(console, "06")
        else:
            self._ok(console, said)

    def _control_presentation(self, console: Console, words: list[str]) -> None:
        if not self.is_icon:
            raise ValueError(words)
        self._share(console, words[0])

    def _share(self, console: Console, word: str) -> None:
        self.codec.is_sharing = {"start": True, "stop": False}[word]
        self._ok(console)
        if not self.is_icon:
            self._event(f"PS,0,1,{'Initiated' if self.codec.is_sharing else 'Terminated'},No,0")

    def _get_presentation(self, console: Console, words: list[str]) -> None:
        said = ("not presenting", "presenting") if self.is_later else ("", "tx.started")
        self._ok(console, said[self.codec.is_sharing])

    def _sleep(self, console: Console, on: bool) -> None:
        is_new, self.codec.is_asleep = self.codec.is_asleep is not on, on
        self._ok(console)
        if is_new and not self.is_icon:
            self._event(f"SS,{str(on).lower()}")

    def _control_reboot(self, console: Console, words: list[str]) -> None:
        self._ok(console)
        self.reboot()

    # ---- what it tells unasked

    def changed(self, call: CodecCall) -> None:
        if self.is_icon:
            if self.is_later and not call.is_outgoing:
                self._event("EVENT incomingCallStateChanged")
            elif call.state is LegState.CLEARED and not self.is_later:
                self._ended = [*self._ended[-9:], self._row(call)]
            return
        far = call.far.removeprefix("sip:")
        if not call.is_outgoing and call.state in (LegState.DIALING, LegState.RINGING):
            self._event(f"IC,{call.id},1,{self._shown(call)},Video,{far},{call.line.caller_name}")
            return
        if call.state is LegState.CLEARED and call.is_outgoing and call.code in _ENDS:
            self._event(f"CS,{call.id},1,{_ENDS[call.code]},Video,,{far}")
        self._event(f"CS,{call.id},1,{self._shown(call)},Video,,{far}")


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

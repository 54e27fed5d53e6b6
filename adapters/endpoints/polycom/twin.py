"""The twin of an HDX or a RealPresence Group: its API on a real socket, its calls real calls.

Byte for byte as the family's notes have it: replies end in CR CR LF and echoes in CR LF, registrations last over
sessions, the banner comes after the password, a second registration is "already active".
"""

from collections.abc import Callable
from typing import ClassVar

from adapters.cli.twin import Console, TextTwin
from adapters.control.fault import Faults
from adapters.endpoints.polycom.grammar import PRESET_TOP, RATES, VOLUME_TOP
from adapters.values import Address, AutoAnswerMode, LegState
from adapters.virtual.channel import cause_of
from adapters.virtual.codec import Codec, CodecCall
from adapters.virtual.exchange import NORMAL

_AUTO = {
    "yes": AutoAnswerMode.ON,
    "no": AutoAnswerMode.OFF,
    "donotdisturb": AutoAnswerMode.DO_NOT_DISTURB,
}
_AUTO_WORDS = {mode: word for word, mode in _AUTO.items()}
_SHOWN = {
    LegState.DIALING: "opened",
    LegState.RINGING: "connecting",
    LegState.CONNECTED: "connected",
    LegState.CLEARING: "disconnecting",
    LegState.CLEARED: "disconnected",
}
_CHANNEL = {LegState.DIALING: "ALLOCATED", LegState.RINGING: "RINGING", LegState.CONNECTED: "COMPLETE"}
_MORE = "error: command needs more parameters to execute successfully"


class PolycomTwin(TextTwin):
    """`model` "RealPresence Group 500" or "HDX 8000"; `has_echo` and `has_arrow` as the device's port has them."""

    eol: ClassVar[str] = "\r\r\n"

    def __init__(
        self,
        codec: Codec,
        *,
        secret: str = "",
        username: str = "",
        faults: Faults | None = None,
        model: str = "RealPresence Group 500",
        has_echo: bool = True,
        has_arrow: bool = False,
    ) -> None:
        super().__init__(codec, secret=secret, username=username, faults=faults)
        self.model = model
        self.has_echo = has_echo
        self.has_arrow = has_arrow
        self.registered: set[str] = set()  # persists: it is kept in flash
        self._verbs: dict[str, Callable[[Console, list[str]], None]] = {
            "dial": self._dial,
            "hangup": self._hangup,
            "answer": self._answer,
            "callinfo": self._callinfo,
            "getcallstate": self._getcallstate,
            "callstate": self._callstate,
            "notify": self._notify,
            "nonotify": self._nonotify,
            "mute": self._mute,
            "volume": self._volume,
            "gendial": self._gendial,
            "preset": self._preset,
            "autoanswer": self._autoanswer,
            "vcbutton": self._vcbutton,
            "wake": self._wake,
            "sleep": self._sleep,
            "whoami": self._whoami,
            "echo": self._echo,
            "cmdecho": self._cmdecho,
            "reboot": self._reboot,
            "exit": self._exit,
        }

    # ---- sessions

    def greet(self, console: Console) -> None:
        if self.has_echo:
            console.notes.add("echo")
        if console.is_logged_in:
            self._introduce(console)
        elif self.secret:
            console.send(b"\r\n\r\n\r\nPassword:")
        else:
            console.is_logged_in = True
            self.log_ins += 1
            self._introduce(console)

    def log_in(self, console: Console, line: str) -> None:
        if line == self.secret:
            console.is_logged_in = True
            self.log_ins += 1
            console.send(b"\r\r\n")
            self._introduce(console)
        else:
            self.refusals += 1
            console.send(b"\r\r\npassword:")

    def _introduce(self, console: Console) -> None:
        console.say(
            f"Hi, my name is : {self.codec.title}",
            "Here is what I know about myself:",
            f"Model: {self.model}",
            f"Serial Number: {self.codec.serial}",
            "Software Version: Release - 6.1.6.1-460003",
            "Build Information: ecs.polycom.example",
            "Contact Number: ",
            "Time In Last Call: 0:00:12",
            "Total Time In Calls: 3:04:05",
            "Total Calls: 42",
            "SNTP Time Service: auto",
            "Local Time is: Wed, 23 Dec 2020 10:11:12",
            "IP Video Number: 127.0.0.1",
            "MP Enabled: False",
            "H323 Enabled: True",
            "HTTP Enabled: True",
            "SNMP Enabled: True",
        )

    # ---- commands

    def took(self, console: Console, line: str) -> None:
        if "echo" in console.notes:
            console.send((("-> " if self.has_arrow else "") + line + "\r\n").encode())
        words = _words(line)
        if not words:
            return
        verb = self._verbs.get(words[0])
        if verb is None:
            console.say("error: command not found")
            return
        try:
            verb(console, words[1:])
        except IndexError:
            console.say(_MORE)

    def does_not_know(self, console: Console, line: str) -> None:
        console.say("error: command not found")

    def _dial(self, console: Console, words: list[str]) -> None:
        kind, speed, number = words[0], words[1], words[2]
        if kind not in ("manual", "auto"):
            console.say(_MORE)
            return
        protocol = words[3] if len(words) > 3 else "sip"
        kbps = 0 if speed == "auto" else int(speed)
        if kbps and kbps not in RATES:
            console.say("info: invalid speed")
            return
        console.say("dialing manual")
        to = _address(number, protocol)
        if to is None:
            self.codec.refuse_to_dial(number, kbps, 404)
        else:
            call = self.codec.dial(to, kbps)
            call.far = number

    def _hangup(self, console: Console, words: list[str]) -> None:
        calls = list(self.codec.call_table.values())
        if words[0] == "video" and len(words) > 1:
            call = self.codec.call_table.get(int(words[1]))
            if call is None:
                console.say(f"error: connection {words[1]} is not active")
                return
            console.say("hanging up video")
            self.codec.end(call)
            return
        if not calls:
            console.say("system is not in a call")
            return
        console.say(f"hanging up {words[0]}")
        for call in calls:
            self.codec.end(call)

    def _answer(self, console: Console, words: list[str]) -> None:
        ringing = [c for c in self.codec.call_table.values() if not c.is_outgoing and c.state is LegState.RINGING]
        if words[0] != "video" or not ringing:
            console.say("answer incoming video call failed")
            return
        console.say("answer incoming video call passed")
        self.codec.take(ringing[0])

    def _callinfo(self, console: Console, words: list[str]) -> None:
        calls = list(self.codec.call_table.values())
        if words[0] == "callid":
            calls = [call for call in calls if str(call.id) == words[1]]
        if not calls:
            console.say("system is not in a call")
            return
        lines = [self._info(call) for call in calls]
        console.say(*(lines if words[0] == "callid" else ["callinfo begin", *lines, "callinfo end"]))

    def _info(self, call: CodecCall) -> str:
        name = "" if call.id % 2 else f"{_name(call)}:"  # the name can be missing altogether
        muted = "muted" if self.codec.is_muted else "notmuted"
        way = "outgoing" if call.is_outgoing else "incoming"
        state = "ringing" if not call.is_outgoing and call.state is LegState.RINGING else _SHOWN[call.state]
        return f"callinfo:{call.id}:{name}{call.far}:{call.kbps}:{state}:{muted}:{way}:videocall"

    def _getcallstate(self, console: Console, words: list[str]) -> None:
        calls = list(self.codec.call_table.values())[:1]
        lines = [f"cs: call[{c.id}] speed[{c.kbps}] dialstr[{c.far}] state[{_SHOWN[c.state]}]" for c in calls]
        console.say(*(lines or ["cs: call[0] inactive"]), "cs: call[1] inactive", "cs: call[2] inactive")

    def _register(self, console: Console, what: str, done: str) -> None:
        if what in self.registered:
            console.say(f"info: event/notification already active:{what}")
            return
        self.registered.add(what)
        console.say(done)

    def _callstate(self, console: Console, words: list[str]) -> None:
        if words[0] == "register":
            self._register(console, "callstate", "callstate registered")
        else:
            self.registered.discard("callstate")
            console.say("callstate unregistered")

    def _notify(self, console: Console, words: list[str]) -> None:
        if words:
            self._register(console, words[0], f"notify {words[0]} success")
        else:
            console.say(f"registered for {len(self.registered)} notifications:{':'.join(sorted(self.registered))}")

    def _nonotify(self, console: Console, words: list[str]) -> None:
        if words[0] in self.registered:
            self.registered.discard(words[0])
            console.say(f"nonotify {words[0]} success")
        else:
            console.say(f"info: event/notification not active:{words[0]}")

    def _mute(self, console: Console, words: list[str]) -> None:
        if words[0] == "near" and words[1] in ("on", "off", "toggle"):
            self.codec.is_muted = not self.codec.is_muted if words[1] == "toggle" else words[1] == "on"
        console.say(f"mute {words[0]} {'on' if self.codec.is_muted else 'off'}")

    def _volume(self, console: Console, words: list[str]) -> None:
        if words[0] == "set":
            value = int(words[1])
            if not 0 <= value <= VOLUME_TOP:
                console.say("info: volume out of range")
                return
            self.codec.volume = round(value * 100 / VOLUME_TOP)
        console.say(f"volume {round(self.codec.volume * VOLUME_TOP / 100)}")

    def _gendial(self, console: Console, words: list[str]) -> None:
        for call in self.codec.call_table.values():
            if call.state is LegState.CONNECTED:
                call.line.send_digit(words[0])

    def _preset(self, console: Console, words: list[str]) -> None:
        if words[0] == "near" and words[1] == "go" and 0 <= int(words[2]) <= PRESET_TOP:
            self.codec.preset = int(words[2])

    def _autoanswer(self, console: Console, words: list[str]) -> None:
        if words[0] != "get":
            self.codec.auto_answer = _AUTO[words[0]]
        console.say(f"autoanswer {_AUTO_WORDS[self.codec.auto_answer]}")

    def _vcbutton(self, console: Console, words: list[str]) -> None:
        if words[0] != "get":
            self.codec.is_sharing = words[0] == "play"
        console.say(f"vcbutton {'play' if self.codec.is_sharing else 'stop'}")

    def _wake(self, console: Console, words: list[str]) -> None:
        if self.codec.is_asleep:
            self.codec.is_asleep = False
            console.say("listen waking up")

    def _sleep(self, console: Console, words: list[str]) -> None:
        self.codec.is_asleep = True
        console.say("listen going to sleep")

    def _whoami(self, console: Console, words: list[str]) -> None:
        self._introduce(console)

    def _echo(self, console: Console, words: list[str]) -> None:
        console.say(" ".join(words))

    def _cmdecho(self, console: Console, words: list[str]) -> None:
        (console.notes.discard if words[0] == "off" else console.notes.add)("echo")
        console.say(f"cmdecho {words[0]}")

    def _reboot(self, console: Console, words: list[str]) -> None:
        if words[0] in ("now", "yes"):
            self.reboot()

    def _exit(self, console: Console, words: list[str]) -> None:
        console.close()

    # ---- what it tells unasked

    def changed(self, call: CodecCall) -> None:
        for console in self.logged_in():
            if "callstate" in self.registered:
                self._tell_channel(console, call)
            if "callstatus" in self.registered:
                console.say(self._notification(call))

    def _tell_channel(self, console: Console, call: CodecCall) -> None:
        here = f"call[{call.id}]"
        if call.state is LegState.CLEARED:
            console.say(f"cleared: {here}", f"dialstr[IP:{call.far} NAME:{_name(call)}]", f"ended: {here}")
        elif not call.is_outgoing and call.state is LegState.RINGING:
            console.say(f"incoming: {here} name[{_name(call)}] ")
        elif call.state in _CHANNEL:
            console.say(f"cs: {here} chan[0] dialstr[{call.far}] state[{_CHANNEL[call.state]}]")
            if call.state is LegState.CONNECTED:
                console.say(f"active: {here} speed [{call.kbps}]")

    def _notification(self, call: CodecCall) -> str:
        way = "outgoing" if call.is_outgoing else "incoming"
        if call.state is LegState.DIALING:
            return f"notification:callstatus:{way}:{call.id}:null 1::opened::0:videocall"
        cause = 0
        if call.state is LegState.CLEARED and call.code != NORMAL:
            cause = cause_of(call.code)
        state = "ringing" if not call.is_outgoing and call.state is LegState.RINGING else _SHOWN[call.state]
        return f"notification:callstatus:{way}:{call.id}:{_name(call)}:{call.far}:{state}:{call.kbps}:{cause}:videocall"


def _name(call: CodecCall) -> str:
    return call.far.partition("@")[0].rpartition(":")[2] or "null 1"


def _words(line: str) -> list[str]:
    """A command's words; quotes hold blanks together."""
    words, is_quoted = [""], False
    for char in line.strip():
        if char == '"':
            is_quoted = not is_quoted
        elif char == " " and not is_quoted:
            words.append("")
        else:
            words[-1] += char
    return [word for word in words if word]


def _address(number: str, protocol: str) -> Address | None:
    """Where a dialed number leads; None for one that the device cannot call."""
    if protocol == "h323":
        host, _, user = number.partition("##")
        text = f"h323:{user}@{host}" if user else f"h323:{host}"
    else:
        text = f"sip:{number}"
    try:
        return Address.parse(text)
    except ValueError:
        return None

"""The twin of an MXP codec: its XACLI on a real socket, its calls real calls.

As the guides of the MXP and the MPS have it: blocks that end in `*s/end` and `*r/end`, `OK` behind each answer, call
numbers that are used again, `CONNECT` and `NO CARRIER` in between.
"""

import re
from collections.abc import Callable

from adapters.cli.twin import Console, TextTwin
from adapters.control.fault import Faults
from adapters.values import Address, LegState
from adapters.virtual.codec import Codec, CodecCall

SIP_PROFILE = 6
"""The twin's network profile for SIP; which it is on a device is a matter of its settings."""
_ARGUMENT = re.compile(r"(\w+): ?(\"[^\"]*\"|[^\s\"]+)")
_STATUS = {
    LegState.DIALING: "Proceeding",
    LegState.RINGING: "Alerting",
    LegState.CONNECTED: "Synced",
    LegState.CLEARING: "ClearOut",
}
Arguments = dict[str, str]


class TandbergTwin(TextTwin):
    """One MXP; there are no users, and no password where `secret` is empty."""

    def __init__(self, codec: Codec, *, secret: str = "", username: str = "", faults: Faults | None = None) -> None:
        super().__init__(codec, secret=secret, username=username, faults=faults)
        self._numbers: dict[int, int] = {}  # the call's number, of its id
        self._held: list[CodecCall] | None = None
        self._verbs: dict[str, Callable[[Console, Arguments], None]] = {
            "xcommand dial": self._dial,
            "xcommand disconnectcall": self._disconnect,
            "xcommand callaccept": self._accept,
            "xcommand dtmfsend": self._digit,
            "xcommand presetactivate": self._preset,
            "xcommand duovideostart": lambda console, said: self._share(console, True),
            "xcommand duovideostop": lambda console, said: self._share(console, False),
            "xcommand screensaverdeactivate": lambda console, said: self._sleep(console, False),
            "xcommand screensaveractivate": lambda console, said: self._sleep(console, True),
            "xstatus call": self._calls,
            "xstatus systemunit": self._unit,
            "xconfiguration audio microphones": self._microphones,
            "xconfiguration audio microphones mode": self._microphones,
            "xfeedback register status/call": self._register,
            "xcommand boot": self._boot,
        }

    def greet(self, console: Console) -> None:
        console.send(f"Welcome to {self.codec.title}\r\nTANDBERG Codec Release F8.2 PAL\r\n".encode())
        if self.secret:
            console.send(b"\r\nPassword: ")
        else:
            self._enter(console)

    def log_in(self, console: Console, line: str) -> None:
        if line == self.secret:
            self._enter(console)
        else:
            self.refusals += 1
            console.send(b"\r\nPassword: ")

    def _enter(self, console: Console) -> None:
        console.is_logged_in = True
        self.log_ins += 1
        console.say("", "OK", "")

    def took(self, console: Console, line: str) -> None:
        console.send((line + "\r\n").encode())
        arguments = {match[1].lower(): match[2].strip('"') for match in _ARGUMENT.finditer(line)}
        first = _ARGUMENT.search(line)
        path = " ".join((line[: first.start()] if first else line).lower().split())
        if not path:
            return
        verb = self._verbs.get(path)
        if verb is None:
            self.does_not_know(console, line)
        else:
            verb(console, arguments)

    def does_not_know(self, console: Console, line: str) -> None:
        console.say("Command not recognized.")

    def _done(self, console: Console, *fields: str) -> None:
        head = "*r Result (status=OK):" if fields else "*r Result (status=OK): /"
        console.say(head, *(f"    {field}" for field in fields), "*r/end", "", "OK")

    def _refuse(self, console: Console, cause: int, words: str) -> None:
        console.say(
            "*r Result (status=Error):", f"    Cause: {cause}", f'    Description: "{words}"', "*r/end", "", "ERROR"
        )

    def _dial(self, console: Console, said: Arguments) -> None:
        scheme = "sip" if said.get("netprofile") == str(SIP_PROFILE) else "h323"
        try:
            to = Address.parse(f"{scheme}:{said.get('number', '')}")
        except ValueError:
            self._refuse(console, 28, "Invalid number")
            return
        rate = said.get("callrate", "Auto")
        self._held = []
        call = self.codec.dial(to, int(rate) if rate.isdecimal() else 0)
        held, self._held = self._held, None
        self._done(console, f"CallRef: {self._number(call)}", f"LogTag: {call.id}")
        for known in held:
            self._tell(known)

    def _number(self, call: CodecCall) -> int:
        if call.id not in self._numbers:
            self._numbers[call.id] = min(set(range(1, 12)) - set(self._numbers.values()))
        return self._numbers[call.id]

    def _disconnect(self, console: Console, said: Arguments) -> None:
        calls = list(self.codec.call_table.values())
        if "call" in said:
            calls = [call for call in calls if str(self._number(call)) == said["call"]]
        if not calls:
            self._refuse(console, 1, "No such call")
            return
        self._done(console)
        for call in calls:
            self.codec.end(call)

    def _accept(self, console: Console, said: Arguments) -> None:
        self._done(console)
        for call in list(self.codec.call_table.values()):
            if not call.is_outgoing:
                self.codec.take(call)

    def _digit(self, console: Console, said: Arguments) -> None:
        for call in self.codec.call_table.values():
            if call.state is LegState.CONNECTED:
                call.line.send_digit(said["value"])
        self._done(console)

    def _preset(self, console: Console, said: Arguments) -> None:
        self.codec.preset = int(said["number"])
        self._done(console)

    def _share(self, console: Console, is_on: bool) -> None:
        self.codec.is_sharing = is_on
        self._done(console)

    def _sleep(self, console: Console, is_on: bool) -> None:
        self.codec.is_asleep = is_on
        self._done(console)

    def _boot(self, console: Console, said: Arguments) -> None:
        self._done(console)
        self.reboot()

    def _microphones(self, console: Console, said: Arguments) -> None:
        if "mode" in said:
            self.codec.is_muted = said["mode"].lower() == "off"
        console.say(f"*c xConfiguration Audio Microphones Mode: {'Off' if self.codec.is_muted else 'On'}", "", "OK")

    def _unit(self, console: Console, said: Arguments) -> None:
        console.say(
            "*s SystemUnit:",
            '    ProductType: "TANDBERG Codec"',
            '    ProductId: "TANDBERG 6000 MXP"',
            "    Uptime: 597095",
            "    Software:",
            '        Version: "F8.2 PAL"',
            '        ReleaseDate: "2009-04-21"',
            "    Hardware:",
            f'        SerialNumber: "{self.codec.serial}"',
            "*s/end",
            "",
            "OK",
        )

    def _calls(self, console: Console, said: Arguments) -> None:
        lines: list[str] = []
        for call in self.codec.call_table.values():
            lines += self._call(call)
        console.say(*lines, "", "OK")

    def _call(self, call: CodecCall) -> list[str]:
        way = "Outgoing" if call.is_outgoing else "Incoming"
        status = _STATUS[call.state] if call.is_outgoing or call.state is not LegState.DIALING else "EstablIn"
        far = call.far.partition(":")[2] or call.far
        return [
            f"*s Call {self._number(call)} (status={status}, type=Vtlph, protocol={call.protocol.upper()}, "
            f"direction={way}, logTag={call.id}):",
            f"    CallRate: {call.kbps}",
            f'    RemoteNumber: "{far}"',
            "    Mute: Off",
            "    Microphone: Off",
            "    Duration: 0",
            "    Channels 1 (type=Incoming):",
            f"        Rate: {call.kbps}",
            "        Encryption (status=Off): /",
            "*s/end",
        ]

    def _register(self, console: Console, said: Arguments) -> None:
        console.notes.add("call")
        console.say("", "OK")

    def changed(self, call: CodecCall) -> None:
        if self._held is not None:
            self._held.append(call)
        else:
            self._tell(call)

    def _tell(self, call: CodecCall) -> None:
        number = self._number(call)
        for console in self.logged_in():
            if "call" not in console.notes:
                continue
            if call.state is LegState.CLEARED:
                head = f"*s Call {number} (status=Disconnected, type=NA, protocol=NA, direction=NA):"
                console.say("NO CARRIER", head, "*s/end")
            else:
                if call.state is LegState.CONNECTED:
                    console.say("CONNECT")
                console.say(*self._call(call))
        if call.state is LegState.CLEARED:
            self._numbers.pop(call.id, None)

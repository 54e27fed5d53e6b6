"""The twin of a TC, CE or RoomOS codec: its xAPI on a real socket, its calls real calls.

Byte for byte as the family's notes and the API guides have it: telnet negotiation, log-in, echo until it is
switched off, answers in blocks with `OK` in front or behind, feedback per session and only for what is registered.
"""

import re
from collections.abc import Callable, Sequence
from typing import ClassVar

from adapters.cli.twin import Console, TextTwin
from adapters.control.fault import Faults
from adapters.endpoints.cisco.written import call_fields, end_fields
from adapters.values import Address, AutoAnswerMode, LegState
from adapters.virtual.codec import Codec, CodecCall

_ARGUMENT = re.compile(r"(\w+): ?(\"[^\"]*\"|[^\s\"]+)")
_TAGGED = re.compile(r" ?\| ?resultId=\"([^\"]*)\"$", re.IGNORECASE)
Arguments = dict[str, str]


class CiscoTwin(TextTwin):
    """`is_ce`: CE words and tags, else TC's; `ok_first`: `OK` in front of an order's answer, as the API guides have it.

    `is_indented`: the fields of an answer and of an event stand below its name, as old software has it.
    """

    opening: ClassVar[bytes] = bytes.fromhex("fffd18fffd20fffd23fffd27")

    def __init__(
        self,
        codec: Codec,
        *,
        secret: str = "",
        username: str = "",
        faults: Faults | None = None,
        is_ce: bool = False,
        ok_first: bool = False,
        is_indented: bool = False,
    ) -> None:
        super().__init__(codec, secret=secret, username=username, faults=faults)
        self.is_ce = is_ce
        self.ok_first = ok_first
        self.is_indented = is_indented
        self.firmware = "ce9.15.3.24.fe9ab7a6b75" if is_ce else "TC7.3.3.c84180a"
        self.model = "Cisco TelePresence SX80" if is_ce else "Cisco TelePresence SX20"
        self.mutes_at_answer = False
        self._held: list[CodecCall] | None = None
        self._tag = ""
        self._verbs: dict[str, Callable[[Console, str, Arguments], None]] = {
            "xcommand dial": self._dial,
            "xcommand call disconnect": self._disconnect,
            "xcommand call disconnectall": self._disconnect,
            "xcommand call accept": self._accept,
            "xcommand audio microphones mute": self._mute,
            "xcommand audio microphones unmute": self._mute,
            "xcommand presentation start": self._present,
            "xcommand presentation stop": self._present,
            "xcommand standby activate": self._standby,
            "xcommand standby deactivate": self._standby,
            "xstatus call": self._calls,
            "xstatus systemunit": self._unit,
            "xstatus audio microphones mute": self._muted,
            "xstatus audio volume": self._loudness,
            "xstatus standby": self._standing,
            "xstatus standby state": self._standing,
            "xstatus standby active": self._standing,
        }
        if is_ce:
            self._verbs |= {
                "xcommand audio volume set": self._set_volume,
                "xcommand call dtmfsend": self._digits,
                "xcommand camera preset activate": self._preset,
                "xcommand userinterface message alert display": self._text,
                "xconfiguration conference autoanswer": self._auto_answer,
                "xcommand systemunit boot": self._boot,
            }
        else:
            self._verbs |= {
                "xconfiguration audio": self._configure_volume,
                "xcommand dtmfsend": self._digits,
                "xcommand preset activate": self._preset,
                "xcommand message alert display": self._text,
                "xconfiguration conference 1 autoanswer": self._auto_answer,
                "xcommand boot": self._boot,
            }

    # ---- sessions

    def greet(self, console: Console) -> None:
        console.notes.add("echo")
        if console.is_logged_in:
            self._welcome(console)
        else:
            console.send(b"\r\nlogin: ")

    def log_in(self, console: Console, line: str) -> None:
        if console.stage != "secret":
            console.notes.discard("known")
            if line == self.username:
                console.notes.add("known")
            console.stage = "secret"
            console.send(b"Password: ")
        elif line == self.secret and "known" in console.notes:
            console.is_logged_in = True
            self.log_ins += 1
            console.send(b"\r\n")
            self._welcome(console)
        else:
            self.refusals += 1
            console.stage = ""
            console.send(b"\r\nLogin incorrect\r\n\r\nlogin: ")

    def _welcome(self, console: Console) -> None:
        console.say(f"Welcome to {self.codec.title}")
        console.say(f"Cisco Codec Release {self.firmware}", "SW Release Date: 2015-06-12")
        console.say("*r Login successful", "", "OK", "")

    def took(self, console: Console, line: str) -> None:
        if "echo" in console.notes:
            console.send((line + "\r\n").encode())
        tagged = _TAGGED.search(line)
        self._tag = tagged[1] if tagged and self.is_ce else ""
        line = line[: tagged.start()] if tagged else line
        arguments = {match[1].lower(): match[2].strip('"') for match in _ARGUMENT.finditer(line)}
        first = _ARGUMENT.search(line)
        path = (line[: first.start()] if first else line).strip()
        words = path.lower().split()
        if not words:
            return
        if words[0] == "bye":
            console.close()
        elif words[0] == "echo":
            (console.notes.discard if words[-1] == "off" else console.notes.add)("echo")
            console.send(b"\x1b[?1034h\r\nOK\r\n")
        elif words[0] == "xfeedback":
            self._feedback(console, words[1:])
        elif (verb := self._verbs.get(" ".join(words))) is not None:
            verb(console, path, arguments)
        else:
            self.does_not_know(console, line)

    def does_not_know(self, console: Console, line: str) -> None:
        if line.lower().startswith("xcommand "):
            self._refuse(console, "Result", 'Reason: "Unknown command"')
        else:
            console.say("Command not recognized.")

    # ---- answers

    def _fields(self, head: str, fields: Sequence[str]) -> list[str]:
        """Fields below their name, or each with it."""
        return [f"    {field}" if self.is_indented else f"{head} {field}" for field in fields]

    def _end(self) -> list[str]:
        return ([f'** resultId: "{self._tag}"'] if self._tag else []) + ["** end"]

    def _done(self, console: Console, path: str, *fields: str) -> None:
        """An order was taken."""
        head = f"*r {''.join(path.split()[1:][-2:])}Result"
        block = [f"{head} (status=OK):", *self._fields(head, fields), *self._end()]
        console.say(*(["", "OK", *block] if self.ok_first else [*block, "", "OK"]))

    def _refuse(self, console: Console, name: str, *fields: str) -> None:
        head = f"*r {name}"
        console.say(f"{head} (status=Error):", *self._fields(head, fields), *self._end())

    def _say(self, console: Console, *lines: str) -> None:
        """The answer to a question, or to a setting."""
        console.say(*lines, *self._end(), "", "OK")

    # ---- commands

    def _dial(self, console: Console, path: str, said: Arguments) -> None:
        scheme = "h323" if said.get("protocol", "").lower() == "h323" else "sip"
        try:
            to = Address.parse(f"{scheme}:{said.get('number', '')}")
        except ValueError:
            self._refuse(console, "DialResult", "Cause: 28", 'Description: "Invalid number format"')
            return
        self._held = []
        call = self.codec.dial(to, int(said.get("callrate", "0")))
        held, self._held = self._held, None
        self._done(console, path, f"CallId: {call.id}", "ConferenceId: 1")
        for known in held:
            self._tell(known, known.state)

    def _disconnect(self, console: Console, path: str, said: Arguments) -> None:
        calls = list(self.codec.call_table.values())
        if "callid" in said:
            calls = [call for call in calls if str(call.id) == said["callid"]]
            if not calls:
                self._refuse(console, "CallDisconnectResult", "Cause: 1", 'Description: "No such call"')
                return
        self._done(console, path)
        for call in calls:
            self.codec.end(call)

    def _accept(self, console: Console, path: str, said: Arguments) -> None:
        ringing = [
            call
            for call in self.codec.call_table.values()
            if not call.is_outgoing
            and call.state is LegState.RINGING
            and said.get("callid", str(call.id)) == str(call.id)
        ]
        if not ringing:
            self._refuse(console, "CallAcceptResult", "Cause: 1", 'Description: "No incoming call"')
            return
        self._done(console, path)
        for call in ringing:
            self.codec.take(call)

    def _mute(self, console: Console, path: str, said: Arguments) -> None:
        self.codec.is_muted = not path.lower().endswith("unmute")
        self._done(console, path)

    def _present(self, console: Console, path: str, said: Arguments) -> None:
        self.codec.is_sharing = path.lower().endswith("start")
        self._done(console, path)

    def _standby(self, console: Console, path: str, said: Arguments) -> None:
        self.codec.is_asleep = path.lower().endswith(" activate")
        self._done(console, path)

    def _set_volume(self, console: Console, path: str, said: Arguments) -> None:
        self.codec.volume = int(said["level"])
        self._done(console, path)

    def _configure_volume(self, console: Console, path: str, said: Arguments) -> None:
        if "volume" in said:
            self.codec.volume = int(said["volume"])
            self._say(console)
        else:
            self._say(console, f"*c xConfiguration Audio Volume: {self.codec.volume}")

    def _digits(self, console: Console, path: str, said: Arguments) -> None:
        call = self.codec.call_table.get(int(said.get("callid", "0")))
        if call is None or call.state is not LegState.CONNECTED:
            self._refuse(console, "DTMFSendResult", "Cause: 1", 'Description: "No such call"')
            return
        for digit in said["dtmfstring"]:
            call.line.send_digit(digit)
        self._done(console, path)

    def _preset(self, console: Console, path: str, said: Arguments) -> None:
        self.codec.preset = int(said["presetid"])
        self._done(console, path)

    def _text(self, console: Console, path: str, said: Arguments) -> None:
        self.codec.screen = said["text"]
        self._done(console, path)

    def _boot(self, console: Console, path: str, said: Arguments) -> None:
        self._done(console, path)
        self.reboot()

    def _auto_answer(self, console: Console, path: str, said: Arguments) -> None:
        if "mode" in said:
            self.codec.auto_answer = AutoAnswerMode.ON if said["mode"].lower() == "on" else AutoAnswerMode.OFF
        if "mute" in said:
            self.mutes_at_answer = said["mute"].lower() == "on"
        if said:
            self._say(console)
            return
        mode = "On" if self.codec.auto_answer is AutoAnswerMode.ON else "Off"
        head = f"*c {path}"
        mute = "On" if self.mutes_at_answer else "Off"
        self._say(console, f"{head} Delay: 0", f"{head} Mode: {mode}", f"{head} Mute: {mute}")

    def _calls(self, console: Console, path: str, said: Arguments) -> None:
        lines: list[str] = []
        for call in self.codec.call_table.values():
            lines += [f"*s Call {call.id} {field}" for field in call_fields(call, call.state)]
        self._say(console, *lines)

    def _unit(self, console: Console, path: str, said: Arguments) -> None:
        self._say(
            console,
            '*s SystemUnit ContactInfo: "helpdesk@example.com"',
            f'*s SystemUnit Hardware Module SerialNumber: "{self.codec.serial}"',
            f'*s SystemUnit ProductId: "{self.model}"',
            '*s SystemUnit ProductType: "Cisco Codec"',
            '*s SystemUnit Software ReleaseDate: "2015-06-12"',
            f'*s SystemUnit Software Version: "{self.firmware}"',
            f"*s SystemUnit State NumberOfActiveCalls: {len(self.codec.call_table)}",
            "*s SystemUnit Uptime: 12345",
        )

    def _muted(self, console: Console, path: str, said: Arguments) -> None:
        self._say(console, f"*s Audio Microphones Mute: {'On' if self.codec.is_muted else 'Off'}")

    def _loudness(self, console: Console, path: str, said: Arguments) -> None:
        self._say(console, f"*s Audio Volume: {self.codec.volume}")

    def _standing(self, console: Console, path: str, said: Arguments) -> None:
        asleep = self.codec.is_asleep
        if self.is_ce:
            self._say(console, f"*s Standby State: {'Standby' if asleep else 'Off'}")
        else:
            self._say(console, f"*s Standby Active: {'On' if asleep else 'Off'}")

    # ---- what it tells unasked

    def _feedback(self, console: Console, words: list[str]) -> None:
        registered = sorted(note for note in console.notes if note.startswith("/"))
        if words[:1] == ["list"]:
            self._say(console, *registered)
            return
        if words[:1] == ["deregisterall"]:
            console.notes.difference_update(registered)
        elif words[:1] == ["deregister"]:
            console.notes.discard(words[1])
        else:
            console.notes.add(words[1])
        self._say(console)

    def changed(self, call: CodecCall) -> None:
        if self._held is not None:
            self._held.append(call)
        else:
            self._tell(call, call.state)

    def _tell(self, call: CodecCall, state: LegState) -> None:
        for console in self.logged_in():
            if state is LegState.CLEARED:
                self._event(console, "CallDisconnect", *end_fields(call))
                self._status(console, f"*s Call {call.id} (ghost=True):")
            elif call.is_outgoing or state is not LegState.DIALING:
                self._step(console, call, state)

    def _step(self, console: Console, call: CodecCall, state: LegState) -> None:
        if state is LegState.DIALING:
            self._event(console, "OutgoingCallIndication", f"CallId: {call.id}")
        elif state is LegState.RINGING and not call.is_outgoing:
            self._event(
                console,
                "IncomingCallIndication",
                f'RemoteURI: "{call.far}"',
                'DisplayNameValue: ""',
                f"CallId: {call.id}",
            )
        fields = call_fields(call, state)
        if f"seen {call.id}" in console.notes:  # only what has changed
            fields = [field for field in fields if field.startswith(("AnswerState", "Status"))]
        console.notes.add(f"seen {call.id}")
        self._status(console, *(f"*s Call {call.id} {field}" for field in fields))
        if state is LegState.CONNECTED:
            way = "outgoing" if call.is_outgoing else "incoming"
            self._event(
                console,
                "CallSuccessful",
                f'Protocol: "{call.protocol}"',
                f'Direction: "{way}"',
                f"CallRate: {call.kbps}",
                f'RemoteURI: "{call.far}"',
                f"CallId: {call.id}",
            )

    def _event(self, console: Console, name: str, *fields: str) -> None:
        if f"/event/{name.lower()}" in console.notes:
            head = f"*e {name}"
            lines = [f"{head} {fields[0]}", *self._fields(head, fields[1:])]
            console.say(*lines, "** end")

    def _status(self, console: Console, *lines: str) -> None:
        if "/status/call" in console.notes:
            console.say(*lines, "** end")

"""Pure: the API of HDX and RealPresence Group in our words, both ways.

Sources: HDX Integrator's Reference Manual, RealPresence Group Integrator's Reference Guide, and
what field drivers match on; the README card says which line rests on what.
"""

import re
from collections.abc import Callable, Sequence

from adapters.causes import ClearCause, Cleared, Side, from_q850
from adapters.cli.reply import Ask, Reply, Taken, nothing
from adapters.control.grammar import Grammar
from adapters.control.order import CallSeen, LookAgain, Order, Reports, RoomSeen
from adapters.values import Address, AutoAnswer, AutoAnswerMode, DialOptions, Identity, LegState

VOLUME_TOP = 50
PRESET_TOP = 99
_QUIET_S = 0.4
RATES = (64, 128, 256, 384, 512, 768, 1024, 1472, 1536, 1920, 2048, 3072, 3840, 4096, 6144)
"""Speeds that `dial manual` takes; a wish is met by the next one below it."""

_NO = re.compile(r"(?:info|error): ?")
_NO_COMMAND = re.compile(r"error: ?command not found")
_ADDRESS = re.compile(r"[^\s\"\\\x00-\x1f]{1,250}")

_STATES = {
    "opened": LegState.DIALING,
    "connecting": LegState.RINGING,
    "ringing": LegState.RINGING,
    "connected": LegState.CONNECTED,
    "disconnecting": LegState.CLEARING,
    "disconnected": LegState.CLEARED,
    "inactive": LegState.CLEARED,
}
_CHANNEL_STATES = {  # of `cs:` lines; their CONNECTED is not yet the call's (COMPLETE is)
    "ALLOCATED": LegState.DIALING,
    "RINGING": LegState.RINGING,
    "BONDING": LegState.RINGING,
    "CONNECTING": LegState.RINGING,
    "CONNECTED": LegState.RINGING,
    "COMPLETE": LegState.CONNECTED,
}

_CALLINFO = re.compile(
    r"callinfo:(?P<id>\d+):(?P<far>.*):(?P<speed>\d*):(?P<state>[a-z]+):(?:muted|notmuted)"
    r":(?P<way>incoming|outgoing):\w+$"
)
_STATUS = re.compile(
    r"notification:callstatus:(?P<way>incoming|outgoing):(?P<id>\d+):(?P<far>.*)"
    r":(?P<state>opened|ringing|connecting|connected|disconnecting|disconnected|inactive)"
    r":(?P<speed>\d*):(?P<cause>\d+)(?::\w+)?$"
)
_CHANNEL = re.compile(r"cs: call\[(\d+)\] chan\[\d+\] dialstr\[(.*)\] state ?\[(\w+)\]")
_ACTIVE = re.compile(r"active: call\[(\d+)\]")
_CLEARED = re.compile(r"cleared: call\[(\d+)\](?:.* cause\[(\d+)\])?")
_ENDED = re.compile(r"ended:? call\[(\d+)\]")
_INCOMING = re.compile(r"incoming: call\[(\d+)\](?: name\[(.*?)\])?")
_NOISE = re.compile(
    r"(?:-> ?)*(?:$|Hi, my name is|Here is what I know|[A-Z][A-Za-z0-9 ]{1,40}:(?: |$)|notification:|Control event:|"
    r"listen |popupinfo|cs: call\[\d+\] inactive|dialstr(?:ing)?\[|info: event/notification|callstate registered)",
    re.IGNORECASE,
)
_BANNER = re.compile(r"(Model|Serial Number|Software Version): ?(.*)", re.IGNORECASE)
_AUTO = {
    "yes": AutoAnswerMode.ON,
    "no": AutoAnswerMode.OFF,
    "donotdisturb": AutoAnswerMode.DO_NOT_DISTURB,
}
_AUTO_WORDS = {mode: word for word, mode in _AUTO.items()}


def rate(kbps: int | None) -> str:
    """The speed word for a wish; `auto` without one."""
    if kbps is None:
        return "auto"
    return str(max((one for one in RATES if one <= kbps), default=RATES[0]))


def number(to: Address) -> str:
    """What is dialed for an address. Raises ValueError for one that no quotes can hold."""
    host = to.host if to.port is None else f"{to.host}:{to.port}"
    if to.is_sip:
        text = f"{to.user}@{host}" if to.user else host
        if to.transport:
            text += f";transport={to.transport}"
    else:
        text = f"{host}##{to.user}" if to.user else host
    if not _ADDRESS.fullmatch(text):
        raise ValueError(f"{text!r} cannot be dialed: no blanks, quotes or backslashes, 250 characters at most")
    return text


def _cause(state: LegState, text: str) -> Cleared | None:
    """The cause field, a Q.850 number; 0 and 16 are a normal end."""
    if state is not LegState.CLEARED:
        return None
    code = int(text or "0")
    raw = f"cause {code}"
    if code in (0, 16):
        return Cleared(ClearCause.FAR_END, Side.FAR_END, raw)
    return Cleared(from_q850(code), Side.FAR_END, raw)


def _far(text: str) -> str:
    """The number of `name:number`, where either may be missing and both may hold colons."""
    text = text.strip().strip(":").strip()
    scheme = re.search(r"(?:sip|sips|h323):", text)
    if scheme is not None:
        return text[scheme.start() :].partition(";")[0]
    name, colon, far = text.rpartition(":")
    if colon and far.isdecimal() and len(far) <= 5 and ("." in name or "@" in name):
        far = name.rpartition(":")[2] + ":" + far  # a port
    far = (far or name).partition(";")[0]
    return "" if far in ("null 1", "null") else far


class _Block(Reply):
    """A reply from one line to another, or one line that says there is nothing."""

    __slots__ = ("_begin", "_end", "_is_open", "_single")

    def __init__(self, begin: str, end: str, single: str) -> None:
        super().__init__(refused=_NO, unknown=_NO_COMMAND)
        self._begin, self._end, self._single = begin, end, single
        self._is_open = False

    def line(self, text: str) -> Taken:
        if not self._is_open:
            if text == self._single:
                return Taken.DONE
            if text == self._begin:
                self._is_open = True
                return Taken.MORE
            return super().line(text)
        if text == self._end:
            return Taken.DONE
        if text.startswith("callinfo:"):
            self.lines.append(text)
            return Taken.MORE
        return Taken.NOT_MINE


class _Banner(Reply):
    """The self-introduction. Its last line is `SNMP Enabled:`; an older one ends where nothing more comes."""

    __slots__ = ()

    def line(self, text: str) -> Taken:
        if _NO_COMMAND.match(text):
            self.lines.append(text)
            return Taken.UNKNOWN
        if text.startswith(("notification:", "cs: ")) or not (":" in text or text.startswith("Hi,")):
            return Taken.NOT_MINE
        self.lines.append(text)
        return Taken.DONE if text.lower().startswith("snmp enabled") else Taken.MORE


def _ask(text: str, done: str, *, is_sourced: bool = True, shown: str = "") -> Ask[None]:
    """An order. Where no source tells the words of the reply, silence is as good."""
    quiet_s = None if is_sourced else _QUIET_S
    reply = Reply(re.compile(done), refused=_NO, unknown=_NO_COMMAND, quiet_s=quiet_s)
    return Ask(text, reply, nothing, changes=True, shown=shown)


class PolycomGrammar(Grammar):
    """HDX and Group; what differs between them both are taken for either."""

    # ---- questions

    def prepare(self) -> Sequence[Order[object]]:
        return (
            # Registrations persist over sessions and reboots: "already active" is as good.
            Ask(
                "callstate register",
                Reply(re.compile(r"callstate registered|info: event/notification already active"), refused=_NO),
                nothing,
            ),
            Ask(
                "notify callstatus",
                Reply(re.compile(r"notify callstatus success|info: event/notification already active"), refused=_NO),
                nothing,
            ),
        )

    def identity(self) -> Sequence[Order[Identity]]:
        return (Ask("whoami", _Banner(quiet_s=4.0), _identity),)

    def calls(self) -> Order[Sequence[CallSeen]]:
        return Ask("callinfo all", _Block("callinfo begin", "callinfo end", "system is not in a call"), _calls)

    def room(self) -> Sequence[Order[RoomSeen]]:
        return (
            self._question("mute near get", r"mute near (on|off)$", lambda w: RoomSeen(microphone_muted=w == "on")),
            self._question(
                "volume get", r"volume (\d{1,3})$", lambda w: RoomSeen(volume=round(int(w) * 100 / VOLUME_TOP))
            ),
            self._question(
                "autoanswer get",
                r"autoanswer (yes|no|donotdisturb)$",
                lambda w: RoomSeen(auto_answer=AutoAnswer(_AUTO[w])),
            ),
            self._question("vcbutton get", r"vcbutton (play|stop)", lambda w: RoomSeen(sharing=w == "play")),
        )

    @staticmethod
    def _question(text: str, pattern: str, read: Callable[[str], RoomSeen]) -> Ask[RoomSeen]:
        done = re.compile(pattern)

        def reading(lines: Sequence[str]) -> RoomSeen:
            match = done.match(lines[-1])
            assert match is not None
            return read(match[1])

        return Ask(text, Reply(done, refused=_NO, unknown=_NO_COMMAND), reading)

    def auto_answer(self) -> Order[AutoAnswer]:
        done = re.compile(r"autoanswer (yes|no|donotdisturb)$")
        return Ask(
            "autoanswer get",
            Reply(done, refused=_NO, unknown=_NO_COMMAND),
            lambda lines: AutoAnswer(_AUTO[lines[-1].split()[1]]),
        )

    # ---- orders

    def dial(self, to: Address, options: DialOptions) -> Order[str]:
        kind = "sip" if to.is_sip else "h323"
        text = f'dial manual {rate(options.max_kbps)} "{number(to)}" {kind}'
        return Ask(text, Reply(re.compile(r"dialing manual"), refused=_NO, unknown=_NO_COMMAND), _no_id, changes=True)

    def hang_up(self, call: str) -> Order[object]:
        return _ask(f"hangup video {call}", r"hanging up video|system is not in a call|.*connection \d+ is not active")

    def answer(self, call: str) -> Order[object]:
        reply = Reply(
            re.compile(r"answer incoming video call passed"),
            refused=re.compile(r"answer incoming video call failed|info: |error: ?"),
            unknown=_NO_COMMAND,
        )
        return Ask("answer video", reply, nothing, changes=True)

    def mute(self, on: bool) -> Order[object]:
        word = "on" if on else "off"
        return _ask(f"mute near {word}", rf"mute near {word}$")

    def volume(self, percent: int) -> Order[object]:
        return _ask(f"volume set {round(percent * VOLUME_TOP / 100)}", r"volume \d+$")

    def digits(self, call: str, digits: str) -> Sequence[Order[object]]:
        return [_ask(f"gendial {digit}", r"gendial", is_sourced=False, shown="gendial *") for digit in digits]

    def preset(self, number: int) -> Order[object]:
        if not 0 <= number <= PRESET_TOP:
            raise ValueError(f"preset {number}; expected 0 to {PRESET_TOP}")
        return _ask(f"preset near go {number}", r"preset near go", is_sourced=False)

    def content(self, on: bool) -> Order[object]:
        word = "play" if on else "stop"
        return _ask(f"vcbutton {word}", rf"vcbutton {word}")

    def wake(self) -> Order[object]:
        return _ask("wake", r"wake|listen waking up", is_sourced=False)

    def set_auto_answer(self, wanted: AutoAnswer) -> Sequence[Order[object]]:
        if wanted.muted:
            raise ValueError("it has no setting to answer with the microphone off; mute it before")
        word = _AUTO_WORDS[wanted.mode]
        return (_ask(f"autoanswer {word}", rf"autoanswer {word}$"),)

    # ---- what nobody asked for

    def heard(self, line: str) -> Reports | None:
        while line.startswith("->"):
            line = line[2:].lstrip()
        if match := _STATUS.match(line):
            state = _STATES[match["state"]]
            return (
                CallSeen(
                    match["id"], state, _far(match["far"]), match["way"] == "outgoing", _cause(state, match["cause"])
                ),
            )
        if match := _CHANNEL.match(line):
            channel = _CHANNEL_STATES.get(match[3].upper())
            return (CallSeen(match[1], channel, match[2]),)
        if match := _ACTIVE.match(line):
            return (CallSeen(match[1], LegState.CONNECTED),)
        if match := _CLEARED.match(line):
            cleared = _cause(LegState.CLEARED, match[2]) if match[2] else None
            return (CallSeen(match[1], LegState.CLEARING, cleared=cleared),)
        if match := _ENDED.match(line):
            # the notification with its cause comes with it or behind it; without one the list shows the end
            return (LookAgain(),)
        if match := _INCOMING.match(line):
            return (CallSeen(match[1], LegState.RINGING, match[2] or "", False),)
        return () if _NOISE.match(line) else None


def _no_id(lines: Sequence[str]) -> str:
    """`dial` names no call; events do."""
    return ""


def _calls(lines: Sequence[str]) -> Sequence[CallSeen]:
    seen = []
    for line in lines:
        match = _CALLINFO.match(line)
        if match is None or match["state"] not in _STATES:
            raise ValueError(f"{line!r} is no line of callinfo")
        state = _STATES[match["state"]]
        seen.append(CallSeen(match["id"], state, _far(match["far"]), match["way"] == "outgoing"))
    return seen


def _identity(lines: Sequence[str]) -> Identity:
    told = {match[1].lower(): match[2].strip() for line in lines if (match := _BANNER.match(line))}
    firmware = told.get("software version", "")
    return Identity(
        "Polycom",
        told.get("model", ""),
        re.sub(r"^Release -? ?", "", firmware),
        told.get("serial number", ""),
    )

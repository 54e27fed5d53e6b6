"""Pure: the text API of Yealink VC rooms in our words, both ways.

Sources: a digest of the vendor's API introduction for the VC series, and the patterns of a driver in the field; the
README card says which line rests on what. An order is not acknowledged: only an error comes, or the
state it changed.
"""

import re
from collections.abc import Callable, Sequence

from adapters.cli.reply import Ask, Reply, nothing
from adapters.control.grammar import Grammar
from adapters.control.order import CallSeen, LookAgain, Order, Reports, RoomSeen
from adapters.values import Address, AutoAnswer, AutoAnswerMode, DialOptions, Identity, LegState

VOLUME_TOP = 10
PRESET_TOP = 9
RATES = (64, 128, 256, 384, 512, 768, 1024, 1280, 1536, 1920, 2048, 3072, 4096, 5120, 6144)
"""Speeds that a call is given; no source lists them all, and a wish is met by the next one below it."""

_QUIET_S = 0.3
"""So long an error may be on its way (a driver in the field waits as long); then the order was taken."""
_UNSAID_S = 2.0
"""So long a question may go unanswered that older firmware may not know."""

_NO = re.compile(r"error:")
_NO_COMMAND = re.compile(r"error: ?command not found")
_ADDRESS = re.compile(r"[^\s\"\\\x00-\x1f]{1,250}")
_WORD = r"sleeping|idle|outgoing|ringing|talking max|talking|finished"
_SYSTEM = re.compile(rf"(?:sysstatus(?: get)? )?(?:\"?(?:{_WORD})\"?(?:[ ,;|]+|$))+$")
_STATES = {
    # Of several the first here counts: one call is ours, and a second one that rings is not it.
    "talking max": LegState.CONNECTED,
    "talking": LegState.CONNECTED,
    "outgoing": LegState.DIALING,
    "ringing": LegState.RINGING,
}
_WAYS = {LegState.DIALING: True, LegState.RINGING: False}
_INCOMING = re.compile(r"incoming\b")
_PAIR = re.compile(r"\"(\w+):([^\"]*)\"")
_MUTE = re.compile(r"mute near (?:get )?(on|off)$")
_VOLUME = re.compile(r"volume (?:get |set )?\"?(\d{1,2})\"?$")
_DISTURB = re.compile(r"donotdisturb global (?:get )?(on|off)$")
_VERSION = re.compile(r"version \"")
_NOISE = re.compile(
    r"$|version |storage |donotdisturb |mute near |volume |inputsource |layout |camera |preset |history |addrbook |"
    r"callinfo|getcallid|all done!"
)


def rate(kbps: int | None) -> str:
    """The speed word for a wish; `auto` without one."""
    if kbps is None:
        return "auto"
    return str(max((one for one in RATES if one <= kbps), default=RATES[0]))


def number(to: Address) -> str:
    """What is dialed for an address. Raises ValueError for one that no quotes can hold."""
    host = to.host if to.port is None else f"{to.host}:{to.port}"
    text = "@".join(filter(None, (to.user, host))) if to.is_sip else "##".join(filter(None, (host, to.user)))
    if not _ADDRESS.fullmatch(text):
        raise ValueError(f"{text!r} cannot be dialed: no blanks, quotes or backslashes, 250 characters at most")
    return text


def system(line: str) -> LegState | None:
    """The call that a line of states shows, if any. Raises ValueError for another line."""
    if not _SYSTEM.match(line):
        raise ValueError(f"{line!r} is no line of states")
    words = set(re.findall(_WORD, line))
    return next((state for word, state in _STATES.items() if word in words), None)


def _order(text: str, done: re.Pattern[str] | None = None, shown: str = "") -> Ask[None]:
    """Something to do; what it changes may be told, and silence is a yes."""
    reply = Reply(done, refused=_NO, unknown=_NO_COMMAND, quiet_s=_QUIET_S)
    return Ask(text, reply, nothing, changes=True, shown=shown)


def _question(text: str, done: re.Pattern[str], read: Callable[[str], RoomSeen]) -> Ask[RoomSeen]:
    def reading(lines: Sequence[str]) -> RoomSeen:
        match = done.match(lines[-1]) if lines else None
        return read(match[1]) if match else RoomSeen()

    return Ask(text, Reply(done, refused=_NO, unknown=_NO_COMMAND, quiet_s=_UNSAID_S), reading)


class YealinkGrammar(Grammar):
    """The VC series. Its states are the room's, not a call's: it remembers whether one was up."""

    def __init__(self) -> None:
        self._is_up = False

    # ---- questions

    def identity(self) -> Sequence[Order[Identity]]:
        return (Ask("version", Reply(_VERSION, refused=_NO, unknown=_NO_COMMAND), _identity),)

    def calls(self) -> Order[Sequence[CallSeen]]:
        return Ask("sysstatus get", Reply(_SYSTEM, refused=_NO, unknown=_NO_COMMAND), self._calls)

    def _calls(self, lines: Sequence[str]) -> Sequence[CallSeen]:
        return self._seen(system(lines[-1]))

    def _seen(self, state: LegState | None) -> tuple[CallSeen, ...]:
        self._is_up = state is not None
        return () if state is None else (CallSeen("", state, outgoing=_WAYS.get(state)),)

    def room(self) -> Sequence[Order[RoomSeen]]:
        return (
            _question("mute near get", _MUTE, lambda word: RoomSeen(microphone_muted=word == "on")),
            _question("volume get", _VOLUME, lambda word: RoomSeen(volume=round(int(word) * 100 / VOLUME_TOP))),
            _question(
                "donotdisturb global get",
                _DISTURB,
                lambda word: RoomSeen(auto_answer=AutoAnswer(AutoAnswerMode.DO_NOT_DISTURB) if word == "on" else None),
            ),
        )

    # ---- orders

    def dial(self, to: Address, options: DialOptions) -> Order[str]:
        kind = "video" if options.video else "audio"
        protocol = "sip" if to.is_sip else "h323"
        text = f'dial manual {kind} {protocol} "{rate(options.max_kbps)}" "{number(to)}"'
        reply = Reply(refused=_NO, unknown=_NO_COMMAND, quiet_s=_QUIET_S)
        return Ask(text, reply, lambda lines: "", changes=True)

    def hang_up(self, call: str) -> Order[object]:
        return _order("button hangup")

    def answer(self, call: str) -> Order[object]:
        return _order("answer yes")

    def mute(self, on: bool) -> Order[object]:
        word = "on" if on else "off"
        return _order(f"mute near {word}", re.compile(rf"mute near (?:get )?{word}$"))

    def volume(self, percent: int) -> Order[object]:
        step = round(percent * VOLUME_TOP / 100)
        return _order(f"volume set {step}", re.compile(rf"volume (?:get |set )?{step}$"))

    def digits(self, call: str, digits: str) -> Sequence[Order[object]]:
        if set(digits) & set("ABCD"):
            raise ValueError("it has no digits A to D")
        return [_order(f"gendial {digit}", shown="gendial *") for digit in digits]

    def preset(self, number: int) -> Order[object]:
        if not 0 <= number <= PRESET_TOP:
            raise ValueError(f"preset {number}; expected 0 to {PRESET_TOP}")
        return _order(f"preset near go {number}")

    def content(self, on: bool) -> Order[object]:
        return _order(f"inputsource {'share' if on else 'camera'}")

    # ---- what nobody asked for

    def heard(self, line: str) -> Reports | None:
        if _SYSTEM.match(line):
            return self._changed(line)
        if _INCOMING.match(line):
            if self._is_up:
                return ()  # a second call, which nobody here can tell from the first
            told = dict(_PAIR.findall(line))
            return (CallSeen("", LegState.RINGING, told.get("num", ""), False, name=told.get("name", "")),)
        if _NO.match(line):
            return (LookAgain(),)  # a refusal that came after its order was taken for done
        return () if _NOISE.match(line) else None

    def _changed(self, line: str) -> Reports:
        state, was_up = system(line), self._is_up
        if state is not None:
            return self._seen(state)
        self._is_up = False
        if was_up and "finished" in line:
            return (CallSeen("", LegState.CLEARED),)
        return (LookAgain(),)  # it may be the end of the call before, told late


def _identity(lines: Sequence[str]) -> Identity:
    told = dict(_PAIR.findall(lines[-1]))
    return Identity("Yealink", told.get("model", ""), told.get("firmware", ""))

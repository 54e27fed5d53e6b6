"""Pure: what a codec tells by itself, line by line: calls, their steps, and why they ended.

Causes are the words of the API guides' appendix (disconnect cause types); `CauseValue` is said there to be no one's
business. Where the word says little, the code does, a SIP code or a Q.850 number by `CauseOrigin`.
"""

import re
from dataclasses import dataclass

from adapters.causes import ClearCause, Cleared, Side, from_q850, from_sip
from adapters.control.order import CallSeen, LookAgain, Report, Reports
from adapters.endpoints.cisco.block import END, TAG, Manners, unquoted
from adapters.values import LegState

STATES = {
    "dialling": LegState.DIALING,
    "dialing": LegState.DIALING,
    "connecting": LegState.DIALING,
    "ringing": LegState.RINGING,
    "earlymedia": LegState.RINGING,
    "connected": LegState.CONNECTED,
    "onhold": LegState.CONNECTED,
    "preserved": LegState.CONNECTED,
    "remotepreserved": LegState.CONNECTED,
    "disconnecting": LegState.CLEARING,
}
"""`Idle` is not here: whether a call that is idle is over, no source says; its end is told by other words."""

_WORDS = {
    "LocalDisconnect": (ClearCause.LOCAL, Side.DEVICE),
    "RemoteDisconnect": (ClearCause.FAR_END, Side.FAR_END),
    "RemoteBusy": (ClearCause.BUSY, Side.FAR_END),
    "RemoteRejected": (ClearCause.DECLINED, Side.FAR_END),
    "RemoteNoAnswer": (ClearCause.NO_ANSWER, Side.FAR_END),
    "UnknownRemoteSite": (ClearCause.NOT_FOUND, Side.NETWORK),
    "CallForwarded": (ClearCause.FAR_END, Side.FAR_END),
    "LocalBusy": (ClearCause.BUSY, Side.DEVICE),
    "LocalReject": (ClearCause.DECLINED, Side.DEVICE),
    "InsufficientSecurity": (ClearCause.NOT_ALLOWED, Side.DEVICE),
}
_SIDES = {"OtherLocal": Side.DEVICE, "OtherRemote": Side.FAR_END, "NetworkRejected": Side.NETWORK}

_CALL = re.compile(r"\*s Call (\d+) (?:([A-Za-z]+): ?(.*)|\(ghost=True\):?)$")
_EVENT = re.compile(r"\*e (\w+) ?(.*)$")
_PAIR = re.compile(r"(\w+): ?(\"[^\"]*\"|\S*)")
_CHILD = re.compile(r"[A-Z]\w*: ?(?:\"|\S|$)")
_KNOWN = re.compile(r"\*[srceh] |OK$|ERROR$|/(?:Status|Event|Configuration)/|Command not recognized|tshell:")
MOST_CALLS = 64


def cause(told: dict[str, str]) -> Cleared:
    """Why a call ended, from the fields of `CallDisconnect`."""
    word = told.get("CauseType", "")
    code = int(told.get("CauseCode", "") or 0) if told.get("CauseCode", "").isdecimal() else 0
    origin = told.get("CauseOrigin", "").replace(".", "").lower()
    raw = " ".join(filter(None, (word, told.get("CauseOrigin"), str(code or ""), told.get("CauseString"))))
    if word in _WORDS:
        return Cleared(*_WORDS[word], raw)
    meaning = ClearCause.UNKNOWN
    if origin == "sip" and 300 <= code < 700:
        meaning = from_sip(code)
    elif origin == "q850" and 0 < code < 128:
        meaning = from_q850(code)
    return Cleared(meaning, _SIDES.get(word, Side.UNKNOWN), raw)


@dataclass(slots=True)
class _Known:
    state: LegState | None = None
    outgoing: bool | None = None


class Feedback:
    """Hears one session, and remembers of each call what later lines leave out."""

    __slots__ = ("_calls", "_ended", "_event", "_is_event", "_manners", "_told")

    def __init__(self, manners: Manners) -> None:
        self._manners = manners
        self._calls: dict[str, _Known] = {}
        self._ended: dict[str, None] = {}  # calls whose end was told with its cause, the last ones
        self._event = ""
        self._told: dict[str, str] = {}
        self._is_event = False  # whether the last line of a block was an event's

    def heard(self, line: str) -> Reports | None:
        if END.match(line):
            return self._finished() if self._is_event or not self._event else self._passed()
        if match := _CALL.match(line):
            self._is_event = False
            return self._call(match[1], match[2] or "", match[3])
        if match := _EVENT.match(line):
            if match[1] != self._event:
                self._event, self._told = match[1], {}
            self._is_event = self._manners.is_telling = True
            self._note(match[2])
            return ()
        if self._is_event and _CHILD.match(line):  # the older way: the name once, its fields below it
            self._note(line)
            return ()
        if _KNOWN.match(line) or TAG.match(line) or not line:
            self._is_event = self._is_event and not line.startswith("*")
            return ()
        return None

    def _note(self, text: str) -> None:
        if len(self._told) < MOST_CALLS:
            self._told.update({name: unquoted(value) for name, value in _PAIR.findall(text)})

    def _passed(self) -> Reports:
        """The end of another block in the middle of an event."""
        self._is_event = True
        return ()

    def _call(self, call: str, name: str, value: str) -> Reports:
        if not name:
            known = self._calls.pop(call, None)
            if call in self._ended:
                return (CallSeen(call, LegState.CLEARED),)
            # gone without a word why; the event may come behind it
            return (CallSeen(call, LegState.CLEARING, outgoing=known.outgoing if known else None), LookAgain())
        if call not in self._calls and len(self._calls) >= MOST_CALLS:
            self._calls.clear()
        known = self._calls.setdefault(call, _Known())
        if name == "Status":
            known.state = STATES.get(unquoted(value).replace(" ", "").lower())
        elif name == "Direction":
            known.outgoing = unquoted(value).lower() == "outgoing"
        elif name not in ("RemoteNumber", "CallbackNumber"):
            return ()
        far = unquoted(value) if name.endswith("Number") else ""
        return (CallSeen(call, known.state, far, known.outgoing),)

    def _finished(self) -> Reports:
        event, told = self._event, self._told
        self._manners.is_telling = False
        self._event, self._told, self._is_event = "", {}, False
        call = told.get("CallId", "")
        if event == "CallDisconnect":
            if not call:
                return (LookAgain(),)
            while len(self._ended) >= MOST_CALLS:
                self._ended.pop(next(iter(self._ended)))
            self._ended[call] = None
            return (CallSeen(call, LegState.CLEARED, cleared=cause(told)),)
        seen: dict[str, Report] = {
            "OutgoingCallIndication": CallSeen(call, LegState.DIALING, outgoing=True),
            "IncomingCallIndication": CallSeen(call, LegState.RINGING, told.get("RemoteURI", ""), False),
            "CallSuccessful": CallSeen(call, LegState.CONNECTED),
        }
        return (seen[event],) if call and event in seen else ()

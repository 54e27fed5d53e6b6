"""Pure: what the shell's lines say of calls.

A line of `status call active` is call, conference, state, incoming, type, number, name, ... with the
duration at the end once the call is connected. Room writes its states with blanks, Icon with hyphens.
"""

import csv
import re

from adapters.causes import ClearCause, Cleared, Side
from adapters.control.order import CallSeen, LookAgain, Reports
from adapters.values import LegState

_STATES = {
    # Off Hook stands before a call as well as behind one: it is no sign of an end.
    "off hook": LegState.DIALING,
    "valid number": LegState.DIALING,
    "validating": LegState.DIALING,
    "dialing": LegState.DIALING,
    "proceeding": LegState.DIALING,
    "ringing": LegState.RINGING,
    "ringback": LegState.RINGING,
    "ring incoming": LegState.RINGING,
    "incoming": LegState.RINGING,
    "answered": LegState.RINGING,
    "answered number": LegState.RINGING,
    "answered consult": LegState.RINGING,
    "connected": LegState.CONNECTED,
    "media connected": LegState.CONNECTED,
    "call encrypted": LegState.CONNECTED,
    "call not encrypted": LegState.CONNECTED,
    "far end mute": LegState.CONNECTED,
    "far end unmute": LegState.CONNECTED,
    "far end hold": LegState.CONNECTED,
    "far end resume": LegState.CONNECTED,
    "busy": LegState.CLEARING,  # of Room; Terminated comes behind it
    "unreachable": LegState.CLEARING,
    "terminating": LegState.CLEARING,
    "terminated": LegState.CLEARED,
    "on hook": LegState.CLEARED,
    "error busy": LegState.CLEARED,
    "error no answer": LegState.CLEARED,
    "error bad number": LegState.CLEARED,
    "error unreachable": LegState.CLEARED,
    "error max calls exceeded": LegState.CLEARED,
    "error comm failure": LegState.CLEARED,
}
_CAUSES = {
    "busy": (ClearCause.BUSY, Side.FAR_END),
    "unreachable": (ClearCause.UNREACHABLE, Side.NETWORK),
    "error busy": (ClearCause.BUSY, Side.FAR_END),
    "error no answer": (ClearCause.NO_ANSWER, Side.FAR_END),
    "error bad number": (ClearCause.NOT_FOUND, Side.NETWORK),
    "error unreachable": (ClearCause.UNREACHABLE, Side.NETWORK),
    "error max calls exceeded": (ClearCause.UNKNOWN, Side.DEVICE),
    "error comm failure": (ClearCause.UNREACHABLE, Side.NETWORK),
}
_DURATION = re.compile(r"\d+:\d\d:\d\d$")
_INCOMING = {"yes": False, "no": True}  # the column says whether it came in


def _state(words: str) -> tuple[LegState | None, Cleared | None]:
    plain = words.strip().lower().replace("-", " ")
    known = _CAUSES.get(plain)
    return _STATES.get(plain), Cleared(*known, words.strip()) if known else None


def row(line: str) -> CallSeen:
    """One line of `status call active`. Raises ValueError for any other."""
    fields = next(csv.reader([line], skipinitialspace=True))
    if len(fields) < 6 or not fields[0].isdecimal():
        raise ValueError(f"{line!r} is no line of the calls; expected call,conference,state,incoming,type,number,...")
    state, cleared = _state(fields[2])
    if state is None and len(fields) > 10 and _DURATION.match(fields[10]):
        state = LegState.CONNECTED  # a state nobody has listed, of a call that has lasted a while
    name = fields[6].strip() if len(fields) > 6 else ""
    return CallSeen(fields[0], state, fields[5].strip(), _INCOMING.get(fields[3].strip().lower()), cleared, name)


def event(line: str) -> Reports | None:
    """What a line means that nobody asked for; None for one that is no event."""
    kind, _, rest = line.partition(",")
    if line.startswith("EVENT "):
        return (LookAgain(),) if "call" in line.lower() else ()
    if kind in ("PS", "MS", "SS", "FC", "VC"):
        return ()
    fields = rest.split(",")
    if kind not in ("CS", "IC") or len(fields) < 3 or not fields[0].isdecimal():
        return None
    call, words = fields[0], fields[2]
    if words.strip().lower() == "off hook":
        return (LookAgain(),)
    state, cleared = _state(words)
    if kind == "IC":
        far = fields[4] if len(fields) > 4 else ""
        return (CallSeen(call, state or LegState.RINGING, far.strip(), False, cleared),)
    far = fields[5] if len(fields) > 5 else ""
    outgoing = False if words.strip().lower() == "ring incoming" else None
    return (CallSeen(call, state, far.strip(), outgoing, cleared),)

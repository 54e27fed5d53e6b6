"""What can go wrong on a twin's console, by script. Pure.

    silent at dial            it does what it is told, and says nothing
    ignore at hangup          it neither does it nor says anything
    cut at callinfo           half of the reply, then nothing
    drop at dial              it does it, and the connection is gone
    reset at dial             the connection is gone before it does anything
    garble at callinfo        the reply comes with wrong letters in it
    reboot at dial            it starts anew: calls and consoles are gone
    refuse at mute            it says that it knows no such command (old firmware)

`x2`, `twice`, `always` behind it say how often; without it once. `at` names the beginning of a
command; without `at` any command is meant.
"""

import re
from dataclasses import dataclass, field

KINDS = ("silent", "ignore", "cut", "drop", "reset", "garble", "reboot", "refuse")
_SCRIPT = re.compile(r"(\w+)(?: at (.+?))?(?: (?:x(\d{1,3})|(once|twice|always)))?")
_TIMES = {"once": 1, "twice": 2, "always": 1_000_000}


@dataclass(slots=True)
class Fault:
    """One thing that goes wrong, and how often yet."""

    kind: str
    at: str = ""
    times: int = 1


@dataclass(slots=True)
class Faults:
    """The weather on a console.

    `piece` is how many bytes leave at a time (0: all there are); `noise` are lines that come
    between the lines of a reply; `is_deaf`: connections are taken and nothing is ever said.
    """

    due: list[Fault] = field(default_factory=list)
    piece: int = 0
    noise: tuple[str, ...] = ()
    is_deaf: bool = False

    def script(self, text: str) -> None:
        """Add what a script says. Raises ValueError that names the wrong step."""
        for step in filter(None, (part.strip() for part in text.split(";"))):
            match = _SCRIPT.fullmatch(step)
            if match is None or match[1] not in KINDS:
                raise ValueError(f"fault {step!r}; expected one of {', '.join(KINDS)}, like 'cut at callinfo x2'")
            times = int(match[3]) if match[3] else _TIMES[match[4] or "once"]
            self.due.append(Fault(match[1], match[2] or "", times))

    def take(self, command: str) -> str:
        """The kind of fault that meets this command; "" for none."""
        for fault in self.due:
            if fault.times > 0 and command.lower().startswith(fault.at.lower()):
                fault.times -= 1
                return fault.kind
        return ""

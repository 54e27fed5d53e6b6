"""Pure: where a reply of the automation shell begins and ends, and what its status line says.

Every command is echoed behind the prompt, then come its lines, then a status line: `ok,00` or `error,09`
on most, `Success, 0` or `Invalid Command, 9` on a later Icon; either is taken from any. A line that
tells of an event may stand anywhere and has a status line of its own behind it.
"""

import re

from adapters.cli.reply import Reply, Taken

EVENT = re.compile(r"(?:CS|IC|PS|MS|SS|FC|VC),|EVENT ")
"""What a line begins with that nobody asked for."""

ERRORS = {
    "01": "No Memory",
    "02": "IO Error",
    "03": "Invalid Instance",
    "04": "Invalid Parameter",
    "05": "Repeated",
    "06": "Not In List",
    "07": "Missing",
    "08": "Too Many",
    "09": "Invalid Command",
    "0a": "Ambiguous Command",
    "0b": "Parameter Conflict",
    "0c": "Operational Error",
    "0d": "No Data",
    "0e": "Not In Call",
    "0f": "Interrupted",
    "10": "Ambiguous",
    "11": "No Match",
    "12": "Not Supported",
    "13": "Quit",
}
_UNKNOWN = {"Invalid Command", "Ambiguous Command", "Not Supported"}
_OK = re.compile(r"ok\W00$|Success, ?\d+$")
_CODE = re.compile(r"error\W([0-9a-f]{2})$", re.IGNORECASE)
_WORDS = re.compile(rf"({'|'.join(words.replace(' ', ' ?') for words in ERRORS.values())}), ?\d+$")
_BY_WORDS = {words.replace(" ", ""): words for words in ERRORS.values()}  # some leave the blank out
_NONE = re.compile(r"Usage: status call active")

_STRAY_S = 2.0
"""A status line right behind an event is the event's or ours; ours it is when no more comes for so long."""
_USAGE_S = 0.5
_WRAPS_AT = 70
"""A terminal may break the echo of a command that is longer; then its last piece is the echo."""


def status(text: str) -> str | None:
    """What a status line says: "" for a yes, the words of the refusal, None for any other line."""
    if _OK.match(text):
        return ""
    if match := _CODE.match(text):
        return ERRORS.get(match[1].lower(), f"error {match[1]}")
    return _BY_WORDS[match[1].replace(" ", "")] if (match := _WORDS.match(text)) else None


class Answer(Reply):
    """What stands between the echo of a command and its status line."""

    sees_echo = True
    __slots__ = ("_command", "_is_behind_event", "_is_none", "_is_open")

    def __init__(self, command: str) -> None:
        super().__init__()
        self._command = command
        self._is_open = False
        self._is_behind_event = False
        self._is_none = False

    def line(self, text: str) -> Taken:
        if not self._is_open:
            self._is_open = self._is_echo(text)
            return Taken.MORE if self._is_open else Taken.NOT_MINE
        if not text:
            return Taken.NOT_MINE
        if EVENT.match(text):
            self._is_behind_event = True
            return Taken.NOT_MINE
        said = status(text)
        is_stray, self._is_behind_event = self._is_behind_event, False
        if said is None:
            return self._taken(text)
        if self._is_none or (not said and not is_stray):
            return Taken.DONE
        if not said:
            self.quiet_s = _STRAY_S
            return Taken.MORE
        self.lines.append(said)
        return Taken.UNKNOWN if said in _UNKNOWN else Taken.REFUSED

    def _taken(self, text: str) -> Taken:
        if _NONE.match(text):  # how a later Icon says that there is no call
            self._is_none, self.quiet_s = True, _USAGE_S
        else:
            self.lines.append(text)
        return Taken.MORE

    def _is_echo(self, text: str) -> bool:
        if text == self._command:
            return True
        return len(self._command) > _WRAPS_AT and bool(text) and self._command.endswith(text)


class Entered(Reply):
    """The reply to `clish`: the prompt, or a refusal where we are inside already."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__(until="shell")

    def line(self, text: str) -> Taken:
        if status(text) or text.endswith("not found"):
            self.lines.append(text)
            return Taken.REFUSED
        return Taken.NOT_MINE

"""Pure: how the answer to a command of the xAPI is told from feedback.

A codec answers in blocks: lines that begin with a star and a letter, and `** end`. Feedback comes in such
blocks too, and looks exactly as the answer to the question for the same thing (API guide, "Feedback output"); it may
come between a command and its answer. What tells an answer: the tag that newer devices repeat (`** resultId: "7"`),
the `OK` in front of the block or behind it, and for orders the `*r` that no feedback has.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from adapters.cli.reply import MOST_LINES, Reply, Taken

END = re.compile(r"\*\* ?end$|\*[rsceh]/end$")
TAG = re.compile(r"\*\* resultId: \"(.*)\"$")
HEAD = re.compile(r"\*r (?:\S.*)?\(status=(\w+)\):?")
FIELD = re.compile(r"(?:\*r (?:\w+ )*)?\w+: ?\S")
NO_COMMAND = re.compile(r"Command not recognized")
_ABOUT = re.compile(r"\*[sceh] ")
_UNKNOWN = re.compile(r"unknown command", re.IGNORECASE)

LINGER_S = 2.0
"""How long an `OK` behind a block is waited for; only devices that send none cost that."""


@dataclass(slots=True)
class Manners:
    """What is known of how this device speaks, in this session."""

    repeats_tags: bool = False
    says_ok: bool = False  # behind a block
    is_telling: bool = False  # an event began and its end has not come yet


class Block(Reply):
    """The answer to one command.

    `own` is how the lines of a question's answer begin; an order (`own` None) is answered by `*r` lines.
    `tag` is what the command was tagged with. Lines of a question's answer are told on as feedback as
    well: they are true whoever asked.
    """

    __slots__ = (
        "_has_ended",
        "_has_head",
        "_has_ok",
        "_has_other",
        "_is_open",
        "_is_tagged",
        "_manners",
        "_own",
        "_status",
        "_tag",
        "_was_end",
    )

    def __init__(self, manners: Manners, own: re.Pattern[str] | None = None, tag: str = "") -> None:
        super().__init__()
        self._manners = manners
        self._own = own
        self._tag = tag
        self._status = "OK"
        self._has_head = False
        self._is_open = False  # our block
        self._has_other = False  # a block of feedback inside or in front of it
        self._is_tagged = False
        self._has_ok = False
        self._has_ended = False
        self._was_end = False  # the last line ended a block that was not ours

    def line(self, text: str) -> Taken:
        if not text:
            return Taken.NOT_MINE
        if NO_COMMAND.match(text):
            self.lines.append(text)
            return Taken.UNKNOWN
        if text == "OK":
            return self._ok()
        if text == "ERROR":
            return Taken.REFUSED if self._has_ended else Taken.MORE
        was_end, self._was_end = self._was_end, False
        if END.match(text):
            return self._end()
        if tag := TAG.match(text):
            if tag[1] != self._tag:
                return Taken.NOT_MINE
            self._manners.repeats_tags = self._is_tagged = self._is_open = True
            return Taken.MORE
        if head := HEAD.match(text):
            self._begin()
            self._has_head, self._status = True, head[1]
            self.lines.append(text)
            return Taken.MORE
        if self._own is not None and self._own.match(text):
            self._begin()
            self.lines.append(text)
            return Taken.NOT_MINE if len(self.lines) <= MOST_LINES else Taken.MORE
        if _ABOUT.match(text):
            self._has_other = True
            return Taken.NOT_MINE
        if self._has_head and self._is_open and not self._has_other and FIELD.match(text):
            self.lines.append(text)
            return Taken.MORE
        self._was_end = was_end
        return Taken.NOT_MINE

    def _ok(self) -> Taken:
        """Behind our block it is the end; in front of it, it is ours too, or belongs to the one before."""
        if self._has_ended or (self._was_end and self._own is not None and not self._tag):
            self._manners.says_ok = True
            return Taken.DONE
        self._has_ok = True
        return Taken.MORE

    def _begin(self) -> None:
        if not self._is_open:
            self.lines.clear()  # what was there before was feedback
            self._is_open, self._has_ended = True, False

    def _end(self) -> Taken:
        """The end of a block: of feedback, or of ours."""
        manners = self._manners
        is_other = self._has_other or (not self._is_open and (self._own is None or manners.is_telling))
        if self._tag and manners.repeats_tags and not self._is_tagged and not self._has_head:
            is_other = True
        if is_other:
            self._is_open = self._is_open and self._has_other
            self._has_other, self._was_end = False, True
            return Taken.NOT_MINE
        self._is_open = False
        if self._status != "OK":
            is_unknown = any(_UNKNOWN.search(line) for line in self.lines)
            return Taken.UNKNOWN if is_unknown else Taken.REFUSED
        if self._is_tagged or (self._has_head and self._has_ok):
            return Taken.DONE
        self._has_ended = True
        if self._has_head or not manners.says_ok:
            self.quiet_s = LINGER_S
        return Taken.MORE

    @property
    def why(self) -> str:
        return " ".join(line.strip() for line in self.lines[:6]) or "no reason given"


def fields(lines: Sequence[str], prefix: str = "") -> dict[str, str]:
    """The values of a block by name: `*s Call 2 Status: Connected` with the prefix `*s Call 2 ` is Status."""
    found = {}
    for line in lines:
        name, colon, value = line.removeprefix(prefix).partition(":")
        if colon and not name.endswith(")"):
            found[name.strip().rpartition(" ")[2] if not prefix else name.strip()] = unquoted(value)
    return found


def unquoted(text: str) -> str:
    """A value without blanks and quotes; some are quoted, some are not."""
    return text.strip().strip('"')

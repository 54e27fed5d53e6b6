"""What a virtual device does when it is called: a short script, read once, pure.

A script is a list of steps separated by `;`. Steps build *attempts*: the first call gets
the first attempt, the next call the second, and the last attempt is repeated for ever.

    ring 3; answer                     rings 3 s, answers, stays
    busy x2; answer                    busy, busy, then answers every time
    answer; drop after 20; answer      answers, hangs up after 20 s; stays the next time
    answer; silent death after 8       answers, then responds to nothing any more
    answer; die 8 for 5; answer        dead for 5 s only
    never answers                      rings until the caller gives up
    ring 2; decline                    603 after 2 s;   also: not found, unavailable
    reject 488 x2; answer              any final SIP code
    unreachable x3; answer             responds to nothing for three calls
    refer; answer                      can be told by REFER to call by itself, and tells what came of it
    refer inside; answer               the same, but only inside a call
    refer untold; answer               takes a REFER and says that it will tell nothing (RFC 4488)
    refer mute; answer                 takes a REFER and just never tells

A step that ends a call (busy, decline, drop ...) ends its attempt; an `answer` that no
`drop` or `die` follows stays up until the other side hangs up. `x2`, `once`, `twice` and
`3 times` after a step that ends a call repeat the whole attempt. Without a `refer` at its
beginning a device refuses every REFER; with one, a call that it was told to make goes by the
script like one that it gets.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import NoReturn

MAX_TEXT = 2000
MAX_ATTEMPTS = 200
MAX_SECONDS = 86_400.0


class BehaviorError(ValueError):
    """A script that cannot be read: names the script, the step and the word."""


class Act(StrEnum):
    """One thing a virtual device does to a call."""

    RING = "ring"
    ANSWER = "answer"
    REJECT = "reject"
    HANG_UP = "hang_up"
    DIE = "die"
    COME_BACK = "come_back"


class Refers(StrEnum):
    """How a virtual device takes being told to call."""

    NOT = "not"
    TAKES = "takes"
    INSIDE = "inside"
    UNTOLD = "untold"
    MUTE = "mute"


@dataclass(frozen=True, slots=True)
class Attempt:
    """What happens to one call. Seconds count from the step before.

    `code` is the final SIP code of a refusal, 0 where it answers or never does;
    `responds` is False for a device that says nothing at all.
    """

    ring_s: float = 0.0
    rings: bool = False
    answers: bool = False
    code: int = 0
    responds: bool = True
    drop_s: float | None = None
    die_s: float | None = None
    back_s: float | None = None

    def before_answer(self, rung_at: float) -> Iterator[tuple[float, Act]]:
        """The acts due from the moment the call came in, as (instant, act), in order."""
        if not self.responds:
            return
        if self.rings:
            yield rung_at, Act.RING
        if self.answers:
            yield rung_at + self.ring_s, Act.ANSWER
        elif self.code:
            yield rung_at + self.ring_s, Act.REJECT

    def after_answer(self, answered_at: float) -> Iterator[tuple[float, Act]]:
        """The acts due from the moment the call was answered, as (instant, act), in order."""
        if self.drop_s is not None:
            yield answered_at + self.drop_s, Act.HANG_UP
        if self.die_s is not None:
            yield answered_at + self.die_s, Act.DIE
            if self.back_s is not None:
                yield answered_at + self.die_s + self.back_s, Act.COME_BACK

    @property
    def lets_in(self) -> bool:
        """True if a caller who waits long enough ends up in a call that stays."""
        return self.answers and self.drop_s is None and self.die_s is None


@dataclass(frozen=True, slots=True)
class Behavior:
    """The attempts of one device; `text` is the script they were read from."""

    text: str
    attempts: tuple[Attempt, ...]
    refers: Refers = Refers.NOT

    @classmethod
    def parse(cls, text: str) -> "Behavior":
        """Read a script. Raises BehaviorError that says which word is wrong and what would be right."""
        reader = _Reader(text)
        return cls(text, tuple(reader.attempts()), reader.refers)

    def attempt(self, number: int) -> Attempt:
        """What happens to call `number` (the first is 0); the last attempt repeats."""
        return self.attempts[min(number, len(self.attempts) - 1)]

    @property
    def settles_in(self) -> bool:
        """True if somebody who keeps calling gets a call that stays."""
        return self.attempts[-1].lets_in


_REFUSALS = {
    ("busy",): 486,
    ("decline",): 603,
    ("declines",): 603,
    ("not", "found"): 404,
    ("unavailable",): 480,
    ("no", "answer"): 480,
}
_STEPS = (
    "ring 3, answer, never answers, busy, decline, not found, unavailable, no answer, reject 488, "
    "unreachable, drop after 20, die after 8, silent death after 8"
)
_TIMES = {"once": 1, "twice": 2, "thrice": 3}


class _Reader:
    """Turns one script into attempts, step by step."""

    def __init__(self, text: str) -> None:
        if len(text) > MAX_TEXT:
            raise BehaviorError(f"a behavior of {len(text)} characters; at most {MAX_TEXT} are read")
        self.text = text
        self.step = ""
        self.now = Attempt()
        self.begun = False
        self.done: list[Attempt] = []
        self.refers = Refers.NOT

    def attempts(self) -> list[Attempt]:
        for raw in self.text.split(";"):
            self.step = " ".join(raw.split()).lower()
            if self.step:
                self._read(self.step.split())
        if self.begun:
            if not self.now.answers:
                self.step = self.text.strip()
                self._wrong("ends in a ring", "'answer', 'busy' or another end after it")
            self._end(1)
        if not self.done:
            raise BehaviorError(f"an empty behavior; expected steps like {_STEPS}")
        return self.done

    def _read(self, words: list[str]) -> None:
        head = words[0]
        if head in ("ring", "rings"):
            self._open_call()
            if self.now.rings:
                self._wrong("rings twice in one call", "one ring and then an end")
            self.now = replace(self.now, rings=True, ring_s=self._seconds(words[1:], "ring 3"))
            self.begun = True
        elif head in ("answer", "answers"):
            self._open_call()
            self._nothing_after(words[1:])
            self.now = replace(self.now, answers=True)
            self.begun = True
        elif head in ("drop", "drops"):
            self._answered("drop")
            after, times = self._with_times(words[1:])
            self.now = replace(self.now, drop_s=self._seconds(after, "drop after 20"))
            self._end(times)
        elif head in ("die", "dies") or words[:2] == ["silent", "death"]:
            self._answered("die")
            rest, times = self._with_times(words[1 if head in ("die", "dies") else 2 :])
            self._death(rest)
            self._end(times)
        elif words[:2] in (["never", "answers"], ["never", "answer"]):
            self._open_call()
            self.now = replace(self.now, rings=True)
            self._end(self._times(words[2:]))
        elif head == "refer":
            self._refer(words[1:])
        elif head == "unreachable":
            if self.begun:
                self._close_or("ring", "'unreachable' stands alone: it does not even ring")
            self.now = replace(self.now, responds=False)
            self._end(self._times(words[1:]))
        elif head in ("reject", "rejects"):
            self._open_call()
            self.now = replace(self.now, code=self._code(words[1:2]))
            self._end(self._times(words[2:]))
        else:
            self._refusal(words)

    def _refer(self, words: list[str]) -> None:
        kinds = {(): Refers.TAKES, ("inside",): Refers.INSIDE, ("untold",): Refers.UNTOLD, ("mute",): Refers.MUTE}
        if self.begun or self.done or self.refers is not Refers.NOT:
            self._wrong("comes after another step", "it once, at the beginning: it is about all calls")
        if tuple(words) not in kinds:
            self._wrong(f"has {' '.join(words)!r} after it", "refer, refer inside, refer untold or refer mute")
        self.refers = kinds[tuple(words)]

    def _refusal(self, words: list[str]) -> None:
        for phrase, code in _REFUSALS.items():
            if tuple(words[: len(phrase)]) == phrase:
                self._open_call()
                self.now = replace(self.now, code=code)
                self._end(self._times(words[len(phrase) :]))
                return
        self._wrong(f"begins with {words[0]!r}", f"one of: {_STEPS}")

    def _open_call(self) -> None:
        """An answered call that goes on is closed by a step of the next attempt."""
        if self.now.answers:
            self._end(1)

    def _close_or(self, step: str, why: str) -> None:
        if self.now.answers:
            self._end(1)
        else:
            self._wrong(f"comes after a {step}", why)

    def _answered(self, step: str) -> None:
        if not self.now.answers:
            self._wrong("ends a call that was not answered", f"'answer; {step} after 8'")

    def _end(self, times: int) -> None:
        if len(self.done) + times > MAX_ATTEMPTS:
            raise BehaviorError(f"behavior {self.text!r} describes more than {MAX_ATTEMPTS} calls")
        self.done.extend([self.now] * times)
        self.now = Attempt()
        self.begun = False

    def _death(self, words: list[str]) -> None:
        if "for" in words:
            cut = words.index("for")
            self.now = replace(self.now, back_s=self._seconds(words[cut + 1 :], "die after 8 for 5"))
            words = words[:cut]
        die_s = self._seconds(words, "die after 8") if words else 0.0
        self.now = replace(self.now, die_s=die_s)

    def _seconds(self, words: list[str], right: str) -> float:
        words = [w for w in words if w not in ("after", "for", "s", "second", "seconds", "silently")]
        if len(words) != 1:
            self._wrong(f"has {' '.join(words) or 'nothing'!r} for a time", f"one number of seconds, like '{right}'")
        text = words[0].removesuffix("s")
        try:
            value = float(text)
        except ValueError:
            value = -1.0
        if not 0 <= value <= MAX_SECONDS:
            self._wrong(f"has the time {words[0]!r}", f"seconds from 0 to {MAX_SECONDS:.0f}, like '{right}'")
        return value

    def _code(self, words: list[str]) -> int:
        if not words or not words[0].isdecimal() or not 400 <= int(words[0]) <= 699:
            self._wrong(f"has the code {' '.join(words)!r}", "a final SIP code from 400 to 699, like 'reject 488'")
        return int(words[0])

    def _with_times(self, words: list[str]) -> tuple[list[str], int]:
        """Split `20 s x2` into the time and how often."""
        for i, word in enumerate(words):
            if word in _TIMES or (word.startswith("x") and word[1:].isdecimal()):
                return words[:i], self._times(words[i:])
        return words, 1

    def _times(self, words: list[str]) -> int:
        if not words:
            return 1
        text = " ".join(words)
        number = _TIMES.get(text)
        if number is None:
            digits = text.removeprefix("x") if text.startswith("x") else text.removesuffix(" times")
            number = int(digits) if digits.isdecimal() and len(digits) < 6 and digits != text else 0
        if not 1 <= number <= MAX_ATTEMPTS:
            self._wrong(f"has {text!r} at its end", f"how often: x2, once, twice, 3 times, at most {MAX_ATTEMPTS}")
        return number

    def _nothing_after(self, words: list[str]) -> None:
        if words:
            self._wrong(f"has {' '.join(words)!r} after it", "'answer' alone, further steps after ';'")

    def _wrong(self, what: str, right: str) -> NoReturn:
        raise BehaviorError(f"behavior {self.text!r}: step {self.step!r} {what}; expected {right}")

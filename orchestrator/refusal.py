"""What the inventory and the meetings refuse, in words that name what, where and what would be right.

    Refusal        a change that cannot be made
    ├─ NotThere    nobody by this name
    ├─ Taken       somebody else has it already
    ├─ InUse       somebody still needs it
    └─ Unfit       the value itself makes no sense

Every text is a template with its values beside it, so that the face can say it in the reader's language.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Things:
    """Things by their kind (a word of the glossary) and name, for a list in a text; `more` says it goes on."""

    named: Sequence[tuple[str, str]]
    more: bool = False

    def said(self, say: Callable[[str], str]) -> str:
        """The list with every kind as `say` says it."""
        return ", ".join([f"{say(kind)} {name}" for kind, name in self.named] + ["..."] * self.more)

    def __str__(self) -> str:
        return self.said(str)


@dataclass(frozen=True, slots=True)
class Complaint:
    """One thing that is wrong: where (a JSON pointer or a column), what, and what would be right."""

    path: str
    problem: str
    expected: str
    values: Mapping[str, object] = field(default_factory=dict)

    def __str__(self) -> str:
        where = f"{self.path}: " if self.path else ""
        expected = f"; expected {self.expected.format(**self.values)}" if self.expected else ""
        return f"{where}{self.problem.format(**self.values)}{expected}"


class Refusal(Exception):
    """A change that was not made; nothing of it was kept."""

    def __init__(self, path: str, problem: str, expected: str = "", **values: object) -> None:
        self.complaint = Complaint(path, problem, expected, values)
        super().__init__(str(self.complaint))


class NotThere(Refusal):
    """Nobody goes by this name."""

    def __init__(self, kind: str, name: object) -> None:
        super().__init__("", "there is no {thing}", "", thing=Things([(kind, repr(name))]))


class Taken(Refusal):
    """The name or address belongs to somebody else."""


class InUse(Refusal):
    """It cannot go while others need it."""


class Unfit(Refusal):
    """A value that cannot be right."""

"""Pure: blacks out what must not be written down of an HTTP conversation."""

import json
import re

HIDDEN = "***"
_SHORTEST = 3
"""A shorter text would black out half of everything; it is not worth calling a secret."""


class Veil:
    """Knows the secrets of one session, and the fields that hold some before they are known.

    Every group of `fields` that took part in a match is hidden.
    """

    __slots__ = ("_fields", "_known")

    def __init__(self, fields: re.Pattern[str], *known: str) -> None:
        self._fields = fields
        self._known: list[str] = []
        for secret in known:
            self.learn(secret)

    def learn(self, secret: str) -> None:
        """One more secret, such as a session's name."""
        for form in {secret, json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]}:
            if len(form) >= _SHORTEST and form not in self._known:
                self._known.append(form)
        self._known.sort(key=len, reverse=True)

    def over(self, text: str) -> str:
        """The text without secrets."""
        for secret in self._known:
            text = text.replace(secret, HIDDEN)
        return self._fields.sub(_hide, text)


def _hide(match: re.Match[str]) -> str:
    text, start = match[0], match.start()
    for group in range(len(match.groups()), 0, -1):
        if match[group]:
            text = text[: match.start(group) - start] + HIDDEN + text[match.end(group) - start :]
    return text

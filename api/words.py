"""Every text a person reads, in Vietnamese and in English.

English texts are their own names (msgids); `locale/vi.po` carries the Vietnamese ones.
Texts that stand in tables rather than in a call of `say` are marked with `msgid`, so that
the catalog test finds them too.
"""

import re
from functools import cache
from pathlib import Path

from babel.messages.pofile import read_po

LANGUAGES = ("vi", "en")
DEFAULT_LANGUAGE = "vi"

_LOCALE = Path(__file__).parent / "locale"
_RANGE = re.compile(r"\s*([A-Za-z]{1,8}(?:-[A-Za-z0-9]{1,8})*|\*)\s*(?:;\s*q\s*=\s*([01](?:\.[0-9]{0,3})?)\s*)?")
_HEADER_LIMIT = 500


def msgid(text: str) -> str:
    """Mark a text that is said later; returns it unchanged."""
    return text


def say(language: str, msgid: str, **values: object) -> str:
    """The text in `language`, its `{placeholders}` filled from `values`.

    A text without a translation, and a language other than `LANGUAGES`, come out in English.
    """
    text = catalog(language).get(msgid, msgid)
    return text.format(**values)


@cache
def catalog(language: str) -> dict[str, str]:
    """English text -> text in `language`; empty for English and for unknown languages."""
    if language not in LANGUAGES or language == "en":
        return {}
    with (_LOCALE / f"{language}.po").open("rb") as file:
        return {str(entry.id): str(entry.string) for entry in read_po(file, locale=language) if entry.id}


def language_of(accept_language_header: str | None, default: str = DEFAULT_LANGUAGE) -> str:
    """The best of our languages for an Accept-Language header (RFC 9110 section 12.5.4).

    A range we cannot read is passed over; nothing acceptable, or no header, gives `default`.
    """
    best, best_weight = default, 0.0
    for part in (accept_language_header or "")[:_HEADER_LIMIT].split(","):
        match = _RANGE.fullmatch(part)
        if match is None:
            continue
        wanted = match[1].lower().partition("-")[0]
        language = default if wanted == "*" else wanted
        weight = float(match[2]) if match[2] else 1.0
        if language in LANGUAGES and weight > best_weight:
            best, best_weight = language, weight
    return best

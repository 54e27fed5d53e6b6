"""What a value of the inventory may look like, wherever it comes from: a spreadsheet or a request."""

import re
import unicodedata
from functools import cache
from zoneinfo import available_timezones

from adapters import Address

CODE = r"[A-Za-z0-9][A-Za-z0-9._-]{0,31}"
"""A site's code, safe in a URL path."""
CODE_WORDS = "1 to 32 letters, digits, dots, underscores or dashes, a letter or digit first"
FAMILY = r"[a-z0-9][a-z0-9-]{0,31}"
HOST = r"(?:\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?)"
EMAIL = r"[^@\s,;<>\"]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?"

NAME_LENGTH = 200
SHORT_LENGTH = 100
ADDRESS_LENGTH = 255
MOST_ADDRESSES = 8
MOST_SITES = 20_000
FIRST_PRIORITY, LAST_PRIORITY = 1, 9
LEAST_KBPS, MOST_KBPS = 56, 100_000

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def one_line(text: str) -> str:
    """`text` as it is stored: composed (NFC), so that one name has one spelling, without blanks around it.

    Raises ValueError for line breaks, control characters and lone surrogates.
    """
    text = unicodedata.normalize("NFC", text.strip(" \t"))
    found = _CONTROL.search(text)
    if found is not None:
        raise ValueError(f"the character U+{ord(found[0]):04X} cannot stand in a line of text")
    return text


def address(text: str) -> str:
    """An address as it is stored. Raises ValueError saying what would be right."""
    if len(text) > ADDRESS_LENGTH:
        raise ValueError(f"an address has at most {ADDRESS_LENGTH} characters")
    return str(Address.parse(text))


@cache
def time_zones() -> frozenset[str]:
    """The names of the IANA database; those that mean "this machine" or nothing are left out."""
    return frozenset(available_timezones() - {"localtime", "Factory"})

"""Seals device credentials for the database and opens them again.

A sealed text is a Fernet token (AES-128-CBC with HMAC-SHA256) under the installation's
key. `env:NAME` is no secret itself: it is kept as it is and looked up when it is needed.
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from orchestrator.private_file import PrivateFileBad, read_or_create

_SEAL = "fernet:"
_ENV = "env:"
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}", re.ASCII)
_LONGEST = 1_000


class SecretMissing(Exception):
    """A secret cannot be had; says which device needs it and, where so, which variable."""


class Keys:
    """The installation's key."""

    __slots__ = ("_environment", "_fernet", "_key", "_path")

    def __init__(self, key: bytes, path: Path, environment: Mapping[str, str] | None = None) -> None:
        self._fernet = Fernet(key)
        self._key = key
        self._path = path
        self._environment = os.environ if environment is None else environment

    @classmethod
    def open_or_create(cls, path: Path, environment: Mapping[str, str] | None = None) -> "Keys":
        """The key in `path`; made there, readable by us alone, when there is none.

        Of processes that start together the first one's key wins for all. Raises PrivateFileBad.
        """
        content = read_or_create(path, lambda: Fernet.generate_key() + b"\n")
        try:
            return cls(content.strip(), path, environment)
        except ValueError:
            raise PrivateFileBad(
                f"{path} holds no key; expected the file this installation made at its first start"
            ) from None

    def seal(self, text: str) -> str:
        """`text` in the form in which it may be stored; empty text and `env:NAME` stay as they are.

        Raises ValueError for a text that is too long or an `env:` that names no variable.
        """
        if not text:
            return ""
        if text.startswith(_ENV):
            env_name(text)
            return text
        if len(text) > _LONGEST:
            raise ValueError(f"a secret has at most {_LONGEST} characters")
        return _SEAL + self._fernet.encrypt(text.encode()).decode("ascii")

    def derive(self, purpose: str) -> bytes:
        """32 bytes that are this installation's alone and the same at every start (HKDF, RFC 5869)."""
        return HKDF(SHA256(), 32, salt=None, info=purpose.encode()).derive(self._key)

    def unseal(self, stored: str, device: str = "") -> str:
        """The secret itself. Raises SecretMissing naming `device`, never the secret."""
        whose = f"the secret of {device}" if device else "a secret"
        if not stored:
            return ""
        if stored.startswith(_ENV):
            name = stored.removeprefix(_ENV)
            if name not in self._environment:
                raise SecretMissing(f"{whose} is in the environment variable {name}, which is not set")
            return self._environment[name]
        try:
            return self._fernet.decrypt(stored.removeprefix(_SEAL).encode("ascii", "replace")).decode()
        except (InvalidToken, UnicodeDecodeError):
            raise SecretMissing(
                f"{whose} was sealed with another key than the one in {self._path}; "
                "put the right key file back or enter the secret anew"
            ) from None


def env_name(text: str) -> str:
    """The variable that `env:NAME` names. Raises ValueError when it names none."""
    name = text.removeprefix(_ENV)
    if not text.startswith(_ENV) or _NAME.fullmatch(name) is None:
        raise ValueError("expected env:NAME with a name of letters, digits and underscores")
    return name

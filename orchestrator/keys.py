"""Seals device credentials for the database and opens them again.

A sealed text is a Fernet token (AES-128-CBC with HMAC-SHA256) under the installation's
key. `env:NAME` is no secret itself: it is kept as it is and looked up when it is needed.
"""

import os
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken

_SEAL = "fernet:"
_ENV = "env:"
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}", re.ASCII)
_LONGEST = 1_000


class KeyFileBad(Exception):
    """The key file cannot be used as it stands."""


class SecretMissing(Exception):
    """A secret cannot be had; says which device needs it and, where so, which variable."""


class Keys:
    """The installation's key."""

    __slots__ = ("_environment", "_fernet", "_path")

    def __init__(self, key: bytes, path: Path, environment: Mapping[str, str] | None = None) -> None:
        self._fernet = Fernet(key)
        self._path = path
        self._environment = os.environ if environment is None else environment

    @classmethod
    def open_or_create(cls, path: Path, environment: Mapping[str, str] | None = None) -> "Keys":
        """The key in `path`; made there, readable by us alone, when there is none.

        Of processes that start together the first one's key wins for all. Raises KeyFileBad.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            _create(path, Fernet.generate_key() + b"\n")
        try:
            if path.stat().st_mode & 0o077:
                raise KeyFileBad(f"{path} can be read by others; expected mode 600 (chmod 600 {path})")
            return cls(path.read_bytes().strip(), path, environment)
        except ValueError:
            raise KeyFileBad(
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


def _create(path: Path, content: bytes) -> None:
    """Have `path` appear whole with mode 600, unless another process was first."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")  # mkstemp gives mode 600
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(name, path)
        except FileExistsError:
            return
    finally:
        os.unlink(name)

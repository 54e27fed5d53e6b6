"""Files that only we may read: made once, whole, with mode 600."""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path


class PrivateFileBad(Exception):
    """The file cannot be used as it stands; says what would be right."""


def read_or_create(path: Path, fresh: Callable[[], bytes]) -> bytes:
    """What is in `path`; what `fresh` gives is put there when there is no such file.

    Of processes that start together the first one's content wins for all. Raises
    PrivateFileBad for a file that others can read.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        _create(path, fresh())
    if path.stat().st_mode & 0o077:
        raise PrivateFileBad(f"{path} can be read by others; expected mode 600 (chmod 600 {path})")
    return path.read_bytes()


def _create(path: Path, content: bytes) -> None:
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

"""Where the lab keeps what it builds and what a run writes, and who may use it now."""

import fcntl
import os
import shutil
from pathlib import Path
from typing import IO


class LabError(Exception):
    """The lab cannot do what was asked; the text says what to do about it."""


def lab_folder() -> Path:
    """`DIEMCAU_LAB`, or `diemcau/lab` in the user's cache folder."""
    chosen = os.environ.get("DIEMCAU_LAB")
    if chosen:
        return Path(chosen).expanduser().absolute()
    cache = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(cache) / "diemcau" / "lab"


def need(*commands: str) -> None:
    """Raises LabError naming the Debian packages of the commands that are missing."""
    packages = {"debootstrap": "debootstrap", "chroot": "coreutils", "baresip": "baresip-core"}
    missing = [packages[command] for command in commands if shutil.which(command, path=search_path()) is None]
    if missing:
        raise LabError(f"the lab needs: apt-get install --no-install-recommends {' '.join(missing)}")


def search_path() -> str:
    """PATH with the system folders, which a plain user's PATH leaves out."""
    return os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin", "/usr/bin", "/bin"])


class Lock:
    """One user at a time of what `path` stands for; given back when the process ends, however it ends."""

    def __init__(self, path: Path, what: str) -> None:
        self.path = path
        self.what = what
        self._file: IO[str] | None = None

    def take(self, *, wait: bool = False) -> None:
        """Raises LabError naming the holder when it is taken and `wait` is off."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        file = self.path.open("a+")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            file.seek(0)
            holder = file.read().strip() or "unknown"
            file.close()
            raise LabError(f"{self.what} is in use by process {holder}; wait for it to end") from None
        file.seek(0)
        file.truncate()
        file.write(f"{os.getpid()}\n")
        file.flush()
        self._file = file

    def fileno(self) -> int:
        """For children that must keep the lock should we be killed (pass_fds). Raises ValueError when not taken."""
        if self._file is None:
            raise ValueError(f"{self.what} is not held")
        return self._file.fileno()

    def release(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

"""A private PostgreSQL server for one test session: its own folder, a socket instead of a port, gone at the end.

The server refuses to run as root, so that root hands it to Debian's `postgres` user.
"""

import contextlib
import os
import pwd
import re
import shutil
import signal
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

_DEBIAN = Path("/usr/lib/postgresql")
_READY = "database system is ready to accept connections"
_START_DEADLINE_S = 60.0
_STOP_DEADLINE_S = 30.0


class NoPostgres(Exception):
    """The store tests need a PostgreSQL server and there is none."""


def programs() -> Path:
    """The folder of the newest PostgreSQL server's programs. Raises NoPostgres."""
    found = [path for path in _DEBIAN.glob("*/bin") if (path / "initdb").exists() and (path / "postgres").exists()]
    if found:
        return max(found, key=lambda path: [int(number) for number in re.findall(r"\d+", path.parent.name)])
    on_path = shutil.which("initdb")
    if on_path is not None:
        return Path(on_path).resolve().parent
    raise NoPostgres(
        f"no PostgreSQL server programs under {_DEBIAN} or on PATH; "
        "install the Debian package: apt-get install --no-install-recommends postgresql"
    )


@contextlib.contextmanager
def server() -> Iterator[str]:
    """A running server; yields a URL with `{name}` in the place of the database's name."""
    bin_dir = programs()
    folder = Path(tempfile.mkdtemp(prefix="diemcau-pg-", dir="/tmp"))  # a socket's path has 107 characters at most
    command: list[str] = []
    if os.geteuid() == 0:
        try:
            user = pwd.getpwnam("postgres")
        except KeyError:
            raise NoPostgres("root cannot run PostgreSQL and there is no user postgres; install postgresql") from None
        os.chown(folder, user.pw_uid, user.pw_gid)
        command = ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups"]
    process = None
    try:
        data = str(folder / "data")
        encoding = ["-E", "UTF8", "--locale=C.UTF-8"]
        made = subprocess.run(
            [*command, str(bin_dir / "initdb"), "-D", data, "-U", "postgres", "-A", "trust", "--no-sync", *encoding],
            capture_output=True,
            text=True,
            cwd="/",
            timeout=_START_DEADLINE_S,
        )
        if made.returncode:
            raise NoPostgres(f"initdb failed: {made.stderr.strip()}")
        settings = {
            "listen_addresses": "",
            "unix_socket_directories": str(folder),
            "fsync": "off",
            "synchronous_commit": "off",
            "full_page_writes": "off",
            "max_connections": "100",
            "lc_messages": "C",
        }
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        process = subprocess.Popen(
            [*(command and [*command, "--pdeathsig=INT"]), str(bin_dir / "postgres"), "-D", data, *options],
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            text=True,
            cwd="/",
            env=os.environ | {"LC_ALL": "C.UTF-8"},
        )
        _wait_until_ready(process)
        yield f"postgresql://postgres@/{{name}}?host={folder}"
    finally:
        if process is not None:
            process.send_signal(signal.SIGINT)  # "fast shutdown"
            process.wait(_STOP_DEADLINE_S)
        shutil.rmtree(folder, ignore_errors=True)


def _wait_until_ready(process: "subprocess.Popen[str]") -> None:
    """Read the server's log until it is ready, and go on reading, so that it never blocks on it."""
    log: list[str] = []
    ready = threading.Event()

    def read() -> None:
        assert process.stderr is not None
        with process.stderr:
            for line in process.stderr:
                if not ready.is_set():
                    log.append(line)
                    if _READY in line:
                        ready.set()
        ready.set()

    threading.Thread(target=read, name="postgres-log", daemon=True).start()
    if not ready.wait(_START_DEADLINE_S) or process.poll() is not None or _READY not in "".join(log):
        process.kill()
        raise NoPostgres(f"PostgreSQL did not start: {''.join(log).strip()}")

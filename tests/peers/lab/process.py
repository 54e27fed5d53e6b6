"""Every process of the lab is started here, written down, and ended here by its id.

Three nets, one under the other: `stop_all` in a `finally`; the kernel ends a child whose
parent died (prctl PR_SET_PDEATHSIG, Linux); and the ledger of a run that was killed is
swept by the next one, which ends a process only if id, start time and boot are those
that were written down.
"""

import ctypes
import json
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


def _die_with_parent() -> None:
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def _boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def started_ticks(pid: int) -> int | None:
    """When a process started, in clock ticks since boot (proc(5), stat field 22); None if it is gone."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = text.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else int(fields[19])


@dataclass
class Child:
    """One process that we started."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    def kill(self) -> None:
        """As if its power was cut."""
        if self.alive:
            self.process.kill()
        self.process.wait()

    def stop(self, grace_s: float = 5.0) -> int:
        """Ask it to end, then insist. Returns its exit status."""
        if self.alive:
            self.process.terminate()
            try:
                return self.process.wait(grace_s)
            except subprocess.TimeoutExpired:
                self.process.kill()
        return self.process.wait()


class Ledger:
    """The processes of one run of the lab, on disk while they live."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.children: list[Child] = []

    def start(
        self,
        name: str,
        command: Sequence[str],
        log: Path,
        *,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> Child:
        """Start `command` with its output in `log`; it ends at the latest when we do."""
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as out:
            process = subprocess.Popen(
                list(command),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                env=dict(env) if env is not None else None,
                cwd=cwd,
                start_new_session=True,
                preexec_fn=_die_with_parent,
            )
        child = Child(name, process, log)
        self.children.append(child)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        line = {"boot": _boot_id(), "pid": process.pid, "ticks": started_ticks(process.pid), "name": name}
        with self.path.open("a") as file:
            file.write(json.dumps(line) + "\n")
        return child

    def stop_all(self, grace_s: float = 5.0) -> None:
        """End all children together, the last started first."""
        living = [child for child in reversed(self.children) if child.alive]
        for child in living:
            child.process.terminate()
        until = time.monotonic() + grace_s
        for child in living:
            try:
                child.process.wait(max(0.0, until - time.monotonic()))
            except subprocess.TimeoutExpired:
                child.process.kill()
                child.process.wait()
        self.children.clear()
        self.path.unlink(missing_ok=True)

    def sweep(self) -> list[str]:
        """End what a killed run left behind, if it is still the same process. Returns the names."""
        if not self.path.exists():
            return []
        boot = _boot_id()
        ended = []
        for text in self.path.read_text().splitlines():
            try:
                line = json.loads(text)
                pid, ticks = int(line["pid"]), line["ticks"]
            except (ValueError, KeyError, TypeError):
                continue  # a line cut short by the kill names no process of ours for sure
            if line.get("boot") == boot and ticks is not None and started_ticks(pid) == ticks:
                os.kill(pid, signal.SIGKILL)
                ended.append(str(line.get("name")))
        self.path.unlink()
        return ended

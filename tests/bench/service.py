"""`diemcau serve` in a process of its own, as its users start it, with its REST API."""

import csv
import io
import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import httpx
import psutil

from tests.bench.figure import WorkWrong, need
from tests.bench.place import ROOT
from tests.bench.province import Row
from tests.bench.record import Record
from tests.support.port import free_port

HOST = "127.0.0.1"
SIP_HOST = "127.0.40.1"
LEAD_MIN = 5
UP_S = 60.0
_LOUD = re.compile(r'"level": "(error|critical)"|"event": "(lease-lost|run-let-go|run-stumbled|ledger-waits)"')


class Service:
    """Start it, kill it, start it again on the same folder; ask it over REST."""

    def __init__(self, **settings: object) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="diemcau-bench-"))
        self.log = self.folder / "serve.log"
        self.database = self.folder / "diemcau.sqlite3"
        self.record = Record(self.database)
        self._port = free_port(HOST)
        self._process: subprocess.Popen[str] | None = None
        self._reader: threading.Thread | None = None
        self._listening = threading.Event()
        self._listening_at = 0.0
        token = secrets.token_urlsafe(24)
        self._env = {
            **{key: value for key, value in os.environ.items() if not key.startswith("DIEMCAU_")},
            "DIEMCAU_DATA_DIR": str(self.folder),
            "DIEMCAU_TOKEN": token,
            "DIEMCAU_SIP_HOST": SIP_HOST,
            "DIEMCAU_SIP_PORT": str(free_port(SIP_HOST)),
            "DIEMCAU_PACE_OFF": "1",
            **{f"DIEMCAU_{key.upper()}": str(value) for key, value in settings.items()},
        }
        self._http = httpx.Client(
            base_url=f"http://{HOST}:{self._port}/api/v1",
            headers={"Authorization": f"Bearer {token}"},
            timeout=120.0,
            trust_env=False,
        )

    # --- life ----------------------------------------------------------------------------

    def start(self) -> tuple[float, float]:
        """Returns when it listens: instants (time.time) of the process's start and of listening."""
        program = Path(sys.executable).with_name("diemcau")
        need(program.exists(), f"there is no {program}; install the project into this environment first (make does)")
        self._listening.clear()
        started_at = time.time()
        self._process = subprocess.Popen(
            [str(program), "serve", "--host", HOST, "--port", str(self._port)],
            cwd=ROOT, env=self._env, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True,
        )  # fmt: skip
        assert self._process.stderr is not None
        self._reader = threading.Thread(target=self._read, args=(self._process.stderr,), daemon=True)
        self._reader.start()
        if not self._listening.wait(UP_S):
            raise WorkWrong(f"diemcau serve did not come up:\n{self.log.read_text()[-2000:]}")
        need(self._process.poll() is None, f"diemcau serve ended while starting:\n{self.log.read_text()[-2000:]}")
        return started_at, self._listening_at

    def _read(self, stderr: IO[str]) -> None:
        """Keep what it logs, and note when it says that it listens."""
        with stderr, self.log.open("a", encoding="utf-8") as log:
            for line in stderr:
                if line.startswith("listening on "):
                    self._listening_at = time.time()
                    self._listening.set()
                log.write(line)
        self._listening.set()  # it ended; `start` looks which it was

    def kill(self) -> None:
        """End it without a word, as a power cut does."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """Ask it to end; its calls stay up."""
        self._end(signal.SIGTERM)

    def _end(self, number: signal.Signals) -> None:
        if self._process is None or self._reader is None:
            return
        self._process.send_signal(number)
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join()
        self._process = None

    @property
    def rss(self) -> int:
        """The memory it has resident, in bytes."""
        assert self._process is not None
        resident: int = psutil.Process(self._process.pid).memory_info().rss
        return resident

    @property
    def cpu_s(self) -> float:
        """Seconds of processor it has used."""
        assert self._process is not None
        times = psutil.Process(self._process.pid).cpu_times()
        return float(times.user + times.system)

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def need_peace(self) -> None:
        """It logged no error, and let go of nothing it conducts. Raises WorkWrong."""
        for line in self.log.read_text(errors="replace").splitlines():
            trouble = _LOUD.search(line)
            need(trouble is None, f"the service logged {line[:500]}")

    def __enter__(self) -> "Service":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._http.close()
        self.kill()
        self.record.close()
        if kind is not None and issubclass(kind, WorkWrong):
            print(f"the service's log is kept in {self.log}", file=sys.stderr)
        else:
            shutil.rmtree(self.folder, ignore_errors=True)

    # --- what it is told -----------------------------------------------------------------

    def post(self, path: str, **body: Any) -> Any:
        """POST a JSON body. Raises WorkWrong with the answer when it is refused."""
        return self._answer(self._http.post(path, json=body))

    def install(self, bridge: dict[str, object], rows: list[Row]) -> None:
        """Make the bridge and the sites."""
        self.post("/bridges", **{**bridge, "pace_per_s": None})
        text = io.StringIO()
        writer = csv.DictWriter(text, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
        self._answer(
            self._http.post("/sites/import", content=text.getvalue().encode(), headers={"Content-Type": "text/csv"})
        )

    def book(self, bridge: object, due_at: datetime, sites: list[str] | str = "all", title: str = "Giao ban") -> int:
        """Book a meeting whose dialing opens at `due_at`, a whole second; its id."""
        start = due_at.astimezone(UTC) + timedelta(minutes=LEAD_MIN)
        booked = self.post(
            "/meetings", title=title, start=start.strftime("%Y-%m-%dT%H:%M:%S"), time_zone="UTC",
            duration_min=60, bridge=bridge, sites=sites, lead_min=LEAD_MIN,
        )  # fmt: skip
        return int(booked["id"])

    @staticmethod
    def _answer(answer: httpx.Response) -> Any:
        what = f"{answer.request.method} {answer.request.url.path}: {answer.status_code}"
        need(not answer.is_error, f"{what} {answer.text[:500]}")
        return answer.json() if answer.content else None


def soon(seconds: float) -> datetime:
    """A whole second, at least so many seconds from now."""
    return datetime.fromtimestamp(int(time.time() + seconds) + 1, UTC)

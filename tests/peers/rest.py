"""The product as its user has it: a `diemcau serve` process and its REST API."""

import asyncio
import os
import secrets
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

from tests.peers.lab.asterisk import tail
from tests.peers.lab.place import LabError
from tests.peers.lab.process import Child, Ledger
from tests.support.port import free_port

SIP_IP = "127.0.40.1"
UP_S = 60.0
LOOK_S = 0.2  # how often a board is looked at while something is waited for

Board = dict[str, Any]


class Orchestrator:
    """Start it, kill it, start it again on the same folder; ask and order over REST."""

    def __init__(self, folder: Path, logs: Path, ledger: Ledger) -> None:
        self.folder = folder
        self.log = logs / "orchestrator.log"
        self.ledger = ledger
        self.port = free_port("127.0.0.1")
        self.token = secrets.token_urlsafe(24)
        self.child: Child | None = None
        self.http = httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{self.port}/api/v1",
            headers={"Authorization": f"Bearer {self.token}"},
            timeout=20.0,
            trust_env=False,
        )

    async def start(self) -> None:
        """Returns when it says that it is ready. Raises LabError with the end of its log."""
        self.folder.mkdir(parents=True, exist_ok=True)
        env = {
            **{key: value for key, value in os.environ.items() if not key.startswith("DIEMCAU_")},
            "DIEMCAU_DATA_DIR": str(self.folder),
            "DIEMCAU_TOKEN": self.token,
            "DIEMCAU_SIP_HOST": SIP_IP,
            "DIEMCAU_SIP_PORT": "5060",
        }
        program = Path(sys.executable).with_name("diemcau")
        if not program.exists():
            raise LabError(f"there is no {program}; install the project into this environment first (make does)")
        command = (str(program), "serve", "--host", "127.0.0.1", "--port", str(self.port))
        self.child = self.ledger.start("orchestrator", command, self.log, env=env)
        async with asyncio.timeout(UP_S):
            while not await self._ready():
                if not self.child.alive:
                    raise LabError(f"diemcau serve ended while starting:\n{tail(self.log, 30)}")
                await asyncio.sleep(0.1)

    async def _ready(self) -> bool:
        try:
            return (await self.http.get(f"http://127.0.0.1:{self.port}/readyz")).status_code == 200
        except httpx.TransportError:
            return False

    async def stop(self) -> int:
        """Ask it to end; returns its exit status."""
        return await asyncio.to_thread(self.child.stop, 20.0) if self.child is not None else 0

    async def close(self) -> None:
        await self.http.aclose()
        if self.child is not None:
            await asyncio.to_thread(self.child.stop)

    async def get(self, path: str, **query: Any) -> Any:
        return self._answer(await self.http.get(path, params=query))

    async def post(self, path: str, body: Any = None, **query: Any) -> Any:
        return self._answer(await self.http.post(path, json=body, params=query))

    async def delete(self, path: str) -> Any:
        return self._answer(await self.http.delete(path))

    async def post_csv(self, path: str, text: str) -> Any:
        return self._answer(await self.http.post(path, content=text.encode(), headers={"Content-Type": "text/csv"}))

    @staticmethod
    def _answer(answer: httpx.Response) -> Any:
        if answer.is_error:
            raise LabError(
                f"{answer.request.method} {answer.request.url.path}: {answer.status_code} {answer.text[:800]}"
            )
        return answer.json() if answer.content else None

    async def run_of(self, meeting: int, within_s: float = 30.0) -> int:
        """The meeting's run, once the orchestrator has begun one."""
        async with asyncio.timeout(within_s):
            while True:
                runs = await self.get("/runs", meeting=meeting)
                items = runs["items"] if isinstance(runs, dict) else runs
                if items:
                    return int(items[0]["id"])
                await asyncio.sleep(LOOK_S)

    async def board(self, run: int) -> Board:
        board: Board = await self.get(f"/runs/{run}")
        return board

    async def until(self, run: int, what: str, condition: Callable[[Board], bool], within_s: float) -> Board:
        """The board once `condition` holds for it; raises LabError with what the board said last."""
        board: Board = {}
        try:
            async with asyncio.timeout(within_s):
                while True:
                    board = await self.board(run)
                    if condition(board):
                        return board
                    await asyncio.sleep(LOOK_S)
        except TimeoutError:
            raise LabError(f"waited {within_s:g} s for {what}; the board says:\n{describe(board)}") from None


def describe(board: Board) -> str:
    """The board in a few lines: state, counts, and every line that is not in."""
    lines = [f"  run {board.get('id')} {board.get('state')} {board.get('counts')}"]
    for row in [*board.get("links", []), *board.get("sites", [])]:
        if row["state"] != "in":
            shown = {key: row.get(key) for key in ("state", "way", "address", "attempts", "cause", "raw", "evidence")}
            lines.append(f"  {row['code']}: {shown}")
    return "\n".join(lines)

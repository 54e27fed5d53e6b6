"""What changed on a run's board, rendered once and sent to everybody who looks at it.

One feed a run in this process, while somebody looks. It wakes with the journal and reads
the rows again; a piece of the page (head, link, site) that differs gets the next version,
and each client is sent the pieces above the version it has.
"""

import asyncio
import json
import secrets
from collections import deque
from collections.abc import AsyncIterator, Callable
from datetime import datetime
from typing import Any

from api.console.view import part
from orchestrator.board import board
from orchestrator.store.database import Database
from orchestrator.store.journal import JournalBell, JournalEntry, since

_POLL_S = 1.0
_PACE_S = 0.2  # at most five pictures a second, however fast the journal grows
_SHARE = 4  # a large board is read at most a fifth of the time: the loop has calls to conduct
_AT_ONCE = 40  # pieces rendered before others have their turn
_LINGER_S = 15.0  # between a page and its stream
_LOG_KEPT = 40
_BATCH = 500
BEAT_S = 10.0


class Feed:
    """The pieces of one run's board, each with the version at which it last changed."""

    def __init__(self, database: Database, bell: JournalBell, now: Callable[[], datetime], run_id: int) -> None:
        self.name = secrets.token_hex(4)  # versions of another feed (another process) mean nothing here
        self.run_id = run_id
        self.version = 0
        self.board: dict[str, Any] = {}
        self.log: deque[tuple[int, JournalEntry]] = deque(maxlen=_LOG_KEPT)
        self.watchers = 0
        self.failed = False
        self.changed = asyncio.Event()
        self._pieces: dict[str, tuple[int, Any]] = {}
        self._rendered: dict[tuple[str, str], tuple[int, str]] = {}
        self._cursor = 0
        self._database, self._bell, self._now = database, bell, now

    async def refresh(self) -> bool:
        """Read the rows; False where there is no such run."""
        async with self._database.read() as session:
            shown = await board(session, self.run_id, self._now())
            if shown is None:
                return False
            after = self._cursor or max(0, shown["cursor"] - _BATCH)
            entries = await since(session, self.run_id, after, _BATCH)
        self._cursor = entries[-1].id or after if entries else after
        pieces: dict[str, Any] = {"head": _head(shown), "links": [link["code"] for link in shown["links"]]}
        pieces |= {f"link-{link['code']}": (link, shown["over"]) for link in shown["links"]}
        pieces |= {f"site-{site['code']}": (site, shown["over"]) for site in shown["sites"]}
        version = self.version + 1
        changed = {
            key: (version, value) for key, value in pieces.items() if self._pieces.get(key, (0, None))[1] != value
        }
        self.board = shown
        if changed or entries:
            self._pieces.update(changed)
            self.log.extend((version, entry) for entry in entries)
            self.version = version
            woken, self.changed = self.changed, asyncio.Event()
            woken.set()
        return True

    async def keep_fresh(self) -> None:
        """Follow the journal until the run is over."""
        loop, rest_s = asyncio.get_running_loop(), _PACE_S
        try:
            while not self.board["over"]:
                rung = asyncio.create_task(self._bell.wait(self.run_id, _POLL_S))
                try:
                    await asyncio.sleep(rest_s)  # the bell is listened to meanwhile
                    began = loop.time()
                    await self.refresh()
                    rest_s = max(_PACE_S, _SHARE * (loop.time() - began))
                    if not self.board["over"]:
                        await rung
                finally:
                    rung.cancel()
        except Exception:
            self.failed = True
            raise
        finally:
            self.changed.set()

    def html(self, language: str, key: str) -> str:
        """One piece of the page, rendered when it changed."""
        version, value = self._pieces[key]
        kept = self._rendered.get((language, key))
        if kept is None or kept[0] != version:
            kept = self._rendered[language, key] = (version, self._render(language, key, value))
        return kept[1]

    def log_html(self, language: str, above: int = 0) -> list[str]:
        """The log lines above a version, oldest first."""
        line = part("pieces.html", "log_line", language)
        zone = self.board["time_zone"]
        return [str(line(entry, zone)) for version, entry in self.log if version > above]

    async def warm(self, language: str) -> None:
        """Have every piece rendered that is not yet, a few at a time, so that the loop goes on."""
        for number, key in enumerate(list(self._pieces)):
            if key != "links":
                self.html(language, key)
            if number % _AT_ONCE == 0:
                await asyncio.sleep(0)

    def update(self, language: str, above: int) -> str:
        """What a page at version `above` must take over, as JSON."""
        changed = [key for key, (version, _) in self._pieces.items() if version > above and key != "links"]
        told = {
            "pieces": {key: self.html(language, key) for key in changed},
            "log": self.log_html(language, above),
            "over": self.board["over"],
        }
        return json.dumps(told, ensure_ascii=False)

    def _render(self, language: str, key: str, value: Any) -> str:
        if key == "head":
            return str(part("pieces.html", "head", language)(value))
        line, over = value
        macro = "link" if key.startswith("link-") else "site"
        return str(part("pieces.html", macro, language)(line, self.board["time_zone"], self.run_id, over))


class Feeds:
    """The feeds of this process."""

    def __init__(self, database: Database, bell: JournalBell, now: Callable[[], datetime]) -> None:
        self._database, self._bell, self._now = database, bell, now
        self._feeds: dict[int, tuple[Feed, asyncio.Task[None]]] = {}
        self.closed = False

    async def of(self, run_id: int) -> Feed | None:
        """The run's feed, fresh enough for a page; None where there is no such run."""
        known = self._feeds.get(run_id)
        if known is not None and not known[1].done():
            return known[0]
        feed = Feed(self._database, self._bell, self._now, run_id)
        if not await feed.refresh():
            return None
        if (other := self._feeds.get(run_id)) is not None and not other[1].done():
            return other[0]  # somebody else came first while we read
        self._feeds[run_id] = (feed, asyncio.create_task(feed.keep_fresh(), name=f"board of run {run_id}"))
        self._let_go_later(run_id, feed)
        return feed

    async def follow(self, feed: Feed, language: str, above: int) -> AsyncIterator[tuple[int, str] | None]:
        """(version, update) as the board changes, None as a sign of life in between; ends with the run."""
        feed.watchers += 1
        try:
            while True:
                changed = feed.changed  # before looking: what comes in between wakes us
                if feed.version > above:
                    await feed.warm(language)
                    version = feed.version
                    yield version, feed.update(language, above)
                    above = version
                elif feed.board["over"] or feed.failed or self.closed:
                    return
                else:
                    try:
                        async with asyncio.timeout(BEAT_S):
                            await changed.wait()
                    except TimeoutError:
                        yield None
        finally:
            feed.watchers -= 1
            self._let_go_later(feed.run_id, feed)

    def close(self) -> None:
        """End all streams and readers."""
        self.closed = True
        for feed, task in self._feeds.values():
            task.cancel()
            feed.changed.set()
        self._feeds.clear()

    def _let_go_later(self, run_id: int, feed: Feed) -> None:
        asyncio.get_running_loop().call_later(_LINGER_S, self._let_go, run_id, feed)

    def _let_go(self, run_id: int, feed: Feed) -> None:
        known = self._feeds.get(run_id)
        if known is not None and known[0] is feed and feed.watchers == 0:
            known[1].cancel()
            del self._feeds[run_id]


def _head(shown: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in shown.items() if name not in ("sites", "links", "cursor", "seen_at")}

"""A control session that stays: opened again after a loss, with back-off and jitter.

"Gone" and "ready" are told once each per outage. A refused log-in is never tried again: not by
itself and not by another `open`, because a wrong secret, repeated, locks people out. New settings
make a new session.
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TypeVar

from adapters.control.link import Connect, Link
from adapters.control.order import Order
from adapters.control.pace import Pace
from adapters.errors import AdapterError, LoginRefused, SessionLost, Unreachable

_log = logging.getLogger(__name__)
T = TypeVar("T")


class Session:
    """Keeps a link to one device up from `open` to `close`.

    `on_up(link)` runs after every log-in before anybody is told: it catches up with what was
    missed. `on_gone(reason)` and `on_ready()` frame an outage.
    """

    __slots__ = (
        "_closing",
        "_connect",
        "_device",
        "_last_error",
        "_link",
        "_on_gone",
        "_on_ready",
        "_on_up",
        "_opening",
        "_pace",
        "_ready",
        "_reopening",
    )

    def __init__(
        self,
        device: str,
        pace: Pace,
        connect: Connect,
        *,
        on_up: Callable[[Link], Awaitable[None]],
        on_gone: Callable[[str], None],
        on_ready: Callable[[], None],
    ) -> None:
        self._device = device
        self._pace = pace
        self._connect = connect
        self._on_up = on_up
        self._on_gone = on_gone
        self._on_ready = on_ready
        self._link: Link | None = None
        self._ready: asyncio.Event | None = None  # while an outage lasts
        self._reopening: asyncio.Task[None] | None = None
        self._opening = asyncio.Lock()
        self._last_error: AdapterError | None = None
        self._closing = False

    @property
    def is_up(self) -> bool:
        return self._link is not None and self._reopening is None and not self._link.ended.done()

    async def open(self) -> None:
        """Be up. Raises Unreachable, LoginRefused. Safe to repeat."""
        async with self._opening:
            if isinstance(self._last_error, LoginRefused):
                raise self._refusal("open")
            if self._reopening is not None:
                await self._until_ready()
                return
            if self._link is not None:
                return
            self._closing = False
            await self._enter()

    async def _until_ready(self) -> None:
        assert self._ready is not None
        try:
            async with asyncio.timeout(self._pace.open_s):
                await self._ready.wait()
        except TimeoutError:
            raise self._last_error or Unreachable(self._device, "open", "still connecting") from None
        if isinstance(self._last_error, LoginRefused):
            raise self._refusal("open")

    async def close(self) -> None:
        """Give the session up. Safe to repeat, raises nothing, tells nobody."""
        self._closing = True
        if self._reopening is not None:
            self._reopening.cancel()
            await asyncio.wait({self._reopening})
            self._reopening = None
        await self._discard()

    async def ask(self, order: Order[T], verb: str, sent: Callable[[], None] | None = None) -> T:
        """See `Link.ask`; SessionLost while there is no link, LoginRefused after a refusal."""
        return await self._live(verb).ask(order, verb, sent)

    def _live(self, verb: str) -> Link:
        if isinstance(self._last_error, LoginRefused):
            raise self._refusal(verb)
        if not self.is_up or self._link is None:
            why = self._last_error.why if self._last_error else "the session is not open"
            raise SessionLost(self._device, verb, why, self._last_error.trace if self._last_error else "")
        return self._link

    def _refusal(self, verb: str) -> LoginRefused:
        assert self._last_error is not None
        return LoginRefused(self._device, verb, self._last_error.why, self._last_error.trace)

    async def _enter(self) -> None:
        """Connect, log in, catch up; on failure nothing is left behind."""
        try:
            async with asyncio.timeout(self._pace.open_s):
                link = await self._connect()
                try:
                    await self._on_up(link)
                    if link.ended.done():
                        raise SessionLost(self._device, "open", link.ended.result())
                except BaseException:
                    await link.close()
                    raise
        except TimeoutError:
            self._last_error = Unreachable(self._device, "open", f"not ready within {self._pace.open_s:g} s")
            raise self._last_error from None
        except LoginRefused as error:
            self._last_error = error
            raise
        except AdapterError as error:
            self._last_error = Unreachable(self._device, "open", error.why, error.trace)
            raise self._last_error from None
        self._last_error = None
        self._link = link
        link.ended.add_done_callback(lambda ended: self._lost(link))

    def _lost(self, link: Link) -> None:
        if self._closing or self._link is not link or link.ended.cancelled():
            return
        reason = link.ended.result()
        self._last_error = SessionLost(self._device, "session", reason)
        self._ready = asyncio.Event()
        self._reopening = asyncio.get_running_loop().create_task(self._reopen(), name=f"reopen {self._device}")
        self._on_gone(reason)

    async def _reopen(self) -> None:
        """Try until up again; give up when the device refuses our log-in."""
        assert self._ready is not None
        await self._discard()
        wait_s = self._pace.retry_first_s
        while True:
            await asyncio.sleep(wait_s * random.uniform(0.5, 1.0))
            wait_s = min(2 * wait_s, self._pace.retry_most_s)
            try:
                await self._enter()
            except LoginRefused as error:
                _log.warning("control.login_refused device=%s: %s", self._device, error.why)
                self._reopening = None
                self._ready.set()
                return
            except AdapterError as error:
                _log.debug("control.still_away device=%s: %s", self._device, error.why)
            else:
                self._reopening = None
                self._ready.set()
                self._on_ready()
                return

    async def _discard(self) -> None:
        link, self._link = self._link, None
        if link is not None:
            with suppress(OSError):
                await link.close()

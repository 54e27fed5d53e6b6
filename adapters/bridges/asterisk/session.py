"""A manager session that stays: pinged while quiet, opened again after a loss, with back-off and jitter.

"Gone" and "ready" are told once each per outage. A refused login is never tried again by
itself: a wrong secret, repeated, locks people out.
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from typing import Any

from adapters.bridges.asterisk import grammar
from adapters.bridges.asterisk.connection import Connection, Target
from adapters.bridges.asterisk.grammar import Action, Packet
from adapters.bridges.asterisk.profile import Pace
from adapters.errors import AdapterError, LoginRefused, SessionLost, Unreachable
from adapters.trace import Trace

log = logging.getLogger(__name__)

EVENT_CLASSES = "system,call"
"""`call` has the ConfBridge, channel and Originate events, `system` has FullyBooted; the rest is noise here."""


class Session:
    """Keeps one AMI session up from `open` to `close`.

    `on_up` runs after every login before anybody is told: it catches up with what was missed.
    `on_gone(reason)` and `on_ready()` frame an outage.
    """

    def __init__(
        self,
        target: Target,
        pace: Pace,
        *,
        on_event: Callable[[Packet], None],
        on_up: Callable[[], Awaitable[None]],
        on_gone: Callable[[str], None],
        on_ready: Callable[[], None],
    ) -> None:
        self.target = target
        self.trace = Trace((target.secret,))
        self._pace = pace
        self._on_event = on_event
        self._on_up = on_up
        self._on_gone = on_gone
        self._on_ready = on_ready
        self._connection: Connection | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._opening = asyncio.Lock()
        self._ready = asyncio.Event()
        self._last_error: AdapterError | None = None

    @property
    def is_up(self) -> bool:
        return self._ready.is_set()

    async def open(self) -> None:
        """Be up. Raises Unreachable, LoginRefused. Safe to repeat; repeated after a refusal, it tries anew."""
        async with self._opening:
            if self._keeper is not None and not self._keeper.done():
                await self._until_ready()
                return
            self._connection = await self._connect()
            try:
                await self._on_up()
            except SessionLost as error:
                await self._discard()
                raise Unreachable(self.target.device, "open", error.why, error.trace) from None
            except BaseException:
                await self._discard()
                raise
            self._ready.set()
            self._keeper = asyncio.create_task(self._keep(), name=f"ami keeper {self.target.device}")

    async def _until_ready(self) -> None:
        try:
            async with asyncio.timeout(self._pace.open_s):
                await self._ready.wait()
        except TimeoutError:
            raise self._last_error or Unreachable(self.target.device, "open", "still connecting") from None

    async def close(self) -> None:
        """Give the session up. Safe to repeat, raises nothing, tells nobody."""
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.wait({self._keeper})
            self._keeper = None
        self._ready.clear()
        await self._discard()

    async def ask(
        self, action: Action, verb: str, deadline_s: float, *, changes: bool = False, action_id: str = ""
    ) -> Packet:
        """See `Connection.ask`."""
        return await self._live(verb).ask(action, verb, deadline_s, changes=changes, action_id=action_id)

    async def collect(self, action: Action, verb: str, deadline_s: float) -> list[Packet]:
        """See `Connection.collect`."""
        return await self._live(verb).collect(action, verb, deadline_s)

    def new_action_id(self, verb: str) -> str:
        return self._live(verb).new_action_id()

    def _live(self, verb: str) -> Connection:
        if isinstance(self._last_error, LoginRefused):
            raise LoginRefused(self.target.device, verb, self._last_error.why, self._last_error.trace)
        if self._connection is None:
            why = self._last_error.why if self._last_error else "the session is not open"
            raise SessionLost(self.target.device, verb, why, self.trace.tail())
        return self._connection

    async def _connect(self) -> Connection:
        self._last_error = None
        booted = asyncio.get_running_loop().create_future()

        def hear(packet: Packet) -> None:
            if packet.name == "FullyBooted" and not booted.done():
                booted.set_result(None)
            self._on_event(packet)

        try:
            connection = await Connection.open(
                self.target,
                events=EVENT_CLASSES,
                deadline_s=self._pace.open_s,
                on_event=hear,
                trace=self.trace,
            )
        except AdapterError as error:
            self._last_error = error
            raise
        # The event follows the login at once, or comes when the bridge has started. Dialing before
        # that fails; an AMI user that does not read `system` never hears it.
        either: set[asyncio.Future[Any]] = {booted, connection.ended}
        try:
            await asyncio.wait(either, timeout=self._pace.boot_s, return_when=asyncio.FIRST_COMPLETED)
        except BaseException:
            await connection.close()
            raise
        if not booted.done():
            log.warning("no FullyBooted heard", extra={"device": self.target.device, "wants": "read = system,call"})
        return connection

    async def _discard(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()

    async def _keep(self) -> None:
        while True:
            assert self._connection is not None
            reason = await self._watch(self._connection)
            self._ready.clear()
            await self._discard()
            self._last_error = SessionLost(self.target.device, "session", reason)
            self._on_gone(reason)
            if not await self._reopen():
                return
            self._ready.set()
            self._on_ready()

    async def _watch(self, connection: Connection) -> str:
        """Ping whenever nothing was heard for a while; return why the connection ended."""
        while True:
            heard = connection.heard
            await asyncio.wait({connection.ended}, timeout=self._pace.ping_every_s)
            if not connection.ended.done() and connection.heard == heard:
                try:
                    await connection.ask(grammar.ping(), "ping", self._pace.ping_s)
                except AdapterError as error:
                    self.trace.not_understood(str(error))
            if connection.ended.done():
                return connection.ended.result()

    async def _reopen(self) -> bool:
        """Try until up again; False when the bridge refuses our login."""
        wait_s = self._pace.retry_first_s
        while True:
            await asyncio.sleep(wait_s * random.uniform(0.5, 1.0))
            wait_s = min(2 * wait_s, self._pace.retry_most_s)
            try:
                self._connection = await self._connect()
                await self._on_up()
            except LoginRefused as error:
                self._last_error = error
                await self._discard()
                return False
            except AdapterError as error:
                self._last_error = error
                await self._discard()
            else:
                return True

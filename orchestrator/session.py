"""A device's control session as the desk holds it: opened once, and tried again while the device is away."""

import asyncio
import time
from collections.abc import Callable
from itertools import chain, repeat
from typing import Generic, TypeVar

import structlog

from adapters import AdapterError, Address, BridgeAdapter, Control, EndpointAdapter, LoginRefused
from orchestrator.store.inventory import EndpointAt

log = structlog.get_logger(__name__)

_REFUSED_S = 300.0
_BACK_OFF_S = (1.0, 2.0, 5.0, 10.0, 30.0)

Adapter = TypeVar("Adapter", BridgeAdapter, EndpointAdapter)


def control_of(at: EndpointAt, secret: str) -> Control:
    """How an endpoint of the inventory is reached, its secret opened."""
    row = at.endpoint
    return Control(
        name=row.name,
        host=row.control_host,
        port=row.control_port,
        username=row.control_username,
        secret=secret,
        addresses=tuple(Address.parse(text) for text in at.addresses),
        settings=row.settings,
    )


class DeviceSession(Generic[Adapter]):
    """One adapter and whether its session was opened; `is_back()` tells of a late success."""

    __slots__ = ("_ask_again_s", "_is_back", "_lock", "_name", "_refused", "_reopening", "adapter", "opened", "up")

    def __init__(self, name: str, adapter: Adapter, is_back: Callable[[], None]) -> None:
        self.adapter: Adapter = adapter
        self.opened = False
        self.up = False
        """Whether the session stands at this moment; an opened one keeps itself up."""
        self._name = name
        self._is_back = is_back
        self._lock = asyncio.Lock()
        self._refused: LoginRefused | None = None
        self._ask_again_s = 0.0
        self._reopening: asyncio.Task[None] | None = None

    async def open(self) -> bool:
        """Have the session open; whether it was opened now.

        Raises what the adapter raises; then it goes on being tried, and `is_back` tells of
        success. A refused log-in is not repeated before its inventory entry was changed, or
        some minutes have gone by: devices lock out who knocks too often.
        """
        async with self._lock:
            if self.opened:
                return False
            if self._refused is not None and time.monotonic() < self._ask_again_s:
                raise self._refused
            try:
                await self.adapter.open()
            except LoginRefused as error:
                self._note_refusal(error)
                raise
            except AdapterError:
                if self._reopening is None or self._reopening.done():
                    self._reopening = asyncio.create_task(self._reopen())
                raise
            self.opened = self.up = True
            return True

    async def close(self) -> None:
        """Give it up; the device's calls stay as they are."""
        if self._reopening is not None:
            self._reopening.cancel()
        await self.adapter.close()

    def _note_refusal(self, error: LoginRefused) -> None:
        self._refused, self._ask_again_s = error, time.monotonic() + _REFUSED_S

    async def _reopen(self) -> None:
        for wait_s in chain(_BACK_OFF_S, repeat(_BACK_OFF_S[-1])):
            await asyncio.sleep(wait_s)
            async with self._lock:
                if self.opened:
                    return
                try:
                    await self.adapter.open()
                except LoginRefused as error:
                    self._note_refusal(error)
                    log.error("login-refused", device=self._name, why=error.why)
                    return
                except AdapterError:
                    continue
                except Exception as error:
                    log.error("fault-of-ours", device=self._name, error=type(error).__name__, exc_info=error)
                    continue
                self.opened = True
            self._is_back()
            return

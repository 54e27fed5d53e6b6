"""One live session per device, and the road from its events to the runs they concern."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from itertools import chain, repeat
from typing import Protocol

import structlog

from adapters import (
    AdapterError,
    Address,
    BridgeAdapter,
    Capability,
    ConferenceEnded,
    Control,
    EndpointAdapter,
    Event,
    LoginRefused,
    MemberChanged,
    MemberJoined,
    MemberLeft,
    NotSupported,
    SessionGone,
    SessionReady,
)
from orchestrator.keys import Keys, SecretMissing
from orchestrator.rules.tag import LegName
from orchestrator.store.inventory import Bridge

log = structlog.get_logger(__name__)

Inbox = Callable[[Event], None]
_REFUSED_S = 300.0
_BACK_OFF_S = (1.0, 2.0, 5.0, 10.0, 30.0)


class Hands(Protocol):
    """Makes adapters; given by the composition root, so that the mind names no family."""

    def endpoint(self, family: str, control: Control) -> EndpointAdapter: ...

    def bridge(self, family: str, control: Control) -> BridgeAdapter: ...

    def bridge_capabilities(self, family: str) -> frozenset[Capability]: ...

    @property
    def dialing_families(self) -> frozenset[str]: ...


@dataclass(slots=True)
class _BridgeSession:
    adapter: BridgeAdapter
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    opened: bool = False
    up: bool = False
    refused: LoginRefused | None = None
    ask_again_s: float = 0.0
    reopening: asyncio.Task[None] | None = None


class Desk:
    """Holds the sessions; `take` is the sink every adapter is built with."""

    def __init__(self, keys: Keys, now: Callable[[], datetime]) -> None:
        self.hands: Hands  # set by the composition root before the first use
        self._keys = keys
        self.now = now
        self._bridges: dict[str, _BridgeSession] = {}
        self._callers: dict[int, dict[tuple[Address, bool], EndpointAdapter]] = {}
        self._back: set[str] = set()  # bridges whose session was given up, to be told of when it is back
        self._runs: dict[int, Inbox] = {}
        self._rooms: dict[tuple[str, str], dict[int, Inbox]] = {}
        self._logins: dict[str, tuple[str, str, str]] = {}

    # --- who hears what ------------------------------------------------------------------

    def listen(self, run_id: int, inbox: Inbox, rooms: list[tuple[str, str]]) -> None:
        """Bring a run the events of its legs, of `rooms` (bridge name, number) and their sessions."""
        self._runs[run_id] = inbox
        for room in rooms:
            self._rooms.setdefault(room, {})[run_id] = inbox

    def stop_listening(self, run_id: int) -> None:
        """Bring the run nothing more. Safe to repeat."""
        self._runs.pop(run_id, None)
        for room, inboxes in list(self._rooms.items()):
            inboxes.pop(run_id, None)
            if not inboxes:
                del self._rooms[room]

    def take(self, event: Event) -> None:
        """The sink of all adapters."""
        match event:
            case MemberJoined() | MemberLeft() | MemberChanged() | ConferenceEnded():
                for inbox in list(self._rooms.get((event.device, event.conference), {}).values()):
                    inbox(event)
            case SessionGone() | SessionReady():
                self._session_changed(event)
            case _:
                name = LegName.find(event.leg)
                if name is not None and name.run in self._runs:
                    self._runs[name.run](event)

    def _session_changed(self, event: SessionGone | SessionReady) -> None:
        session = self._bridges.get(event.device)
        if session is not None:
            session.up = isinstance(event, SessionReady)
        told: set[int] = set()
        for (device, _), inboxes in list(self._rooms.items()):
            if device == event.device:
                for run_id, inbox in list(inboxes.items()):
                    if run_id not in told:
                        told.add(run_id)
                        inbox(event)

    # --- SIP log-ins ---------------------------------------------------------------------

    def learn_login(self, host: str, username: str, sealed: str, name: str) -> None:
        """The SIP user name and sealed secret for whatever answers at `host`."""
        self._logins[host] = (username, sealed, name)

    def login(self, _realm: str, host: str) -> tuple[str, str] | None:
        """User name and opened secret for a device that asks who we are, or None."""
        known = self._logins.get(host)
        if known is None:
            return None
        try:
            return known[0], self.secret(known[1], known[2])
        except LoginRefused as error:
            log.error("no-secret", device=known[2], why=error.why)
            return None

    def secret(self, sealed: str, device: str) -> str:
        """The opened secret of a device. Raises LoginRefused when it cannot be opened: a human first."""
        try:
            return self._keys.unseal(sealed, device)
        except SecretMissing as error:
            raise LoginRefused(device, "open", str(error)) from None

    # --- bridges -------------------------------------------------------------------------

    def bridge(self, row: Bridge) -> BridgeAdapter:
        """The adapter of a bridge, opened or not: enough to ask what it can do and to `expect`.

        Raises LoginRefused when its secret cannot be opened, NotSupported when nothing can drive it.
        """
        session = self._bridges.get(row.name)
        if session is None:
            control = Control(
                name=row.name,
                host=row.control_host,
                port=row.control_port,
                username=row.control_username,
                secret=self.secret(row.control_secret, row.name),
                settings={**row.settings, "conference_address": row.conference_address, "ports": row.ports},
            )
            try:
                adapter = self.hands.bridge(row.family, control)
            except LookupError as error:
                raise NotSupported(row.name, "open", str(error)) from None
            session = self._bridges[row.name] = _BridgeSession(adapter)
        return session.adapter

    def is_up(self, bridge: str) -> bool:
        """Whether the bridge's control session is up at this moment."""
        session = self._bridges.get(bridge)
        return session is not None and session.up

    async def open_bridge(self, row: Bridge) -> BridgeAdapter:
        """The bridge's adapter with its session open.

        Raises what `open` raises; then the desk goes on trying by itself, and SessionReady
        tells of success. A refused log-in is not repeated before its inventory entry was changed,
        or some minutes have gone by: devices lock out who knocks too often.
        """
        adapter = self.bridge(row)
        session = self._bridges[row.name]
        async with session.lock:
            if not session.opened:
                if session.refused is not None and time.monotonic() < session.ask_again_s:
                    raise session.refused
                try:
                    await adapter.open()
                except LoginRefused as error:
                    session.refused, session.ask_again_s = error, time.monotonic() + _REFUSED_S
                    raise
                except AdapterError:
                    self._keep_opening(row, session)
                    raise
                session.opened = session.up = True
                if row.name in self._back:
                    self._back.discard(row.name)
                    self.take(SessionReady(row.name, self.now()))
        return adapter

    def _keep_opening(self, row: Bridge, session: _BridgeSession) -> None:
        if session.reopening is None or session.reopening.done():
            session.reopening = asyncio.create_task(self._reopen(row, session))

    async def _reopen(self, row: Bridge, session: _BridgeSession) -> None:
        for wait_s in chain(_BACK_OFF_S, repeat(_BACK_OFF_S[-1])):
            await asyncio.sleep(wait_s)
            async with session.lock:
                if session.opened:
                    return
                try:
                    await session.adapter.open()
                except LoginRefused as error:
                    session.refused, session.ask_again_s = error, time.monotonic() + _REFUSED_S
                    log.error("bridge-login-refused", bridge=row.name, why=error.why)
                    return
                except AdapterError:
                    continue
                except Exception as error:
                    log.error("fault-of-ours", bridge=row.name, error=type(error).__name__, exc_info=error)
                    continue
                session.opened = True
                self._back.discard(row.name)
            self.take(SessionReady(row.name, self.now()))
            return

    async def forget_bridge(self, name: str) -> None:
        """Close and forget a bridge whose inventory entry changed; its runs open it anew."""
        session = self._bridges.pop(name, None)
        if session is None:
            return
        if session.reopening is not None:
            session.reopening.cancel()
        await session.adapter.close()
        if session.up:
            self._back.add(name)
            self.take(SessionGone(name, self.now(), "its inventory entry was changed"))

    # --- endpoints -----------------------------------------------------------------------

    def caller(self, run_id: int, near: Address, *, refer: bool = False) -> EndpointAdapter:
        """The adapter that makes a run's calls for `near` by SIP third-party call control, or has it call by REFER."""
        callers = self._callers.setdefault(run_id, {})
        adapter = callers.get((near, refer))
        if adapter is None:
            control = Control(name=str(near), addresses=(near,), settings={"way": "refer"} if refer else {})
            adapter = callers[near, refer] = self.hands.endpoint("sip", control)
        return adapter

    async def let_go(self, run_id: int) -> None:
        """Do nothing more about a run's calls: it is over, or another process conducts it."""
        for adapter in self._callers.pop(run_id, {}).values():
            await adapter.close()

    async def close(self) -> None:
        """Close all sessions; calls stay as they are."""
        for name in list(self._bridges):
            await self.forget_bridge(name)
        for run_id in list(self._callers):
            await self.let_go(run_id)

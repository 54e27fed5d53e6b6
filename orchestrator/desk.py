"""One live session per device, and the road from its events to the runs they concern."""

from collections.abc import Callable
from datetime import datetime
from typing import Protocol

import structlog

from adapters import (
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
from orchestrator.session import DeviceSession, control_of
from orchestrator.store.inventory import Bridge, EndpointAt

log = structlog.get_logger(__name__)

Inbox = Callable[[Event], None]


class Hands(Protocol):
    """Makes adapters; given by the composition root, so that the mind names no family."""

    def endpoint(self, family: str, control: Control) -> EndpointAdapter: ...

    def bridge(self, family: str, control: Control) -> BridgeAdapter: ...

    def bridge_capabilities(self, family: str) -> frozenset[Capability]: ...

    def endpoint_capabilities(self, family: str) -> frozenset[Capability]: ...

    @property
    def dialing_families(self) -> frozenset[str]: ...


class Desk:
    """Holds the sessions; `take` is the sink every adapter is built with."""

    def __init__(self, keys: Keys, now: Callable[[], datetime]) -> None:
        self.hands: Hands  # set by the composition root before the first use
        self._keys = keys
        self.now = now
        self._bridges: dict[str, DeviceSession[BridgeAdapter]] = {}
        self._endpoints: dict[str, DeviceSession[EndpointAdapter]] = {}
        self._held: dict[str, set[int]] = {}  # endpoint name -> the runs that have its session
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
        session = self._bridges.get(event.device) or self._endpoints.get(event.device)
        if session is not None:
            session.up = isinstance(event, SessionReady)
        for run_id in self._held.get(event.device, ()):
            if run_id in self._runs:
                self._runs[run_id](event)
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
            name = row.name
            session = self._bridges[name] = DeviceSession(name, adapter, lambda: self._bridge_is_back(name))
        return session.adapter

    def is_up(self, bridge: str) -> bool:
        """Whether the bridge's control session is up at this moment."""
        session = self._bridges.get(bridge)
        return session is not None and session.up

    async def open_bridge(self, row: Bridge) -> BridgeAdapter:
        """The bridge's adapter with its session open.

        Raises what `open` raises; then the desk goes on trying by itself, and SessionReady
        tells of success.
        """
        adapter = self.bridge(row)
        if await self._bridges[row.name].open() and row.name in self._back:
            self._bridge_is_back(row.name)
        return adapter

    def _bridge_is_back(self, name: str) -> None:
        self._back.discard(name)
        self.take(SessionReady(name, self.now()))

    async def forget_bridge(self, name: str) -> None:
        """Close and forget a bridge whose inventory entry changed; its runs open it anew."""
        session = self._bridges.pop(name, None)
        if session is None:
            return
        await session.close()
        if session.up:
            self._back.add(name)
            self.take(SessionGone(name, self.now(), "its inventory entry was changed"))

    # --- endpoints -----------------------------------------------------------------------

    async def open_endpoint(self, run_id: int, at: EndpointAt) -> EndpointAdapter:
        """The adapter of an endpoint with its control session open, the run's until `let_go`.

        Raises what `open` raises, LoginRefused when its secret cannot be opened, NotSupported
        when nothing can drive it.
        """
        row = at.endpoint
        session = self._endpoints.get(row.name)
        if session is None:
            control = control_of(at, self.secret(row.control_secret, row.name))
            try:
                adapter = self.hands.endpoint(row.family, control)
            except LookupError as error:
                raise NotSupported(row.name, "open", str(error)) from None
            name = row.name
            session = self._endpoints[name] = DeviceSession(
                name, adapter, lambda: self.take(SessionReady(name, self.now()))
            )
        self._held.setdefault(row.name, set()).add(run_id)
        await session.open()
        return session.adapter

    async def endpoint_changed(self, name: str) -> None:
        """An endpoint's inventory entry changed: it is opened anew, unless its session holds calls of ours.

        One that stands stays until its runs are over: with it would go what is known of their calls.
        """
        session = self._endpoints.get(name)
        if session is not None and not session.opened:
            await self._forget_endpoint(name)

    async def _forget_endpoint(self, name: str) -> None:
        self._held.pop(name, None)
        session = self._endpoints.pop(name, None)
        if session is not None:
            await session.close()

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
        for name, runs in list(self._held.items()):
            runs.discard(run_id)
            if not runs:
                await self._forget_endpoint(name)

    async def close(self) -> None:
        """Close all sessions; calls stay as they are."""
        for name in list(self._bridges):
            await self.forget_bridge(name)
        for run_id in list(self._callers):
            await self.let_go(run_id)
        for name in list(self._endpoints):
            await self._forget_endpoint(name)

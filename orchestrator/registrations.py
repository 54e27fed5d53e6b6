"""Who may register with us, and where they are: the registrar's roll, kept in the database.

Whoever has an address of ours in the inventory and a secret may register: its user name is the
endpoint's, or the user of the address where that is empty.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime

import structlog

from adapters import Registration
from orchestrator.keys import Keys, SecretMissing
from orchestrator.store import registrations
from orchestrator.store.database import Database
from orchestrator.store.inventory import address_key
from orchestrator.store.journal import JournalBell
from orchestrator.store.registrations import Change

log = structlog.get_logger(__name__)

_SWEEP_S = 20.0


class Registrations:
    """The roll of one installation, whatever process asks; `port` is our own SIP port."""

    def __init__(
        self,
        database: Database,
        keys: Keys,
        now: Callable[[], datetime],
        bell: JournalBell,
        port: int = 5060,
        counted: Callable[[int], None] = lambda registered: None,
    ) -> None:
        self._database = database
        self._keys = keys
        self._now = now
        self._bell = bell
        self._ports = sorted({5060, port})
        self._counted = counted

    async def login(self, address: str) -> tuple[str, str] | None:
        """User name and secret of whoever may register as `address`; None: nobody may."""
        async with self._database.read() as session:
            endpoint = await registrations.owner_of(session, self._keys_of(address))
        if endpoint is None or not endpoint.control_secret:
            return None
        try:
            secret = self._keys.unseal(endpoint.control_secret, endpoint.name)
        except SecretMissing as error:
            log.error("no-secret", device=endpoint.name, why=str(error))
            return None
        return endpoint.control_username or address.partition(":")[2].rpartition("@")[0], secret

    async def load(self, address: str) -> Registration:
        """What is known of `address`; an empty one when it never registered."""
        async with self._database.read() as session:
            return await registrations.load(session, address, self._keys_of(address))

    async def change(self, address: str, rule: Callable[[Registration], Registration]) -> Registration:
        """Store what `rule` makes of the registration, in one transaction; returns it."""
        now = self._now()
        async with self._database.write() as session:
            change = await registrations.change(session, address, self._keys_of(address), rule, now)
        self._tell(change, now)
        return change.after

    async def sweep(self) -> None:
        """Take out what has run out, and count what is there."""
        now = self._now()
        async with self._database.write() as session:
            changes = await registrations.expire(session, now)
            registered = await registrations.count(session, now)
        for change in changes:
            self._tell(change, now)
        self._counted(registered)

    @asynccontextmanager
    async def kept(self) -> AsyncIterator[None]:
        """Swept now and then inside the block."""
        sweeping = asyncio.create_task(self._keep())
        try:
            yield
        finally:
            sweeping.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await sweeping

    async def _keep(self) -> None:
        while True:
            try:
                await self.sweep()
            except Exception as error:  # the database is away
                log.warning("registrations-not-swept", error=type(error).__name__)
            await asyncio.sleep(_SWEEP_S)

    def _tell(self, change: Change, now: datetime) -> None:
        was, is_ = change.before.is_current(now), change.after.is_current(now)
        facts = {"endpoint": change.endpoint, "site": change.site, "address": change.address}
        if is_ and not was:
            log.info("endpoint-registered", **facts, source=change.after.source, product=change.after.product)
        elif is_ and change.before.source != change.after.source:
            log.info("endpoint-moved", **facts, source=change.after.source, before=change.before.source)
        elif not is_ and change.before.bindings:
            log.info("endpoint-unregistered", **facts, source=change.before.source)
        for run in change.runs:
            self._bell.ring(run)

    def _keys_of(self, address: str) -> list[str]:
        """The inventory's keys for an address of record: with the usual port, and with ours."""
        user, _, host = address.partition(":")[2].rpartition("@")
        host = f"[{host}]" if ":" in host else host
        try:
            return [address_key(f"sip:{user}@{host}:{port}") for port in self._ports]
        except ValueError:
            return []

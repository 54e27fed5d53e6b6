"""The transport `ssh`: a shell channel by asyncssh, the host key pinned on first use.

A key that changed is refused before a byte of the secret is sent. Algorithms that modern SSH
dropped are offered only where the family's profile asks for them.
"""

import asyncio
from contextlib import suppress
from typing import Any

import asyncssh

from adapters.cli.wire import Receiver, Target
from adapters.errors import LoginRefused, Unreachable


class _Client(asyncssh.SSHClient):
    """Judges the host key and gives the secret, once."""

    def __init__(self, target: Target, pinned: str | None) -> None:
        self._target = target
        self._pinned = pinned
        self.shown = ""
        self.is_changed = False
        self._asked = 0

    def validate_host_public_key(self, host: str, addr: str, port: int, key: asyncssh.SSHKey) -> bool:
        self.shown = " ".join(key.export_public_key("openssh").decode("ascii").split()[:2])
        self.is_changed = self._pinned is not None and self._pinned != self.shown
        return not self.is_changed

    def password_auth_requested(self) -> str | None:
        return self._once()

    def kbdint_auth_requested(self) -> str | None:
        return "" if not self._asked else None

    def kbdint_challenge_received(self, name: str, instructions: str, lang: str, prompts: Any) -> list[str] | None:
        if not prompts:
            return []
        secret = self._once()
        return None if secret is None or len(prompts) != 1 else [secret]

    def _once(self) -> str | None:
        """The secret the first time; asked again, it was wrong and is not sent again."""
        self._asked += 1
        return self._target.secret if self._asked == 1 else None


class SshWire(asyncssh.SSHClientSession[bytes]):
    """One shell over SSH."""

    def __init__(self, receiver: Receiver) -> None:
        self._receiver: Receiver | None = receiver
        self._connection: asyncssh.SSHClientConnection | None = None
        self._channel: asyncssh.SSHClientChannel[bytes] | None = None

    @classmethod
    async def open(cls, target: Target, receiver: Receiver) -> "SshWire":
        """Connect, check the host key, log in. Raises OSError, Unreachable, LoginRefused."""
        pinned = await target.host_keys.pinned(target.place)
        client = _Client(target, pinned)
        connection = None
        try:
            connection = await asyncssh.connect(
                target.host,
                target.port,
                client_factory=lambda: client,
                known_hosts=([], [], []),
                username=target.username,
                client_keys=None,
                agent_path=None,
                config=None,
                gss_host=None,
                preferred_auth="password,keyboard-interactive",
                encoding=None,
                keepalive_interval=60,
                keepalive_count_max=4,
                **_algorithms(target),
            )
            if pinned is None:
                await target.host_keys.pin(target.place, client.shown)
            wire = cls(receiver)
            wire._connection = connection
            channel, _ = await connection.create_session(lambda: wire, term_type=target.terminal or None, encoding=None)
            wire._channel = channel
            return wire
        except asyncssh.PermissionDenied:
            raise LoginRefused(
                target.device, "open", f"{target.place} refuses user {target.username!r} over SSH: wrong user or secret"
            ) from None
        except asyncssh.HostKeyNotVerifiable:
            raise Unreachable(
                target.device,
                "open",
                f"{target.place} shows another SSH host key than the one pinned for it; nothing was sent. If the device"
                " was replaced or reset, forget its pinned key",
            ) from None
        except asyncssh.Error as error:
            raise Unreachable(target.device, "open", f"{target.place}: SSH: {error.reason}") from None
        finally:
            if connection is not None and "wire" not in locals():
                connection.abort()

    # ---- SSHClientSession

    def data_received(self, data: bytes, datatype: int | None) -> None:
        if self._receiver is not None and data:
            self._receiver.received(data)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._receiver is not None:
            receiver, self._receiver = self._receiver, None
            receiver.lost(f"SSH: {exc}" if exc else "the device closed the connection")
        if self._connection is not None:
            self._connection.abort()

    # ---- Wire

    def write(self, data: bytes) -> None:
        if self._channel is not None and not self._channel.is_closing():
            with suppress(OSError):
                self._channel.write(data)

    async def close(self) -> None:
        self._receiver = None
        connection = self._connection
        if connection is None:
            return
        connection.close()
        try:
            async with asyncio.timeout(1):
                await asyncio.shield(connection.wait_closed())
        except TimeoutError:
            connection.abort()


def _algorithms(target: Target) -> dict[str, Any]:
    """Modern ones, and behind them those that the family's devices need."""
    legacy = target.legacy
    if legacy is None:
        return {}
    return {
        name: "+" + ",".join(more)
        for name, more in (
            ("kex_algs", legacy.key_exchange),
            ("server_host_key_algs", legacy.host_keys),
            ("encryption_algs", legacy.ciphers),
            ("mac_algs", legacy.macs),
        )
        if more
    }

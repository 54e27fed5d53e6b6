"""SSH: the host key is pinned on first use; the secret goes out once; old algorithms only where asked for."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncssh
import pytest

from adapters.cli.profile import LegacySsh
from adapters.cli.ssh import SshWire
from adapters.cli.wire import Target
from adapters.errors import LoginRefused, Unreachable
from adapters.hostkeys import HostKeysInMemory
from tests.unit.cli.ears import Ears

SECRET = "geheim-0815"


class Door(asyncssh.SSHServer):
    """Lets in who knows the secret, by password or keyboard-interactive; counts the tries."""

    by_keyboard = False
    tries = 0

    def begin_auth(self, username: str) -> bool:
        return True

    def password_auth_supported(self) -> bool:
        return not self.by_keyboard

    def validate_password(self, username: str, password: str) -> bool:
        type(self).tries += 1
        return password == SECRET

    def kbdint_auth_supported(self) -> bool:
        return self.by_keyboard

    def get_kbdint_challenge(self, username: str, lang: str, submethods: str) -> Any:
        return "", "", "", [("Password: ", False)]

    def validate_kbdint_response(self, username: str, responses: Any) -> bool:
        type(self).tries += 1
        return list(responses) == [SECRET]


@asynccontextmanager
async def served(key: asyncssh.SSHKey, door: type[Door] = Door, **more: Any) -> AsyncIterator[int]:
    async def shell(process: Any) -> None:
        process.stdout.write(b"Hello\r\n")
        async for line in process.stdin:
            process.stdout.write(b"you said " + line)

    server = await asyncssh.create_server(
        door, "127.0.0.1", 0, server_host_keys=[key], process_factory=shell, encoding=None, line_editor=False, **more
    )
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


@pytest.fixture
def key() -> asyncssh.SSHKey:
    return asyncssh.generate_private_key("ssh-ed25519")


def target(port: int, keys: HostKeysInMemory, secret: str = SECRET, legacy: LegacySsh | None = None) -> Target:
    return Target("unit", "127.0.0.1", port, "admin", secret, keys, legacy)


@pytest.mark.parametrize("by_keyboard", [False, True])
async def test_the_shell_is_spoken_to_both_ways(key: asyncssh.SSHKey, by_keyboard: bool) -> None:
    door = type("ThisDoor", (Door,), {"by_keyboard": by_keyboard, "tries": 0})
    async with served(key, door) as port:
        ears = Ears()
        wire = await SshWire.open(target(port, HostKeysInMemory()), ears)
        wire.write(b"xin chao\n")
        await ears.until(b"you said xin chao")
        await wire.close()
        await wire.close()
        wire.write(b"nobody hears this")
    assert not ears.reason.done(), "who closes is not told that it ended"


@pytest.mark.parametrize("by_keyboard", [False, True])
async def test_a_wrong_secret_is_sent_once(key: asyncssh.SSHKey, by_keyboard: bool) -> None:
    door = type("ThisDoor", (Door,), {"by_keyboard": by_keyboard, "tries": 0})
    async with served(key, door) as port:
        with pytest.raises(LoginRefused) as refused:
            await SshWire.open(target(port, HostKeysInMemory(), "wrong-one"), Ears())
    assert door.tries == 1 and "wrong-one" not in str(refused.value)


async def test_a_host_key_is_pinned_first_and_a_changed_one_refused_before_the_secret(key: asyncssh.SSHKey) -> None:
    keys = HostKeysInMemory()
    door = type("ThisDoor", (Door,), {"tries": 0})
    async with served(key, door) as port:
        await (await SshWire.open(target(port, keys), Ears())).close()
        await (await SshWire.open(target(port, keys), Ears())).close()
        pinned = await keys.pinned(f"127.0.0.1:{port}")
        assert pinned == " ".join(key.export_public_key("openssh").decode().split()[:2])
        tries = door.tries
        moved = HostKeysInMemory()
        other = asyncssh.generate_private_key("ssh-ed25519").export_public_key("openssh").decode().strip()
        await moved.pin(f"127.0.0.1:{port}", other)
        with pytest.raises(Unreachable, match="another SSH host key"):
            await SshWire.open(target(port, moved), Ears())
        assert door.tries == tries, "the secret did not leave"
        assert await moved.pinned(f"127.0.0.1:{port}") == other


@pytest.mark.filterwarnings("ignore::cryptography.utils.CryptographyDeprecationWarning")
async def test_old_algorithms_are_offered_only_where_the_profile_asks(key: asyncssh.SSHKey) -> None:
    old = asyncssh.generate_private_key("ssh-rsa", key_size=2048)
    only_old = {"signature_algs": ["ssh-rsa"], "kex_algs": ["diffie-hellman-group14-sha1"], "mac_algs": ["hmac-sha1"]}
    async with served(old, encryption_algs=["aes128-cbc"], **only_old) as port:
        with pytest.raises(Unreachable):
            await SshWire.open(target(port, HostKeysInMemory()), Ears())
        legacy = LegacySsh(("diffie-hellman-group14-sha1",), ("ssh-rsa",), ("aes128-cbc",), ("hmac-sha1",))
        ears = Ears()
        wire = await SshWire.open(target(port, HostKeysInMemory(), legacy=legacy), ears)
        await ears.until(b"Hello")
        await wire.close()


async def test_the_end_of_the_shell_is_told(key: asyncssh.SSHKey) -> None:
    async def shell(process: Any) -> None:
        process.stdout.write(b"bye\r\n")
        process.exit(0)

    server = await asyncssh.create_server(
        Door, "127.0.0.1", 0, server_host_keys=[key], process_factory=shell, encoding=None
    )
    ears = Ears()
    wire = await SshWire.open(target(server.sockets[0].getsockname()[1], HostKeysInMemory()), ears)
    async with asyncio.timeout(10):
        assert "closed" in await ears.reason
    assert bytes(ears.data) == b"bye\r\n"
    await wire.close()
    server.close()


async def test_who_speaks_no_ssh_is_unreachable() -> None:
    async def speak(reader: Any, writer: Any) -> None:
        writer.write(b"220 mail ready\r\n" * 100)
        writer.close()

    server = await asyncio.start_server(speak, "127.0.0.1", 0)
    with pytest.raises((Unreachable, OSError)):
        await SshWire.open(target(server.sockets[0].getsockname()[1], HostKeysInMemory()), Ears())
    server.close()

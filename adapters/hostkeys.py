"""Which key or certificate each device showed the first time: kept by whoever owns the installation's memory."""

from typing import Protocol


class HostKeys(Protocol):
    """Pins by place (`host:port`): an SSH key in OpenSSH's one-line form, a certificate as `sha256:...`."""

    async def pinned(self, place: str) -> str | None:
        """The key that this place showed first; None for a place never seen."""
        ...

    async def pin(self, place: str, key: str) -> None:
        """Keep a place's first key. Returns once it is safely stored."""
        ...


class HostKeysInMemory:
    """Pins for the life of the process."""

    def __init__(self) -> None:
        self._keys: dict[str, str] = {}

    async def pinned(self, place: str) -> str | None:
        return self._keys.get(place)

    async def pin(self, place: str, key: str) -> None:
        self._keys.setdefault(place, key)

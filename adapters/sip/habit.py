"""What a peer was seen to need, remembered for a time, so that the next call begins right."""

_REMEMBERED = 10_000
"""Peers remembered at once; beyond it the oldest is forgotten."""


class Habits:
    """One habit: the peers that have it, each until a time."""

    __slots__ = ("_until",)

    def __init__(self) -> None:
        self._until: dict[str, float] = {}

    def note(self, peer: str, until: float) -> None:
        self._until.pop(peer, None)
        if len(self._until) >= _REMEMBERED:
            del self._until[next(iter(self._until))]
        self._until[peer] = until

    def has(self, peer: str, now: float) -> bool:
        until = self._until.get(peer)
        if until is not None and until <= now:
            del self._until[peer]
            until = None
        return until is not None

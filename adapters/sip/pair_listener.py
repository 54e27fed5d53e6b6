"""What the owner of a pair is told, and in what words."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from adapters.sip.third_party import Verdict

if TYPE_CHECKING:
    from adapters.sip.pair import Pair


class PairState(StrEnum):
    """How far it is, for those who only look."""

    NEAR = "near"  # the near side is being called
    FAR = "far"  # the near side has answered, the far side is being called
    JOINING = "joining"  # both have answered
    UP = "up"
    DOWN = "down"


class PairListener:
    """Told what becomes of a pair."""

    __slots__ = ()

    def may_act(self, pair: Pair) -> bool | None:
        """Whether this process may send for the pair; None: ask again, False: never more."""
        return True

    def rang(self, pair: Pair) -> None:
        """The near side alerts people."""

    async def remember(self, pair: Pair, memory: Mapping[str, Any]) -> None:
        """Return when `memory` is stored; the ACKs go out then."""

    def joined(self, pair: Pair) -> None:
        """Both sides have their ACK."""

    def over(self, pair: Pair, verdict: Verdict) -> None:
        """It is down; told once."""

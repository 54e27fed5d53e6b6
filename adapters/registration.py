"""What is known of an endpoint that registers with us: the words of the registrar and of whoever stores them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class Registration:
    """One address of record. It is registered until `until_at`; when that is past, it has not been since.

    `since_at` is when the present time without a gap began, None when nothing is registered;
    `source` is where the endpoint was last heard from ("udp 192.0.2.7:5060") and `product` what
    it says it is. `bindings` are JSON-ready facts for the registrar alone.
    """

    since_at: datetime | None = None
    until_at: datetime | None = None
    source: str = ""
    product: str = ""
    bindings: tuple[Mapping[str, Any], ...] = ()

    def is_current(self, now: datetime) -> bool:
        """Whether the endpoint can be called by it."""
        return bool(self.bindings) and self.until_at is not None and self.until_at > now

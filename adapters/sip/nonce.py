"""Nonces that are proved instead of remembered: when and for whom they were made stands in them, sealed.

RFC 7616 sections 3.3 and 5.4, RFC 3261 section 22.4. A nonce is good for `lifetime_s`, for one
source, and each nc of it once. What is remembered (the highest nc of nonces in use) is
bounded: what was made no later than a forgotten one counts as stale. Pure.
"""

import base64
import hashlib
import hmac
from collections import OrderedDict
from enum import StrEnum

_MAC_BYTES = 15


class Judgment(StrEnum):
    """What a nonce that came back is worth."""

    GOOD = "good"
    STALE = "stale"  # ours, but too old, used, or for another source: ask again, the password may be right
    FORGED = "forged"  # never ours


class Nonces:
    """Makes and judges the nonces of one realm. `now_s` is Unix time."""

    __slots__ = ("_floor", "_key", "_lifetime_s", "_made", "_most", "_used")

    def __init__(self, key: bytes, born_s: float, lifetime_s: int = 300, most: int = 20_000) -> None:
        self._key = key
        self._lifetime_s = lifetime_s
        self._most = most
        self._floor = int(born_s) - 1  # what an earlier process counted of older ones is not known
        self._made = 0
        self._used: OrderedDict[str, int] = OrderedDict()

    def __len__(self) -> int:
        return len(self._used)

    def make(self, source: str, now_s: float) -> str:
        """A new nonce for whoever speaks from `source`."""
        self._made += 1
        stem = f"{int(now_s):x}.{self._made:x}.{self._mark(source)}"
        return f"{stem}.{self._seal(stem)}"

    def judge(self, nonce: str, source: str, now_s: float) -> Judgment:
        """Whether a nonce is ours and young enough; its nc is `count`ed when the proof was right."""
        stem, _, seal = nonce.rpartition(".")
        if len(nonce) > 100 or not hmac.compare_digest(_raw(seal), self._seal(stem).encode()):
            return Judgment.FORGED
        if stem.rpartition(".")[2] != self._mark(source):
            return Judgment.STALE
        made_s = int(stem.partition(".")[0], 16)
        too_old = now_s - made_s > self._lifetime_s
        forgotten = made_s <= self._floor and nonce not in self._used
        return Judgment.STALE if too_old or forgotten else Judgment.GOOD

    def count(self, nonce: str, nc: int) -> bool:
        """Use up an nc of a good nonce; False when it, or a later one, was used before."""
        known = self._used.get(nonce, 0)
        if nc <= known:
            return False
        self._used[nonce] = nc
        self._used.move_to_end(nonce)
        if len(self._used) > self._most:
            oldest, _ = self._used.popitem(last=False)
            self._floor = max(self._floor, int(oldest.partition(".")[0], 16))
        return True

    def _mark(self, source: str) -> str:
        return self._mac(b"source", source)[:8]

    def _seal(self, stem: str) -> str:
        return self._mac(b"nonce", stem)

    def _mac(self, purpose: bytes, text: str) -> str:
        mac = hmac.digest(self._key, purpose + b"|" + _raw(text), hashlib.sha256)
        return base64.urlsafe_b64encode(mac[:_MAC_BYTES]).decode("ascii")


def _raw(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")

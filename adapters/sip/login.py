"""Digest access authentication, the server's half (RFC 7616, RFC 8760, RFC 3261 section 22).

MD5, SHA-256 and SHA-512-256, the strongest offered first; qop=auth only, so that every answer has
an nc. Pure: nonces come from `adapters.sip.nonce`, secrets are arguments.
"""

import hmac
import re
from collections.abc import Iterable
from dataclasses import dataclass

from adapters.sip.digest import HASHES, digest_of, fields_of

ALGORITHMS = ("SHA-512-256", "SHA-256", "MD5")
"""As they are offered: the first one that a client knows is its choice (RFC 8760 section 2.4)."""

_NC = re.compile(r"[0-9A-Fa-f]{8}")
_LONGEST = 4096


class BadAnswer(ValueError):
    """An Authorization value that cannot be checked; says what is wrong with it."""


def challenges(
    realm: str, nonce: str, *, stale: bool = False, algorithms: Iterable[str] = ALGORITHMS
) -> list[tuple[str, str]]:
    """The WWW-Authenticate headers of a 401, one per algorithm (RFC 8760 section 2.3)."""
    tail = ', qop="auth"' + (", stale=true" if stale else "")
    return [
        ("WWW-Authenticate", f'Digest realm="{realm}", nonce="{nonce}", algorithm={algorithm}{tail}')
        for algorithm in algorithms
    ]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a client says to a challenge."""

    user: str
    realm: str
    nonce: str
    uri: str
    algorithm: str
    nc: int
    spelled_nc: str
    cnonce: str
    response: str

    @classmethod
    def parse(cls, value: str) -> "Answer":
        """Read one Authorization value. Raises BadAnswer."""
        scheme, _, rest = value.strip().partition(" ")
        if scheme.lower() != "digest":
            raise BadAnswer(f"the scheme is {scheme[:20]!r}; expected Digest")
        if len(rest) > _LONGEST:
            raise BadAnswer(f"{len(rest)} characters; the limit is {_LONGEST}")
        fields = fields_of(rest)
        missing = [name for name in ("username", "realm", "nonce", "uri", "response") if name not in fields]
        if missing:
            raise BadAnswer(f"no {missing[0]}")
        algorithm = fields.get("algorithm", "MD5").upper()
        if algorithm not in HASHES:
            raise BadAnswer(f"algorithm {algorithm[:20]!r} was not offered; expected one of {', '.join(ALGORITHMS)}")
        if fields.get("qop", "").lower() != "auth" or not fields.get("cnonce"):
            raise BadAnswer("expected qop=auth with nc and cnonce")
        nc = fields.get("nc", "")
        if not _NC.fullmatch(nc):
            raise BadAnswer("nc is not 8 hexadecimal digits")
        return cls(
            fields["username"], fields["realm"], fields["nonce"], fields["uri"], algorithm,
            int(nc, 16), nc, fields["cnonce"], fields["response"].lower(),
        )  # fmt: skip

    def proves(self, method: str, user: str, secret: str) -> bool:
        """Whether who sent it knows the secret of `user` (RFC 7616 section 3.4.1)."""
        ha1 = digest_of(self.algorithm, f"{user}:{self.realm}:{secret}")
        ha2 = digest_of(self.algorithm, f"{method}:{self.uri}")
        right = digest_of(self.algorithm, f"{ha1}:{self.nonce}:{self.spelled_nc}:{self.cnonce}:auth:{ha2}")
        same = hmac.compare_digest(self.response.encode("utf-8", "surrogateescape"), right.encode())
        return same and self.user == user

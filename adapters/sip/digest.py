"""Digest access authentication, the client's half (RFC 7616, RFC 8760, RFC 3261 section 22).

MD5, SHA-256 and SHA-512-256, each plain and as -sess; qop auth and auth-int; challenges
without qop (RFC 2069) still answered. Pure: the client nonce is an argument.
"""

import hashlib
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from adapters.sip.message import Request, Response

_PARAM = re.compile(r'(?<![A-Za-z0-9_-])([A-Za-z0-9_-]++)\s*+=\s*+(?:"((?:[^"\\]|\\.)*+)"|([^\s,"]++))')
HASHES = {"MD5": "md5", "SHA-256": "sha256", "SHA-512-256": "sha512_256"}
_STRENGTH = {name: rank for rank, name in enumerate(HASHES)}


def fields_of(params: str) -> dict[str, str]:
    """The `name=value` pairs of a challenge or of its answer, names in lower case, values unquoted."""
    return {
        name.lower(): re.sub(r"\\(.)", r"\1", quoted) if quoted or not plain else plain
        for name, quoted, plain in _PARAM.findall(params)
    }


def digest_of(algorithm: str, text: str) -> str:
    """The hexadecimal hash of a text; `algorithm` is a key of HASHES."""
    raw = text.encode("utf-8", "surrogateescape")
    return hashlib.new(HASHES[algorithm], raw, usedforsecurity=False).hexdigest()


@dataclass(frozen=True, slots=True)
class Challenge:
    """What a 401 or 407 asks for."""

    realm: str
    nonce: str
    algorithm: str
    session: bool
    qops: tuple[str, ...]
    opaque: str | None
    stale: bool
    spelled: str
    proxy: bool

    @classmethod
    def parse(cls, value: str, proxy: bool = False) -> "Challenge | None":
        """Read one WWW-/Proxy-Authenticate value; None when it is none we can answer."""
        scheme, _, rest = value.strip().partition(" ")
        if scheme.lower() != "digest":
            return None
        fields = fields_of(rest)
        spelled = fields.get("algorithm", "")
        name = (spelled or "MD5").upper()
        session = name.endswith("-SESS")
        name = name.removesuffix("-SESS")
        if name not in HASHES or not fields.get("nonce") or "realm" not in fields:
            return None
        try:
            hashlib.new(HASHES[name], usedforsecurity=False)
        except ValueError:
            return None
        qops = tuple(part.strip().lower() for part in fields.get("qop", "").split(",") if part.strip())
        if qops and not {"auth", "auth-int"} & set(qops):
            return None
        stale = fields.get("stale", "").lower() == "true"
        return cls(fields["realm"], fields["nonce"], name, session, qops, fields.get("opaque"), stale, spelled, proxy)


def strongest(challenges: Iterable[Challenge | None]) -> Challenge | None:
    """The challenge with the best algorithm (RFC 8760 section 2.4), the first of equals."""
    return max((c for c in challenges if c), key=lambda c: _STRENGTH[c.algorithm], default=None)


def authorization(
    challenge: Challenge, method: str, uri: str, user: str, secret: str, *, count: int, cnonce: str, body: bytes = b""
) -> str:
    """The Authorization value that answers a challenge; `count` is nc, from 1 per nonce."""

    def digest(text: str) -> str:
        return digest_of(challenge.algorithm, text)

    qop = "auth" if "auth" in challenge.qops else "auth-int" if challenge.qops else ""
    ha1 = digest(f"{user}:{challenge.realm}:{secret}")
    if challenge.session:
        ha1 = digest(f"{ha1}:{challenge.nonce}:{cnonce}")
    a2 = f"{method}:{uri}"
    if qop == "auth-int":
        a2 += ":" + hashlib.new(HASHES[challenge.algorithm], body, usedforsecurity=False).hexdigest()
    ha2 = digest(a2)
    nc = f"{count:08x}"
    if qop:
        response = digest(f"{ha1}:{challenge.nonce}:{nc}:{cnonce}:{qop}:{ha2}")
    else:
        response = digest(f"{ha1}:{challenge.nonce}:{ha2}")
    parts = [
        f'username="{_quoted(user)}"',
        f'realm="{_quoted(challenge.realm)}"',
        f'nonce="{_quoted(challenge.nonce)}"',
        f'uri="{uri}"',
        f'response="{response}"',
    ]
    if challenge.spelled:
        parts.append(f"algorithm={challenge.spelled}")
    if qop:
        parts += [f"qop={qop}", f"nc={nc}", f'cnonce="{cnonce}"']
    elif challenge.session:
        parts.append(f'cnonce="{cnonce}"')
    if challenge.opaque is not None:
        parts.append(f'opaque="{_quoted(challenge.opaque)}"')
    return "Digest " + ", ".join(parts)


Lookup = Callable[[str], tuple[str, str] | None]
"""realm -> (user, secret), or None when nobody gave us any."""


@dataclass(slots=True)
class _Answer:
    """A challenge, how often it was answered, and our nonce for it (one, as -sess needs it)."""

    challenge: Challenge
    count: int = 0
    cnonce: str = ""


class Keyring:
    """What one peer has challenged us with; signs later requests without being asked again."""

    __slots__ = ("_challenges",)

    def __init__(self) -> None:
        self._challenges: dict[tuple[bool, str], _Answer] = {}

    def learn(self, request: Request, response: Response) -> bool:
        """Take a 401 or 407 up; False when the request was signed rightly and still refused.

        A nonce that was good before and is refused now has grown old, whether or not the
        peer says `stale`.
        """
        fresh = False
        for name, answer, proxy in (
            ("www-authenticate", "authorization", False),
            ("proxy-authenticate", "proxy-authorization", True),
        ):
            by_realm: dict[str, list[Challenge]] = {}
            for value in response.headers.get(name, ()):
                challenge = Challenge.parse(value, proxy)
                if challenge is not None:
                    by_realm.setdefault(challenge.realm, []).append(challenge)
            signed = " ".join(request.headers.get(answer, ()))
            for realm, offered in by_realm.items():
                best = strongest(offered)
                known = self._challenges.get((proxy, realm))
                first = known is not None and known.count < 2 and f'realm="{_quoted(realm)}"' in signed
                if best is None or (first and not best.stale):
                    continue
                self._challenges[proxy, realm] = _Answer(best)
                fresh = True
        return fresh

    def sign(self, request: Request, lookup: Lookup, cnonce: str) -> None:
        """Put an answer to every known challenge on the request."""
        for (proxy, realm), answer in self._challenges.items():
            found = lookup(realm)
            if found is None:
                continue
            answer.count += 1
            answer.cnonce = answer.cnonce or cnonce
            value = authorization(
                answer.challenge,
                request.method,
                request.uri,
                *found,
                count=answer.count,
                cnonce=answer.cnonce,
                body=request.body,
            )
            name = "proxy-authorization" if proxy else "authorization"
            request.headers.setdefault(name, []).append(value)

    def can_answer(self, lookup: Lookup) -> bool:
        """Whether there is a credential for any of the challenges."""
        return any(lookup(realm) is not None for _, realm in self._challenges)


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')

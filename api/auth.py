"""Who may come in: a bearer token for programs, a signed cookie for the console.

The token is DIEMCAU_TOKEN or stands in the file `token` of the data folder, made at the
first start with mode 600. Wrong tokens from one address are slowed down; a cookie of the
console goes on working meanwhile.
"""

import hmac
import secrets
from collections import OrderedDict, deque
from datetime import datetime, timedelta
from urllib.parse import urlsplit

from fastapi import Request

from api.console.session import COOKIE, Sessions
from api.settings import SHORTEST_TOKEN, Settings
from orchestrator.private_file import PrivateFileBad, read_or_create

_READING = ("GET", "HEAD", "OPTIONS")


class NotSignedIn(Exception):
    """The request shows no token and no cookie of ours, or a wrong one."""


class TooManyTries(Exception):
    """So many wrong tokens came from this address that none is looked at for a while."""

    def __init__(self, wait_s: int) -> None:
        super().__init__(f"wait {wait_s} s")
        self.wait_s = wait_s


class Throttle:
    """Counts failures by address within a minute; remembers the newest thousand addresses."""

    TRIES = 10
    WITHIN = timedelta(minutes=1)
    _ADDRESSES = 1_000

    def __init__(self) -> None:
        self._failures: OrderedDict[str, deque[datetime]] = OrderedDict()

    def wait_s(self, address: str, now: datetime) -> int:
        """Seconds until this address may try again; 0 when it may now."""
        failures = self._failures.get(address)
        if failures is None or len(failures) < self.TRIES:
            return 0
        left = (failures[0] + self.WITHIN - now).total_seconds()
        return int(left) + 1 if left > 0 else 0

    def failed(self, address: str, now: datetime) -> None:
        """Count one failure."""
        self._failures.setdefault(address, deque(maxlen=self.TRIES)).append(now)
        self._failures.move_to_end(address)
        while len(self._failures) > self._ADDRESSES:
            self._failures.popitem(last=False)


class Gate:
    """Looks at what a request shows."""

    def __init__(self, token: str) -> None:
        self._token = token.encode()
        self.sessions = Sessions(token)
        self.throttle = Throttle()

    def fits(self, token: str) -> bool:
        """Whether this is the token, in constant time."""
        return hmac.compare_digest(token.encode("utf-8", "replace"), self._token)

    def check(self, request: Request, now: datetime) -> None:
        """Let the request pass. Raises NotSignedIn or TooManyTries."""
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            address = request.client.host if request.client else ""
            wait_s = self.throttle.wait_s(address, now)
            if wait_s:
                raise TooManyTries(wait_s)
            if self.fits(token.strip()):
                return
            self.throttle.failed(address, now)
            raise NotSignedIn
        if self.holds_session(request, now) and (request.method in _READING or _same_origin(request)):
            return
        raise NotSignedIn

    def holds_session(self, request: Request, now: datetime) -> bool:
        """Whether the request carries a good cookie of the console."""
        return self.sessions.holds(request.cookies.get(COOKIE), now)


async def signed_in(request: Request) -> None:
    """Dependency of everything that is not open to all."""
    services = request.app.state.services
    services.gate.check(request, services.now())


def token_of(settings: Settings) -> str:
    """The installation's token; the file is made at the first call. Raises PrivateFileBad.

    Of processes that start together the first one's token wins for all.
    """
    if settings.token is not None:
        return settings.token.get_secret_value()
    path = settings.token_file
    content = read_or_create(path, lambda: secrets.token_urlsafe(32).encode() + b"\n")
    token = content.decode("utf-8", "replace").strip()
    if len(token) < SHORTEST_TOKEN:
        raise PrivateFileBad(f"{path} holds no token; expected at least {SHORTEST_TOKEN} characters (or remove it)")
    return token


def _same_origin(request: Request) -> bool:
    """Whether a page of ours sent it (Fetch Metadata, else Origin): a cookie alone may be somebody else's form."""
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site == "same-origin"
    origin = request.headers.get("origin")
    return origin is not None and urlsplit(origin).netloc == request.headers.get("host")

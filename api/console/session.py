"""Who is logged in at the console: a signed cookie, a form token against forged requests, login links.

Nothing is stored: a cookie is `until.nonce.signature` under a key derived from the API
token, so that another token ends all sessions, and a restart ends none. The form token
(CSRF) is bound to the cookie; the cookie itself is SameSite=Strict and HttpOnly.
"""

import hashlib
import hmac
import secrets
from datetime import UTC, datetime, timedelta

COOKIE = "diemcau_session"
LASTING = timedelta(hours=12)
_LINK_LASTS = timedelta(minutes=15)
_LINKS_KEPT = 100
_COOKIE_LIMIT = 200


class Sessions:
    """Signs and checks console sessions under a key derived from `secret`."""

    def __init__(self, secret: str) -> None:
        self._key = hmac.digest(secret.encode(), b"diemcau console session", "sha256")
        self._links: dict[str, datetime] = {}

    def begin(self, now: datetime) -> str:
        """A new session's cookie value."""
        body = f"{int((now + LASTING).timestamp())}.{secrets.token_urlsafe(12)}"
        return f"{body}.{self._sign('session', body)}"

    def holds(self, cookie: str | None, now: datetime) -> bool:
        """Whether the cookie is one of ours and has not run out."""
        if not cookie or len(cookie) > _COOKIE_LIMIT or not cookie.isascii():
            return False
        body, _, signature = cookie.rpartition(".")
        if not hmac.compare_digest(signature, self._sign("session", body)):
            return False
        return datetime.fromtimestamp(int(body.partition(".")[0]), UTC) > now

    def form_token(self, cookie: str) -> str:
        """What every form of this session must carry."""
        return self._sign("form", cookie)

    def form_token_fits(self, cookie: str, given: str) -> bool:
        return given.isascii() and hmac.compare_digest(given, self.form_token(cookie))

    # --- logging in -------------------------------------------------------------------------------------------------

    def login_code(self, now: datetime) -> str:
        """A code for a link that logs in once, within 15 minutes."""
        self._links = {code: until for code, until in self._links.items() if until > now}
        while len(self._links) >= _LINKS_KEPT:
            del self._links[next(iter(self._links))]
        code = secrets.token_urlsafe(18)
        self._links[code] = now + _LINK_LASTS
        return code

    def use_login_code(self, code: str, now: datetime) -> bool:
        """Whether the code is good; it is used up."""
        until = self._links.pop(code, None)
        return until is not None and until > now

    def _sign(self, purpose: str, text: str) -> str:
        return hmac.new(self._key, f"{purpose}:{text}".encode(), hashlib.sha256).hexdigest()

"""One session with `action.cgi`: the log-in in four steps, the token in every body, and what a refusal means."""

import json
import re
from typing import Any

from adapters.endpoints.huawei.grammar import STATE, said
from adapters.errors import LoginRefused
from adapters.http.link import HttpLink
from adapters.http.order import Action, Answer, Refused, Request, SessionOver, Unknown
from adapters.http.wire import NoReply

HIDDEN = re.compile(
    r"(?:acSessionId|acCSRFToken)\\*\" *: *\\*\"([^\"\\]+)"
    r"|\"password\\*\" *: *\\*\"((?:[^\"\\]|\\.)+)"
    r"|SessionID=([^;\s]+)"
    r"|Sessionid: *([^;\s]+)"
)
_SESSION = re.compile(r"\s*SessionID=([^;\s]+)")
_LONGEST = 500
"""Characters of a session's name or token."""
_CREDENTIALS = ("WEB_RequestCertificateAPI", "WEB_RequestCertificate")
_CHANGE = ("WEB_ChangeSessionIDAPI", "WEB_ChangeSessionID")


class HuaweiLink(HttpLink):
    """A session: a name that goes with every request, and a token that stands in every body."""

    _session = ""
    _token = ""

    # ---- the log-in

    async def enter(self) -> None:
        first = await self.exchange(self.request(Action("WEB_RequestSessionIDAPI")))
        data = said(first)
        self._take_session(first, data)
        if not self._session:
            raise ValueError("no session: neither 'acSessionId' nor a cookie SessionID")
        await self.wire.pin()  # before the password leaves
        await self._show_credentials()
        await self._change_session()

    async def _show_credentials(self) -> None:
        """The password is sent once more only to a firmware that has no action of the first name."""
        fields = {"user": self.target.username, "password": self.target.secret}
        for name in _CREDENTIALS:
            answer = await self.exchange(self.request(Action(name, fields)))
            try:
                data = said(answer)
            except (Refused, SessionOver) as no:
                words = self.veil.over(str(no))
                raise LoginRefused(
                    self.target.device,
                    "open",
                    f"{self.target.place} refuses user {self.target.username!r}{f' ({words})' if words else ''}:"
                    " wrong user or secret",
                ) from None
            except Unknown:
                if name == _CREDENTIALS[-1]:
                    raise
                continue
            token = data.get("acCSRFToken")
            if not isinstance(token, str) or not 0 < len(token) <= _LONGEST:
                raise ValueError("no token: 'acCSRFToken' is not there")
            self._token = token
            self.veil.learn(token)
            self._take_session(answer, {})
            return

    async def _change_session(self) -> None:
        """Take a new session name, as one driver does; a firmware that has none to give goes on with the old."""
        for name in _CHANGE:
            answer = await self.exchange(self.request(Action(name)))
            try:
                self._take_session(answer, said(answer))
            except Unknown:
                continue
            except (Refused, ValueError):
                pass
            return

    def _take_session(self, answer: Answer, data: Any) -> None:
        """The session's name, from a cookie or, where that has none, from the body."""
        cookies = [found[1] for value in answer.all("set-cookie") if (found := _SESSION.match(value))]
        name = cookies[-1] if cookies else data.get("acSessionId")
        if isinstance(name, str) and name:
            if len(name) > _LONGEST or not name.isascii() or not name.isprintable():
                raise ValueError("a session name that cannot be one")
            self._session = name
            self.veil.learn(name)

    # ---- orders

    def request(self, action: Action[Any]) -> Request:
        headers = {"Content-Type": "application/json"}
        if self._session:
            # Most drivers send the cookie, one the other header.
            headers |= {"Cookie": f"SessionID={self._session}", "Sessionid": self._session}
        fields = dict(action.fields) | ({"acCSRFToken": self._token} if self._token else {})
        body = json.dumps(fields, separators=(",", ":")).encode() if fields else b""
        return Request("POST", f"/action.cgi?ActionID={action.name}", headers, body)

    def meaning(self, action: Action[Any], answer: Answer) -> Any:
        return said(answer)

    async def is_known(self, refused: Action[Any]) -> bool:
        """A lost session is refused in the same words as an order: whether it counts shows the next question."""
        if refused.name == STATE:
            return False
        try:
            said(await self.exchange(self.request(Action(STATE))))
        except (Refused, SessionOver):
            return False
        except (NoReply, TimeoutError):
            raise
        except (Unknown, ValueError):
            return True
        return True

"""What stands between the two sides of a call: who they are, what was said last, the timer agreed on.

It is all a later process needs, and little enough to keep for thousands of calls.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from adapters.sip import session_timer
from adapters.sip.dialog import Dialog
from adapters.sip.exchange import Done
from adapters.sip.listener import CallListener, CallState
from adapters.sip.message import Request, Response, uri_of
from adapters.sip.offer import Pairs
from adapters.sip.refresh import SessionTimer
from adapters.sip.session_timer import Terms
from adapters.sip.uri import BadUri, Uri

if TYPE_CHECKING:
    from adapters.sip.agent import SipAgent
    from adapters.sip.call import Call
    from adapters.sip.route import Bound

_FOLDED = b"\x78"
"""How zlib's output begins; SDP begins with `v`."""
_ROOMY = 600


class Standing:
    """See the module's first page; `Usage` acts on it."""

    __slots__ = (
        "_ack_body",
        "_leaving",
        "_min_se_s",
        "_said",
        "agent",
        "bound",
        "dialog",
        "is_astray",
        "listener",
        "local_sdp",
        "peer_allows",
        "peer_product",
        "state",
        "timer",
    )

    def __init__(self, agent: SipAgent, bound: Bound, dialog: Dialog, listener: CallListener) -> None:
        self.agent = agent
        self.bound = bound
        self.dialog = dialog
        self.listener = listener
        self.state = CallState.CALLING
        self.peer_allows = ""
        self.peer_product = ""
        self.local_sdp = b""
        self.timer: SessionTimer | None = None
        self.is_astray = False
        """Whether the peer knows another address of ours than this process has."""
        self._min_se_s = 0
        self._said = b""
        self._ack_body = b""
        self._leaving = False

    @property
    def call(self) -> Call:
        """The call this is the inside of."""
        raise NotImplementedError

    def refresh(self, done: Done) -> None:
        """Refresh the session; `Usage` knows how."""
        raise NotImplementedError

    def expire(self) -> None:
        """End it, for nobody refreshed it."""
        raise NotImplementedError

    @property
    def host(self) -> str:
        """Our own address, as the peer sees it."""
        peer = self.dialog.peer
        return self.bound.host_for(peer[0]) if peer else self.bound.address[0]

    @property
    def contact_user(self) -> str:
        """The user part of our Contact: who was called, or who calls."""
        return user_of(uri_of(self.dialog.local))

    def _note_peer(self, message: Request | Response) -> None:
        self.peer_allows = self.agent.intern(message.get("allow"))
        self.peer_product = self.agent.intern(message.get("server") or message.get("user-agent"))

    # -- the session timer ------------------------------------------------------------

    def _timed(self, request: Request) -> Request:
        """An INVITE or UPDATE of ours asks for a session timer, or to keep the one there is."""
        terms = self.timer.terms if self.timer is not None else None
        for name, value in session_timer.asking(self.agent.session, terms, self._min_se_s):
            request.headers[name] = [value]
        return request

    def _agreed(self, response: Response, sdp: bytes) -> None:
        """A 2xx to an INVITE or UPDATE of ours: what we said stands, and so do its terms."""
        if sdp:
            self._said = sdp
        self._set_terms(session_timer.agreed(response, self.agent.session))

    def _granted(self, request: Request) -> Pairs:
        """The headers of our 2xx to a request of theirs; the timer begins anew with it."""
        if self.timer is None and "session-expires" not in request.headers:
            return ()
        terms, headers = session_timer.granted(
            request, self.agent.session, self.timer.terms if self.timer is not None else None
        )
        self._set_terms(terms)
        return headers

    def _set_terms(self, terms: Terms | None) -> None:
        if terms is None or self._leaving:
            self._stop_timer()
            return
        if self.timer is None:
            self.timer = SessionTimer(self, terms)
        self.timer.begin(terms)

    def _stop_timer(self) -> None:
        if self.timer is not None:
            self.timer.stop()
            self.timer = None

    @property
    def updates(self) -> bool:
        """Whether the peer takes UPDATE."""
        return "UPDATE" in self.peer_allows.upper()

    @property
    def said(self) -> bytes:
        """The SDP that was said last on this dialog."""
        return zlib.decompress(self._said) if self._said[:1] == _FOLDED else self._said

    def fold(self) -> None:
        """Take less room, as a call that will stand for long: the peer repeats its 2xx no more."""
        self._ack_body = self.local_sdp = b""
        if len(self._said) > _ROOMY and self._said[:1] != _FOLDED:
            self._said = zlib.compress(self._said, 1)

    def _heard(self, response: Response | None) -> None:
        if response is not None and response.status != 408:
            self.dialog.heard_at = self.agent.time()

    # -- its memory -------------------------------------------------------------------

    def memory(self) -> dict[str, Any]:
        """JSON-ready facts that `SipAgent.adopt` takes; no secret is in them."""
        memory = {
            **self.dialog.to_memory(),
            "at": self.agent.now().isoformat(),
            "product": self.peer_product,
            "updates": self.updates,
            "ours": [self.host, self.bound.address[1]],
        }
        if self.timer is not None:
            terms = self.timer.terms
            memory["session"] = {"interval_s": terms.interval_s, "ours": terms.ours}
            if terms.ours and not self.updates:  # a refresh has to say it again
                memory["said"] = self.said.decode("latin-1")
        return memory

    def recollect(self, memory: Mapping[str, Any]) -> None:
        """Be as `memory` says. Raises KeyError, TypeError, ValueError."""
        self.peer_product = self.agent.intern(str(memory.get("product", "")))
        self.peer_allows = "UPDATE" if memory.get("updates") else ""
        self._said = str(memory.get("said", "")).encode("latin-1")
        ours = memory.get("ours")
        self.is_astray = ours is not None and list(ours) != [self.host, self.bound.address[1]]
        session = memory.get("session")
        if session is not None:
            interval_s = max(int(session["interval_s"]), self.agent.session.min_se_s)
            self.timer = SessionTimer(self, Terms(interval_s, bool(session["ours"])))
            self.timer.take_up()


def user_of(uri: str) -> str:
    """The user part of a URI, "" where there is none."""
    try:
        return Uri.parse(uri).user
    except BadUri:
        return ""

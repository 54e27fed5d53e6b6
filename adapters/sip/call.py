"""One call of ours or to us: the INVITE, its dialog, and everything inside it until BYE.

Calls are made by `SipAgent.call` and handed to `on_invite`; a `CallListener` is told what
happens. No task runs for a call: it lives in tables and on the agent's timer wheel.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from adapters.sip import sdp as sdps
from adapters.sip.dialog import Dialog
from adapters.sip.digest import Keyring
from adapters.sip.exchange import Done, Exchange
from adapters.sip.listener import CallListener, CallState, Ending
from adapters.sip.message import Request, Response, display_of, response_to, uri_of
from adapters.sip.transaction import CALLING, Server
from adapters.sip.uri import BadUri, Uri

if TYPE_CHECKING:
    from adapters.sip.agent import SipAgent
    from adapters.sip.route import Bound
    from adapters.sip.wheel import Alarm

ALLOW = "INVITE, ACK, BYE, CANCEL, OPTIONS, INFO, UPDATE, NOTIFY"
SDP = "application/sdp"
_SIGNATURES = ("authorization", "proxy-authorization")
Pairs = Iterable[tuple[str, str]]


class _Invitation(Exchange):
    """The INVITE of a call: its provisional and repeated final responses matter too."""

    __slots__ = ("call",)
    call: Call

    def provisional(self, response: Response) -> None:
        self.call._provisional(response)

    def response(self, response: Response) -> None:
        if 200 <= response.status < 300:
            self.call._accepted(response)
        else:
            super().response(response)


class Offer:
    """A re-INVITE or UPDATE of the peer that waits for an answer; `sdp` may be empty."""

    __slots__ = ("_call", "_request", "_server", "method", "sdp")

    def __init__(self, call: Call, request: Request, server: Server) -> None:
        self._call = call
        self._request: Request | None = request
        self._server = server
        self.method = request.method
        self.sdp = request.sdp

    def answer(self, sdp: bytes) -> None:
        """Accept: our answer, or our offer when `self.sdp` is empty."""
        request, self._request = self._request, None
        if request is not None:
            self._call._answer_offer(self._server, request, sdp)

    def refuse(self, status: int, reason: str = "", headers: Pairs = ()) -> None:
        """Keep the session as it was."""
        request, self._request = self._request, None
        if request is not None:
            self._call._refuse_offer(self._server, request, status, reason, headers)

    @property
    def open(self) -> bool:
        """Whether an answer is still owed."""
        return self._request is not None


class Call:
    """One call; `listener` is told what happens, `tag` is the owner's own to use."""

    __slots__ = (
        "_ack_body",
        "_ack_cseq",
        "_ack_signed",
        "_agent",
        "_bye_sent",
        "_cancel_sent",
        "_cancelled",
        "_credentials",
        "_invitation",
        "_keys",
        "_leaving",
        "_offer",
        "_request",
        "_ring",
        "_server",
        "bound",
        "dialog",
        "incoming",
        "listener",
        "local_sdp",
        "offer_sdp",
        "owes_ack",
        "peer_allows",
        "peer_product",
        "state",
        "tag",
    )

    def __init__(self, agent: SipAgent, bound: Bound, dialog: Dialog, listener: CallListener, incoming: bool) -> None:
        self._agent = agent
        self.bound = bound
        self.dialog = dialog
        self.listener = listener
        self.incoming = incoming
        self.state = CallState.CALLING
        self.tag: Any = None
        self.local_sdp = b""
        self.offer_sdp = b""
        self.owes_ack = False
        """Whether a 2xx to an INVITE of ours waits for `ack`."""
        self.peer_allows = ""
        self.peer_product = ""
        self._keys: Keyring | None = None
        self._credentials: tuple[str, str] | None = None
        self._invitation: _Invitation | None = None
        self._server: Server | None = None
        self._request: Request | None = None
        self._offer: Offer | None = None
        self._ring: Alarm | None = None
        self._cancelled = False
        self._cancel_sent = False
        self._bye_sent = False
        self._leaving = False
        self._ack_body = b""
        self._ack_cseq = -1
        self._ack_signed: dict[str, list[str]] | None = None

    # -- what the other side is called ------------------------------------------------

    @property
    def host(self) -> str:
        """Our own address, as the peer sees it."""
        peer = self.dialog.peer
        return self.bound.host_for(peer[0]) if peer else self.bound.address[0]

    @property
    def to_user(self) -> str:
        """Who was called, for an incoming call: the user part of the request URI."""
        uri = self._request.uri if self._request is not None else uri_of(self.dialog.local)
        return _user(uri)

    @property
    def contact_user(self) -> str:
        """The user part of our Contact: who was called, or who calls."""
        return _user(uri_of(self.dialog.local))

    @property
    def from_user(self) -> str:
        return _user(uri_of(self.dialog.remote))

    @property
    def from_display(self) -> str:
        return display_of(self.dialog.remote)

    @property
    def request(self) -> Request | None:
        """The INVITE to us, until it has a final response."""
        return self._request

    # -- a call of ours ---------------------------------------------------------------

    def _invite(self, sdp: bytes, headers: Pairs, ring_s: float, branch: str = "") -> None:
        self.local_sdp = sdp
        extra = list(headers)

        def build(branch: str) -> Request:
            return self._with_body(self.dialog.request("INVITE", branch), sdp, extra)

        invitation = _Invitation(
            self._agent,
            self.bound,
            self.dialog.next_hop(),
            build,
            self._failed,
            dialog=self.dialog,
            user=_user(uri_of(self.dialog.local)),
            credentials=self._credentials,
            branch=branch,
        )
        invitation.call = self
        self._invitation = invitation
        self._ring = self._agent.later(ring_s, lambda: self.listener.rang_out(self))
        invitation.start()

    def _provisional(self, response: Response) -> None:
        if self._cancelled:
            self._send_cancel()
            return
        if self.state is CallState.ENDED or response.status == 100:
            return
        if response.to_tag and not self.dialog.remote_tag:
            self.dialog.remote_tag = response.to_tag
        if self.state is CallState.CALLING:
            self.state = CallState.RINGING
        self.listener.ringing(self, response)

    def _accepted(self, response: Response) -> None:
        dialog = self.dialog
        if self._ack_cseq == response.cseq and response.to_tag == dialog.remote_tag:
            self._send_ack()
            return
        if self.state in (CallState.CALLING, CallState.RINGING):
            self._stop_ringing()
            dialog.establish(response)
            self._note_peer(response)
            self._keep_keys()
            self.state = CallState.ANSWERED
            self.owes_ack = True
            self._ack_cseq = -1
            if self._cancelled:
                # the 2xx crossed our CANCEL: take it, then leave (section 9.1, 15)
                offered = response.sdp if not self.local_sdp else b""
                self.ack(sdps.refusal(offered, 1, self.host) if offered else b"")
                self._bye()
                return
            self.listener.answered(self, response.sdp)
        elif response.to_tag != dialog.remote_tag:
            self._agent.dismiss_fork(self, response)

    def _failed(self, response: Response | None) -> None:
        if self.state is CallState.ENDED:
            return
        why = self._invitation.why if self._invitation else ""
        self._finish()
        listener, self.listener = self.listener, _NOBODY
        if response is not None:
            listener.refused(self, response.status, response.reason, response)
        elif self._cancelled:
            listener.refused(self, 487, "Request Terminated", None)
        else:
            listener.refused(self, 408, why, None)

    def ack(self, sdp: bytes = b"") -> None:
        """Acknowledge the 2xx to our INVITE or re-INVITE, with an answer when it had an offer."""
        if self.state is CallState.ENDED:
            return
        self.owes_ack = False
        self._ack_body = sdp
        if self._invitation is not None and self._invitation.client is not None:
            invite = self._invitation.client.request
            self._ack_cseq = invite.cseq
            # the ACK carries what its INVITE was accepted with (section 22.1)
            signed = {name: values for name, values in invite.headers.items() if name in _SIGNATURES}
            self._ack_signed = signed or None
            invite.headers.clear()  # nothing more is read of it
        if self.state is CallState.ANSWERED:
            self.state = CallState.CONFIRMED
        self._invitation = None
        self._send_ack()

    def acknowledge_again(self, sdp: bytes) -> None:
        """Repeat the ACK of the INVITE that made an adopted call; its peer may still wait for it."""
        self._ack_cseq, self._ack_body = self.dialog.remembered_cseq, sdp
        self._send_ack()

    def _send_ack(self) -> None:
        request = self.dialog.request("ACK", "z9hG4bK" + os.urandom(9).hex(), self._ack_cseq)
        if self._ack_signed is not None:
            request.headers.update(self._ack_signed)
        self._agent.send_ack(self, self._with_body(request, self._ack_body))

    def cancel(self) -> None:
        """Give up a call of ours that nobody has answered; `refused` or `ended` follows."""
        if self.incoming or self.state not in (CallState.CALLING, CallState.RINGING) or self._cancelled:
            return
        self._cancelled = True
        self._stop_ringing()
        invitation = self._invitation
        if invitation is None:
            return
        invitation.stopped = True
        if invitation.client is None:
            self._agent.soon(lambda: self._failed(None))
        elif invitation.client.state != CALLING:
            self._send_cancel()
        else:
            # nobody has shown a sign of life: a CANCEL may not be sent yet (section 9.1)
            invitation.client.give_up_by(self._agent.time() + self._agent.timing.limit / 4)

    def _send_cancel(self) -> None:
        invitation = self._invitation
        if invitation is not None and invitation.client is not None and not self._cancel_sent:
            self._cancel_sent = True
            self._agent.cancel(invitation.client)

    # -- a call to us -----------------------------------------------------------------

    def _receive(self, request: Request, server: Server) -> None:
        self._request, self._server, server.user = request, server, self
        self.offer_sdp = request.sdp
        self._note_peer(request)

    def ring(self, status: int = 180, sdp: bytes = b"") -> None:
        """Tell the caller that people are being alerted."""
        if (
            self._request is not None
            and self._server is not None
            and self.state
            in (
                CallState.CALLING,
                CallState.RINGING,
            )
        ):
            self.state = CallState.RINGING
            self._respond(self._server, self._request, status, sdp=sdp)

    def answer(self, sdp: bytes, headers: Pairs = ()) -> None:
        """Take the call: our answer, or our offer when the INVITE had none. `confirmed` follows."""
        request, self._request = self._request, None
        if request is None or self._server is None:
            return
        self.state = CallState.ANSWERED
        self.local_sdp = sdp
        self._respond(self._server, request, 200, sdp=sdp, headers=headers)

    def refuse(self, status: int, reason: str = "", headers: Pairs = ()) -> None:
        """Decline the call; nothing more is told of it."""
        request, self._request = self._request, None
        if request is None or self._server is None:
            return
        self._respond(self._server, request, status, reason, headers=headers)
        self._finish()

    def _acked(self, ack: Request) -> None:
        server = self._server
        if server is None or ack.from_tag != self.dialog.remote_tag or ack.cseq != server.cseq:
            return
        self._server = None
        server.user = None
        self._agent.acked(server)
        if self.state is CallState.ANSWERED:
            self.state = CallState.CONFIRMED
        if self._leaving:
            self._bye()
        else:
            self.listener.confirmed(self, ack.sdp)

    def no_ack(self) -> None:
        """Our answer was never acknowledged: end it (section 13.3.1.4)."""
        self._server = None
        leaving = self._leaving
        if self.state is CallState.ENDED:
            return
        self._send("BYE", lambda _: None)
        self._over(Ending.LOCAL if leaving else Ending.LOST, None)

    def _cancelled_by_peer(self) -> bool:
        request = self._request
        if request is None or self._server is None:
            return False
        self._request = None
        self._respond(self._server, request, 487)
        self._over(Ending.CANCEL, None)
        return True

    # -- inside the dialog ------------------------------------------------------------

    def hang_up(self) -> None:
        """End the call, whatever its state. Safe to repeat."""
        if self.state is CallState.ENDED:
            return
        if self._request is not None:
            self.refuse(603)
        elif not self.incoming and self.state in (CallState.CALLING, CallState.RINGING):
            self.cancel()
        elif self.state is CallState.ANSWERED and self.incoming:
            self._leaving = True  # no BYE before the ACK (section 15)
        else:
            if self.owes_ack:
                self.ack()
            self._bye()

    def let_go(self) -> None:
        """Do nothing more about this call and tell nothing: a later process goes on with it."""
        self.listener = _Silence()
        self._stop_ringing()
        if self._invitation is not None:
            self._invitation.stopped = True
        self._agent.forget(self)

    def _bye(self) -> None:
        if self._bye_sent:
            return
        self._bye_sent = self._leaving = True
        self._refuse_open_offer()
        self._send("BYE", lambda _: self._over(Ending.LOCAL, None))

    def reinvite(self, sdp: bytes, done: Done) -> None:
        """Offer other media (or ask for an offer with empty `sdp`); a 2xx is owed an `ack`.

        A dialog that is busy with another INVITE gives 491 without anything being sent.
        """
        if self.state is not CallState.CONFIRMED:
            self._agent.soon(lambda: done(None))
            return
        if self.busy:
            self._agent.soon(lambda: done(Response(491, "Request Pending", {})))
            return

        def build(branch: str) -> Request:
            return self._with_body(self.dialog.request("INVITE", branch), sdp)

        def finished(response: Response | None) -> None:
            self._keep_keys()
            if response is None or response.status >= 300:
                self._invitation = None
            done(response)
            if response is not None and response.status == 481:
                self._over(Ending.LOST, None)

        invitation = _Reinvitation(
            self._agent,
            self.bound,
            self.dialog.next_hop(),
            build,
            finished,
            dialog=self.dialog,
            user=_user(uri_of(self.dialog.local)),
            keys=self._keys,
            credentials=self._credentials,
        )
        invitation.call = self
        self._invitation = invitation
        invitation.start()

    def update(self, sdp: bytes, done: Done) -> None:
        """Offer other media by UPDATE (RFC 3311)."""
        self._send("UPDATE", done, body=sdp, content_type=SDP if sdp else "")

    @property
    def busy(self) -> bool:
        """Whether an INVITE is under way on this dialog, in either direction."""
        return self._invitation is not None or self._server is not None or self._offer is not None

    def inform(self, content_type: str, body: bytes, done: Done) -> None:
        """Send an INFO."""
        self._send("INFO", done, body=body, content_type=content_type)

    def probe(self, done: Done, limit_s: float, method: str = "OPTIONS") -> None:
        """Ask the peer whether the call lives, by an in-dialog request."""
        self._send(method, done, limit_s=limit_s)

    def _send(
        self, method: str, done: Done, *, body: bytes = b"", content_type: str = "", limit_s: float | None = None
    ) -> None:
        def build(branch: str) -> Request:
            request = self.dialog.request(method, branch)
            request.body = body
            if content_type:
                request.headers["content-type"] = [content_type]
            return request

        def finished(response: Response | None) -> None:
            if exchange.keys is not None:
                self._keys = exchange.keys
            if method == "UPDATE" and response is not None and 200 <= response.status < 300:
                self.dialog.refresh(response)
            done(response)

        exchange = Exchange(
            self._agent,
            self.bound,
            self.dialog.next_hop(),
            build,
            finished,
            dialog=self.dialog,
            user=_user(uri_of(self.dialog.local)),
            keys=self._keys,
            credentials=self._credentials,
            limit_s=limit_s,
        )
        exchange.start()

    def _requested(self, request: Request, server: Server) -> None:
        """An in-dialog request that is not an ACK."""
        dialog, method = self.dialog, request.method
        if request.from_tag != dialog.remote_tag and dialog.remote_tag:
            self._respond(server, request, 481)
        elif not dialog.accepts(request):
            self._respond(server, request, 500, "CSeq is behind")
        elif method == "BYE":
            self._respond(server, request, 200)
            if self.state is not CallState.ENDED:
                self._refuse_open_offer()
                self._over(Ending.LOCAL if self._leaving else Ending.BYE, request)
        elif self.state is CallState.ENDED:
            self._respond(server, request, 481)
        elif method in ("INVITE", "UPDATE"):
            self._offered(request, server)
        elif method == "INFO":
            self._respond(server, request, self.listener.informed(self, request.get("content-type"), request.body))
        elif method in ("OPTIONS", "NOTIFY"):
            self._respond(server, request, 200)
        else:
            self._respond(server, request, 405)

    def _offered(self, request: Request, server: Server) -> None:
        if self._leaving:
            self._respond(server, request, 487)
        elif self._offer is not None or (self._server is not None and request.method == "INVITE"):
            # an earlier one is not settled (section 14.2)
            self._respond(server, request, 500, "Earlier offer pending", headers=[("Retry-After", "3")])
        elif self._invitation is not None:
            self._respond(server, request, 491)
        elif request.method == "UPDATE" and not request.sdp:
            self.dialog.refresh(request)
            self._respond(server, request, 200)
        else:
            self._offer = offer = Offer(self, request, server)
            self.listener.offered(self, offer)
            if offer.open and request.method == "INVITE" and server.state == CALLING:
                self._respond(server, request, 100)

    def _answer_offer(self, server: Server, request: Request, sdp: bytes) -> None:
        self._offer = None
        self.dialog.refresh(request)
        self.local_sdp = sdp if self.local_sdp else b""
        if request.method == "INVITE":
            self._server, server.user = server, self
        self._respond(server, request, 200, sdp=sdp)

    def _refuse_offer(self, server: Server, request: Request, status: int, reason: str, headers: Pairs) -> None:
        self._offer = None
        self._respond(server, request, status, reason, headers=headers)

    def _refuse_open_offer(self) -> None:
        if self._offer is not None:
            self._offer.refuse(487)

    # -- memory and end ---------------------------------------------------------------

    def memory(self) -> dict[str, Any]:
        """JSON-ready facts that `SipAgent.adopt` takes; no secret is in them."""
        return {**self.dialog.to_memory(), "at": self._agent.now().isoformat(), "product": self.peer_product}

    def _over(self, ending: Ending, request: Request | None) -> None:
        if self.state is CallState.ENDED:
            return
        self._finish()
        listener, self.listener = self.listener, _NOBODY
        listener.ended(self, ending, request)

    def _finish(self) -> None:
        self.state = CallState.ENDED
        self._stop_ringing()
        self._invitation = None
        self._agent.forget(self)

    def _stop_ringing(self) -> None:
        if self._ring is not None:
            self._ring.cancel()
            self._ring = None

    def _lookup(self, realm: str) -> tuple[str, str] | None:
        return self._credentials or self._agent.credentials(realm, "")

    def _keep_keys(self) -> None:
        if self._invitation is not None and self._invitation.keys is not None:
            self._keys = self._invitation.keys

    def _note_peer(self, message: Request | Response) -> None:
        self.peer_allows = self._agent.intern(message.get("allow"))
        self.peer_product = self._agent.intern(message.get("server") or message.get("user-agent"))

    def _with_body(self, request: Request, sdp: bytes, headers: Pairs = ()) -> Request:
        for name, value in headers:
            request.headers.setdefault(name.lower(), []).append(value)
        if sdp:
            request.body = sdp
            request.headers["content-type"] = [SDP]
        return request

    def _respond(
        self, server: Server, request: Request, status: int, reason: str = "", *, sdp: bytes = b"", headers: Pairs = ()
    ) -> None:
        extra = list(headers)
        if sdp:
            extra.append(("Content-Type", SDP))
        tag = self.dialog.local_tag if status > 100 else ""
        response = response_to(request, status, reason, to_tag=tag, headers=extra, body=sdp)
        self._agent.respond(server, response, self, request.method)


class _Silence(CallListener):
    """Hears of a call and does nothing about it, not even an ACK."""

    __slots__ = ()

    def answered(self, call: Call, sdp: bytes) -> None:
        pass

    def offered(self, call: Call, offer: Offer) -> None:
        pass


_NOBODY = CallListener()
"""Who listens to a call that is over: its owner and it refer to one another no longer."""


class _Reinvitation(_Invitation):
    """A re-INVITE: the call stands whatever becomes of it."""

    __slots__ = ()

    def provisional(self, response: Response) -> None:
        pass

    def response(self, response: Response) -> None:
        call = self.call
        if not 200 <= response.status < 300:
            Exchange.response(self, response)
        elif call._ack_cseq == response.cseq:
            call._send_ack()
        elif call._leaving or call.state is CallState.ENDED:
            call._ack_cseq, call._ack_body = response.cseq, b""  # too late to be of use, but it wants its ACK
            call._send_ack()
        elif call._invitation is self:
            call.owes_ack = True
            call.dialog.refresh(response)
            self._finish(response)


def _user(uri: str) -> str:
    try:
        return Uri.parse(uri).user
    except BadUri:
        return ""

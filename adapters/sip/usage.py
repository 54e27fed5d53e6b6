"""The inside of a call: what the INVITE usage of a dialog (RFC 5057) brings once it stands.

ACK, BYE, re-INVITE, UPDATE, INFO, questions whether the peer lives. How a call comes about,
and how it is given up before, is `adapters.sip.call`'s; what was said, `adapters.sip.standing`'s.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from adapters.sip import session_timer
from adapters.sip.dialog import Dialog
from adapters.sip.digest import Keyring
from adapters.sip.exchange import Done, Exchange
from adapters.sip.invitation import Invitation, Reinvitation
from adapters.sip.listener import CallListener, CallState, Ending
from adapters.sip.message import Request, Response, response_to, uri_of
from adapters.sip.offer import Offer, Pairs
from adapters.sip.standing import Standing, user_of
from adapters.sip.transaction import CALLING, Server

if TYPE_CHECKING:
    from adapters.sip.agent import SipAgent
    from adapters.sip.route import Bound

ALLOW = "INVITE, ACK, BYE, CANCEL, OPTIONS, INFO, UPDATE, NOTIFY"
SDP = "application/sdp"
__all__ = ["ALLOW", "NOBODY", "SDP", "Usage", "user_of"]
_SIGNATURES = ("authorization", "proxy-authorization")


class Usage(Standing):
    """See the module's first page; a `Call` is one."""

    __slots__ = (
        "_ack_cseq",
        "_ack_signed",
        "_bye_sent",
        "_credentials",
        "_invitation",
        "_keys",
        "_offer",
        "_server",
        "owes_ack",
    )

    def __init__(self, agent: SipAgent, bound: Bound, dialog: Dialog, listener: CallListener) -> None:
        super().__init__(agent, bound, dialog, listener)
        self.owes_ack = False
        """Whether a 2xx to an INVITE of ours waits for `ack`."""
        self._keys: Keyring | None = None
        self._credentials: tuple[str, str] | None = None
        self._invitation: Invitation | Reinvitation | None = None
        self._server: Server | None = None
        self._offer: Offer | None = None
        self._bye_sent = False
        self._ack_cseq = -1
        self._ack_signed: dict[str, list[str]] | None = None

    # -- ACKs -------------------------------------------------------------------------

    def ack(self, sdp: bytes = b"") -> None:
        """Acknowledge the 2xx to our INVITE or re-INVITE, with an answer when it had an offer."""
        if self.state is CallState.ENDED:
            return
        self.owes_ack = False
        self._ack_body = sdp
        if sdp:
            self._said = sdp
        if self._invitation is not None and self._invitation.client is not None:
            invite = self._invitation.client.request
            self._ack_cseq = invite.cseq
            if self._keys is not None:  # the ACK carries what its INVITE was accepted with (section 22.1)
                signed = {name: invite.headers[name] for name in _SIGNATURES if name in invite.headers}
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
        self.agent.send_ack(self.call, self._with_body(request, self._ack_body))

    def _acked(self, ack: Request) -> None:
        server = self._server
        if server is None or ack.from_tag != self.dialog.remote_tag or ack.cseq != server.cseq:
            return
        self._server = None
        server.user = None
        self.agent.acked(server)
        if self.state is CallState.ANSWERED:
            self.state = CallState.CONFIRMED
        if self._leaving:
            self._bye()
        else:
            self.listener.confirmed(self.call, ack.sdp)

    def no_ack(self) -> None:
        """Our answer was never acknowledged: end it (section 13.3.1.4)."""
        self._server = None
        leaving = self._leaving
        if self.state is CallState.ENDED:
            return
        self.send("BYE", lambda _: None)
        self._over(Ending.LOCAL if leaving else Ending.LOST, None)

    # -- inside the dialog ------------------------------------------------------------

    def _bye(self) -> None:
        if self._bye_sent:
            return
        self._bye_sent = self._leaving = True
        self._stop_timer()
        self._refuse_open_offer()
        self.send("BYE", lambda _: self._over(Ending.LOCAL, None))

    def reinvite(self, sdp: bytes, done: Done) -> None:
        """Offer other media (or ask for an offer with empty `sdp`); a 2xx is owed an `ack`.

        A dialog that is busy with another INVITE gives 491 without anything being sent.
        """
        if self.state is not CallState.CONFIRMED:
            self.agent.soon(lambda: done(None))
            return
        if self.busy:
            self.agent.soon(lambda: done(Response(491, "Request Pending", {})))
            return

        def build(branch: str) -> Request:
            return self._with_body(self._timed(self.dialog.request("INVITE", branch)), sdp)

        def finished(response: Response | None) -> None:
            self._keep_keys()
            self._heard(response)
            if response is None or response.status >= 300:
                self._invitation = None
            else:
                self._agreed(response, sdp)
            done(response)
            if response is not None and response.status == 481:
                self._over(Ending.LOST, None)

        invitation = Reinvitation(
            self.agent,
            self.bound,
            self.dialog.next_hop(),
            build,
            finished,
            dialog=self.dialog,
            user=user_of(uri_of(self.dialog.local)),
            keys=self._keys,
            credentials=self._credentials,
        )
        invitation.call = self
        self._invitation = invitation
        invitation.start()

    def update(self, sdp: bytes, done: Done) -> None:
        """Offer other media by UPDATE (RFC 3311)."""
        self.send("UPDATE", done, body=sdp, content_type=SDP if sdp else "")

    @property
    def busy(self) -> bool:
        """Whether an INVITE is under way on this dialog, in either direction."""
        return self._invitation is not None or self._server is not None or self._offer is not None

    def inform(self, content_type: str, body: bytes, done: Done) -> None:
        """Send an INFO."""
        self.send("INFO", done, body=body, content_type=content_type)

    def probe(self, done: Done, limit_s: float, method: str = "OPTIONS") -> None:
        """Ask the peer whether the call lives, by an in-dialog request."""
        self.send(method, done, limit_s=limit_s)

    def send(
        self,
        method: str,
        done: Done,
        *,
        body: bytes = b"",
        content_type: str = "",
        headers: Pairs = (),
        limit_s: float | None = None,
    ) -> None:
        """Send a request inside the call (not INVITE, ACK or CANCEL); `done` is told its final response, or None."""
        extra = list(headers)

        def build(branch: str) -> Request:
            request = self.dialog.request(method, branch)
            if method == "UPDATE":
                self._timed(request)
            request.body = body
            for name, value in extra:
                request.headers.setdefault(name.lower(), []).append(value)
            if content_type:
                request.headers["content-type"] = [content_type]
            return request

        def finished(response: Response | None) -> None:
            if exchange.keys is not None:
                self._keys = exchange.keys
            self._heard(response)
            if method == "UPDATE" and response is not None and response.status < 300:
                self.dialog.refresh(response)
                self._agreed(response, body)
            done(response)

        exchange = Exchange(
            self.agent,
            self.bound,
            self.dialog.next_hop(),
            build,
            finished,
            dialog=self.dialog,
            user=self.contact_user if method == "UPDATE" else "",  # only a target refresh has a Contact
            keys=self._keys,
            credentials=self._credentials,
            limit_s=limit_s,
        )
        exchange.start()

    def _requested(self, request: Request, server: Server) -> None:
        """An in-dialog request that is not an ACK."""
        dialog, method = self.dialog, request.method
        dialog.heard_at = self.agent.time()
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
            self._wished(request, server)
        elif method == "INFO":
            self._respond(server, request, self.listener.informed(self.call, request.get("content-type"), request.body))
        elif method == "OPTIONS":
            self._respond(server, request, 200)
        elif method == "NOTIFY":
            self._respond(server, request, self.listener.notified(self.call, request))
        elif method == "REFER":
            self._respond(server, request, self.listener.referred(self.call, request))
        else:
            self._respond(server, request, 405)

    def _wished(self, request: Request, server: Server) -> None:
        """A re-INVITE or UPDATE: what can be decided without anybody is."""
        policy = self.agent.session
        strange = session_timer.strange(request.listed("require")) if "require" in request.headers else []
        too_short = session_timer.refused(request, policy)
        if self._leaving:
            self._respond(server, request, 487)
        elif strange:
            self._respond(server, request, 420, headers=[("Unsupported", ", ".join(strange)[:200])])
        elif too_short is not None:
            self._respond(server, request, 422, headers=too_short)
        elif request.method == "UPDATE" and not request.sdp:
            self.dialog.refresh(request)  # in an early dialog as well (RFC 3311 section 5.2)
            self._respond(server, request, 200, headers=self._granted(request))
            self.listener.moved(self.call)
        elif self._offer is not None or self._owes_answer(request):
            # an earlier one is not settled (RFC 3261 section 14.2, RFC 3311 section 5.2)
            self._respond(server, request, 500, "Earlier offer pending", headers=[("Retry-After", "3")])
        elif self._invitation is not None:
            self._respond(server, request, 491)
        else:
            self._offer = offer = Offer(self, request, server)
            self.listener.offered(self.call, offer)
            if offer.open and request.method == "INVITE" and server.state == CALLING:
                self._respond(server, request, 100)

    def _owes_answer(self, request: Request) -> bool:
        """Whether an INVITE of theirs still waits: for our answer, or for its ACK."""
        unanswered = self.call.incoming and self.state in (CallState.CALLING, CallState.RINGING)
        return unanswered or (self._server is not None and request.method == "INVITE")

    def _answer_offer(self, server: Server, request: Request, sdp: bytes) -> None:
        self._offer = None
        self.dialog.refresh(request)
        self.local_sdp = sdp if self.local_sdp else b""
        if sdp:
            self._said = sdp
        if request.method == "INVITE":
            self._server, server.user = server, self
        self._respond(server, request, 200, sdp=sdp, headers=self._granted(request))
        self.listener.moved(self.call)

    def _refuse_offer(self, server: Server, request: Request, status: int, reason: str, headers: Pairs) -> None:
        self._offer = None
        self._respond(server, request, status, reason, headers=headers)

    def _refuse_open_offer(self) -> None:
        if self._offer is not None:
            self._offer.refuse(487)

    # -- the session timer's requests -------------------------------------------------

    def refresh(self, done: Done) -> None:
        """Refresh the session and our Contact without changing anything else (RFC 4028 section 7.4).

        UPDATE carries no SDP, so nothing is renegotiated; who does not take it gets a re-INVITE
        with what was said last under the same version (RFC 3264 section 8: nothing changed).
        """

        def finished(response: Response | None) -> None:
            if self.owes_ack:
                self.ack()
            done(response)
            if response is not None and response.status < 300:
                self.listener.moved(self.call)
                if response.sdp:
                    self.listener.reanswered(self.call, response.sdp)

        if self.updates or not self._said:
            self.update(b"", finished)
        else:
            self.reinvite(self.said, finished)

    def expire(self) -> None:
        """Nobody refreshed it in time, or a refresh showed that the peer is gone: it is ended."""
        if self.state is CallState.ENDED or self._leaving:
            return
        self._leaving = self._bye_sent = True
        self._refuse_open_offer()
        self.send("BYE", lambda _: None, headers=[("Reason", 'SIP;cause=408;text="Session expired"')])
        self._over(Ending.LOST, None)

    # -- its end ----------------------------------------------------------------------

    def _over(self, ending: Ending, request: Request | None) -> None:
        if self.state is CallState.ENDED:
            return
        self._finish()
        listener, self.listener = self.listener, NOBODY
        listener.ended(self.call, ending, request)

    def _finish(self) -> None:
        self.state = CallState.ENDED
        self._stop_timer()
        self._invitation = None
        self.agent.forget(self.call)

    def _lookup(self, realm: str) -> tuple[str, str] | None:
        return self._credentials or self.agent.credentials(realm, "")

    def _keep_keys(self) -> None:
        if self._invitation is not None and self._invitation.keys is not None:
            self._keys = self._invitation.keys

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
        self.agent.respond(server, response, self.call, request.method)


NOBODY = CallListener()
"""Who listens to a call that is over: its owner and it refer to one another no longer."""

"""One call of ours or to us: how it comes about, and how it is given up.

Calls are made by `SipAgent.call` and handed to `on_invite`; a `CallListener` is told what
happens. No task runs for a call: it lives in tables and on the agent's timer wheel.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from adapters.sip import sdp as sdps
from adapters.sip.dialog import Dialog
from adapters.sip.invitation import Invitation, Recall
from adapters.sip.listener import CallListener, CallState, Ending
from adapters.sip.message import Request, Response, display_of, uri_of
from adapters.sip.offer import Offer, Pairs
from adapters.sip.standing import user_of
from adapters.sip.transaction import CALLING, Server
from adapters.sip.usage import ALLOW, NOBODY, SDP, Usage

if TYPE_CHECKING:
    from adapters.sip.agent import SipAgent
    from adapters.sip.route import Bound
    from adapters.sip.wheel import Alarm

SAID = b"v=0\r\n"
"""Stands for an offer that an earlier process made: there was one."""

__all__ = ["ALLOW", "SDP", "Call", "Offer"]


class Call(Usage):
    """One call; `listener` is told what happens, `tag` is the owner's own to use."""

    __slots__ = ("_cancel_sent", "_cancelled", "_request", "_ring", "incoming", "offer_sdp", "tag")

    def __init__(self, agent: SipAgent, bound: Bound, dialog: Dialog, listener: CallListener, incoming: bool) -> None:
        super().__init__(agent, bound, dialog, listener)
        self.incoming = incoming
        self.tag: Any = None
        self.offer_sdp = b""
        self._request: Request | None = None
        self._ring: Alarm | None = None
        self._cancelled = False
        self._cancel_sent = False

    # -- what the other side is called ------------------------------------------------

    @property
    def to_user(self) -> str:
        """Who was called, for an incoming call: the user part of the request URI."""
        uri = self._request.uri if self._request is not None else uri_of(self.dialog.local)
        return user_of(uri)

    @property
    def call(self) -> Call:
        return self

    @property
    def from_user(self) -> str:
        return user_of(uri_of(self.dialog.remote))

    @property
    def from_display(self) -> str:
        return display_of(self.dialog.remote)

    @property
    def request(self) -> Request | None:
        """The INVITE to us, until it has a final response."""
        return self._request

    # -- a call of ours ---------------------------------------------------------------

    def _invite(self, sdp: bytes, headers: Pairs, ring_s: float, user: str, branch: str = "") -> None:
        self.local_sdp = self._said = sdp
        extra = list(headers)

        def build(branch: str) -> Request:
            return self._with_body(self._timed(self.dialog.request("INVITE", branch)), sdp, extra)

        invitation = Invitation(
            self.agent,
            self.bound,
            self.dialog.next_hop(),
            build,
            self._failed,
            dialog=self.dialog,
            user=user,
            credentials=self._credentials,
            branch=branch,
        )
        invitation.call = self
        self._invitation = invitation
        self._ring = self.agent.later(ring_s, lambda: self.listener.rang_out(self))
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
            self._heard(response)
            self._agreed(response, b"")
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
            self.agent.dismiss_fork(self, response)

    def _failed(self, response: Response | None) -> None:
        if self.state is CallState.ENDED:
            return
        why = self._invitation.why if self._invitation else ""
        self._finish()
        listener, self.listener = self.listener, NOBODY
        if response is not None:
            listener.refused(self, response.status, response.reason, response)
        elif self._cancelled:
            listener.refused(self, 487, "Request Terminated", None)
        else:
            listener.refused(self, 408, why, None)

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
            self.agent.soon(lambda: self._failed(None))
        elif invitation.client.state != CALLING:
            self._send_cancel()
        else:
            # nobody has shown a sign of life: a CANCEL may not be sent yet (section 9.1)
            invitation.client.give_up_by(self.agent.time() + self.agent.timing.limit / 4)

    def invite_memory(self) -> dict[str, Any] | None:
        """What a later process needs to CANCEL a call of ours that rings (`SipAgent.recall`); None when it does not."""
        client = self._invitation.client if self._invitation is not None else None
        if client is None or self.incoming or self.state not in (CallState.CALLING, CallState.RINGING):
            return None
        invite = client.request
        memory = {**self.dialog.to_memory(), "at": self.agent.now().isoformat()}
        # the CANCEL is known by the branch and the sender in the Via of its INVITE (section 9.1)
        return {**memory, "cseq": invite.cseq, "via": invite.headers["via"][0], "offered": bool(self._said)}

    def _recalled(self, memory: Mapping[str, Any]) -> None:
        """Be the call that `invite_memory` tells of, and give it up. Raises KeyError, TypeError, ValueError."""
        dialog = self.dialog
        via = str(memory["via"])
        branch = re.search(r";branch=([^;,\s]+)", via)
        if branch is None:
            raise ValueError("no branch in its Via")
        self._said = self.local_sdp = SAID if memory["offered"] else b""
        dialog.remote_tag = ""
        self._cancelled = True
        recall = Recall(
            self.agent, self.bound, dialog.next_hop(), self._not_again, self._failed, dialog=dialog, branch=branch[1]
        )
        recall.call = self
        recall.invite = dialog.request("INVITE", branch[1], int(memory["cseq"]))
        recall.invite.headers["via"] = [via]
        self._invitation = recall
        recall.start()

    @staticmethod
    def _not_again(branch: str) -> Request:
        raise RuntimeError("an INVITE that is recalled is not sent")

    def _send_cancel(self) -> None:
        invitation = self._invitation
        if invitation is not None and invitation.client is not None and not self._cancel_sent:
            self._cancel_sent = True
            self.agent.cancel(invitation.client)

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
        self.local_sdp = self._said = sdp
        self._respond(self._server, request, 200, sdp=sdp, headers=[*headers, *self._granted(request)])

    def refuse(self, status: int, reason: str = "", headers: Pairs = ()) -> None:
        """Decline the call; nothing more is told of it."""
        request, self._request = self._request, None
        if request is None or self._server is None:
            return
        self._respond(self._server, request, status, reason, headers=headers)
        self._finish()

    def _cancelled_by_peer(self) -> bool:
        request = self._request
        if request is None or self._server is None:
            return False
        self._request = None
        self._respond(self._server, request, 487)
        self._over(Ending.CANCEL, None)
        return True

    # -- its end ----------------------------------------------------------------------

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
        self._stop_timer()
        if self._invitation is not None:
            self._invitation.stopped = True
        self.agent.forget(self)

    def _finish(self) -> None:
        self._stop_ringing()
        super()._finish()

    def _stop_ringing(self) -> None:
        if self._ring is not None:
            self._ring.cancel()
            self._ring = None


class _Silence(CallListener):
    """Hears of a call and does nothing about it, not even an ACK."""

    __slots__ = ()

    def answered(self, call: Call, sdp: bytes) -> None:
        pass

    def offered(self, call: Call, offer: Offer) -> None:
        pass

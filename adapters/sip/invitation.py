"""The INVITE of a call and the re-INVITE inside one: exchanges whose 1xx and repeated 2xx matter too."""

from __future__ import annotations

from typing import TYPE_CHECKING

from adapters.sip.exchange import MAX_TRIES, Exchange
from adapters.sip.listener import CallState
from adapters.sip.message import Request, Response
from adapters.sip.session_timer import longer
from adapters.sip.transaction import GONE

if TYPE_CHECKING:
    from adapters.sip.call import Call
    from adapters.sip.transaction import Client
    from adapters.sip.transport import Flow
    from adapters.sip.usage import Usage


class Invitation(Exchange):
    """The INVITE of a call."""

    __slots__ = ("call",)
    call: Call

    def provisional(self, response: Response) -> None:
        self.call._provisional(response)

    def response(self, response: Response) -> None:
        if 200 <= response.status < 300:
            self.call._accepted(response)
        elif not self._asks_longer(response):
            super().response(response)

    def _asks_longer(self, response: Response) -> bool:
        """A 422 wants a longer session timer than we asked for: ask for that (RFC 4028 section 7.3)."""
        floor_s = longer(response, self._agent.session) if response.status == 422 else None
        if floor_s is None or floor_s <= self.call._min_se_s or self.stopped or self._tries >= MAX_TRIES:
            return False
        self.call._min_se_s = floor_s
        self._tries += 1
        self._again()
        return True

    def _elsewhere(self) -> bool:
        silent = self.client
        if not super()._elsewhere():
            return False
        if silent is not None and silent.state == GONE and not silent.flow.closed:
            Forsaken(self.call, silent)
        return True


class Forsaken:
    """The INVITE at a place that kept silent and was given up: whoever wakes up there is sent home.

    Ringing gets a CANCEL, a 2xx its ACK and BYE; for 64*T1, as long as the INVITE can be under way.
    """

    __slots__ = ("_call", "_client", "_is_cancelled")

    def __init__(self, call: Call, silent: Client) -> None:
        agent = call.agent
        self._call = call
        self._is_cancelled = False
        self._client = agent.works.layer.expect(silent.request, silent.flow, self, agent.time())
        self._client.give_up_by(agent.time() + agent.timing.limit)

    def response(self, response: Response) -> None:
        agent = self._call.agent
        if 200 <= response.status < 300:
            agent.dismiss_fork(self._call, response)
        elif response.status < 200 and not self._is_cancelled:
            self._is_cancelled = True
            agent.cancel(self._client)

    def expired(self, why: str) -> None:
        pass


class Recall(Invitation):
    """An INVITE that an earlier process sent: it is cancelled, and its end is awaited."""

    __slots__ = ("invite",)
    invite: Request

    def _over(self, flow: Flow) -> None:
        self.client = self._agent.expect(self.invite, flow, self)
        self.call._send_cancel()


class Reinvitation(Exchange):
    """A re-INVITE: the call stands whatever becomes of it."""

    __slots__ = ("call",)
    call: Usage

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

"""The dialog in which NOTIFYs about one REFER come: they are heard, the subscription is kept up, and ended."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from adapters.sip.agent import SipAgent
from adapters.sip.dialog import Dialog
from adapters.sip.exchange import Done, Exchange
from adapters.sip.message import Request, Response, uri_of
from adapters.sip.subscription import Notice, Subscription
from adapters.sip.transaction import Server
from adapters.sip.transport import Flow
from adapters.sip.uri import Uri
from adapters.sip.wheel import Alarm


class Following:
    """`told` is given every notice, after its NOTIFY was answered; `lost` hears that it is unknown there."""

    __slots__ = ("_agent", "_credentials", "_is_ending", "_lost", "_refresh", "_subscription", "_told", "dialog")

    def __init__(self, agent: SipAgent, told: Callable[[Notice], None], lost: Callable[[], None]) -> None:
        self._agent = agent
        self._told = told
        self._lost = lost
        self._subscription = Subscription()
        self._credentials: tuple[str, str] | None = None
        self._refresh: Alarm | None = None
        self._is_ending = False
        self.dialog: Dialog | None = None

    @property
    def has_told(self) -> bool:
        """Whether a NOTIFY has come."""
        return self._subscription.has_told

    def use(self, dialog: Dialog, credentials: tuple[str, str] | None) -> None:
        """NOTIFYs come in this dialog; as long as it is a call's, they are heard there and handed to `take`."""
        self.dialog, self._credentials = dialog, credentials

    def listen(self) -> None:
        """Hear NOTIFYs that come outside every call."""
        if self.dialog is not None:
            self._agent.follows[self.dialog.key] = self._heard

    def stop(self) -> None:
        """Hear no more of it, unless its end is under way."""
        self.be_still()
        if not self._is_ending:
            self._forget()

    def _forget(self) -> None:
        if self.dialog is not None:
            self._agent.follows.pop(self.dialog.key, None)

    def be_still(self) -> None:
        """Keep it up no longer."""
        if self._refresh is not None:
            self._refresh.cancel()
            self._refresh = None

    def accepted(self, response: Response) -> None:
        """The REFER has been answered with 2xx."""
        self._subscription.number = response.cseq
        if self.dialog is not None and not self.dialog.remote_tag:
            self.dialog.establish(response)

    # -- what comes -------------------------------------------------------------------

    def _heard(self, request: Request, server: Server, flow: Flow) -> None:
        dialog = self.dialog
        if dialog is None or (dialog.remote_tag and request.from_tag != dialog.remote_tag):
            status = 481  # a second one that took the same REFER (RFC 6665 section 4.1.2.4): one is enough
        elif request.method != "NOTIFY":
            status = 405
        else:
            if not dialog.remote_tag:  # it overtook the answer to the REFER
                dialog.remote_tag = request.from_tag
                dialog.routes = tuple(request.listed("record-route"))
            dialog.refresh(request)
            status = self.take(request)
        self._agent.reply(server, request, status)

    def take(self, request: Request) -> int:
        """The status to answer a NOTIFY with."""
        status, notice = self._subscription.take(request)
        if notice is not None:
            if notice.over and self._is_ending:
                self._is_ending = False
                self._forget()
            self._agent.soon(partial(self._told, notice))
        return status

    # -- what is asked ----------------------------------------------------------------

    def keep_up(self, expires_s: float, left_s: float, may_ask: Callable[[Callable[[], None]], bool]) -> None:
        """Have a subscription of `expires_s` last for `left_s` (RFC 6665 section 4.1.2.2).

        `may_ask(again)` says, when it is time, whether it may be asked for; else it calls `again` later, or never.
        """
        self.be_still()
        if not 0 < expires_s < left_s:
            return
        until_s = self._agent.time() + left_s

        def done(response: Response | None) -> None:
            if response is not None and response.status == 481:
                self._lost()

        def ask() -> None:
            if not self._subscription.is_over and may_ask(ask):
                self._subscribe(max(1, round(until_s - self._agent.time())), done)

        self._refresh = self._agent.later(expires_s / 2, ask)

    def end(self) -> None:
        """End a subscription that the endpoint has not ended; its last NOTIFY is still answered."""
        self.be_still()
        if self._subscription.is_over or self.dialog is None or not self.has_told:
            return
        self._is_ending = True
        self.listen()  # for when the call in which it was asked for is over
        self._subscribe(0, lambda response: None)
        self._agent.later(self._agent.timing.limit, self._forget)

    def _subscribe(self, expires_s: int, done: Done) -> None:
        dialog = self.dialog
        if dialog is None:
            return

        def build(branch: str) -> Request:
            request = dialog.request("SUBSCRIBE", branch)
            request.headers["event"] = [self._subscription.event]
            request.headers["expires"] = [str(expires_s)]
            return request

        Exchange(
            self._agent,
            self._agent.routes.at(self._agent.address),
            dialog.next_hop(),
            build,
            done,
            dialog=dialog,
            user=Uri.parse(uri_of(dialog.local)).user,
            credentials=self._credentials,
        ).start()

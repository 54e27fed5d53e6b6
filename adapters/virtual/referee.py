"""Being told by REFER to call somebody, and telling what came of it (RFC 3515), as SIP devices do."""

import os
from collections.abc import Callable

from adapters.sip.agent import SipAgent
from adapters.sip.call import Call
from adapters.sip.dialog import Dialog
from adapters.sip.exchange import Exchange
from adapters.sip.message import REASONS, Request, Response, uri_of
from adapters.sip.sipfrag import SIPFRAG, status_line
from adapters.sip.standing import user_of
from adapters.sip.transaction import Server
from adapters.sip.transport import Flow
from adapters.values import Address

EXPIRES_S = 60


class Asked:
    """One REFER that a device may take: whom to call, in which of its calls it came, and how to tell on.

    `key` is the device's own name of the call that it came in, "" for one outside a call.
    """

    __slots__ = ("_agent", "_dialog", "_notifies", "_number", "_over", "key", "to", "untold")

    def __init__(self, agent: SipAgent, dialog: Dialog, number: int, to: Address, key: str = "") -> None:
        self._agent = agent
        self._dialog = dialog
        self._number = number
        self._notifies = True
        self._over = False
        self.to = to
        self.key = key
        self.untold = False

    def keep_silent(self) -> None:
        """Send no NOTIFY at all."""
        self._notifies = False

    def tell(self, status: int) -> None:
        """NOTIFY what has become of the call; a final status is the last word."""
        if self._over or not self._notifies:
            return
        self._over = status >= 200
        state = "terminated;reason=noresource" if self._over else f"active;expires={EXPIRES_S}"
        dialog, body = self._dialog, status_line(status, REASONS.get(status, "Unknown"))

        def build(branch: str) -> Request:
            request = dialog.request("NOTIFY", branch)
            request.headers["event"] = [f"refer;id={self._number}"]
            request.headers["subscription-state"] = [state]
            request.headers["content-type"] = [f"{SIPFRAG};version=2.0"]
            request.body = body
            return request

        bound = self._agent.routes.at(self._agent.address)
        Exchange(
            self._agent, bound, dialog.next_hop(), build, _nothing, dialog=dialog, user=user_of(uri_of(dialog.local))
        ).start()


def _nothing(response: Response | None) -> None:
    return


def target(request: Request) -> Address | None:
    """Whom a REFER asks to call; None for what cannot be called from here."""
    try:
        to = Address.parse(uri_of(request.get("refer-to")))
    except ValueError:
        return None
    return to if to.is_sip else None


def serve(agent: SipAgent, take: Callable[[Request, Flow, Asked], int]) -> None:
    """Have REFERs outside calls taken: `take` says the status to answer, 0 for silence."""

    def served(request: Request, server: Server, flow: Flow) -> None:
        to = target(request)
        if to is None:
            agent.reply(server, request, 400)
            return
        dialog = Dialog.received(request, os.urandom(6).hex())
        dialog.transport, dialog.peer = flow.transport, (flow.host, flow.port)
        asked = Asked(agent, dialog, request.cseq, to)
        status = take(request, flow, asked)
        if not status:
            return
        headers = [("Contact", f"<{request.uri}>")] if status < 300 else []
        if asked.untold:
            headers.append(("Refer-Sub", "false"))
        agent.reply(server, request, status, to_tag=dialog.local_tag, headers=headers)

    agent.serves["REFER"] = served


def inside(agent: SipAgent, call: Call, request: Request, key: str) -> Asked | None:
    """The REFER that came in a call; None for a target that cannot be called."""
    to = target(request)
    return None if to is None else Asked(agent, call.dialog, request.cseq, to, key)

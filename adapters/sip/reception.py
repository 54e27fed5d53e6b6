"""What sockets bring to an agent: whose message it is, and what a stranger is told.

    in a call                       the call, by Call-ID and our tag
    in another dialog of ours       `follows[call_id, our tag]`: a subscription and the like
    INVITE                          `on_invite`, as a call
    another method outside dialogs  `serves[method]`, when somebody plugged in there
    anything else                   answered here without state: 200, 404, 405, 481

Whoever serves or follows owes the server transaction a final response (`SipAgent.reply`). What
`screens[method]` answers is sent without a transaction, so that strangers leave nothing behind.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, Protocol

from adapters.sip import session_timer
from adapters.sip.call import ALLOW, Call
from adapters.sip.connection import Connection
from adapters.sip.dialog import Dialog
from adapters.sip.listener import CallListener
from adapters.sip.message import Malformed, Request, Response, parse, rejection, response_to, split_commas
from adapters.sip.route import is_literal
from adapters.sip.transaction import Server
from adapters.sip.transport import Flow
from adapters.sip.udp import UdpFlow
from adapters.sip.uri import BadUri, stamp_via, via_target

if TYPE_CHECKING:
    from adapters.sip.agent import SipAgent

_log = logging.getLogger(__name__)

_GRACE_S = 8.0
"""So long after its start a caller keeps silent to requests inside calls it does not know: they
may be an earlier process's, about to be adopted. A 481 would end them; whoever asks asks again."""

_SCHEMES = frozenset({"sip", "sips", "tel"})
_METHODS = frozenset({"REGISTER", "SUBSCRIBE", "PUBLISH", "MESSAGE", "REFER", "PRACK"})
"""Methods that are known and not allowed here: 405 instead of 501 (sections 8.2.1 and 21.5.2)."""
UNDERSTOOD: frozenset[str] = frozenset({session_timer.OPTION, "path"})
"""Extensions that a request may require (section 8.2.2.3)."""

Serve = Callable[[Request, Server, Flow], None]
"""Takes a request with its server transaction and the flow it came on."""


class Refusal(Protocol):
    """An answer that needs no memory."""

    @property
    def status(self) -> int: ...
    @property
    def reason(self) -> str: ...
    @property
    def headers(self) -> Iterable[tuple[str, str]]: ...


Screen = Callable[[Request, Flow], Refusal | None]
"""Looks at a request outside dialogs first; None: it may be served. Changes nothing, a repetition comes again."""


class Reception:
    """Takes messages in for an agent; whatever they are, the socket lives on."""

    __slots__ = ("_agent", "_settled_at", "_works", "calls", "disbelieved", "follows", "screens", "serves", "unread")

    def __init__(self, agent: SipAgent) -> None:
        self._agent = agent
        self._works = agent.works
        self._settled_at = 0.0
        self.calls: dict[tuple[str, str], Call] = {}
        self.follows: dict[tuple[str, str], Serve] = {}
        self.serves: dict[str, Serve] = {}
        self.screens: dict[str, Screen] = {}
        self.unread = 0
        self.disbelieved = 0

    def open(self) -> None:
        """It begins: calls of a process before may still be adopted."""
        self._settled_at = self._works.loop.time() + (_GRACE_S if self._agent.on_invite is None else 0.0)

    def received(self, data: bytes, flow: Flow) -> None:
        """Take one message in."""
        if len(data) <= 4 and not data.strip(b"\r\n\0"):
            return  # keep-alive
        try:
            message = parse(data)
        except Malformed as wrong:
            self.unreadable(wrong, flow)
            return
        works = self._works
        now = works.loop.time()
        try:
            if isinstance(message, Response):
                if not works.layer.response(message, flow, now):
                    self._stray(message)
            else:
                self._request(message, flow, now)
        except Exception:
            _log.exception("sip.message_failed")
        if works.layer.out:
            works.perform()

    def unreadable(self, wrong: Malformed, flow: Flow) -> None:
        """Count what could not be read, and say 400 (505) where that is possible."""
        self.unread += 1
        _log.debug("sip.unreadable from %s:%s: %s", flow.host, flow.port, wrong)
        request = wrong.request
        if request is not None:
            try:
                way = self._stamped(request, flow)
            except (BadUri, IndexError):
                return
            way.send(rejection(request, wrong, self._tag(request)).to_bytes())

    def flow_failed(self, flow: Flow) -> None:
        """A connection is gone; when we closed it ourselves, nobody's call has failed."""
        works = self._works
        if not works.running:
            return
        self._agent.routes.lost(flow, isinstance(flow, Connection) and flow.outgoing and not flow.stood)
        works.layer.flow_failed(flow, works.loop.time())
        if works.layer.out:
            works.perform()

    def datagram_refused(self, branch: str, method: str) -> None:
        """Somebody's machine said that nobody listens on that port."""
        works = self._works
        works.layer.request_failed(branch, method, works.loop.time())
        if works.layer.out:
            works.perform()

    # -- requests ---------------------------------------------------------------------

    def _stamped(self, request: Request, flow: Flow) -> Flow:
        """Stamp the top Via with where the request came from; returns the way back."""
        values = request.headers["via"]
        first = split_commas(values[0])
        top = stamp_via(first[0], flow.host, flow.port)
        values[0] = ", ".join([top, *first[1:]])
        if not isinstance(flow, UdpFlow):
            return flow
        host, port = via_target(top)
        if (host, port) == (flow.host, flow.port) or not is_literal(host):
            return flow
        return UdpFlow(self._agent.routes.at(flow.local).udp, host, port)

    def _request(self, request: Request, flow: Flow, now: float) -> None:
        agent, layer = self._agent, self._works.layer
        if agent.hears is not None and not agent.hears(request):
            return
        method = request.method
        try:
            way = self._stamped(request, flow)
        except (BadUri, IndexError):
            self.unread += 1
            return
        if method == "ACK":
            if not layer.ack(request, now):
                call = self.calls.get((request.call_id, request.to_tag))
                if call is not None:
                    self._works.guarded(partial(call._acked, request))
            return
        if method == "CANCEL":
            self._cancel(request, way, flow, now)
            return
        if not request.to_tag and self._unfit(request, way):
            return
        call = serve = None
        if request.to_tag:
            call = self.calls.get((request.call_id, request.to_tag))
            if call is None:
                serve = self.follows.get((request.call_id, request.to_tag))
                if serve is None:
                    if not layer.repeats(request, way, now) and (method == "BYE" or now >= self._settled_at):
                        self._stateless(request, way, 481)
                    return
        elif method != "INVITE":
            serve = self.serves.get(method)
            if serve is None:
                self._outside(request, way)
                return
            screen = self.screens.get(method)
            refusal = screen(request, flow) if screen is not None else None
            if refusal is not None:
                self._stateless(request, way, refusal.status, refusal.reason, refusal.headers)
                return
        elif agent.on_invite is None:
            self._outside(request, way)
            return
        try:
            server = layer.request(request, way, now)
        except OverflowError:
            self._stateless(request, way, 503, headers=[("Retry-After", "5")])
            return
        if server is None:
            return
        if call is not None:
            self._works.guarded(partial(call._requested, request, server))
        elif serve is not None:
            self._works.guarded(partial(serve, request, server, flow))
        else:
            self._incoming(request, server, flow)
        if server.state == 0 and method == "INVITE":
            server.respond(response_to(request, 100), now)

    def _unfit(self, request: Request, way: Flow) -> bool:
        """Whether a request outside dialogs asks for what no user agent of ours can give (section 8.2)."""
        headers = request.headers
        if request.uri.partition(":")[0].lower() not in _SCHEMES:
            self._stateless(request, way, 416)
            return True
        if "require" in headers:
            unknown = [tag for tag in request.listed("require") if tag.lower() not in UNDERSTOOD]
            if unknown:
                self._stateless(request, way, 420, headers=[("Unsupported", ", ".join(unknown)[:200])])
                return True
        if request.method != "INVITE" or self._agent.on_invite is None:
            return False
        if request.body and not request.sdp and _is_required(request):
            self._stateless(request, way, 415)
            return True
        if "accept" in headers and not _takes_sdp(request):
            self._stateless(request, way, 406)
            return True
        too_short = session_timer.refused(request, self._agent.session)
        if too_short is not None:
            self._stateless(request, way, 422, headers=too_short)
            return True
        return False

    def _incoming(self, request: Request, server: Server, flow: Flow) -> None:
        agent = self._agent
        dialog = Dialog.received(request, os.urandom(6).hex())
        dialog.transport, dialog.peer = flow.transport, (flow.host, flow.port)
        call = Call(agent, agent.routes.at(flow.local), dialog, CallListener(), incoming=True)
        call._receive(request, server)
        self.calls[dialog.key] = call
        if agent.on_invite is not None:
            self._works.guarded(partial(agent.on_invite, call))

    def _cancel(self, request: Request, way: Flow, flow: Flow, now: float) -> None:
        layer = self._works.layer
        invite = layer.invite_of(request)
        if invite is None or invite.flow.host != flow.host:  # only who called may give it up
            self._stateless(request, way, 481)
            return
        server = layer.request(request, way, now)
        if server is None:
            return
        call = invite.user
        tag = call.dialog.local_tag if isinstance(call, Call) else ""
        server.respond(response_to(request, 200, to_tag=tag), now)
        if isinstance(call, Call):
            self._works.guarded(call._cancelled_by_peer)

    def _outside(self, request: Request, way: Flow) -> None:
        """A request outside every dialog that nobody serves: answered without state."""
        method = request.method
        if method == "OPTIONS":
            self._stateless(request, way, 200)
        elif method == "INVITE":
            self._stateless(request, way, 404)
        elif method in ("BYE", "INFO", "UPDATE", "NOTIFY"):
            self._stateless(request, way, 481)
        else:
            self._stateless(request, way, 405 if method in _METHODS else 501)

    def _stateless(
        self, request: Request, way: Flow, status: int, reason: str = "", headers: Iterable[tuple[str, str]] = ()
    ) -> None:
        extra = [("Server", self._agent.user_agent), *headers]
        if status in (200, 405, 406, 415, 501):
            extra += [("Allow", ALLOW), ("Accept", "application/sdp")]
        way.send(response_to(request, status, reason, to_tag=self._tag(request), headers=extra).to_bytes())

    @staticmethod
    def _tag(request: Request) -> str:
        """A To tag of ours that is the same for every repetition of a request."""
        return f"{hash((request.call_id, request.branch)) & 0xFFFFFFFF:08x}"

    def _stray(self, response: Response) -> None:
        """A response without a transaction: a repeated 2xx is acknowledged once more."""
        call = self.calls.get((response.call_id, response.from_tag))
        if (
            call is not None
            and response.cseq_method == "INVITE"
            and 200 <= response.status < 300
            and call._ack_cseq == response.cseq
            and response.to_tag == call.dialog.remote_tag
        ):
            call._send_ack()
            return
        self.disbelieved += 1


def _is_required(request: Request) -> bool:
    """Whether the body must be understood (section 8.2.3); several parts may have SDP among them."""
    if "handling=optional" in request.get("content-disposition").lower().replace(" ", ""):
        return False
    return not request.get("content-type").lower().startswith("multipart/")


def _takes_sdp(request: Request) -> bool:
    """Whether an answer in SDP is acceptable to the caller (section 20.1)."""
    offered = [one.partition(";")[0].strip().lower() for one in request.listed("accept")]
    return not {"application/sdp", "application/*", "*/*"}.isdisjoint(offered)

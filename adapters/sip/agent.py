"""A SIP user agent on asyncio: calls out, calls in, over UDP and TCP, for thousands at once.

    agent = SipAgent("127.0.0.1", on_invite=take)      # on_invite only where calls come in
    await agent.start()                                 # agent.address is (host, port)

A call to us arrives as a `Call` with `to_user`, `from_user`, `from_display`, `offer_sdp`
(empty: the caller wants our offer) and `request` (all headers); say who listens, then answer:

    class Phone(CallListener):                          # adapters.sip.listener
        def confirmed(self, call, sdp): ...             # ACK came; sdp is the answer to our offer
        def informed(self, call, content_type, body): return 200          # INFO: status to send
        def offered(self, call, offer): offer.answer(sdp)                 # re-INVITE, UPDATE
        def ended(self, call, ending, request): ...     # BYE, CANCEL, lost; once

    def take(call):                                     # plain function, in the event loop
        call.listener = Phone()
        call.ring()                                     # 180; or call.ring(183, sdp)
        call.answer(sdp)                                # or call.refuse(486), now or later
        agent.later(20.0, call.hang_up)                 # on the one timer wheel; .cancel() undoes

A call of ours: `call = agent.call("sip:room@127.0.0.1:5060", Phone(), sdp=offer, user="ep1",
display="Commune A")`. `ringing`, then `answered(call, sdp)` or `refused(call, status, reason,
response)`. `answered` acknowledges by itself unless it is overridden; then `call.ack(sdp)`
is owed. `call.hang_up()` is right in every state: CANCEL, 603 or BYE. `call.inform(...)`,
`call.reinvite(...)`, `call.tag` (anything of the owner's). OPTIONS and BYE are answered here.

Several addresses of one agent: `await agent.bind("127.0.0.2", 0)` returns the address;
`agent.call(..., local=address)` calls from it, and an incoming call answers from where it
came in (`call.bound.address`). `hears(request)` returning False makes the agent deaf to a
request, as if it had got lost (a device that is dead). Nothing waits in a task of its own.
"""

import asyncio
import os
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Protocol

from adapters.sip.call import ALLOW, Call
from adapters.sip.clockwork import Clockwork
from adapters.sip.dialog import Dialog
from adapters.sip.exchange import Done, Exchange, Identity
from adapters.sip.habit import Habits
from adapters.sip.half_open import HalfOpen
from adapters.sip.listener import CallListener, CallState
from adapters.sip.liveness import Pulse
from adapters.sip.message import Malformed, Request, Response, name_addr, response_to
from adapters.sip.names import Resolver
from adapters.sip.reception import Reception, Screen, Serve
from adapters.sip.route import Bound, Go, Routes, Way, contact
from adapters.sip.sdp import refusal
from adapters.sip.session_timer import Policy
from adapters.sip.stream import Terms
from adapters.sip.tls import Tls
from adapters.sip.transaction import Client, Server, Timing, cancel_for
from adapters.sip.transport import Flow
from adapters.sip.uri import Uri
from adapters.sip.wheel import Alarm
from adapters.values import Address

_RING_S = 180.0
_TARGETS = frozenset({"INVITE", "UPDATE", "REFER", "SUBSCRIBE", "NOTIFY"})
"""Requests whose Contact says where to reach us from now on (section 12.2)."""


def _utc_now() -> datetime:
    return datetime.now(UTC)


def _nobody(realm: str, host: str) -> tuple[str, str] | None:
    return None


class Locator(Protocol):
    """Knows where somebody is whom no name leads to."""

    def takes(self, exchange: Exchange, go: Go) -> bool:
        """Whether it goes on with this request by itself, now or later."""
        ...


def product() -> str:
    """What we say we are."""
    try:
        return f"diemcau/{version('diemcau')}"
    except PackageNotFoundError:
        return "diemcau"


class SipAgent:
    """See the module's first page. `credentials(realm, host)` gives (user, secret) or None."""

    def __init__(
        self,
        host: str,
        port: int = 0,
        *,
        now: Callable[[], datetime] = _utc_now,
        credentials: Callable[[str, str], tuple[str, str] | None] = _nobody,
        user_agent: str = "",
        on_invite: Callable[[Call], None] | None = None,
        hears: Callable[[Request], bool] | None = None,
        timing: Timing | None = None,
        tls: Tls | None = None,
        tls_port: int | None = None,
        resolver: Resolver | None = None,
        terms: Terms | None = None,
        session: Policy | None = None,
        half_open: HalfOpen | None = None,
    ) -> None:
        self._host = host
        self._port = port
        self._tls_port = tls_port
        self.now = now
        self.credentials = credentials
        self.user_agent = user_agent or product()
        self.on_invite = on_invite
        self.hears = hears
        self.timing = timing or Timing()
        self.session = session or Policy()
        self.works = Clockwork(self.timing)
        self.reception = Reception(self)
        self.routes = Routes(self, tls, resolver, terms)
        self.locator: Locator | None = None
        """Finds the way to who registers with us (`adapters.sip.enrolment`)."""
        self._layer = self.works.layer
        self._layer.half_open.bounds = half_open or HalfOpen()
        self._layer.way_back = self.routes.way_back
        self._calls = self.reception.calls
        self._main: Bound | None = None
        self._interned: dict[str, str] = {}
        self.pulses: dict[tuple[str, int], Pulse] = {}
        """Far hosts of pairs that are up."""
        self.offer_first = Habits()
        """Near sides that refuse an INVITE without SDP."""

    # -- life -------------------------------------------------------------------------

    async def start(self) -> None:
        """Bind UDP, TCP and, with a certificate, TLS. Raises OSError when the address is taken. Safe to repeat."""
        if self._main is None:
            self.works.start()
            self._main = await self.routes.bind(self._host, self._port, self._tls_port)
            self.reception.open()

    async def bind(self, host: str, port: int = 0) -> tuple[str, int]:
        """Take one more address; returns it. Raises OSError."""
        return (await self.routes.bind(host, port)).address

    async def close(self) -> None:
        """Close the sockets. Calls stay up: nobody is told (they outlive the process)."""
        self._main = None
        self.works.stop()
        self.routes.close()
        self._calls.clear()

    @property
    def address(self) -> tuple[str, int]:
        """The first address, as bound."""
        return self._first.address

    @property
    def tls_address(self) -> tuple[str, int] | None:
        """Where the first address takes TLS; None without a certificate."""
        return self._first.tls.address

    @property
    def _first(self) -> Bound:
        if self._main is None:
            raise RuntimeError("the SIP agent is not started")
        return self._main

    def __len__(self) -> int:
        """How many calls there are."""
        return len(self._calls)

    @property
    def transactions(self) -> int:
        """How many requests are under way or just settled."""
        return len(self._layer)

    @property
    def unread(self) -> int:
        """Messages that nobody could read."""
        return self.reception.unread

    @property
    def disbelieved(self) -> int:
        """Responses that belonged to nothing, or came from the wrong place."""
        return self.reception.disbelieved

    @property
    def serves(self) -> dict[str, Serve]:
        """Who takes which method outside dialogs (not INVITE): `serves["REGISTER"] = take`."""
        return self.reception.serves

    @property
    def screens(self) -> dict[str, Screen]:
        """Who looks at a served method first, and may refuse without state (`adapters.sip.reception`)."""
        return self.reception.screens

    @property
    def follows(self) -> dict[tuple[str, str], Serve]:
        """Who takes requests inside dialogs that are no calls, by (Call-ID, our tag)."""
        return self.reception.follows

    def time(self) -> float:
        return self.works.loop.time()

    def later(self, delay_s: float, action: Callable[[], None]) -> Alarm:
        """Do something later, on the one wheel; costs no task."""
        return self.works.later(delay_s, action)

    def soon(self, action: Callable[[], None]) -> None:
        """Do something in the next turn of the loop."""
        self.works.soon(action)

    # -- verbs ------------------------------------------------------------------------

    def call(
        self,
        to: Address | str,
        listener: CallListener,
        *,
        sdp: bytes = b"",
        user: str = "",
        display: str = "",
        to_display: str = "",
        credentials: tuple[str, str] | None = None,
        ring_s: float = _RING_S,
        local: tuple[str, int] | None = None,
        identity: Identity | None = None,
        headers: Iterable[tuple[str, str]] = (),
    ) -> Call:
        """Call `to`, with our offer or (empty `sdp`) asking for one. Returns at once.

        `user` and `display` are who calls; `ring_s` bounds the time until the answer; an
        `identity` that was used before repeats that call. Raises BadUri for an address that is none.
        """
        bound = self.routes.at(local) if local else self._first
        uri = str(to)
        shown = bound.shown(Uri.parse(uri).host)
        ours = f"sip:{user}@{shown}" if user else f"sip:{shown}"
        known = identity or Identity(os.urandom(12).hex(), os.urandom(6).hex(), "")
        dialog = Dialog(known.call_id, name_addr(ours, display), known.tag, name_addr(uri, to_display), uri)
        call = Call(self, bound, dialog, listener, incoming=False)
        call._credentials = credentials
        self._calls[dialog.key] = call
        call._invite(sdp, headers, ring_s, user, known.branch)
        return call

    def adopt(
        self,
        memory: Mapping[str, Any],
        listener: CallListener,
        *,
        credentials: tuple[str, str] | None = None,
        local: tuple[str, int] | None = None,
    ) -> Call:
        """Take up the dialog of an earlier process from `Call.memory()`; nothing is sent.

        Raises ValueError when the memory is none of ours.
        """
        try:
            age_s = (self.now() - datetime.fromisoformat(str(memory["at"]))).total_seconds()
        except (KeyError, TypeError, ValueError) as wrong:
            raise ValueError(f"this is no memory of a SIP call: {wrong!r}") from None
        dialog = Dialog.from_memory(memory, age_s)
        bound = self.routes.at(local) if local else self._first
        call = Call(self, bound, dialog, listener, incoming=False)
        call.state = CallState.CONFIRMED
        try:
            call.recollect(memory)
        except (KeyError, TypeError, ValueError) as wrong:
            raise ValueError(f"this is no memory of a SIP call: {wrong!r}") from None
        call._credentials = credentials
        self._calls[dialog.key] = call
        return call

    def recall(self, memory: Mapping[str, Any], listener: CallListener) -> Call:
        """CANCEL a call that an earlier process placed and that still rings, from `Call.invite_memory()`.

        `refused` or `ended` follows; one that was answered meanwhile gets its ACK and BYE. Raises
        ValueError when the memory is none of ours.
        """
        call = Call(self, self._first, Dialog.from_memory(memory, 0.0), listener, incoming=False)
        try:
            call._recalled(memory)
        except (KeyError, TypeError, ValueError) as wrong:
            raise ValueError(f"this is no memory of a SIP call: {wrong!r}") from None
        self._calls[call.dialog.key] = call
        return call

    def host_for(self, peer: str) -> str:
        """Our address as this peer can reach it."""
        return self._first.host_for(peer)

    def send(
        self,
        method: str,
        to: Address | str,
        done: Done,
        *,
        user: str = "",
        display: str = "",
        headers: Iterable[tuple[str, str]] = (),
        content_type: str = "",
        body: bytes = b"",
        credentials: tuple[str, str] | None = None,
        limit_s: float | None = None,
        identity: Identity | None = None,
        local: tuple[str, int] | None = None,
    ) -> Dialog:
        """Send a request outside calls; `done` is told its final response, or None.

        What it makes (a subscription) is found by the returned dialog: `follows[dialog.key]`.
        Raises BadUri for an address that is none.
        """
        bound = self.routes.at(local) if local else self._first
        shown = bound.shown(Uri.parse(str(to)).host)
        known = identity or Identity(os.urandom(12).hex(), os.urandom(6).hex(), "")
        ours = name_addr(f"sip:{user}@{shown}" if user else f"sip:{shown}", display)
        dialog = Dialog(known.call_id, ours, known.tag, name_addr(str(to)), str(to))
        extra = [*headers, ("content-type", content_type)] if content_type else [*headers]

        def build(branch: str) -> Request:
            request = dialog.request(method, branch)
            request.body = body
            for name, value in extra:
                request.headers.setdefault(name.lower(), []).append(value)
            return request

        Exchange(
            self,
            bound,
            str(to),
            build,
            done,
            dialog=dialog,
            user=user,
            credentials=credentials,
            limit_s=limit_s,
            branch=known.branch,
        ).start()
        return dialog

    async def options(
        self, to: Address | str, timeout_s: float = 4.0, credentials: tuple[str, str] | None = None
    ) -> Response | None:
        """Ask whether anybody is there; any final response is a yes, None is a no."""
        found: asyncio.Future[Response | None] = self.works.loop.create_future()

        def done(response: Response | None) -> None:
            if not found.done():
                found.set_result(response)

        self.send("OPTIONS", to, done, credentials=credentials, limit_s=timeout_s)
        try:
            return await asyncio.wait_for(found, timeout_s + 1.0)
        except TimeoutError:
            return None

    # -- what sockets bring -----------------------------------------------------------

    def received(self, data: bytes, flow: Flow) -> None:
        """Take one message in; whatever it is, the socket lives on."""
        self.reception.received(data, flow)

    def unreadable(self, wrong: Malformed, flow: Flow) -> None:
        self.reception.unreadable(wrong, flow)

    def flow_failed(self, flow: Flow) -> None:
        self.reception.flow_failed(flow)

    def datagram_refused(self, branch: str, method: str) -> None:
        self.reception.datagram_refused(branch, method)

    # -- what calls and exchanges need ------------------------------------------------

    def route(self, exchange: Exchange, go: Go) -> None:
        """Find the way for a request and go on with it."""
        if self.locator is not None and self.locator.takes(exchange, go):
            return
        self.routes.find(exchange.hop, exchange.bound, exchange.dialog, go, exchange.key)

    def dress(self, request: Request, flow: Flow, bound: Bound, user: str, may_switch: bool) -> Flow:
        """Put Via, Contact and our name on a request; returns the flow, TCP for a large one."""
        headers = request.headers
        headers["user-agent"] = [self.user_agent]
        if request.method == "INVITE":
            headers["allow"] = [ALLOW]
        if may_switch:
            flow = self.routes.for_size(request, flow, bound)
        shown = bound.shown(flow.host, flow)
        # with a certificate of ours the peer knows whose connection it is, and may call back over it (RFC 5923)
        alias = ";alias" if flow.transport == "TLS" and bound.tls.address else ""
        headers["via"] = [f"SIP/2.0/{flow.transport} {shown};branch={request.branch};rport{alias}"]
        if request.method in _TARGETS:
            hop = headers["route"][0].lstrip("< ") if "route" in headers else request.uri
            headers["contact"] = [contact(user, shown, flow.transport, hop[:5].lower() == "sips:")]
        return flow

    def start_client(self, request: Request, flow: Flow, user: Exchange, limit_s: float | None) -> Client:
        client = self._layer.start(request, flow, user, self.works.loop.time(), limit_s)
        self.works.perform()
        return client

    def expect(self, request: Request, flow: Flow, user: Exchange) -> Client:
        return self._layer.expect(request, flow, user, self.works.loop.time())

    def cancel(self, client: Client) -> None:
        """CANCEL an INVITE that has had a 1xx."""
        now = self.works.loop.time()
        client.give_up_by(now + self.timing.limit)
        self._layer.start(cancel_for(client.request), client.flow, None, now)
        self.works.perform()

    def send_ack(self, call: Call, request: Request) -> None:
        """Send the ACK of a 2xx, which is a matter of its own (section 13.2.2.4)."""

        def go(way: Way) -> None:
            if way.flow is not None:
                self.dress(request, way.flow, call.bound, "", True).send(request.to_bytes())

        self.routes.find(call.dialog.next_hop(), call.bound, call.dialog, go, call.dialog.call_id)

    def dismiss_fork(self, call: Call, response: Response) -> None:
        """A second phone answered the same INVITE: take its call and end it (13.2.2.4)."""
        known = call.dialog
        fork = Dialog(known.call_id, known.local, known.local_tag, known.remote, known.target, response.cseq)
        fork.establish(response)
        twin = Call(self, call.bound, fork, CallListener(), incoming=False)
        twin._credentials = call._credentials
        ack = fork.request("ACK", "z9hG4bK" + os.urandom(9).hex(), response.cseq)
        if response.sdp and not call.local_sdp:  # its offer wants an answer
            ack.body = refusal(response.sdp, 1, call.host)
            ack.headers["content-type"] = ["application/sdp"]
        self.send_ack(twin, ack)
        twin.state = CallState.CONFIRMED
        twin.hang_up()

    def acked(self, server: Server) -> None:
        server.acked(self.works.loop.time())

    def respond(self, server: Server, response: Response, call: Call, method: str) -> None:
        """Send a response of a call, with what such a response carries."""
        headers = response.headers
        headers["server"] = [self.user_agent]
        if response.status > 100 and method in ("INVITE", "UPDATE", "OPTIONS"):
            headers["allow"] = [ALLOW]
            if response.status < 300 and method != "OPTIONS":
                flow = server.flow
                shown = call.bound.shown(flow.host, flow)
                secure = call.dialog.target[:5].lower() == "sips:"
                headers["contact"] = [contact(call.contact_user, shown, flow.transport, secure)]
        elif response.status == 405:
            headers["allow"] = [ALLOW]
        server.respond(response, self.works.loop.time())
        self.works.perform()

    def reply(
        self,
        server: Server,
        request: Request,
        status: int,
        reason: str = "",
        *,
        to_tag: str = "",
        headers: Iterable[tuple[str, str]] = (),
        body: bytes = b"",
    ) -> None:
        """Answer a request that was served or followed; without `to_tag` a final answer gets one of its own."""
        tag = to_tag or (os.urandom(6).hex() if status > 100 and not request.to_tag else "")
        extra = [("Server", self.user_agent), *headers]
        server.respond(response_to(request, status, reason, to_tag=tag, headers=extra, body=body), self.time())
        self.works.perform()

    def forget(self, call: Call) -> None:
        """A call is over."""
        key = call.dialog.key
        if self._calls.get(key) is call:
            del self._calls[key]

    def intern(self, text: str) -> str:
        """The same text once for all calls (product names, Allow lists)."""
        if len(text) > 400:
            text = text[:400]
        if len(self._interned) >= 1000:
            self._interned.clear()
        return self._interned.setdefault(text, text)

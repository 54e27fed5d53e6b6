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
import logging
import os
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from adapters.sip.call import ALLOW, Call
from adapters.sip.dialog import Dialog
from adapters.sip.exchange import Exchange, Identity
from adapters.sip.listener import CallListener, CallState
from adapters.sip.message import Malformed, Request, Response, name_addr, parse, response_to, split_commas
from adapters.sip.route import Bound, Routes, contact, is_literal
from adapters.sip.sdp import refusal
from adapters.sip.transaction import Client, Deliver, Send, Server, Timing, Transactions, cancel_for
from adapters.sip.transport import Connection, Flow, UdpFlow
from adapters.sip.uri import BadUri, Uri, stamp_via, via_target
from adapters.sip.wheel import Alarm, Wheel
from adapters.values import Address

_log = logging.getLogger(__name__)

_GRACE_S = 8.0
"""So long after its start a caller keeps silent to requests inside calls it does not know: they
may be an earlier process's, about to be adopted. A 481 would end them; whoever asks asks again."""
_PING_S = 90.0
_RING_S = 180.0


def _utc_now() -> datetime:
    return datetime.now(UTC)


def _nobody(realm: str, host: str) -> tuple[str, str] | None:
    return None


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
    ) -> None:
        self._host = host
        self._port = port
        self.now = now
        self.credentials = credentials
        self.user_agent = user_agent or product()
        self.on_invite = on_invite
        self.hears = hears
        self.timing = timing or Timing()
        self._wheel = Wheel()
        self._layer = Transactions(self.timing, self._wheel)
        self._calls: dict[tuple[str, str], Call] = {}
        self._routes = Routes(self)
        self._main: Bound | None = None
        self._pinging: asyncio.TimerHandle | None = None
        self._settled_at = 0.0
        self._interned: dict[str, str] = {}
        self._ticking: asyncio.TimerHandle | None = None
        self._performing = False
        self._loop: asyncio.AbstractEventLoop
        self.unread = 0
        """Messages that nobody could read."""
        self.disbelieved = 0
        """Responses that belonged to nothing, or came from the wrong place."""

    # -- life -------------------------------------------------------------------------

    async def start(self) -> None:
        """Bind UDP and TCP. Raises OSError when the address is taken. Safe to repeat."""
        if self._main is None:
            self._loop = asyncio.get_running_loop()
            self._main = await self._routes.bind(self._host, self._port)
            self._settled_at = self._loop.time() + (_GRACE_S if self.on_invite is None else 0.0)
            self._ping()

    async def bind(self, host: str, port: int = 0) -> tuple[str, int]:
        """Take one more address; returns it. Raises OSError."""
        return (await self._routes.bind(host, port)).address

    async def close(self) -> None:
        """Close the sockets. Calls stay up: nobody is told (they outlive the process)."""
        self._main = None
        for timer in (self._ticking, self._pinging):
            if timer is not None:
                timer.cancel()
        self._ticking = self._pinging = None
        self._routes.close()
        self._calls.clear()

    @property
    def address(self) -> tuple[str, int]:
        """The first address, as bound."""
        return self._first.address

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

    def time(self) -> float:
        return self._loop.time()

    def later(self, delay_s: float, action: Callable[[], None]) -> Alarm:
        """Do something later; costs no task."""
        alarm = Alarm(self._wheel, action)
        self._wheel.arm(alarm, self._loop.time() + delay_s)
        if self._ticking is None:
            self._tick()
        return alarm

    def soon(self, action: Callable[[], None]) -> None:
        """Do something in the next turn of the loop."""
        self._loop.call_soon(self._guarded, action)

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
        bound = self._routes.at(local) if local else self._first
        target = Uri.parse(str(to))
        uri = str(to)
        ours = f"sip:{user}@{bound.shown(target.host)}" if user else f"sip:{bound.shown(target.host)}"
        known = identity or Identity(os.urandom(12).hex(), os.urandom(6).hex(), "")
        dialog = Dialog(known.call_id, name_addr(ours, display), known.tag, name_addr(uri, to_display), uri)
        call = Call(self, bound, dialog, listener, incoming=False)
        call._credentials = credentials
        self._calls[dialog.key] = call
        call._invite(sdp, headers, ring_s, known.branch)
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
        bound = self._routes.at(local) if local else self._first
        call = Call(self, bound, dialog, listener, incoming=False)
        call.state = CallState.CONFIRMED
        call.peer_product = self.intern(str(memory.get("product", "")))
        call._credentials = credentials
        self._calls[dialog.key] = call
        return call

    async def options(
        self, to: Address | str, timeout_s: float = 4.0, credentials: tuple[str, str] | None = None
    ) -> Response | None:
        """Ask whether anybody is there; any final response is a yes, None is a no."""
        found: asyncio.Future[Response | None] = self._loop.create_future()
        bound = self._first
        target = Uri.parse(str(to))
        dialog = Dialog(
            os.urandom(12).hex(),
            name_addr(f"sip:{bound.shown(target.host)}"),
            os.urandom(6).hex(),
            name_addr(str(to)),
            str(to),
        )

        def done(response: Response | None) -> None:
            if not found.done():
                found.set_result(response)

        exchange = Exchange(
            self,
            bound,
            str(to),
            lambda branch: dialog.request("OPTIONS", branch),
            done,
            credentials=credentials,
            limit_s=timeout_s,
        )
        exchange.start()
        try:
            return await asyncio.wait_for(found, timeout_s + 1.0)
        except TimeoutError:
            return None

    # -- what sockets bring -----------------------------------------------------------

    def received(self, data: bytes, flow: Flow) -> None:
        """Take one message in; whatever it is, the socket lives on."""
        if len(data) <= 4 and not data.strip(b"\r\n\0"):
            return  # keep-alive
        try:
            message = parse(data)
        except Malformed as wrong:
            self.unreadable(wrong, flow)
            return
        now = self._loop.time()
        try:
            if isinstance(message, Response):
                if not self._layer.response(message, flow, now):
                    self._stray(message)
            else:
                self._request(message, flow, now)
        except Exception:
            _log.exception("sip.message_failed")
        if self._layer.out:
            self._perform()

    def unreadable(self, wrong: Malformed, flow: Flow) -> None:
        """Count what could not be read, and say 400 where that is possible."""
        self.unread += 1
        _log.debug("sip.unreadable from %s:%s: %s", flow.host, flow.port, wrong)
        if wrong.request is not None:
            try:
                self._stateless(wrong.request, self._stamped(wrong.request, flow), 400, f"Bad Request: {wrong}")
            except (BadUri, IndexError):
                return

    def flow_failed(self, flow: Flow) -> None:
        """A connection is gone; when we closed it ourselves, nobody's call has failed."""
        if self._main is None:
            return
        self._routes.lost(flow, isinstance(flow, Connection) and flow.outgoing and not flow.stood)
        self._layer.flow_failed(flow, self._loop.time())
        if self._layer.out:
            self._perform()

    def datagram_refused(self, branch: str, method: str) -> None:
        """Somebody's machine said that nobody listens on that port."""
        self._layer.request_failed(branch, method, self._loop.time())
        if self._layer.out:
            self._perform()

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
        return UdpFlow(self._routes.at(flow.local).udp, host, port)

    def _request(self, request: Request, flow: Flow, now: float) -> None:
        if self.hears is not None and not self.hears(request):
            return
        method = request.method
        try:
            way = self._stamped(request, flow)
        except (BadUri, IndexError):
            self.unread += 1
            return
        if method == "ACK":
            if not self._layer.ack(request, now):
                call = self._calls.get((request.call_id, request.to_tag))
                if call is not None:
                    self._guarded(partial(call._acked, request))
            return
        if method == "CANCEL":
            self._cancel(request, way, now)
            return
        call = None
        if request.to_tag:
            call = self._calls.get((request.call_id, request.to_tag))
            if call is None:
                if not self._layer.repeats(request, way, now) and (method == "BYE" or now >= self._settled_at):
                    self._stateless(request, way, 481)
                return
        elif method != "INVITE" or self.on_invite is None:
            self._outside(request, way)
            return
        try:
            server = self._layer.request(request, way, now)
        except OverflowError:
            self._stateless(request, way, 503, headers=[("Retry-After", "5")])
            return
        if server is None:
            return
        if call is not None:
            self._guarded(partial(call._requested, request, server))
        else:
            self._incoming(request, server, flow)
        if server.state == 0 and method == "INVITE":
            server.respond(response_to(request, 100), now)

    def _incoming(self, request: Request, server: Server, flow: Flow) -> None:
        if request.headers.get("require"):
            wanted = ", ".join(request.listed("require"))
            server.respond(
                response_to(request, 420, to_tag=os.urandom(6).hex(), headers=[("Unsupported", wanted[:200])]),
                self._loop.time(),
            )
            return
        dialog = Dialog.received(request, os.urandom(6).hex())
        dialog.transport, dialog.peer = flow.transport, (flow.host, flow.port)
        call = Call(self, self._routes.at(flow.local), dialog, CallListener(), incoming=True)
        call._receive(request, server)
        self._calls[dialog.key] = call
        if self.on_invite is not None:
            self._guarded(partial(self.on_invite, call))

    def _cancel(self, request: Request, way: Flow, now: float) -> None:
        invite = self._layer.invite_of(request)
        if invite is None:
            self._stateless(request, way, 481)
            return
        server = self._layer.request(request, way, now)
        if server is None:
            return
        call = invite.user
        tag = call.dialog.local_tag if isinstance(call, Call) else ""
        server.respond(response_to(request, 200, to_tag=tag), now)
        if isinstance(call, Call):
            self._guarded(call._cancelled_by_peer)

    def _outside(self, request: Request, way: Flow) -> None:
        """A request outside every dialog that is no call for us: answered without state."""
        method = request.method
        if method == "OPTIONS":
            self._stateless(request, way, 200)
        elif method == "INVITE":
            self._stateless(request, way, 404)
        elif method in ("BYE", "INFO", "UPDATE", "NOTIFY"):
            self._stateless(request, way, 481)
        else:
            self._stateless(request, way, 405)

    def _stateless(
        self, request: Request, way: Flow, status: int, reason: str = "", headers: Iterable[tuple[str, str]] = ()
    ) -> None:
        extra = [("Server", self.user_agent), *headers]
        if status in (200, 405):
            extra += [("Allow", ALLOW), ("Accept", "application/sdp")]
        tag = f"{hash((request.call_id, request.branch)) & 0xFFFFFFFF:08x}"  # the same for every repetition
        way.send(response_to(request, status, reason, to_tag=tag, headers=extra).to_bytes())

    def _stray(self, response: Response) -> None:
        """A response without a transaction: a repeated 2xx is acknowledged once more."""
        call = self._calls.get((response.call_id, response.from_tag))
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

    # -- what calls and exchanges need ------------------------------------------------

    def route(self, exchange: Exchange, go: Callable[[Flow | None], None]) -> None:
        """Find the flow for a request and go on with it."""
        self._routes.find(exchange.hop, exchange.bound, exchange.dialog, go)

    def dress(self, request: Request, flow: Flow, bound: Bound, user: str, may_switch: bool) -> Flow:
        """Put Via, Contact and our name on a request; returns the flow, TCP for a large one."""
        headers = request.headers
        headers["user-agent"] = [self.user_agent]
        if request.method == "INVITE":
            headers["allow"] = [ALLOW]
        if may_switch:
            flow = self._routes.for_size(request, flow, bound)
        shown = bound.shown(flow.host)
        headers["via"] = [f"SIP/2.0/{flow.transport} {shown};branch={request.branch};rport"]
        if request.method in ("INVITE", "UPDATE"):
            headers["contact"] = [contact(user, shown, flow.transport)]
        return flow

    def start_client(self, request: Request, flow: Flow, user: Exchange, limit_s: float | None) -> Client:
        client = self._layer.start(request, flow, user, self._loop.time(), limit_s)
        self._perform()
        return client

    def cancel(self, client: Client) -> None:
        """CANCEL an INVITE that has had a 1xx."""
        now = self._loop.time()
        client.give_up_by(now + self.timing.limit)
        self._layer.start(cancel_for(client.request), client.flow, None, now)
        self._perform()

    def send_ack(self, call: Call, request: Request) -> None:
        """Send the ACK of a 2xx, which is a matter of its own (section 13.2.2.4)."""

        def go(flow: Flow | None) -> None:
            if flow is not None:
                self.dress(request, flow, call.bound, "", True).send(request.to_bytes())

        self._routes.find(call.dialog.next_hop(), call.bound, call.dialog, go)

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
        server.acked(self._loop.time())

    def respond(self, server: Server, response: Response, call: Call, method: str) -> None:
        """Send a response of a call, with what such a response carries."""
        headers = response.headers
        headers["server"] = [self.user_agent]
        if response.status > 100 and method in ("INVITE", "UPDATE", "OPTIONS"):
            headers["allow"] = [ALLOW]
            if response.status < 300 and method != "OPTIONS":
                flow = server.flow
                shown = call.bound.shown(flow.host)
                headers["contact"] = [contact(call.contact_user, shown, flow.transport)]
        elif response.status == 405:
            headers["allow"] = [ALLOW]
        server.respond(response, self._loop.time())
        self._perform()

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

    # -- the wheel and the actions ----------------------------------------------------

    def _perform(self) -> None:
        """Do what the transactions want done, in order; not entered twice."""
        if self._performing:
            return
        self._performing = True
        layer = self._layer
        try:
            while layer.out:
                actions, layer.out = layer.out, []
                for action in actions:
                    if isinstance(action, Send):
                        action.flow.send(action.data)
                    elif isinstance(action, Deliver):
                        if action.client.user is not None:
                            self._guarded(partial(action.client.user.response, action.response))
                            action.client.lighten()
                    elif isinstance(action.transaction, Server):
                        if action.transaction.user is not None:
                            self._guarded(action.transaction.user.no_ack)
                    elif action.transaction.user is not None:
                        self._guarded(partial(action.transaction.user.expired, action.why))
        finally:
            self._performing = False
        if self._ticking is None and self._wheel:
            self._tick()

    def _guarded(self, action: Callable[[], object]) -> None:
        """Somebody else's code: its failure is logged and stops nothing."""
        try:
            action()
        except Exception:
            _log.exception("sip.listener_failed")
        if self._layer.out and not self._performing:
            self._perform()

    def _tick(self) -> None:
        """Turn the wheel; the clock stands still while nothing waits."""
        self._ticking = None
        if self._main is None:
            return
        now = self._loop.time()
        for timed in self._wheel.advance(now):
            self._guarded(partial(timed.expire, now))
        if self._layer.out:
            self._perform()
        if self._wheel and self._ticking is None:
            self._ticking = self._loop.call_later(self._wheel.grain_s, self._tick)

    def _ping(self) -> None:
        self._routes.ping()
        self._pinging = self._loop.call_later(_PING_S, self._ping)  # not on the wheel: an idle agent sleeps

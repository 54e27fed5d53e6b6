"""Transactions of RFC 3261 section 17 with RFC 6026, without I/O.

    client INVITE      calling -> proceeding -> accepted | completed -> gone
    client other       trying  -> proceeding -> completed -> gone
    server INVITE      proceeding -> accepted | completed -> confirmed -> gone
    server other       trying  -> completed -> gone

Messages and the time go in, actions come out in `out`; the owner performs them in order:
`Send` bytes on a flow, `Deliver` a response to whom it belongs, `Expired` when nothing (more)
will come. A server INVITE transaction in `accepted` repeats its 2xx until `acked`.

A response is believed when its branch, method, Call-ID and From tag are the request's and
it comes from where the request went: the same host, and the same port when the peer filled
in our rport, as then it promised to answer from that port (RFC 3581 section 4).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from adapters.sip.half_open import HalfOpen, Opened
from adapters.sip.message import Request, Response
from adapters.sip.uri import sent_by
from adapters.sip.wheel import IDLE, Timed, Wheel

MAX_SERVERS = 200_000
"""Requests being answered at once; more are turned away with a stateless 503."""


class Flow(Protocol):
    """Where a message came from and an answer goes to: a peer over one socket."""

    reliable: bool
    transport: str
    host: str
    port: int
    closed: bool
    why: str

    def send(self, data: bytes) -> None: ...


@dataclass(frozen=True, slots=True)
class Timing:
    """T1, T2 and T4 of RFC 3261 table 4, in seconds; tests shorten them."""

    t1: float = 0.5
    t2: float = 4.0
    t4: float = 5.0

    @property
    def limit(self) -> float:
        """64*T1: timers B, F, H, J, L and M."""
        return 64 * self.t1


class Send(NamedTuple):
    flow: Flow
    data: bytes

    def perform(self) -> None:
        self.flow.send(self.data)


class Deliver(NamedTuple):
    client: "Client"
    response: Response

    def perform(self) -> None:
        client = self.client
        if client.user is not None:
            try:
                client.user.response(self.response)
            finally:
                client.lighten()


class Expired(NamedTuple):
    """Nothing (more) comes: `why` is "timeout", "transport" or "no ack"."""

    transaction: "Client | Server"
    why: str

    def perform(self) -> None:
        user = self.transaction.user
        if user is None:
            return
        if isinstance(self.transaction, Server):
            user.no_ack()
        else:
            user.expired(self.why)


Action = Send | Deliver | Expired

CALLING = TRYING = 0
PROCEEDING = 1
ACCEPTED = 2
COMPLETED = 3
CONFIRMED = 4
GONE = 5


class Client(Timed):
    """A request of ours and what it waits for."""

    __slots__ = ("_ack", "_data", "_deadline", "_interval", "_layer", "flow", "key", "request", "state", "user")

    def __init__(self, layer: "Transactions", request: Request, flow: Flow, user: Any, limit_s: float) -> None:
        self._slot = IDLE
        self._layer = layer
        self.key = (request.branch, request.method)
        self.request: Request = request
        self.flow = flow
        self.user = user
        self.state = CALLING
        self._data = request.to_bytes()
        self._ack = b""
        self._interval = layer.timing.t1
        self._deadline = layer.now + limit_s

    @property
    def invite(self) -> bool:
        return self.key[1] == "INVITE"

    def expire(self, now: float) -> None:
        layer = self._layer
        layer.now = now
        if now >= self._deadline:
            waiting = self.state < ACCEPTED
            layer.forget(self)
            if waiting:
                layer.out.append(Expired(self, "timeout"))
            return
        layer.out.append(Send(self.flow, self._data))
        self._interval *= 2
        if not self.invite:
            self._interval = min(self._interval, layer.timing.t2) if self.state == TRYING else layer.timing.t2
        layer.wheel.arm(self, min(now + self._interval, self._deadline))

    def begin(self) -> None:
        layer = self._layer
        layer.out.append(Send(self.flow, self._data))
        layer.wheel.arm(self, self._deadline if self.flow.reliable else layer.now + self._interval)

    def give_up_by(self, at: float) -> None:
        """Wait no longer than until `at` for a final response (after a CANCEL, section 9.1)."""
        if self.state < ACCEPTED:
            self._deadline = at
            self._layer.wheel.arm(self, at)

    def lighten(self) -> None:
        """Its final response was told, and it only waits for repetitions: let go of what is read no more."""
        if self.state >= COMPLETED:
            self.user = None
            self.request.headers.clear()

    def receive(self, response: Response) -> None:
        layer, status = self._layer, response.status
        timing = layer.timing
        if status < 200:
            if self.state == TRYING:
                self.state = PROCEEDING
                if self.invite:
                    layer.wheel.disarm(self)  # the ring limit is the caller's business
                elif not self.flow.reliable:
                    layer.wheel.arm(self, min(layer.now + timing.t2, self._deadline))
            if self.state == PROCEEDING:
                layer.out.append(Deliver(self, response))
            return
        if not self.invite:
            if self.state < COMPLETED:
                self._settle(COMPLETED, 0.0 if self.flow.reliable else timing.t4)
                layer.out.append(Deliver(self, response))
            return
        if status < 300:
            if self.state == COMPLETED:
                return
            if self.state < ACCEPTED:
                self._settle(ACCEPTED, timing.limit)
            layer.out.append(Deliver(self, response))
            return
        if self.state < ACCEPTED:
            self._ack = ack_for_refusal(self.request, response).to_bytes()
            layer.out.append(Send(self.flow, self._ack))
            self._settle(COMPLETED, 0.0 if self.flow.reliable else timing.limit)
            layer.out.append(Deliver(self, response))
        elif self.state == COMPLETED:
            layer.out.append(Send(self.flow, self._ack))

    def _settle(self, state: int, linger_s: float) -> None:
        self.state = state
        self._data = b""
        if linger_s:
            self._deadline = self._layer.now + linger_s
            self._layer.wheel.arm(self, self._deadline)
        else:
            self._layer.forget(self)


class Server(Timed):
    """A request of theirs and our answer to it."""

    __slots__ = (
        "_data",
        "_deadline",
        "_interval",
        "_layer",
        "cseq",
        "flow",
        "key",
        "opened_by",
        "request",
        "state",
        "user",
    )

    def __init__(self, layer: "Transactions", key: tuple[str, str, str], request: Request, flow: Flow) -> None:
        self._slot = IDLE
        self._layer = layer
        self.key = key
        self.cseq = request.cseq
        self.opened_by = ""
        """The address that began a call with it, as long as nobody has acknowledged that."""
        self.request: Request | None = request
        self.flow = flow
        self.user: Any = None
        self.state = TRYING
        self._data = b""
        self._interval = layer.timing.t1
        self._deadline = 0.0

    def respond(self, response: Response, now: float) -> None:
        """Send a response; a second final one is not sent."""
        if self.state >= ACCEPTED:
            return
        layer, timing = self._layer, self._layer.timing
        layer.now = now
        self._data = response.to_bytes()
        self._send()
        status = response.status
        if status < 200:
            self.state = PROCEEDING
            return
        self.request = None
        self._deadline = now + timing.limit
        if self.key[2] != "INVITE":
            self.state = COMPLETED
            if self.flow.reliable:
                layer.forget(self)
            else:
                layer.wheel.arm(self, self._deadline)
        elif status < 300:
            self.state = ACCEPTED
            layer.wheel.arm(self, now + self._interval)
        else:
            self.state = COMPLETED
            layer.wheel.arm(self, self._deadline if self.flow.reliable else now + self._interval)

    def acked(self, now: float) -> None:
        """The ACK of our final INVITE response has come."""
        layer = self._layer
        if self.opened_by:
            layer.half_open.less(self)
        layer.now = now
        if self.state == ACCEPTED:
            # 2xx repeated no more; the transaction lingers to absorb late INVITEs (timer L)
            self.state = CONFIRMED
            self._data = b""
            layer.wheel.arm(self, self._deadline)
        elif self.state == COMPLETED:
            self.state = CONFIRMED
            if self.flow.reliable:
                layer.forget(self)
            else:
                self._deadline = now + layer.timing.t4
                layer.wheel.arm(self, self._deadline)

    def again(self, flow: Flow) -> None:
        """The same request came once more; the answer goes back the way it came."""
        if self.flow.reliable:
            self.flow = flow  # the connection before may be gone, with a caller that was started anew
        if self._data and self.state in (PROCEEDING, COMPLETED):
            self._send()

    def expire(self, now: float) -> None:
        layer = self._layer
        layer.now = now
        if now >= self._deadline:
            unacked = self.key[2] == "INVITE" and self.state in (ACCEPTED, COMPLETED)
            accepted = self.state == ACCEPTED
            layer.forget(self)
            if unacked and accepted:
                layer.out.append(Expired(self, "no ack"))
            return
        self._send()
        self._interval = min(self._interval * 2, layer.timing.t2)
        layer.wheel.arm(self, min(now + self._interval, self._deadline))

    def _send(self) -> None:
        layer = self._layer
        if self.flow.closed:
            self.flow = layer.way_back(self.flow, self.key[1])
        layer.out.append(Send(self.flow, self._data))


class Transactions:
    """Every transaction of one agent, on one wheel."""

    __slots__ = ("_by_flow", "_clients", "_servers", "half_open", "now", "out", "timing", "way_back", "wheel")

    def __init__(self, timing: Timing, wheel: Wheel) -> None:
        self.timing = timing
        self.wheel = wheel
        self.out: list[Action] = []
        self.now = 0.0
        self._clients: dict[tuple[str, str], Client] = {}
        self._servers: dict[tuple[str, str, str], Server] = {}
        self.half_open = Opened(HalfOpen())
        self._by_flow: dict[Flow, set[Client]] = {}
        self.way_back: Callable[[Any, str], Flow] = lambda flow, sent_by: flow
        """Which way an answer takes whose connection is gone, by that and the sent-by of its request."""

    def __len__(self) -> int:
        return len(self._clients) + len(self._servers)

    def start(self, request: Request, flow: Flow, user: Any, now: float, limit_s: float | None = None) -> Client:
        """Send a request (not ACK) and wait for its responses; `user` rides along."""
        self.now = now
        client = Client(self, request, flow, user, self.timing.limit if limit_s is None else limit_s)
        before = self._clients.get(client.key)
        if before is not None:
            self.forget(before)  # the same order once more: what comes is for who asked last
        self._clients[client.key] = client
        if flow.reliable:
            self._by_flow.setdefault(flow, set()).add(client)
        client.begin()
        return client

    def expect(self, request: Request, flow: Flow, user: Any, now: float) -> Client:
        """Wait for the final response to an INVITE that was sent before: it is not repeated."""
        self.now = now
        client = self._clients[request.branch, request.method] = Client(self, request, flow, user, self.timing.limit)
        client.state = PROCEEDING
        if flow.reliable:
            self._by_flow.setdefault(flow, set()).add(client)
        return client

    def response(self, response: Response, flow: Flow, now: float) -> bool:
        """Take a response in; False when it belongs to no transaction that would believe it."""
        client = self._clients.get((response.branch, response.cseq_method))
        if client is None:
            return False
        self.now = now
        ours = client.request
        if response.call_id != ours.call_id or response.from_tag != ours.from_tag or response.cseq != ours.cseq:
            return False
        if flow.host != client.flow.host:
            return False
        if flow.port != client.flow.port and not flow.reliable and "rport=" in response.headers["via"][0]:
            return False
        client.receive(response)
        return True

    def request(self, request: Request, flow: Flow, now: float) -> Server | None:
        """Take a request other than ACK in: a new transaction, or None when it repeats one.

        Raises OverflowError at MAX_SERVERS, and for an INVITE outside dialogs beyond what HalfOpen allows.
        """
        self.now = now
        key = self.key_of(request)
        server = self._servers.get(key)
        if server is not None:
            server.again(flow)
            return None
        if len(self._servers) >= MAX_SERVERS:
            raise OverflowError(f"{MAX_SERVERS} requests are being answered")
        server = Server(self, key, request, flow)
        if key[2] == "INVITE" and not request.to_tag:
            self.half_open.more(server)
        self._servers[key] = server
        return server

    def repeats(self, request: Request, flow: Flow, now: float) -> bool:
        """Whether a request has been answered before; then it is answered the same again."""
        self.now = now
        server = self._servers.get(self.key_of(request))
        if server is not None:
            server.again(flow)
        return server is not None

    def ack(self, ack: Request, now: float) -> bool:
        """Whether an ACK was for a refusal of ours; the ACK of a 2xx is the dialog's (13.3.1.4)."""
        server = self._servers.get(self.key_of(ack))
        if server is None or server.state < COMPLETED:
            return False
        server.acked(now)
        return True

    def invite_of(self, cancel: Request) -> Server | None:
        """The INVITE transaction that a CANCEL is for (section 9.2)."""
        branch, by, _ = self.key_of(cancel)
        return self._servers.get((branch, by, "INVITE"))

    def key_of(self, request: Request) -> tuple[str, str, str]:
        """What tells server transactions apart (section 17.2.3), old branches included."""
        method = "INVITE" if request.method == "ACK" else request.method
        via = request.headers["via"][0]
        if request.branch.startswith("z9hG4bK") and len(request.branch) > 7:
            return request.branch, sent_by(via), method
        return f"{request.call_id}|{request.cseq}|{request.from_tag}|{request.uri}", sent_by(via), method

    def flow_failed(self, flow: Flow, now: float) -> None:
        """A connection is gone: what waits on it gets no answer (section 17.1.4)."""
        self.now = now
        for client in list(self._by_flow.get(flow, ())):
            self._fail(client)

    def request_failed(self, branch: str, method: str, now: float) -> None:
        """A datagram was refused on its way (ICMP); only one that nobody has answered yet."""
        self.now = now
        client = self._clients.get((branch, method))
        if client is not None and client.state == TRYING:
            self._fail(client)

    def _fail(self, client: Client) -> None:
        waiting = client.state < ACCEPTED
        self.forget(client)
        if waiting:
            self.out.append(Expired(client, "transport"))

    def forget(self, transaction: Client | Server) -> None:
        """Take a transaction off the books."""
        if transaction.state == GONE:
            return
        self.wheel.disarm(transaction)
        transaction.state = GONE
        if isinstance(transaction, Client):
            self._clients.pop(transaction.key, None)
            flow = transaction.flow
            if flow.reliable:
                waiting = self._by_flow.get(flow)
                if waiting is not None:
                    waiting.discard(transaction)
                    if not waiting:
                        del self._by_flow[flow]
        else:
            self._servers.pop(transaction.key, None)
            if transaction.opened_by:
                self.half_open.less(transaction)


def ack_for_refusal(request: Request, response: Response) -> Request:
    """The ACK of a final response other than 2xx (section 17.1.1.3)."""
    headers = {
        "via": request.headers["via"][:1],
        "from": request.headers["from"],
        "to": response.headers["to"],
        "call-id": request.headers["call-id"],
        "cseq": [f"{request.cseq} ACK"],
        "max-forwards": ["70"],
    }
    if "route" in request.headers:
        headers["route"] = request.headers["route"]
    return Request("ACK", request.uri, headers)


def cancel_for(request: Request) -> Request:
    """The CANCEL of an INVITE of ours (section 9.1)."""
    cancel = ack_for_refusal(request, Response(0, "", {"to": request.headers["to"]}))
    cancel.method = "CANCEL"
    cancel.headers["cseq"] = [f"{request.cseq} CANCEL"]
    cancel.branch, cancel.call_id, cancel.cseq = request.branch, request.call_id, request.cseq
    cancel.cseq_method, cancel.from_tag = "CANCEL", request.from_tag
    return cancel

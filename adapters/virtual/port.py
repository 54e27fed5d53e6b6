"""The SIP side of virtual devices: real dialogs on real sockets, handed to devices as lines.

One agent serves any number of addresses. A device that is dead, or stays silent to a call,
is silent on the wire: what is sent to it is dropped before the agent sees it.
"""

import itertools
import re
from typing import Any

from adapters.sip.agent import SipAgent
from adapters.sip.call import Call, Offer
from adapters.sip.listener import CallListener, CallState, Ending
from adapters.sip.message import Request, Response
from adapters.sip.standing import user_of
from adapters.sip.transport import Flow
from adapters.values import Address
from adapters.virtual.exchange import NORMAL, Device, Exchange, Line, Listener
from adapters.virtual.media import Session
from adapters.virtual.referee import Asked, inside, serve

_START = re.compile(rb"([A-Z]+) sips?:(?:([^@\s:;>]*)@)?[^\s]+ SIP/2\.0\r?\n")
_CALL_ID = re.compile(rb"(?mi)^(?:call-id|i)[ \t]*:[ \t]*([^\s]+)")
_SIGNAL = re.compile(rb"(?mi)^\s*signal\s*=\s*([0-9A-D*#])\s*\r?$")
_sessions = itertools.count(1)


def _nothing(response: Response | None) -> None:
    return


class SipLine(Line, CallListener):
    """One end of a SIP call."""

    __slots__ = ("_port", "_session", "call")

    def __init__(self, port: "Port", key: str, caller: str, caller_name: str, called: str, session: Session) -> None:
        super().__init__(key, caller, caller_name, called)
        self._port = port
        self._session = session
        self.call: Call | None = None

    # ---- what its holder does ----

    def ring(self) -> None:
        if self.call is not None and not self.over:
            self.call.ring()

    def answer(self) -> None:
        call = self.call
        if call is not None and not self.over:
            sdp = self._session.answer(call.offer_sdp) if call.offer_sdp else self._session.offer()
            if sdp is not None:
                call.answer(sdp)

    def reject(self, code: int) -> None:
        if self.call is not None and not self.over:
            self.over = True
            self.call.refuse(code)

    def hang_up(self) -> None:
        if self.call is not None and not self.over:
            self.over = True
            self.call.hang_up()

    def send_digit(self, digit: str) -> None:
        """DTMF by INFO, as RFC 4733 needs media (captured: rooms take `Signal=2`, `Duration=160`)."""
        if self.call is not None and not self.over and self.call.state is CallState.CONFIRMED:
            self.call.inform("application/dtmf-relay", f"Signal={digit}\r\nDuration=160\r\n".encode(), _nothing)

    def forget(self) -> None:
        self.over = True
        if self.call is not None:
            self.call.listener = CallListener()
            self._port.agent.forget(self.call)

    # ---- what the peer does ----

    def ringing(self, call: Call, response: Response) -> None:
        if not self.over and self.listener is not None:
            self.listener.rang(self)

    def answered(self, call: Call, sdp: bytes) -> None:
        call.ack()
        if not self.over and self.listener is not None:
            self.listener.answered(self)

    def refused(self, call: Call, status: int, reason: str, response: Response | None) -> None:
        self._ended(status)

    def confirmed(self, call: Call, sdp: bytes) -> None:
        if not self.over and self.listener is not None:
            self.listener.answered(self)

    def offered(self, call: Call, offer: Offer) -> None:
        sdp = self._session.answer(offer.sdp) if offer.sdp else self._session.offer()
        if sdp is None:
            offer.refuse(488)
        else:
            offer.answer(sdp)

    def informed(self, call: Call, content_type: str, body: bytes) -> int:
        kind = content_type.partition(";")[0].strip().lower()
        if kind == "application/dtmf-relay":
            found = _SIGNAL.search(body)
        elif kind == "application/dtmf":
            found = re.fullmatch(rb"\s*([0-9A-D*#])\s*", body)
        else:
            return 415
        if found is None:
            return 400
        if not self.over and self.listener is not None:
            self.listener.digit(self, found[1].decode())
        return 200

    def referred(self, call: Call, request: Request) -> int:
        order = inside(self._port.agent, call, request, self.key)
        device = self._port.device_of(call)
        if order is None or device is None:
            return 400
        return device.asked(order) or 500

    def ended(self, call: Call, ending: Ending, request: Request | None) -> None:
        self._ended(NORMAL)

    def _ended(self, code: int) -> None:
        if not self.over:
            self.over = True
            if self.listener is not None:
                self.listener.ended(self, code)


class _Agent(SipAgent):
    """A SIP agent that can keep silent."""

    port: "Port"

    def received(self, data: bytes, flow: Flow) -> None:
        if not self.port.hushed(data, flow.local):
            super().received(data, flow)


class Port:
    """The sockets of some devices: all whose addresses stand in the exchange, or one for every number.

    `everybody` is the device that takes every call (a bridge); without it the exchange says
    who stands at the called address.
    """

    def __init__(self, exchange: Exchange, product: str, everybody: Device | None = None) -> None:
        self._exchange = exchange
        self._everybody = everybody
        self._first: tuple[str, int] | None = None
        self._product = product
        self.agent: _Agent
        self.hushes = 0
        """Messages that were dropped because a device kept silent."""

    async def open(self, host: str, port: int = 0) -> tuple[str, int]:
        """Take one more address, UDP and TCP; 0 takes a free port. Raises OSError."""
        if self._first is None:
            self.agent = _Agent(host, port, user_agent=self._product, on_invite=self._invited)
            self.agent.port = self
            await self.agent.start()
            serve(self.agent, self._referred)
            self._first = self.agent.address
            return self._first
        return await self.agent.bind(host, port)

    async def close(self) -> None:
        if self._first is not None:
            await self.agent.close()
            self._first = None

    def hushed(self, data: bytes, local: tuple[str, int]) -> bool:
        """Whether the device that this message is for keeps silent to it."""
        start = _START.match(data)
        if start is None or self._everybody is not None:
            return False
        device = self._device((start[2] or b"").decode("utf-8", "replace"), local)
        if device is None:
            return False
        silent = not device.hears()
        if not silent and start[1] in (b"INVITE", b"CANCEL", b"ACK"):
            call_id = _CALL_ID.search(data)
            key = call_id[1].decode("latin-1") if call_id else ""
            silent = device.ignores(key) if start[1] == b"INVITE" else device.ignored(key)
        self.hushes += silent
        return silent

    def _device(self, user: str, local: tuple[str, int]) -> Device | None:
        return self._everybody or self._exchange.at(Address("sip", user, local[0], local[1]))

    def device_of(self, call: Call) -> Device | None:
        """Whose call that is, for one that came in."""
        return self._device(call.to_user, call.bound.address)

    def _referred(self, request: Request, flow: Flow, order: Asked) -> int:
        device = self._device(user_of(request.uri), flow.local)
        return device.asked(order) if device is not None else 404

    def _invited(self, call: Call) -> None:
        device = self._device(call.to_user, call.bound.address)
        if device is None:
            call.refuse(404)
            return
        session = Session(next(_sessions), call.host)
        if call.offer_sdp and session.answer(call.offer_sdp) is None:
            call.refuse(488)
            return
        line = SipLine(self, call.dialog.call_id, call.from_user, call.from_display, call.to_user, session)
        line.call, call.listener = call, line
        device.offered(line)

    def call(
        self,
        to: Address | str,
        listener: Listener,
        *,
        user: str,
        display: str = "",
        video: bool = True,
        local: tuple[str, int] | None = None,
    ) -> SipLine:
        """Call somebody with an offer. Raises ValueError for an address that is none."""
        host = (local or self.agent.address)[0]
        session = Session(next(_sessions), host, video=video)
        line = SipLine(self, "", user, display, str(to), session)
        line.listener = listener
        options: dict[str, Any] = {"user": user, "display": display, "local": local, "ring_s": 600.0}
        line.call = self.agent.call(to, line, sdp=session.offer(), **options)
        line.key = line.call.dialog.call_id
        return line

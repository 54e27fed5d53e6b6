"""A SIP peer made by hand: a raw socket that says exactly what a test wants, and listeners that keep what they hear."""

import asyncio
import itertools
from collections.abc import Iterable
from typing import Any

from adapters.sip.call import Call, Offer
from adapters.sip.listener import CallListener, Ending
from adapters.sip.message import Request, Response, parse, response_to
from adapters.sip.transaction import Timing

FAST = Timing(t1=0.02, t2=0.16, t4=0.2)
"""Timers 25 times faster than RFC 3261's; 64*T1 is 1.28 s."""
WAIT_S = 5.0
_numbers = itertools.count(1)


def sdp(host: str = "127.0.0.1", port: int = 4000, *, video: bool = False, version: int = 1) -> bytes:
    lines = ["v=0", f"o=- 7 {version} IN IP4 {host}", "s=-", f"c=IN IP4 {host}", "t=0 0", f"m=audio {port} RTP/AVP 0 8"]
    lines += ["a=rtpmap:0 PCMU/8000", "a=x-odd:\xe9 kept as it is"]
    if video:
        lines += [f"m=video {port + 2} RTP/AVP 96", "a=rtpmap:96 H264/90000"]
    return "\r\n".join([*lines, ""]).encode("latin-1")


class Wire(asyncio.DatagramProtocol):
    """A UDP socket of a test's own. `heard` is every message that came, in order."""

    def __init__(self) -> None:
        self.heard: list[Request | Response] = []
        self._fresh: asyncio.Queue[tuple[Request | Response, tuple[str, int]]] = asyncio.Queue()
        self._transport: asyncio.DatagramTransport
        self.peer: tuple[str, int] = ("", 0)

    @classmethod
    async def open(cls, host: str = "127.0.0.1") -> "Wire":
        loop = asyncio.get_running_loop()
        _, wire = await loop.create_datagram_endpoint(cls, local_addr=(host, 0))
        return wire

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        message = parse(data)
        self.heard.append(message)
        self._fresh.put_nowait((message, addr))

    @property
    def address(self) -> tuple[str, int]:
        name: tuple[str, int] = self._transport.get_extra_info("sockname")
        return name

    def uri(self, user: str = "peer") -> str:
        return f"sip:{user}@{self.address[0]}:{self.address[1]}"

    def close(self) -> None:
        self._transport.close()

    async def next(self, what: str | int, *, method: str = "", after: Request | None = None) -> Any:
        """The next message that is this request method or this status; others are passed over.

        `after` passes over what only repeats that request (a busy machine is slower than T1).
        """
        async with asyncio.timeout(WAIT_S):
            while True:
                message, self.peer = await self._fresh.get()
                repeated = after is not None and message.branch == after.branch
                if isinstance(message, Request) and message.method == what and not repeated:
                    return message
                if isinstance(message, Response) and message.status == what and method in ("", message.cseq_method):
                    return message

    async def any(self) -> tuple[Request | Response, tuple[str, int]]:
        """The next message, whatever it is, and who sent it."""
        async with asyncio.timeout(WAIT_S):
            return await self._fresh.get()

    def quiet(self) -> bool:
        """Whether nothing waits to be read."""
        return self._fresh.empty()

    def send(self, data: bytes, to: tuple[str, int] | None = None) -> None:
        self._transport.sendto(data, to or self.peer)

    def reply(
        self,
        request: Request,
        status: int,
        *,
        tag: str = "peer-tag",
        body: bytes = b"",
        headers: Iterable[tuple[str, str]] = (),
        reason: str = "",
    ) -> Response:
        extra = [*headers]
        if request.method in ("INVITE", "UPDATE"):
            extra.append(("Contact", f"<{self.uri()}>"))
        if body:
            extra.append(("Content-Type", "application/sdp"))
        response = response_to(request, status, reason, to_tag=tag if status > 100 else "", headers=extra, body=body)
        self.send(response.to_bytes())
        return response

    def request(
        self,
        method: str,
        to: tuple[str, int],
        *,
        user: str = "room",
        to_tag: str = "",
        from_tag: str = "wire",
        call_id: str = "",
        cseq: int = 1,
        branch: str = "",
        body: bytes = b"",
        headers: Iterable[tuple[str, str]] = (),
    ) -> Request:
        """Send a request of the test's own making; returns it."""
        number = next(_numbers)
        target = f"sip:{user}@{to[0]}:{to[1]}"
        fields: dict[str, list[str]] = {
            "via": [f"SIP/2.0/UDP {self.address[0]}:{self.address[1]};branch={branch or f'z9hG4bKwire{number}'};rport"],
            "from": [f"<{self.uri()}>;tag={from_tag}"],
            "to": [f"<{target}>" + (f";tag={to_tag}" if to_tag else "")],
            "call-id": [call_id or f"wire-{number}"],
            "cseq": [f"{cseq} {method}"],
            "max-forwards": ["70"],
            "contact": [f"<{self.uri()}>"],
        }
        if body:
            fields["content-type"] = ["application/sdp"]
        for name, value in headers:
            fields.setdefault(name, []).append(value)
        request = Request(method, target, fields, body)
        self.send(request.to_bytes(), to)
        return parse(request.to_bytes())  # type: ignore[return-value]


class Ear(CallListener):
    """Keeps what a call tells, as (word, value); `next` waits for a word."""

    def __init__(self, *, acks: bool = True) -> None:
        self.told: list[tuple[str, Any]] = []
        self._fresh: asyncio.Queue[tuple[str, Any]] = asyncio.Queue()
        self.acks = acks
        self.answer_offers = b""

    def _tell(self, word: str, value: Any) -> None:
        self.told.append((word, value))
        self._fresh.put_nowait((word, value))

    @property
    def words(self) -> list[str]:
        return [word for word, _ in self.told]

    async def next(self, word: str) -> Any:
        async with asyncio.timeout(WAIT_S):
            while True:
                told, value = await self._fresh.get()
                if told == word:
                    return value

    def ringing(self, call: Call, response: Response) -> None:
        self._tell("ringing", response.status)

    def answered(self, call: Call, sdp: bytes) -> None:
        if self.acks:
            super().answered(call, sdp)
        self._tell("answered", sdp)

    def refused(self, call: Call, status: int, reason: str, response: Response | None) -> None:
        self._tell("refused", (status, reason, response is not None))

    def confirmed(self, call: Call, sdp: bytes) -> None:
        self._tell("confirmed", sdp)

    def offered(self, call: Call, offer: Offer) -> None:
        if self.answer_offers:
            offer.answer(self.answer_offers)
        else:
            super().offered(call, offer)
        self._tell("offered", offer.sdp)

    def informed(self, call: Call, content_type: str, body: bytes) -> int:
        self._tell("informed", (content_type, body))
        return 200

    def ended(self, call: Call, ending: Ending, request: Request | None) -> None:
        self._tell("ended", ending)

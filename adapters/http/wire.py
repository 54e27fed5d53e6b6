"""Requests over httpx, to one device: bounded answers, a pinned certificate, nothing kept that was not asked for.

Only httpx's transport is used. Its client has a cookie jar, follows redirections, heeds proxies of the
environment and logs addresses; a device needs none of that.
"""

import logging
import ssl
from dataclasses import dataclass, field

import httpx

from adapters.hostkeys import HostKeys
from adapters.http.certificate import Pin, context
from adapters.http.order import Answer, Request

logging.getLogger("httpcore").setLevel(logging.INFO)  # at DEBUG it writes headers down, cookies too

MOST_BODY = 1_000_000
"""An answer with more is none of such a device."""
_KEEP_S = 60.0
"""So long an unused connection is kept; that the device closed it meanwhile is noticed before it is used."""

_NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""For plain HTTP, which never uses it: one of httpx's own would read every authority of the system for each device."""


class NotSent(Exception):
    """There was no connection to be had: nothing left. Says why."""


class NoReply(Exception):
    """It may have arrived, and no whole answer came. Says why."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where a device's HTTP port is and as whom to go there; `device` is its name in the inventory."""

    device: str
    is_secure: bool
    host: str
    port: int
    username: str
    secret: str = field(repr=False)
    host_keys: HostKeys

    @property
    def place(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


class HttpWire:
    """One connection to a device at a time, made when it is needed."""

    __slots__ = ("_base", "_pin", "_target", "_transport")

    def __init__(self, target: Target, pinned: str | None = None) -> None:
        self._target = target
        self._pin = Pin(pinned)
        self._base = httpx.URL(f"{'https' if target.is_secure else 'http'}://{target.place}")
        self._transport = httpx.AsyncHTTPTransport(
            verify=context(self._pin) if target.is_secure else _NO_TLS,
            trust_env=False,
            limits=httpx.Limits(max_connections=1, max_keepalive_connections=1, keepalive_expiry=_KEEP_S),
        )

    @classmethod
    async def to(cls, target: Target) -> "HttpWire":
        """A wire that knows what the place showed before."""
        return cls(target, await target.host_keys.pinned(target.place) if target.is_secure else None)

    @property
    def is_changed(self) -> bool:
        """Whether the device showed another certificate than the pinned one."""
        return self._pin.is_changed

    async def pin(self) -> None:
        """Keep what was shown, if nothing was kept before. To be called before the first secret is sent."""
        target = self._target
        if target.is_secure and self._pin.shown and await target.host_keys.pinned(target.place) is None:
            await target.host_keys.pin(target.place, self._pin.shown)

    async def send(self, request: Request) -> Answer:
        """One request and its whole answer. Raises NotSent, NoReply; the deadline is the caller's."""
        asked = httpx.Request(
            request.method, self._base.join(request.target), headers=dict(request.headers), content=request.body
        )
        try:
            response = await self._transport.handle_async_request(asked)
            try:
                return Answer(response.status_code, _headers(response), await _body(response))
            finally:
                await response.aclose()
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.UnsupportedProtocol) as error:
            raise NotSent(self._why(error)) from None
        except httpx.TransportError as error:
            raise NoReply(_words(error)) from None

    def _why(self, error: Exception) -> str:
        if self._pin.is_changed:
            return (
                "shows another certificate than the one pinned for it; nothing was sent. If the device was replaced"
                " or reset, forget its pinned key"
            )
        return _words(error)

    async def close(self) -> None:
        """End it. Safe to repeat."""
        await self._transport.aclose()


def _headers(response: httpx.Response) -> tuple[tuple[str, str], ...]:
    return tuple((name.lower(), value) for name, value in response.headers.multi_items())


async def _body(response: httpx.Response) -> bytes:
    body = bytearray()
    async for piece in response.aiter_raw():
        body += piece
        if len(body) > MOST_BODY:
            raise NoReply(f"an answer of more than {MOST_BODY} bytes")
    return bytes(body)


def _words(error: Exception) -> str:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror
        cause = cause.__cause__ or cause.__context__
    return str(error) or type(error).__name__

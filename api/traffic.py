"""Every request is counted and logged once, by the route that served it."""

import time

from prometheus_client import CollectorRegistry, Counter, Histogram
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.logs import logger

_log = logger("api.traffic")


class Traffic:
    """Counts, times and logs requests; headers that keep browsers strict go out with every answer."""

    def __init__(self, app: ASGIApp, metrics: CollectorRegistry) -> None:
        self._app = app
        names = ("method", "route", "status")
        self._requests = Counter("diemcau_http_requests", "Requests served", names, registry=metrics)
        self._seconds = Histogram("diemcau_http_seconds", "Time to serve", names[:2], registry=metrics)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        status = 0

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                present = {name.lower() for name, _ in message["headers"]}
                message["headers"] = [*message["headers"], *(h for h in _STRICT if h[0] not in present)]
            await send(message)

        try:
            await self._app(scope, receive, watched)
        except Exception:
            if not status:  # otherwise the problem is told and logged (api/errors.py)
                raise
        finally:
            self._note(scope, status or 500, time.perf_counter() - began)

    def _note(self, scope: Scope, status: int, took_s: float) -> None:
        route = getattr(scope.get("route"), "path", "")  # not the path: every address would be a series of its own
        method = scope["method"] if scope["method"] in _METHODS else "other"
        self._requests.labels(method, route, str(status)).inc()
        self._seconds.labels(method, route).observe(took_s)
        _log.info("request-served", method=method, path=scope["path"], status=status, ms=round(took_s * 1000, 1))


_METHODS = {"GET", "HEAD", "POST", "PATCH", "PUT", "DELETE", "OPTIONS"}
_STRICT = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
)

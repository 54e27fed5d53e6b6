"""Is it alive, is it ready, how is it doing.

`/healthz` is open to all and says nothing but that the process answers. `/readyz` and
`/metrics` are open to this machine when the server listens on loopback only, and need the
token otherwise.
"""

import ipaddress

from fastapi import APIRouter, Request
from fastapi.responses import PlainTextResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from api.auth import signed_in
from api.contract import refusals
from api.errors import NotReady
from api.services import Services, ServicesHere

router = APIRouter(tags=["health"], responses=refusals(401, 429))


@router.get("/healthz")
async def healthz() -> dict[str, str]:
    """The process answers."""
    return {"status": "ok"}


@router.get("/readyz", responses=refusals(503))
async def readyz(request: Request, services: ServicesHere) -> dict[str, str]:
    """The database answers and everything that runs alongside is well."""
    await _near_or_signed_in(request, services)
    reasons = [reason for ask in (lambda: _database(services), *services.not_ready) if (reason := await ask())]
    if reasons:
        raise NotReady("; ".join(reasons))
    return {"status": "ready"}


@router.get("/metrics", response_class=PlainTextResponse)
async def metrics(request: Request, services: ServicesHere) -> Response:
    """Figures for Prometheus."""
    await _near_or_signed_in(request, services)
    return Response(generate_latest(services.metrics), media_type=CONTENT_TYPE_LATEST)


async def _database(services: Services) -> str | None:
    try:
        async with services.database.engine.connect() as connection:
            await connection.execute(text("SELECT 1"))
    except (SQLAlchemyError, OSError, TimeoutError):
        return "the database does not answer"
    return None


async def _near_or_signed_in(request: Request, services: Services) -> None:
    """A proxy on this machine names the far client, so that what comes through it needs the token."""
    try:
        near = request.client is not None and ipaddress.ip_address(request.client.host).is_loopback
    except ValueError:
        near = False
    if not (services.settings.is_local and near):
        await signed_in(request)

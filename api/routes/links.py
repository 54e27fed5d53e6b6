"""Where things are: the page behind this one, the address of what was created."""

from collections.abc import Callable
from typing import TypeVar
from urllib.parse import quote

from fastapi import Request
from fastapi.responses import Response

from api.schemas.page import Page

Item = TypeVar("Item")


def behind(found: list[Item], limit: int, key: Callable[[Item], str]) -> Page[Item]:
    """The page of the first `limit`; `found` holds one more where there is a page behind it."""
    items = found[:limit]
    return Page[Item](items=items, next=key(items[-1]) if len(found) > limit else None)


def created(request: Request, response: Response, route: str, **names: object) -> None:
    """Say in `Location` where the new thing can be read (RFC 9110 section 15.3.2).

    A header is ASCII (section 5.5), a Vietnamese name is not: it goes percent-encoded.
    """
    response.headers["Location"] = quote(request.app.url_path_for(route, **names))

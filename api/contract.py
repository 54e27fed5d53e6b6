"""The OpenAPI document, with what FastAPI does not say by itself: the form of refusals, and who may ask."""

from typing import Any

from fastapi import FastAPI

from api.errors import MEDIA_TYPE
from api.schemas.problem import Problem


def refusals(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a router or route that may refuse with these."""
    return {status: {"model": Problem, "description": "a problem document (RFC 9457)"} for status in statuses}


def complete(app: FastAPI, rest: str) -> None:
    """Have the document say that refusals are problem documents and that paths under `rest` need the token."""
    plain = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = plain()
            document["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
            for path, operations in document["paths"].items():
                for operation in operations.values():
                    if path.startswith(rest):
                        operation["security"] = [{"token": []}]
                    _name_refusals(operation["responses"])
            app.openapi_schema = document
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


def _name_refusals(responses: dict[str, Any]) -> None:
    for status, response in responses.items():
        if status[0] in "45" and "application/json" in response.get("content", {}):
            response["content"] = {MEDIA_TYPE: response["content"]["application/json"]}

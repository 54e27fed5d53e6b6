"""Every error leaves as a problem document (RFC 9457): what was wrong, where, and what would be right.

`errors` lists each value that is wrong: `path` is a JSON pointer (RFC 6901) into the body,
or the parameter's name where `in` says query, path or header. No stack trace leaves.
"""

import secrets
from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.auth import NotSignedIn, TooManyTries
from api.logs import logger
from api.schemas.problem import Problem, ProblemError, Wrong
from api.services import language_for
from api.words import msgid, say
from orchestrator.refusal import Complaint, InUse, NotThere, Refusal, Taken, Things
from orchestrator.store.intake import SheetRefused
from schedules.recurrence import RecurrenceError

MEDIA_TYPE = "application/problem+json"
MOST_BODY_BYTES = 2_000_000

_log = logger("api.errors")

_TITLES = {
    400: msgid("The request cannot be read"),
    401: msgid("Not signed in"),
    403: msgid("Not allowed"),
    404: msgid("Not found"),
    405: msgid("This method does not work here"),
    406: msgid("No such form of the answer"),
    409: msgid("In conflict with what is there"),
    413: msgid("The request is too large"),
    415: msgid("This form of content is not taken"),
    422: msgid("The request does not fit"),
    429: msgid("Too many tries"),
    500: msgid("An error of ours"),
    503: msgid("Not ready"),
}
_KINDS = {401: "not-signed-in", 404: "not-found", 405: "method", 413: "too-large", 422: "invalid", 429: "throttled"}

# What pydantic finds -> (problem, expected), filled from its own context.
_FINDINGS: dict[str, tuple[str, str]] = {
    "missing": (msgid("is missing"), msgid("a value")),
    "extra_forbidden": (msgid("is not known here"), msgid("one of the documented fields")),
    "string_too_short": (msgid("is too short"), msgid("at least {min_length} characters")),
    "string_too_long": (msgid("is too long"), msgid("at most {max_length} characters")),
    "string_pattern_mismatch": (msgid("does not fit"), msgid("text that matches {pattern}")),
    "string_type": (msgid("is not text"), msgid("text")),
    "string_unicode": (msgid("is not Unicode text"), msgid("text")),
    "int_type": (msgid("is not a whole number"), msgid("a whole number")),
    "int_parsing": (msgid("is not a whole number"), msgid("a whole number")),
    "int_from_float": (msgid("is not a whole number"), msgid("a whole number")),
    "int_parsing_size": (msgid("is too large a number"), msgid("a whole number")),
    "float_type": (msgid("is not a number"), msgid("a number")),
    "float_parsing": (msgid("is not a number"), msgid("a number")),
    "finite_number": (msgid("is not a number"), msgid("a number")),
    "bool_type": (msgid("is neither true nor false"), msgid("true or false")),
    "bool_parsing": (msgid("is neither true nor false"), msgid("true or false")),
    "greater_than": (msgid("is too small"), msgid("more than {gt}")),
    "greater_than_equal": (msgid("is too small"), msgid("at least {ge}")),
    "less_than_equal": (msgid("is too large"), msgid("at most {le}")),
    "too_long": (msgid("has {actual_length} entries"), msgid("at most {max_length}")),
    "too_short": (msgid("has {actual_length} entries"), msgid("at least {min_length}")),
    "list_type": (msgid("is not a list"), msgid("a list")),
    "dict_type": (msgid("is not an object"), msgid("an object")),
    "literal_error": (msgid("is not one of the possible values"), msgid("one of {expected}")),
    "enum": (msgid("is not one of the possible values"), msgid("one of {expected}")),
    "model_attributes_type": (
        msgid("is not a JSON object"),
        msgid("a JSON object, sent as application/json"),
    ),
    "model_type": (msgid("is not a JSON object"), msgid("a JSON object, sent as application/json")),
    "json_invalid": (msgid("is not JSON: {error}"), msgid("JSON (RFC 8259)")),
    "timezone_aware": (msgid("has no offset"), msgid("an instant such as 2026-12-01T01:00:00Z")),
    "datetime_parsing": (msgid("is no instant"), msgid("an instant such as 2026-12-01T01:00:00Z")),
    "datetime_from_date_parsing": (msgid("is no instant"), msgid("an instant such as 2026-12-01T01:00:00Z")),
    "datetime_type": (msgid("is no instant"), msgid("an instant such as 2026-12-01T01:00:00Z")),
}


class NotReady(Exception):
    """Something that runs alongside is not well; the text says what."""


def problem(
    request: Request,
    status: int,
    detail: str = "",
    *,
    kind: str = "",
    errors: Sequence[ProblemError] = (),
    headers: Mapping[str, str] | None = None,
) -> Response:
    """The response for one problem, in the language of the client."""
    language = language_for(request)
    document = Problem(
        type=f"urn:diemcau:problem:{kind or _KINDS.get(status, str(status))}",
        title=say(language, _TITLES.get(status, "HTTP {status}"), status=status),
        status=status,
        detail=detail,
        instance=request.url.path,
        errors=list(errors),
    )
    content = _clean(document.model_dump(by_alias=True, exclude_none=True))
    headers = {**(headers or {}), "Content-Language": language, "Vary": "Accept-Language"}
    return JSONResponse(content, status, headers, MEDIA_TYPE)


def told(language: str, complaint: Complaint, **more: Any) -> ProblemError:
    """A complaint in a language; `more` are further members of the entry (row, column)."""

    def value_of(value: object) -> object:
        return value.said(lambda kind: say(language, kind)) if isinstance(value, Things) else value

    values = {name: value_of(value) for name, value in complaint.values.items()}
    return ProblemError(
        path=more.pop("path", complaint.path),
        problem=_say(language, complaint.problem, values),
        expected=_say(language, complaint.expected, values),
        **more,
    )


def install(app: FastAPI) -> None:
    """Have `app` answer every error with a problem document."""
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(Refusal, _refused)
    app.add_exception_handler(RecurrenceError, _no_such_time)
    app.add_exception_handler(SheetRefused, _sheet_refused)
    app.add_exception_handler(NotSignedIn, _not_signed_in)
    app.add_exception_handler(TooManyTries, _too_many_tries)
    app.add_exception_handler(NotReady, _not_ready)
    app.add_exception_handler(Exception, _ours)


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    language = language_for(request)
    details = {
        404: say(language, "There is nothing at this address."),
        405: say(language, "{method} does not work at this address.", method=request.method),
        413: say(language, "A request has at most {most} bytes.", most=_most_bytes(request.scope)),
        400: say(language, "The body cannot be read."),
    }
    return problem(request, error.status_code, details.get(error.status_code, ""), headers=error.headers)


async def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    language = language_for(request)
    errors = [_finding(language, found) for found in error.errors()]
    return problem(request, 422, say(language, "{count} values do not fit.", count=len(errors)), errors=errors)


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, Refusal)
    status, kind = 422, "unfit"
    if isinstance(error, NotThere):
        status, kind = 404, "not-found"
    elif isinstance(error, Taken):
        status, kind = 409, "taken"
    elif isinstance(error, InUse):
        status, kind = 409, "in-use"
    entry = told(language_for(request), error.complaint)
    errors = [] if isinstance(error, NotThere) else [entry]
    return problem(request, status, entry.problem, kind=kind, errors=errors)


async def _no_such_time(request: Request, error: Exception) -> Response:
    assert isinstance(error, RecurrenceError)
    path = "/" + error.field.replace("[", "/").replace("]", "")
    entry = ProblemError(path=path, problem=error.problem, expected=error.expected)
    language = language_for(request)
    return problem(request, 422, say(language, "{count} values do not fit.", count=1), errors=[entry])


async def _sheet_refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, SheetRefused)
    language = language_for(request)
    errors = [
        told(language, each.complaint, path="", row=each.row, column=each.complaint.path) for each in error.errors
    ]
    detail = say(language, "The file has {count} errors; nothing of it was taken in.", count=len(errors))
    return problem(request, 422, detail, kind="sheet", errors=errors)


async def _not_signed_in(request: Request, _error: Exception) -> Response:
    detail = say(language_for(request), "Send the header Authorization: Bearer with the installation's token.")
    return problem(request, 401, detail, headers={"WWW-Authenticate": 'Bearer realm="diemcau"'})


async def _too_many_tries(request: Request, error: Exception) -> Response:
    assert isinstance(error, TooManyTries)
    detail = say(language_for(request), "Too many wrong tokens came from your address; wait {s} s.", s=error.wait_s)
    return problem(request, 429, detail, headers={"Retry-After": str(error.wait_s)})


async def _not_ready(request: Request, error: Exception) -> Response:
    return problem(request, 503, str(error), kind="not-ready")


async def _ours(request: Request, error: Exception) -> Response:
    """The trace goes into the log under a number that the client is given."""
    number = secrets.token_hex(4)
    _log.error("request-failed", number=number, method=request.method, path=request.url.path, exc_info=error)
    detail = say(language_for(request), "The log of the server has the details under number {number}.", number=number)
    return problem(request, 500, detail, kind="internal")


def _finding(language: str, found: Mapping[str, Any]) -> ProblemError:
    where, *parts = found["loc"]
    context = dict(found.get("ctx") or {})
    place = {"in": where} if where != "body" else {}
    if where == "body":
        # Tags of unions stand in parentheses and are no part of the document; nor is the place of a JSON error.
        parts = [] if found["type"] == "json_invalid" else [part for part in parts if str(part)[:1] != "("]
        path = "".join(f"/{str(part).replace('~', '~0').replace('/', '~1')}" for part in parts)
    else:
        path = ".".join(str(part) for part in parts)
    if isinstance(context.get("error"), Wrong):
        return told(language, context["error"].complaint, path=path, **place)
    problem_text, expected = _FINDINGS.get(found["type"], (found["msg"], ""))
    values = {name: value for name, value in context.items() if isinstance(value, (str, int, float))}
    return ProblemError(
        path=path, problem=_say(language, problem_text, values), expected=_say(language, expected, values), **place
    )


def _say(language: str, template: str, values: Mapping[str, object]) -> str:
    if not template:
        return ""
    try:
        return say(language, template, **values)
    except (KeyError, IndexError, ValueError):
        return template  # a library's own text with braces in it


def _clean(value: Any) -> Any:
    """Without lone surrogates, which a client may send and UTF-8 cannot carry back."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, list):
        return [_clean(each) for each in value]
    if isinstance(value, dict):
        return {_clean(name): _clean(each) for name, each in value.items()}
    return value


def _most_bytes(scope: Scope) -> int:
    app_limits: Mapping[str, int] = scope["app"].state.body_limits
    return app_limits.get(scope["path"], MOST_BODY_BYTES)


class BodyLimit:
    """Refuses a body that is too large, before it is read whole.

    `app.state.body_limits` names the paths that take more than MOST_BODY_BYTES.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        most = _most_bytes(scope)
        declared = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
        if not declared.isdigit() or len(declared) > 18 or int(declared) > most:
            response = await _http(Request(scope), HTTPException(413))
            await response(scope, receive, send)
            return
        seen = 0

        async def bounded() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > most:
                raise HTTPException(413)
            return message

        await self._app(scope, bounded, send)

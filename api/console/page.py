"""The console: what an operator looks at and presses, server-rendered, for a logged-in browser."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import cached_property
from typing import Annotated, Any
from urllib.parse import parse_qs, quote, urlsplit

from fastapi import APIRouter, FastAPI, Query, Request
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from fastapi.staticfiles import StaticFiles
from markupsafe import Markup
from sse_starlette import EventSourceResponse, ServerSentEvent

from api import report
from api.console import lines
from api.console.agenda import agenda
from api.console.feed import Feed, Feeds
from api.console.session import COOKIE, LASTING, Sessions
from api.console.view import FOLDER, render
from api.errors import told
from api.orders import RUN_VERBS, SITE_VERBS, order_run, order_site
from api.services import Services
from api.words import LANGUAGES, language_of, msgid, say
from orchestrator.attendance import Record, record_of
from orchestrator.orders import LONGEST_EXTENSION_MIN
from orchestrator.refusal import NotThere, Refusal, Unfit

_FORM_LIMIT = 4_096
_LANGUAGE_COOKIE = "diemcau_language"
_YEAR_S = 365 * 24 * 3600
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class Console:
    """The pages of one installation."""

    def __init__(self, services: Services) -> None:
        self.services = services

    @cached_property
    def feeds(self) -> Feeds:
        # made at the first look: the conductor brings its own bell when the application starts
        return Feeds(self.services.database, self.services.bell, self.services.now)

    @property
    def sessions(self) -> Sessions:
        return self.services.gate.sessions

    def login_path(self, onward: str = "/") -> str:
        """The path of a link that logs a browser in, once, within 15 minutes."""
        return f"/login?onward={quote(onward)}&code={self.sessions.login_code(self.services.now())}"

    def close(self) -> None:
        """End the boards' streams, so that the server can stop."""
        self.feeds.close()


class _LoggedOut(Exception):
    """The browser has no session."""


class _Forged(Exception):
    """The form's token is missing or of another session."""


def install(app: FastAPI, console: Console) -> None:
    """Give `app` the console's pages, its files and its refusals; `app.state.console` is it."""
    app.state.console = console
    app.mount("/static", StaticFiles(directory=FOLDER / "static"), name="static")
    app.include_router(_routes(console))

    async def logged_out(request: Request, _error: Exception) -> Response:
        if _wants_json(request):
            return JSONResponse({"detail": say(_language(console, request), "You are logged out.")}, 401, _HEADERS)
        onward = request.url.path if request.method == "GET" else "/"
        return RedirectResponse(f"/login?onward={quote(onward)}", 303, _HEADERS)

    async def forged(request: Request, _error: Exception) -> Response:
        language = _language(console, request)
        detail = say(language, "This form is too old or not from this page; load the page again.")
        return _problem(console, request, 403, say(language, "Not done"), detail)

    app.add_exception_handler(_LoggedOut, logged_out)
    app.add_exception_handler(_Forged, forged)


def _routes(console: Console) -> APIRouter:
    routes = APIRouter(include_in_schema=False)
    sessions = console.sessions

    def page(request: Request, template: str, status: int = 200, **values: Any) -> Response:
        cookie = request.cookies.get(COOKIE)
        form_token = sessions.form_token(cookie) if cookie and sessions.holds(cookie, console.services.now()) else ""
        language = _language(console, request)
        text = render(template, language, {"form_token": form_token, **values})
        answer = HTMLResponse(text, status, _HEADERS)
        if request.query_params.get("language") in LANGUAGES:
            answer.set_cookie(_LANGUAGE_COOKIE, language, max_age=_YEAR_S, samesite="strict", httponly=True)
        return answer

    def logged_in(request: Request) -> str:
        cookie = request.cookies.get(COOKIE)
        if cookie is None or not sessions.holds(cookie, console.services.now()):
            raise _LoggedOut
        return cookie

    async def genuine_form(request: Request) -> dict[str, str]:
        cookie = logged_in(request)
        form = await _form(request)
        if not sessions.form_token_fits(cookie, form.get("form_token", "")):
            raise _Forged
        return form

    def welcome(request: Request, onward: str) -> Response:
        answer = RedirectResponse(onward, 303, _HEADERS)
        answer.set_cookie(
            COOKIE, sessions.begin(console.services.now()), max_age=int(LASTING.total_seconds()), path="/",
            secure=request.url.scheme == "https", httponly=True, samesite="strict",
        )  # fmt: skip
        return answer

    @routes.get("/login")
    async def login_form(request: Request, onward: str = "/", code: str = "") -> Response:
        if code and sessions.use_login_code(code, console.services.now()):
            return welcome(request, _local(onward))
        problem = say(_language(console, request), "This link was used already or is too old.") if code else ""
        return page(request, "login.html", problem=problem, onward=_local(onward))

    @routes.post("/login")
    async def log_in(request: Request) -> Response:
        form = await _form(request)
        onward = _local(form.get("onward", "/"))
        language, now = _language(console, request), console.services.now()
        gate, address = console.services.gate, request.client.host if request.client else ""
        if wait_s := gate.throttle.wait_s(address, now):
            problem = say(language, "Too many wrong tokens; try again in {n} s.", n=wait_s)
            return page(request, "login.html", 429, problem=problem, onward=onward)
        if not gate.fits(form.get("token", "").strip()):
            gate.throttle.failed(address, now)
            return page(request, "login.html", 401, problem=say(language, "This is not the token."), onward=onward)
        return welcome(request, onward)

    @routes.post("/logout")
    async def log_out(request: Request) -> Response:
        await genuine_form(request)
        answer = RedirectResponse("/login", 303, _HEADERS)
        answer.delete_cookie(COOKIE, path="/")
        return answer

    @routes.get("/")
    async def runs(request: Request) -> Response:
        logged_in(request)
        async with console.services.database.read() as session:
            shown = await agenda(session, console.services.now())
        return page(request, "runs.html", under_way=shown.under_way, to_come=shown.to_come, over=shown.over)

    @routes.get("/runs/{run_id}")
    async def board_page(request: Request, run_id: int, said: Annotated[str, Query(max_length=300)] = "") -> Response:
        logged_in(request)
        feed = await console.feeds.of(run_id)
        if feed is None:
            return _no_run(console, request, run_id)
        await feed.warm(_language(console, request))
        pieces = _pieces(feed, _language(console, request))
        version = f"{feed.name}.{feed.version}"
        return page(request, "board.html", run=feed.board, pieces=pieces, version=version, said=said)

    @routes.get("/runs/{run_id}/stream")
    async def stream(request: Request, run_id: int, after: Annotated[str, Query(max_length=60)] = "") -> Response:
        logged_in(request)
        feed = await console.feeds.of(run_id)
        if feed is None:
            return _no_run(console, request, run_id)
        above = _version(feed, request.headers.get("last-event-id") or after)
        return _stream(console, feed, _language(console, request), above)

    @routes.get("/runs/{run_id}/attendance")
    async def attendance_page(request: Request, run_id: int) -> Response:
        logged_in(request)
        record = await _record(console, run_id)
        if record is None:
            return _no_run(console, request, run_id)
        language = _language(console, request)
        lines = [
            {"was_there": line.was_there, "cells": report.cells(language, line, record.run.time_zone)}
            for line in record.participants
        ]
        there = sum(line.was_there for line in record.participants)
        titles = report.titles(language)
        return page(request, "attendance.html", run=record.run, titles=titles, lines=lines, there=there)

    @routes.get("/runs/{run_id}/attendance.csv")
    async def attendance_csv(request: Request, run_id: int) -> Response:
        logged_in(request)
        record = await _record(console, run_id)
        if record is None:
            return _no_run(console, request, run_id)
        text = report.csv_text(_language(console, request), record)
        named = {"Content-Disposition": f'attachment; filename="attendance-run-{run_id}.csv"'}
        return Response(text, media_type="text/csv; charset=utf-8", headers=_HEADERS | named)

    @routes.post("/runs/{run_id}/{verb}")
    async def order_of_run(request: Request, run_id: int, verb: str) -> Response:
        form = await genuine_form(request)

        async def give() -> str:
            words = _verb(RUN_VERBS, verb)
            args: dict[str, object] = {"minutes": _minutes(form.get("minutes", ""))} if verb == "extend" else {}
            await order_run(console.services.database, console.services.conductor, run_id, verb, **args)
            return say(_language(console, request), words)

        return await _ordered(console, request, run_id, give)

    @routes.post("/runs/{run_id}/sites/{code}/{verb}")
    async def order_of_site(request: Request, run_id: int, code: str, verb: str) -> Response:
        await genuine_form(request)

        async def give() -> str:
            words = _verb(SITE_VERBS, verb)
            await order_site(console.services.database, console.services.conductor, run_id, code, verb)
            return f"{say(_language(console, request), words)} {code}"

        return await _ordered(console, request, run_id, give)

    lines.add(routes, console, page, logged_in, genuine_form, _language)
    return routes


# --- the board and its stream ---------------------------------------------------------------------------------------


def _pieces(feed: Feed, language: str) -> dict[str, Any]:

    return {
        "head": Markup(feed.html(language, "head")),
        "links": [Markup(feed.html(language, f"link-{link['code']}")) for link in feed.board["links"]],
        "sites": [Markup(feed.html(language, f"site-{site['code']}")) for site in feed.board["sites"]],
        "log": [Markup(line) for line in reversed(feed.log_html(language))],
    }


def _version(feed: Feed, text: str) -> int:
    """The version a page has, 0 when it is of another feed and everything must be sent."""
    name, _, number = text.partition(".")
    return int(number) if name == feed.name and number.isascii() and number.isdigit() else 0


def _stream(console: Console, feed: Feed, language: str, above: int) -> EventSourceResponse:
    async def events() -> AsyncIterator[ServerSentEvent]:
        version = above
        async for news in console.feeds.follow(feed, language, above):
            if news is None:
                yield ServerSentEvent("", event="beat", id=f"{feed.name}.{version}", sep="\n")
                continue
            version, update = news
            yield ServerSentEvent(update, event="board", id=f"{feed.name}.{version}", sep="\n")
        if feed.board["over"]:
            yield ServerSentEvent("{}", event="end", sep="\n")

    return EventSourceResponse(events(), sep="\n", send_timeout=30.0, headers=_HEADERS)


async def _record(console: Console, run_id: int) -> Record | None:
    async with console.services.database.read() as session:
        return await record_of(session, run_id, console.services.now())


# --- orders ---------------------------------------------------------------------------------------------------------


async def _ordered(console: Console, request: Request, run_id: int, give: Callable[[], Awaitable[str]]) -> Response:
    language = _language(console, request)
    try:
        words = await give()
    except Refusal as refusal:
        detail = told(language, refusal.complaint).problem
        status = 404 if isinstance(refusal, NotThere) else 409
        return _problem(console, request, status, say(language, "Not done"), detail)
    said = say(language, "Order accepted: {order}", order=words)
    if _wants_json(request):
        return JSONResponse({"said": said}, 202, _HEADERS)
    return RedirectResponse(f"/runs/{run_id}?said={quote(said)}", 303, _HEADERS)


def _verb(known: dict[str, str], verb: str) -> str:
    if verb not in known:
        raise NotThere(msgid("order"), verb)
    return known[verb]


def _minutes(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 5 and 1 <= int(text) <= LONGEST_EXTENSION_MIN):
        raise Unfit(
            "/minutes", msgid("{minutes} is no number of minutes"), msgid("1 to {most}"), minutes=repr(text), most=720
        )
    return int(text)


# --- requests and refusals ------------------------------------------------------------------------------------------


def _language(console: Console, request: Request) -> str:
    chosen = request.query_params.get("language") or request.cookies.get(_LANGUAGE_COOKIE)
    return (
        chosen
        if chosen in LANGUAGES
        else language_of(request.headers.get("accept-language"), console.services.settings.language)
    )


def _wants_json(request: Request) -> bool:
    return "application/json" in request.headers.get("accept", "")


def _local(onward: str) -> str:
    """`onward` if it is a path of ours, else the first page: nobody is sent elsewhere from the login."""
    parts = urlsplit(onward)
    ours = onward.startswith("/") and not onward.startswith(("//", "/\\")) and not parts.scheme and not parts.netloc
    return onward if ours and len(onward) < 500 else "/"


async def _form(request: Request) -> dict[str, str]:
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > _FORM_LIMIT:
            return {}
    try:
        fields = parse_qs(body.decode(), keep_blank_values=True, max_num_fields=20)
    except ValueError:
        return {}
    return {name: values[-1] for name, values in fields.items()}


def _no_run(console: Console, request: Request, run_id: int) -> Response:
    language = _language(console, request)
    detail = told(language, NotThere("run", run_id).complaint).problem
    return _problem(console, request, 404, say(language, "Not found"), detail)


def _problem(console: Console, request: Request, status: int, title: str, detail: str) -> Response:
    if _wants_json(request):
        return Response(json.dumps({"detail": detail}), status, _HEADERS, "application/json")
    text = render("problem.html", _language(console, request), {"form_token": "", "title": title, "detail": detail})
    return HTMLResponse(text, status, _HEADERS)

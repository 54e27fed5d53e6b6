"""Runs: the board, its journal as a stream, orders to it, and who was there."""

from typing import Annotated

from fastapi import APIRouter, Body, Depends, Header, Path, Query, Request
from fastapi.responses import JSONResponse, Response

from api.errors import problem
from api.live import Live, event_stream
from api.orders import RUN_VERBS, SITE_VERBS, Over, order_run, order_site
from api.report import csv_text
from api.schemas.runs import Accepted, AttendanceOut, Board, Extension, RunPage, attendance_out
from api.services import LanguageHere, ServicesHere, language_for
from api.vocabulary import reason
from api.words import say
from orchestrator.attendance import Record, record_of
from orchestrator.board import board, last_entry, run_list
from orchestrator.refusal import NotThere
from orchestrator.rules.states import RUN_OVER, RunState
from orchestrator.store.runs import Run

router = APIRouter(prefix="/runs", tags=["runs"])

_LARGEST_ID = 2**31 - 1
_LARGEST_CURSOR = 2**53 - 1
_CSV = "text/csv"

RunId = Annotated[int, Path(ge=1, le=_LARGEST_ID)]
Code = Annotated[str, Path(min_length=1, max_length=200)]


def live_of(services: ServicesHere, request: Request) -> Live:
    """The application's journal tails, made when somebody first follows a run."""
    state = request.app.state
    if not hasattr(state, "live"):
        state.live = Live(services.database, services.bell)
    live: Live = state.live
    return live


LiveHere = Annotated[Live, Depends(live_of)]


@router.get("")
async def list_runs(
    services: ServicesHere,
    meeting: Annotated[int | None, Query(ge=1, le=_LARGEST_ID)] = None,
    state: Annotated[list[RunState] | None, Query(max_length=20, description="May be given more than once.")] = None,
    below: Annotated[int | None, Query(ge=1, le=_LARGEST_ID, description="`next` of the page before.")] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
) -> RunPage:
    """Runs, newest first."""
    async with services.database.read() as session:
        rows = await run_list(session, meeting_id=meeting, states=state or (), below=below, limit=limit + 1)
    more = len(rows) > limit
    return RunPage.model_validate({"items": rows[:limit], "next": rows[limit - 1]["id"] if more else None})


@router.get("/{run_id}")
async def show_run(services: ServicesHere, run_id: RunId) -> Board:
    """The board: state, counts, and each site with its state, way, evidence of both sides, cause and next try."""
    async with services.database.read() as session:
        shown = await board(session, run_id, services.now())
    if shown is None:
        raise NotThere("run", run_id)
    return Board.model_validate(shown)


@router.get(
    "/{run_id}/events",
    response_class=Response,
    responses={200: {"content": {"text/event-stream": {}}}, 204: {"description": "The run is over, all was given."}},
)
async def follow_run(
    services: ServicesHere,
    live: LiveHere,
    run_id: RunId,
    after: Annotated[int, Query(ge=0, le=_LARGEST_CURSOR, description="Entries above this id; 0 is all.")] = 0,
    last_event_id: Annotated[int | None, Header(ge=0, le=_LARGEST_CURSOR)] = None,
) -> Response:
    """The run's journal as server-sent events, from the start or from where the client left off.

    Each event's id is the journal's; `Last-Event-ID` goes before `after`. When the run is over
    and all was given comes an event `end`; a client that comes back then is answered 204 and stays away.
    """
    async with services.database.read() as session:
        run = await session.get(Run, run_id)
        if run is None:
            raise NotThere("run", run_id)
        cursor = await last_entry(session, run_id)
    if last_event_id is not None and run.state in RUN_OVER and last_event_id >= cursor:
        return Response(status_code=204)
    return event_stream(live, run_id, after if last_event_id is None else last_event_id)


@router.get("/{run_id}/attendance", response_model=AttendanceOut, responses={200: {"content": {_CSV: {}}}})
async def show_attendance(
    services: ServicesHere, language: LanguageHere, run_id: RunId, accept: Annotated[str, Header()] = ""
) -> Response:
    """Who was there, when, by which way, and why not. CSV where `Accept` asks for text/csv."""
    record = await _record(services, run_id)
    if _CSV in accept and "json" not in accept:
        return _csv(language, record)
    told = attendance_out(record, lambda cause, side, raw: reason(language, cause, side, raw))
    return JSONResponse(told.model_dump(mode="json"), headers={"Vary": "Accept, Accept-Language"})


@router.get("/{run_id}/attendance.csv", response_class=Response, responses={200: {"content": {_CSV: {}}}})
async def show_attendance_csv(services: ServicesHere, language: LanguageHere, run_id: RunId) -> Response:
    """Who was there, as CSV for spreadsheets; times on the clock of the meeting's zone."""
    return _csv(language, await _record(services, run_id))


# --- orders ---------------------------------------------------------------------------------------------------------


@router.post("/{run_id}/end", status_code=202, response_model=Accepted)
async def end_run(request: Request, services: ServicesHere, run_id: RunId) -> Response:
    """End the run now: all calls that we placed are hung up."""
    return await _order(request, services, run_id, "end")


@router.post("/{run_id}/extend", status_code=202, response_model=Accepted)
async def extend_run(
    request: Request, services: ServicesHere, run_id: RunId, extension: Annotated[Extension, Body()]
) -> Response:
    """Let the run go on for so many minutes longer."""
    return await _order(request, services, run_id, "extend", minutes=extension.minutes)


@router.post("/{run_id}/call-absent", status_code=202, response_model=Accepted)
async def call_absent(request: Request, services: ServicesHere, run_id: RunId) -> Response:
    """Dial everybody who is not in, now, also those who were given up."""
    return await _order(request, services, run_id, "call-absent")


@router.post("/{run_id}/sites/{code}/redial", status_code=202, response_model=Accepted)
async def redial_site(request: Request, services: ServicesHere, run_id: RunId, code: Code) -> Response:
    """Dial the site again, now."""
    return await _order(request, services, run_id, "redial", code)


@router.post("/{run_id}/sites/{code}/hang-up", status_code=202, response_model=Accepted)
async def hang_up_site(request: Request, services: ServicesHere, run_id: RunId, code: Code) -> Response:
    """Hang up the site, and do not dial it again until somebody says so."""
    return await _order(request, services, run_id, "hang-up", code)


@router.post("/{run_id}/sites/{code}/mute", status_code=202, response_model=Accepted)
async def mute_site(request: Request, services: ServicesHere, run_id: RunId, code: Code) -> Response:
    """Mute the site on the bridge."""
    return await _order(request, services, run_id, "mute", code)


@router.post("/{run_id}/sites/{code}/unmute", status_code=202, response_model=Accepted)
async def unmute_site(request: Request, services: ServicesHere, run_id: RunId, code: Code) -> Response:
    """Let the site be heard again."""
    return await _order(request, services, run_id, "unmute", code)


async def _order(
    request: Request, services: ServicesHere, run_id: int, verb: str, code: str | None = None, **args: object
) -> Response:
    assert verb in (RUN_VERBS if code is None else SITE_VERBS)
    try:
        if code is None:
            command = await order_run(services.database, services.conductor, run_id, verb, **args)
        else:
            command = await order_site(services.database, services.conductor, run_id, code, verb)
    except Over as over:
        told = over.complaint
        detail = say(language_for(request), told.problem, **told.values)
        return problem(request, 409, detail, kind="run-over")
    return JSONResponse({"command": command, "verb": verb}, 202)


async def _record(services: ServicesHere, run_id: int) -> Record:
    async with services.database.read() as session:
        record = await record_of(session, run_id, services.now())
    if record is None:
        raise NotThere("run", run_id)
    return record


def _csv(language: str, record: Record) -> Response:
    name = f"attendance-run-{record.run.id}.csv"
    named = {"Content-Disposition": f"attachment; filename={name}", "Vary": "Accept-Language"}
    return Response(csv_text(language, record), media_type="text/csv; charset=utf-8", headers=named)

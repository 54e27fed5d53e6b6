"""A run's rows turned into tracks: at its claim, and again wherever it is taken up."""

import zlib
from collections.abc import Collection, Sequence
from typing import Any

from adapters import Capability, ClearCause, Cleared, LegState, Side
from orchestrator.rules.plan import EndpointFacts, Rung, Way, link_rungs, site_rungs
from orchestrator.rules.reconcile import Call, Kind, Track, Why
from orchestrator.rules.redial import Attempt, NextTry, RedialRules, Stop, next_try
from orchestrator.rules.states import ParticipantState
from orchestrator.store.inventory import Room, SiteEndpoints
from orchestrator.store.runs import Leg, Participant

LINK_PRIORITY = 0


def jitter(leg: str) -> float:
    """A spread in 0..1 that is the same for a leg after a restart."""
    return zlib.crc32(leg.encode()) / 2**32


def participants_of(
    sites: Sequence[SiteEndpoints],
    rooms: Sequence[Room],
    bridge: Collection[Capability],
    dialing_families: Collection[str],
) -> list[Participant]:
    """The participants of a new run, links first, each with its ladder as it is now."""
    rows = [
        Participant(
            run_id=0,
            kind=Kind.ROOM.value,
            code=room.name,
            name=room.name,
            priority=LINK_PRIORITY,
            plan={"rungs": [r.to_json() for r in link_rungs(room.address, room.backup_address, bridge)]},
        )
        for room in rooms
    ]
    for entry in sites:
        facts = [
            EndpointFacts(e.endpoint.name, e.endpoint.family, e.endpoint.ladder, e.addresses) for e in entry.endpoints
        ]
        rungs = site_rungs(facts, bridge, dialing_families)
        rows.append(
            Participant(
                run_id=0,
                kind=Kind.SITE.value,
                code=entry.site.code,
                name=entry.site.name,
                priority=entry.site.priority,
                plan={"rungs": [rung.to_json() for rung in rungs]},
            )
        )
    return rows


def tracks_of(participants: Sequence[Participant], legs: Sequence[Leg], rules: RedialRules) -> list[Track]:
    """The tracks of a run as its rows tell them; legs in the order they were made."""
    by_participant: dict[int, list[Leg]] = {}
    for leg in legs:
        by_participant.setdefault(leg.participant_id, []).append(leg)
    return [_track(row, by_participant.get(row.id or 0, []), rules) for row in participants]


def rungs_of(row: Participant) -> tuple[Rung, ...]:
    """The ladder that a participant was given at the run's claim."""
    plan: dict[str, Any] = row.plan
    return tuple(Rung.from_json(rung) for rung in plan["rungs"])


def _track(row: Participant, legs: list[Leg], rules: RedialRules) -> Track:
    track = Track(
        id=row.id or 0,
        kind=Kind(row.kind),
        code=row.code,
        name=row.name,
        priority=row.priority,
        rungs=rungs_of(row),
        state=ParticipantState(row.state),
        tries=len(legs),
        redials=row.redials,
        been_in=any(leg.admitted_at for leg in legs),
        stopped=row.stopped_why,
        in_since=row.in_since,
    )
    if not track.rungs and not track.stopped:
        track.stopped = "there is no way to reach it: no address that the bridge or third-party control can call"
    for leg in legs[row.forgotten :]:
        if leg.state == LegState.CLEARED.value:
            _past(track, leg)
    for leg in legs:
        if leg.state != LegState.CLEARED.value:
            track.call = _call(leg)
    if legs and legs[-1].cleared_at is not None:
        track.last = Cleared(ClearCause(legs[-1].cause), Side(legs[-1].side), legs[-1].raw)
    if track.call is None and track.attempts and not track.stopped:
        match next_try(len(track.rungs), track.attempts, rules, jitter(legs[-1].name)):
            case NextTry() as pending:
                track.pending = pending
            case Stop(why=why):
                track.stopped = why
    return track


def _past(track: Track, leg: Leg) -> None:
    ours = {Why.OPERATOR, Why.REDIAL, Why.CLOSING, Why.BY_HAND}
    if leg.cleared_at is None or leg.coming_down in ours:
        return
    held_s = (leg.cleared_at - leg.admitted_at).total_seconds() if leg.admitted_at else 0.0
    track.attempts.append(
        Attempt(leg.rung, ClearCause(leg.cause), leg.cleared_at, leg.admitted_at is not None, held_s, leg.barred)
    )


def _call(leg: Leg) -> Call:
    return Call(
        name=leg.name,
        rung=leg.rung,
        way=Way(leg.way),
        address=leg.address,
        state=LegState(leg.state),
        dialed_at=leg.dialed_at or leg.planned_at,
        connected_at=leg.connected_at,
        admitted_at=leg.admitted_at,
        coming_down=Why(leg.coming_down) if leg.coming_down else None,
        taken_up=True,
        member=leg.member,
    )

"""An operator's order to a run: checked against the rows, then durable, then carried out by the run's owner."""

from collections.abc import Awaitable, Mapping
from typing import Protocol

from sqlmodel import col, select

from api.words import msgid
from orchestrator.orders import OrderRefused
from orchestrator.refusal import NotThere, Refusal
from orchestrator.rules.states import RUN_OVER
from orchestrator.store.database import Database
from orchestrator.store.runs import Participant, Run

RUN_VERBS = {
    "end": msgid("end the run"),
    "extend": msgid("extend the run"),
    "call-absent": msgid("call the absent"),
}
SITE_VERBS = {
    "redial": msgid("redial"),
    "hang-up": msgid("hang up"),
    "mute": msgid("mute"),
    "unmute": msgid("unmute"),
}


class Orders(Protocol):
    """Takes an order durably and has it carried out; the conductor does."""

    def order(self, run_id: int, verb: str, args: Mapping[str, object]) -> Awaitable[int]: ...


class Over(Refusal):
    """The run is over; nothing can be ordered of it any more."""

    def __init__(self, run_id: int, state: str) -> None:
        super().__init__(
            "", msgid("run {run} is over ({state})"), msgid("a run that is under way"), run=run_id, state=state
        )


async def order_run(database: Database, orders: Orders, run_id: int, verb: str, **args: object) -> int:
    """Order something of a whole run; returns the command's id. Raises NotThere, Over."""
    return await _order(database, orders, run_id, verb, args)


async def order_site(database: Database, orders: Orders, run_id: int, code: str, verb: str) -> int:
    """Order something of one site (or linked room); returns the command's id. Raises NotThere, Over."""
    return await _order(database, orders, run_id, verb, {"site": code})


async def _order(database: Database, orders: Orders, run_id: int, verb: str, args: Mapping[str, object]) -> int:
    await _check(database, run_id, args.get("site"))
    try:
        return await orders.order(run_id, verb, args)
    except (OrderRefused, LookupError):  # it came to its end since
        await _check(database, run_id, args.get("site"))
        raise


async def _check(database: Database, run_id: int, code: object) -> None:
    async with database.read() as session:
        run = await session.get(Run, run_id)
        if run is None:
            raise NotThere("run", run_id)
        if run.state in RUN_OVER:
            raise Over(run_id, run.state)
        if code is not None:
            named = select(Participant.id).where(Participant.run_id == run_id, col(Participant.code) == code)
            if (await session.exec(named.limit(1))).first() is None:
                raise NotThere("site", code)

"""Asks one Asterisk, and puts its refusals into words a person can act on."""

from adapters.bridges.asterisk import grammar, meaning
from adapters.bridges.asterisk.grammar import Action, Packet
from adapters.bridges.asterisk.meaning import ChannelListed, Joined
from adapters.bridges.asterisk.profile import Pace
from adapters.bridges.asterisk.session import Session
from adapters.errors import AdapterError, LoginRefused, Rejected

NO_CHANNEL = ("No such channel", "Channel not found")
_DENIED = "Permission denied"


class Questions:
    """The questions and orders of the adapter, each with its deadline. Raise like `Connection.ask`."""

    def __init__(self, session: Session, pace: Pace) -> None:
        self._session = session
        self._pace = pace

    async def ask(self, action: Action, verb: str, *, changes: bool = False, action_id: str = "") -> Packet:
        try:
            return await self._session.ask(action, verb, self._pace.order_s, changes=changes, action_id=action_id)
        except Rejected as error:
            raise self._explained(error, verb, action) from None

    async def hang_up(self, channel: str) -> str:
        """Order the end of a channel, by name or unique id; the bridge's words if it has no such channel."""
        try:
            await self.ask(grammar.hang_up(channel), "drop", changes=True)
        except Rejected as error:
            if error.why not in NO_CHANNEL:
                raise
            return error.why
        return ""

    async def channels(self, verb: str) -> dict[str, ChannelListed]:
        """Every channel of the bridge, by its unique id."""
        lines = await self._list(grammar.list_channels(), verb)
        return {seen.party.uniqueid: seen for seen in map(meaning.listed_channel, lines)}

    async def parties(self, verb: str) -> int:
        """How many are in conferences, all rooms together."""
        return sum(meaning.listed_room(line)[1] for line in await self._list(grammar.list_rooms(), verb))

    async def members(self, conference: str, verb: str) -> list[Joined]:
        """Who is in a conference."""
        return [meaning.listed_member(line) for line in await self._list(grammar.list_members(conference), verb)]

    async def _list(self, action: Action, verb: str) -> list[Packet]:
        try:
            return await self._session.collect(action, verb, self._pace.list_s)
        except Rejected as error:
            if error.why in meaning.NOBODY_MESSAGES:
                return []
            raise self._explained(error, verb, action) from None

    def rejected(self, verb: str, why: str) -> Rejected:
        return Rejected(self._session.target.device, verb, why, self._session.trace.tail())

    def _explained(self, error: Rejected, verb: str, action: Action) -> AdapterError:
        if error.why != _DENIED:
            return error
        target = self._session.target
        why = (
            f"{target.place}: AMI user {target.username!r} may not {action.name}:"
            " manager.conf must give it read = system,call and write = call,reporting,originate"
        )
        kind: type[AdapterError] = LoginRefused if verb == "open" else Rejected
        return kind(target.device, verb, why, error.trace)

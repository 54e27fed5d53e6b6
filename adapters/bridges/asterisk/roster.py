"""Who is in which conference, as ConfBridge told; and the member events that follow from it."""

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta

from adapters.bridges.asterisk.meaning import ChannelListed, Joined, Left, MuteChanged, Party
from adapters.contract import Sink
from adapters.events import ConferenceEnded, MemberChanged, MemberJoined, MemberLeft
from adapters.values import Member


def member(party: Party, muted: bool | None, joined_at: datetime | None) -> Member:
    """The roster entry of a channel; a tag of ours may stand in its id or in either number."""
    marks = dict.fromkeys((party.uniqueid, party.caller_number, party.connected_number))
    return Member(
        id=party.channel,
        marks=tuple(mark for mark in marks if mark),
        caller=party.caller_number,
        display=party.caller_name,
        muted=muted,
        joined_at=joined_at,
    )


class Presence:
    """Everybody in every ConfBridge room of one bridge; speaks only of the watched rooms.

    A bridge has rooms of other people too: they count as used ports and are nobody's event.
    """

    def __init__(self, device: str, sink: Sink, now: Callable[[], datetime]) -> None:
        self._device = device
        self._sink = sink
        self._now = now
        self._members: dict[str, tuple[str, Member]] = {}
        self._watched: set[str] = set()

    def __len__(self) -> int:
        return len(self._members)

    def has(self, conference: str) -> bool:
        """Whether anybody is in that conference."""
        return any(room == conference for room, _ in self._members.values())

    def watch(self, conference: str) -> None:
        self._watched.add(conference)

    def forget(self, conference: str) -> None:
        self._watched.discard(conference)

    def joined(self, meaning: Joined) -> None:
        """Somebody came in."""
        if meaning.party.is_announcer:
            return
        at = self._now()
        entry = member(meaning.party, meaning.muted, at)
        self._members[entry.id] = (meaning.conference, entry)
        if meaning.conference in self._watched:
            self._sink(MemberJoined(self._device, meaning.conference, entry, at))

    def left(self, meaning: Left) -> None:
        """Somebody went."""
        if meaning.party.is_announcer:
            return
        _, entry = self._members.pop(meaning.party.channel, ("", None))
        if meaning.conference in self._watched:
            gone = entry or member(meaning.party, None, None)
            self._sink(MemberLeft(self._device, meaning.conference, gone, self._now()))

    def mute_changed(self, meaning: MuteChanged) -> None:
        """A microphone was switched, by us or by anybody."""
        if meaning.party.is_announcer:
            return
        _, known = self._members.get(meaning.party.channel, ("", None))
        entry = member(meaning.party, meaning.on, known.joined_at if known else None)
        self._members[entry.id] = (meaning.conference, entry)
        if meaning.conference in self._watched:
            self._sink(MemberChanged(self._device, meaning.conference, entry, self._now()))

    def ended(self, conference: str) -> None:
        """The room is empty and gone."""
        if conference in self._watched:
            self._sink(ConferenceEnded(self._device, conference, self._now()))

    def hung_up(self, channel: str) -> None:
        """A channel is gone, whether or not its leaving was told."""
        self._members.pop(channel, None)

    def seed(self, channels: Iterable[ChannelListed]) -> None:
        """Start from what the bridge lists; tells nobody."""
        self._members = {
            seen.party.channel: (seen.conference, member(seen.party, None, None))
            for seen in channels
            if seen.conference and seen.bridged and not seen.party.is_announcer
        }

    def read(self, conference: str, listed: Iterable[Joined]) -> tuple[Member, ...]:
        """The roster of one conference from its list; tells nobody."""
        at = self._now()
        entries = {
            line.party.channel: member(
                line.party,
                line.muted,
                at - timedelta(seconds=line.answered_s) if line.answered_s is not None else None,
            )
            for line in listed
            if not line.party.is_announcer
        }
        stale = [channel for channel, (room, _) in self._members.items() if room == conference]
        for channel in stale:
            if channel not in entries:
                del self._members[channel]
        self._members.update((channel, (conference, entry)) for channel, entry in entries.items())
        return tuple(entries.values())

"""What the peers themselves say: who was rung how often, whose sound flows, and what is still up."""

from collections import Counter
from dataclasses import dataclass, field

from tests.peers.lab.asterisk import VOICE
from tests.peers.lab.manager import Packet
from tests.peers.lab.scene import ROOM, Scene
from tests.peers.lab.sites import BRIDGE_H323


def from_outside(packet: Packet) -> bool:
    """Not one of the lab's own voices."""
    return not packet["Channel"].startswith(VOICE)


async def in_the_room(lab: Scene) -> list[Packet]:
    """Who has been let into the provincial room."""
    return [one for one in await lab.room.manager.roster(ROOM) if from_outside(one)]


def rung(lab: Scene) -> Counter[str]:
    """How many calls have come in at each site since the lab was started, by its own account."""
    count: Counter[str] = Counter()
    for code, endpoint in lab.endpoints.items():
        count[code] = len(endpoint.seen().invited)
    for event in lab.codecs.manager.events:
        if event["Event"] == "Newchannel" and event["Channel"].startswith("OOH323/"):
            count[event["Exten"]] += 1
    for event in lab.room.manager.events:
        if event["Event"] == "Newchannel" and from_outside(event):
            count[ROOM] += 1
    return count


@dataclass
class Sound:
    """RTP as both sides account for it; everything named here is missing."""

    bridge_hears_not: list[str] = field(default_factory=list)
    site_hears_not: list[str] = field(default_factory=list)
    room_hears_not: bool = False

    @property
    def complete(self) -> bool:
        return not (self.bridge_hears_not or self.site_hears_not or self.room_hears_not)


async def sound(lab: Scene, conference: str) -> Sound:
    """Look at talker detection in the rosters and at the RTP counts of the endpoints, once."""
    missing = Sound()
    roster = await lab.main.manager.roster(conference)
    missing.bridge_hears_not = [one["Channel"] for one in roster if one["Talking"] != "Yes"]
    for code, endpoint in lab.endpoints.items():
        if not any(call.heard and call.sent for call in endpoint.living):
            missing.site_hears_not.append(code)
    for row in lab.rows:
        if row.way == BRIDGE_H323:
            heard = await lab.codecs.manager.roster(row.code)
            if not any(one["Channel"].startswith("OOH323/") and one["Talking"] == "Yes" for one in heard):
                missing.site_hears_not.append(row.code)
    missing.room_hears_not = not any(one["Talking"] == "Yes" for one in await in_the_room(lab))
    return missing


def one_call_each(lab: Scene) -> list[str]:
    """Sites that have more than one call up, or none."""
    wrong = [code for code, endpoint in lab.endpoints.items() if len(endpoint.living) != 1]
    return sorted(wrong)


async def leftovers(lab: Scene) -> list[str]:
    """Every call that is still up anywhere, the guest's own and the lab's tones aside."""
    left: list[str] = []
    guest = lab.guest.name
    left += [
        f"main: {one['Channel']} {one['ChannelStateDesc']}"
        for one in await lab.main.manager.channels()
        if one["CallerIDNum"] != guest
    ]
    for far in (lab.room, lab.codecs):
        channels = await far.manager.channels()
        left += [f"{far.instance.name}: {one['Channel']}" for one in channels if from_outside(one)]
    for code, endpoint in lab.endpoints.items():
        calls = await endpoint.active_calls()
        left += [f"{code}: {calls} call(s)"] if calls else []
    return left


def ended_by_silence(lab: Scene, since: int) -> list[str]:
    """Calls that the bridge gave up because no RTP came (cause 44), after its first `since` events."""
    events = lab.main.manager.events.seen[since:]
    return [one["Channel"] for one in events if one["Event"] == "Hangup" and one["Cause"] == "44"]


async def guest_is_in(lab: Scene, conference: str) -> bool:
    """The call placed by hand is up on both sides."""
    roster = await lab.main.manager.roster(conference)
    return bool(lab.guest.living) and any(one["CallerIDNum"] == lab.guest.name for one in roster)

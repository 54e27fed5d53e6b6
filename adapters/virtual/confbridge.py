"""What ConfBridge does in a virtual Asterisk: rooms, who is in them, and the PIN at their door.

Measured on Asterisk 22.10.1 (tests/transcripts/asterisk_twin):

* A caller that must give a PIN has an answered call and is in no roster until it is right.
* Three wrong PINs in a row: hung up 2.4 s after the last digit. One wrong one and then
  nothing: 37 s after the answer. No digit at all: 45 s. So a try lasts 12.6 s, a notice 2.4 s.
* A room vanishes with its last member; its announcer counts in BridgeNumChannels only.

* A full room is answered and hung up 1.8 s later without a join, a call of the bridge itself
  with cause 0 (tests/transcripts/asterisk/full.txt). A locked one does the same
  (app_confbridge.c, not captured).
"""

import asyncio
from collections.abc import Callable

from adapters.virtual.channel import Channel, PinPrompt, Room

Fields = tuple[tuple[str, str], ...]
Watcher = Callable[[str, Channel | None, Room | None, Fields], None]
"""Takes an AMI event: its name, channel, room and own fields."""

TRIES = 3
BETWEEN_DIGITS_S = 5.0
"""A PIN that was begun is taken as it stands after so long without a digit (ast_app_getdata, not captured)."""
MAX_DIGITS = 80
"""The longest PIN ConfBridge reads (MAX_PIN)."""


class ConfBridge:
    """The conferences of one bridge. `tell` hears of them, `hang_up` ends a channel whose part is over."""

    def __init__(
        self,
        tell: Watcher,
        hang_up: Callable[..., None],
        now: Callable[[], float],
        *,
        pin: str,
        max_members: int,
        input_s: float,
        notice_s: float,
        refusal_s: float,
    ) -> None:
        self._watch = tell
        self._hang_up = hang_up
        self._now = now
        self.pin = pin
        self.max_members = max_members
        self.input_s = input_s
        self.notice_s = notice_s
        self.refusal_s = refusal_s
        self.rooms: dict[str, Room] = {}

    def profile(self, channel: Channel, number: str) -> str:
        """The user profile of a caller: `pinned` ones give a PIN; whom the bridge itself called is let in."""
        return "pinned" if self.pin and channel.order is None and number.startswith("9") else "guest"

    def enter(self, channel: Channel, number: str) -> None:
        """Take a caller: the PIN, then the room."""
        if self.profile(channel, number) == "pinned":
            channel.pin = PinPrompt(number)
            self._ask_pin(channel, self.input_s)
        else:
            self._join(channel, number)

    def _join(self, channel: Channel, number: str) -> None:
        room = self.rooms.get(number)
        full = room is not None and 0 < self.max_members <= len(room.members)
        if room is not None and (full or room.locked):
            cause = 16 if channel.has_pbx else 0
            channel.timer = asyncio.get_running_loop().call_later(self.refusal_s, self._hang_up, channel, cause)
            return
        if room is None:
            room = self.rooms[number] = Room(number)
            self._in_room("BridgeCreate", None, room, 0)
            room.video = "talker"
            self._in_room("ConfbridgeStart", None, room, 1)
            self._device(room, "INUSE")
        room.members[channel.name] = channel
        channel.room = room
        channel.joined_at = self._now()
        count = len(room.members) + 1
        self._in_room("BridgeEnter", channel, room, count)
        muted = "Yes" if channel.muted else "No"
        self._in_room("ConfbridgeJoin", channel, room, count, ("Admin", "No"), ("Muted", muted))

    def leave(self, channel: Channel, kicked: bool = False) -> None:
        """Take a channel out of its room, if it is in one; the room goes with its last member."""
        room = channel.room
        if room is None:
            return
        count = len(room.members) + 1
        del room.members[channel.name]
        channel.room = None
        # both orders were captured: a kicked member's BridgeLeave comes first
        if kicked:
            self._in_room("BridgeLeave", channel, room, count - 1)
        self._in_room("ConfbridgeLeave", channel, room, count, ("Admin", "No"))
        if not kicked:
            self._in_room("BridgeLeave", channel, room, count - 1)
        if not room.members:
            del self.rooms[room.name]
            self._device(room, "NOT_INUSE")
            self._in_room("ConfbridgeEnd", None, room, 1)
            self._in_room("BridgeDestroy", None, room, 0)

    def kick(self, channel: Channel) -> None:
        """Put a member out of its room, which ends its call."""
        self.leave(channel, kicked=True)
        self._hang_up(channel)

    def mute(self, channel: Channel, on: bool) -> None:
        """Mute or unmute a member."""
        channel.muted = on
        room = channel.room
        if room is not None:
            name = "ConfbridgeMute" if on else "ConfbridgeUnmute"
            self._in_room(name, channel, room, len(room.members) + 1, ("Admin", "No"))

    # ---- the PIN ----

    def _ask_pin(self, channel: Channel, wait_s: float) -> None:
        channel.timer = asyncio.get_running_loop().call_later(wait_s, self._pin_done, channel)

    def digit(self, channel: Channel, digit: str) -> None:
        """A digit of a caller; it counts only while a PIN is asked."""
        prompt = channel.pin
        if prompt is None or prompt.tries >= TRIES:
            return
        prompt.failing = False  # a digit breaks into the announcement and is the first of the next try
        channel.still()
        if digit == "#":
            self._pin_done(channel)
        else:
            prompt.typed = (prompt.typed + digit)[:MAX_DIGITS]
            self._ask_pin(channel, min(self.input_s, BETWEEN_DIGITS_S))

    def _pin_done(self, channel: Channel) -> None:
        prompt = channel.pin
        channel.still()
        if prompt is None:
            return
        if prompt.typed == self.pin:
            channel.pin = None
            self._join(channel, prompt.room)
            return
        prompt.typed = ""
        prompt.tries += 1
        prompt.failing = True
        after = self._hang_up if prompt.tries >= TRIES else self._next_try
        channel.timer = asyncio.get_running_loop().call_later(self.notice_s, after, channel)

    def _next_try(self, channel: Channel) -> None:
        if channel.pin is not None:
            channel.pin.failing = False
            self._ask_pin(channel, self.input_s)

    # ---- telling ----

    def _in_room(self, name: str, channel: Channel | None, room: Room, count: int, *fields: tuple[str, str]) -> None:
        room.count = count
        self._watch(name, channel, room, fields)

    def _device(self, room: Room, state: str) -> None:
        fields = (("Device", f"confbridge:{room.name}"), ("State", state))
        self._watch("DeviceStateChange", None, None, fields)

"""Asterisk as seen from its manager port: a real AMI server over a virtual switch.

Byte-faithful to Asterisk 22.10.1 for what it does: the greeting, Login (plain and MD5
challenge), event masks, Originate, the ConfBridge actions, Hangup, PlayDTMF, Status,
CoreShowChannels, Ping, Logoff; the events in the order and with the fields that were
captured (tests/transcripts/asterisk_twin). CoreSettings, CoreStatus, the Events response
and Permission denied for a missing class follow main/manager.c and were not captured.

Left out, because no sound flows here: ConfbridgeTalking and the RTP and TEST_FRAMEWORK
noise. Every other action is refused as Asterisk refuses one that is not loaded.
"""

import asyncio
import secrets
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import md5
from hmac import compare_digest

from adapters.bridges.asterisk.grammar import Decoder, Field, GrammarError, Packet, encode, greet, respond
from adapters.virtual import block, order
from adapters.virtual.block import shown
from adapters.virtual.channel import Channel, Room
from adapters.virtual.confbridge import Fields
from adapters.virtual.switch import Switch

CLASSES = frozenset(
    {"system", "call", "log", "verbose", "agent", "user", "config", "command"}
    | {"dtmf", "reporting", "cdr", "dialplan", "originate", "message"}
)
FAILED_LOGIN_S = 1.0
AUTH_TIMEOUT_S = 30.0
MAX_STRANGERS = 50
MAX_UNSENT = 64 * 1024 * 1024

_CLASS_OF = {
    "Newexten": "dialplan",
    "VarSet": "dialplan",
    "DTMFBegin": "dtmf",
    "DTMFEnd": "dtmf",
}


@dataclass(frozen=True, slots=True)
class Login:
    """One section of manager.conf. The secret is never shown."""

    secret: str
    read: frozenset[str] = CLASSES
    write: frozenset[str] = CLASSES

    def __repr__(self) -> str:
        return "Login(***)"


class AsteriskTwin:
    """The manager port of one switch. `start` it, then `port` is where it listens."""

    def __init__(self, switch: Switch, logins: dict[str, Login]) -> None:
        self.switch = switch
        self.logins = logins
        self.sessions: set[_Session] = set()
        self.port = 0
        self._server: asyncio.Server | None = None
        switch.watch = self._event

    async def start(self, host: str, port: int = 0) -> None:
        """Listen; port 0 takes a free one. Safe to repeat. Raises OSError where the address cannot be had."""
        if self._server is not None:
            return
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Session(self), host, port, backlog=1024)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Stop listening and drop every session, as a bridge does that goes down."""
        if self._server is not None:
            self._server.close()
        self.drop_sessions()
        if self._server is not None:
            await self._server.wait_closed()
            self._server = None

    def drop_sessions(self) -> int:
        """Cut every manager connection; calls stay as they are. Returns how many were cut."""
        sessions = list(self.sessions)
        for session in sessions:
            session.cut()
        return len(sessions)

    def _event(self, name: str, channel: Channel | None, room: Room | None, fields: Fields) -> None:
        kind = _CLASS_OF.get(name, "call")
        listening = [s for s in self.sessions if s.hears(kind)]
        if not listening:
            return
        parts = [f"Event: {name}\r\nPrivilege: {kind},all\r\nSystemName: {self.switch.name}\r\n"]
        if room is not None:
            if name.startswith("Conf"):
                parts.append(f"Conference: {room.name}\r\n")
            parts.append(block.of_room(room))
        if channel is not None:
            parts.append(block.of_dialed(channel) if name.startswith("Dial") else block.of_channel(channel))
        parts += [f"{key}: {shown(value)}\r\n" for key, value in fields]
        parts.append("\r\n")
        data = "".join(parts).encode()
        for session in listening:
            session.send(data)


class _Session(asyncio.Protocol):
    """One manager connection: actions are done one after another, as Asterisk's session thread does."""

    def __init__(self, twin: AsteriskTwin) -> None:
        self._twin = twin
        self._switch = twin.switch
        self._decoder = Decoder(greets=False)
        self._transport: asyncio.Transport | None = None
        self._login: Login | None = None
        self._mask = CLASSES
        self._challenge = ""
        self._waiting: deque[Packet] = deque()
        self._pause: asyncio.TimerHandle | None = None
        self._deadline: asyncio.TimerHandle | None = None

    # ---- the wire ----

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        strangers = sum(session._login is None for session in self._twin.sessions)
        self._twin.sessions.add(self)
        if strangers >= MAX_STRANGERS:
            self.cut()
            return
        self._deadline = asyncio.get_running_loop().call_later(AUTH_TIMEOUT_S, self.cut)
        self.send(greet())

    def connection_lost(self, exc: Exception | None) -> None:
        self._twin.sessions.discard(self)
        for timer in (self._pause, self._deadline):
            if timer is not None:
                timer.cancel()
        self._transport = None

    def data_received(self, data: bytes) -> None:
        try:
            self._waiting.extend(self._decoder.feed(data))
        except GrammarError:
            self.cut()
            return
        self._work()

    def send(self, data: bytes) -> None:
        transport = self._transport
        if transport is None:
            return
        if transport.get_write_buffer_size() > MAX_UNSENT:  # manager.conf writetimeout: a reader that sleeps is dropped
            self.cut()
            return
        transport.write(data)

    def cut(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def hears(self, kind: str) -> bool:
        return self._login is not None and kind in self._mask and kind in self._login.read

    # ---- actions, one after another ----

    def _work(self) -> None:
        while self._waiting and self._pause is None and self._transport is not None:
            self._act(self._waiting.popleft())

    def _later(self, delay_s: float, then: Callable[[], None]) -> None:
        """Answer after a while; the actions behind this one wait for it."""

        def go() -> None:
            self._pause = None
            then()
            self._work()

        self._pause = asyncio.get_running_loop().call_later(delay_s, go)

    def _act(self, packet: Packet) -> None:
        action = packet.get("Action")
        if not action:
            self._error(packet, "Missing action in request")
            return
        classes, do = _ACTIONS.get(action.lower(), (None, None))
        if self._login is None and action.lower() not in ("login", "logoff", "challenge"):
            self._error(packet, "Permission denied")
        elif do is None or classes is None:
            how = "Use Action: ListCommands to show available commands."
            self._error(packet, f"Invalid/unknown command: {action}. {how}")
        elif classes and not (self._login is not None and classes & self._login.write):
            self._error(packet, "Permission denied")
        else:
            do(self, packet)

    def _answer(self, packet: Packet, message: str, *fields: Field) -> None:
        self.send(respond(packet, "Success", message, *fields))

    def _error(self, packet: Packet, message: str) -> None:
        self.send(respond(packet, "Error", shown(message)[:900]))

    # ---- session ----

    def log_in(self, packet: Packet) -> None:
        login = self._twin.logins.get(packet.get("Username"))
        if packet.get("AuthType").upper() == "MD5":
            right = login is not None and bool(self._challenge)
            text = (self._challenge + (login.secret if login else "")).encode()
            given, wanted = packet.get("Key").lower(), md5(text, usedforsecurity=False).hexdigest()
        else:
            right = login is not None
            given, wanted = packet.get("Secret"), login.secret if login else ""
        if login is None or not right or not compare_digest(given.encode(), wanted.encode()):
            self._later(FAILED_LOGIN_S, lambda: self._turn_away(packet))
            return
        self._login = login
        if self._deadline is not None:
            self._deadline.cancel()
        if packet.get("Events"):
            self._mask = self._masked(packet.get("Events")) or frozenset()
        self._answer(packet, "Authentication accepted")
        if "system" in login.read & self._mask:
            up = str(int(self._switch.now() - self._switch.started_at))
            fields = [("Uptime", up), ("LastReload", up), ("Status", "Fully Booted")]
            self.send(encode([("Event", "FullyBooted"), ("Privilege", "system,all"), *fields]))

    def _turn_away(self, packet: Packet) -> None:
        self._error(packet, "Authentication failed")
        if self._transport is not None:
            self._transport.close()

    def challenge(self, packet: Packet) -> None:
        if packet.get("AuthType").upper() != "MD5":
            self._error(packet, "Must specify AuthType")
            return
        self._challenge = str(secrets.randbelow(900_000_000) + 100_000_000)
        self._answer(packet, "", ("Challenge", self._challenge))

    @staticmethod
    def _masked(text: str) -> frozenset[str] | None:
        """An event mask: on, off, or classes; None for one that is neither (get_mask in main/manager.c)."""
        text = text.strip().lower()
        if text in ("on", "yes", "true", "1", "all"):
            return CLASSES
        if text in ("off", "no", "false", "0", "none"):
            return frozenset()
        return frozenset(word.strip() for word in text.split(",")) & CLASSES or None

    def events(self, packet: Packet) -> None:
        mask = self._masked(packet.get("EventMask"))
        if mask is None:
            self._error(packet, "Invalid event mask")
            return
        self._mask = mask
        self._answer(packet, "", ("Events", "On" if mask else "Off"))

    def ping(self, packet: Packet) -> None:
        self._answer(packet, "", ("Ping", "Pong"), ("Timestamp", f"{self._switch.now():.6f}"))

    def log_off(self, packet: Packet) -> None:
        self.send(respond(packet, "Goodbye", "Thanks for all the fish."))
        if self._transport is not None:
            self._transport.close()

    # ---- calls ----

    def originate(self, packet: Packet) -> None:
        wrong = order.refusal(packet, self._switch.route)
        if wrong:
            self._error(packet, wrong)
            return
        self._answer(packet, "Originate successfully queued")
        # measured: the channel is made a moment after the answer; a Hangup right behind finds none
        asyncio.get_running_loop().call_soon(self._switch.originate, order.read(packet))

    def hang_up(self, packet: Packet) -> None:
        if not packet.get("Channel"):
            self._error(packet, "No channel specified")
        elif (channel := self._channel(packet)) is None:
            self._error(packet, "No such channel")
        else:
            self._answer(packet, "Channel Hungup")
            self._switch.hang_up(channel, packet.number("Cause") or 16)

    def play_digit(self, packet: Packet) -> None:
        channel = self._channel(packet)
        digit = packet.get("Digit")[:1]
        if channel is None:
            self._error(packet, "Channel not found")
        elif not digit:
            self._error(packet, "No digit specified")
        else:
            if channel.line is not None:
                channel.line.send_digit(digit)
            # captured: the answer comes when the digit has been played, 100 ms unless told
            length_ms = min(packet.number("Duration") or 100, 6000)
            self._later(length_ms / 1000, lambda: self._answer(packet, "DTMF successfully queued"))

    def status(self, packet: Packet) -> None:
        channels: Iterable[Channel] = self._switch.channels.values()
        if packet.get("Channel"):
            channel = self._channel(packet)
            if channel is None:
                self._error(packet, "No such channel")
                return
            channels = (channel,)
        lines = [block.status_line(c, self._switch.now()) for c in channels]
        more = f"Items: {len(lines)}\r\n"
        self._list(packet, "Channel status will follow", "Status", lines, "StatusComplete", more, id_last=True)

    def list_channels(self, packet: Packet) -> None:
        now = self._switch.now()
        lines = [block.channel_line(c, now) for c in self._switch.channels.values()]
        self._list(packet, "Channels will follow", "CoreShowChannel", lines, "CoreShowChannelsComplete")

    def settings(self, packet: Packet) -> None:
        fields: list[Field] = [
            ("AMIversion", "11.0.0"),
            ("AsteriskVersion", "22.10.1"),
            ("SystemName", self._switch.name),
            ("CoreMaxCalls", str(self._switch.max_calls)),
            ("CoreMaxLoadAvg", "0.000000"),
            ("CoreRunUser", ""),
            ("CoreRunGroup", ""),
            ("CoreMaxFilehandles", "0"),
            ("CoreRealTimeEnabled", "No"),
            ("CoreCDRenabled", "No"),
            ("CoreHTTPenabled", "No"),
            ("SoundsSearchCustomDir", "No"),
        ]
        self._answer(packet, "", *fields)

    def core_status(self, packet: Packet) -> None:
        at = datetime.fromtimestamp(self._switch.started_at, UTC)
        day, hour = f"{at:%Y-%m-%d}", f"{at:%H:%M:%S}"
        self._answer(
            packet,
            "",
            ("CoreStartupDate", day),
            ("CoreStartupTime", hour),
            ("CoreReloadDate", day),
            ("CoreReloadTime", hour),
            ("CoreCurrentCalls", str(len(self._switch.channels))),
            ("CoreProcessedCalls", str(self._switch.answered_calls)),
        )

    def _channel(self, packet: Packet) -> Channel | None:
        name = packet.get("Channel")
        return self._switch.channels.get(name) or self._switch.by_id.get(name)

    # ---- ConfBridge ----

    def list_rooms(self, packet: Packet) -> None:
        if not self._switch.rooms:
            self._error(packet, "No active conferences.")
            return
        lines = [block.room_line(room) for room in self._switch.rooms.values()]
        self._list(packet, "Confbridge conferences will follow", "ConfbridgeListRooms", lines)

    def list_members(self, packet: Packet) -> None:
        room = self._room(packet)
        if room is None:
            return
        now = self._switch.now()
        lines = [block.member_line(room, c, now) for c in room.members.values()]
        self._list(packet, "Confbridge user list will follow", "ConfbridgeList", lines)

    def kick(self, packet: Packet) -> None:
        for channel in self._members(packet, "User kicked", "All participants kicked"):
            self._switch.conferences.kick(channel)

    def mute(self, packet: Packet) -> None:
        for channel in self._members(packet, "User muted", "User muted"):
            self._switch.conferences.mute(channel, True)

    def unmute(self, packet: Packet) -> None:
        for channel in self._members(packet, "User unmuted", "User unmuted"):
            self._switch.conferences.mute(channel, False)

    def lock(self, packet: Packet) -> None:
        self._lock(packet, True, "Conference locked")

    def unlock(self, packet: Packet) -> None:
        self._lock(packet, False, "Conference unlocked")

    def _lock(self, packet: Packet, on: bool, message: str) -> None:
        room = self._room(packet)
        if room is not None:
            room.locked = on
            self._answer(packet, message)

    def _room(self, packet: Packet) -> Room | None:
        """The room an action names; None after the error was sent."""
        name = packet.get("Conference")
        if not name:
            self._error(packet, "No Conference name provided.")
        elif not self._switch.rooms:
            self._error(packet, "No active conferences.")
        elif (room := self._switch.rooms.get(name)) is not None:
            return room
        else:
            self._error(packet, "No Conference by that name found.")
        return None

    def _members(self, packet: Packet, one: str, everybody: str) -> list[Channel]:
        """The members an action names, after it was answered. Named by channel name only, never by id."""
        if not packet.get("Channel") and packet.get("Conference"):
            self._error(packet, "No channel name provided.")
            return []
        room = self._room(packet)
        if room is None:
            return []
        name = packet.get("Channel")
        if name.lower() in ("all", "participants"):
            self._answer(packet, everybody)
            return list(room.members.values())
        if name not in room.members:
            self._error(packet, "No Channel by that name found in Conference.")
            return []
        self._answer(packet, one)
        return [room.members[name]]

    def _list(
        self,
        packet: Packet,
        message: str,
        name: str,
        lines: list[str],
        complete: str = "",
        more: str = "",
        *,
        id_last: bool = False,
    ) -> None:
        """Answer with a list: the response, one event a line, and the event that completes it."""
        action_id = f"ActionID: {shown(packet.action_id)}\r\n" if packet.action_id else ""
        parts = [
            f"Event: {name}\r\n{line}{action_id}\r\n" if id_last else f"Event: {name}\r\n{action_id}{line}\r\n"
            for line in lines
        ]
        end = f"Event: {complete or name + 'Complete'}\r\n{action_id}EventList: Complete\r\n"
        parts.append(f"{end}ListItems: {len(lines)}\r\n{more}\r\n")
        self.send(respond(packet, "Success", message, ("EventList", "start")) + "".join(parts).encode())


_NOBODY = frozenset[str]()
_CALL = frozenset({"call"})
_REPORTING = frozenset({"reporting"})
_SYSTEM = frozenset({"system", "reporting"})
_ACTIONS: dict[str, tuple[frozenset[str], Callable[[_Session, Packet], None]]] = {
    "login": (_NOBODY, _Session.log_in),
    "challenge": (_NOBODY, _Session.challenge),
    "logoff": (_NOBODY, _Session.log_off),
    "ping": (_NOBODY, _Session.ping),
    "events": (_NOBODY, _Session.events),
    "originate": (frozenset({"originate"}), _Session.originate),
    "hangup": (frozenset({"system", "call"}), _Session.hang_up),
    "playdtmf": (_CALL, _Session.play_digit),
    "status": (frozenset({"system", "call", "reporting"}), _Session.status),
    "coreshowchannels": (_SYSTEM, _Session.list_channels),
    "coresettings": (_SYSTEM, _Session.settings),
    "corestatus": (_SYSTEM, _Session.core_status),
    "confbridgelistrooms": (_REPORTING, _Session.list_rooms),
    "confbridgelist": (_REPORTING, _Session.list_members),
    "confbridgekick": (_CALL, _Session.kick),
    "confbridgemute": (_CALL, _Session.mute),
    "confbridgeunmute": (_CALL, _Session.unmute),
    "confbridgelock": (_CALL, _Session.lock),
    "confbridgeunlock": (_CALL, _Session.unlock),
}
"""Action -> (any of these write classes is needed, what it does); the classes are those of main/manager.c."""

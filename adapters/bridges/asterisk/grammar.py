"""The Asterisk Manager Interface as bytes: packets in both directions and the actions a client sends.

Pure. A packet is `Key: Value` lines ended by CRLF, closed by an empty line. An event packet
starts with `Event` and may carry a `Response` key inside (OriginateResponse does), so the
first word decides what a packet is. Source: captured sessions of Asterisk 22.10.1
(tests/transcripts/asterisk), main/manager.c for the limits. What events mean is in `meaning`.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from hashlib import md5

END = b"\r\n\r\n"
GREETING = "Asterisk Call Manager/"
MAX_PACKET = 65536
MAX_LINE = 1000
"""Asterisk reads a client's line into 1,025 bytes and drops the message beyond."""
MAX_HEADERS = 120
"""Asterisk keeps 128 headers of a client's message."""
UNKNOWN = "<unknown>"

Field = tuple[str, str]

_HIDDEN = frozenset({"Secret", "Key", "Digit"})
_UNSAFE = re.compile(r"[\r\n\x00]")


class GrammarError(ValueError):
    """Bytes that cannot be a packet, or text that must not go into one."""


class Kind(Enum):
    ACTION = "action"
    RESPONSE = "response"
    EVENT = "event"
    OTHER = "other"


_KINDS = {"action": Kind.ACTION, "response": Kind.RESPONSE, "event": Kind.EVENT}


class Packet:
    """One packet: its fields in order, and by name (any case; the first of a repeated name wins)."""

    __slots__ = ("_by_name", "fields", "kind", "name")

    def __init__(self, fields: Sequence[Field]) -> None:
        self.fields = tuple(fields)
        self._by_name: dict[str, str] = {}
        for key, value in reversed(self.fields):
            self._by_name[key.lower()] = value
        first, self.name = self.fields[0] if self.fields else ("", "")
        self.kind = _KINDS.get(first.lower(), Kind.OTHER)
        # Asterisk sends Event and Response first; a client may put Action anywhere.
        if self.kind is Kind.OTHER and "action" in self._by_name:
            self.kind, self.name = Kind.ACTION, self._by_name["action"]

    def get(self, name: str, default: str = "") -> str:
        """The value of a field; `<unknown>` counts as not given."""
        value = self._by_name.get(name.lower(), default)
        return default if value == UNKNOWN else value

    def all(self, name: str) -> list[str]:
        """Every value of a repeated field, in order."""
        return [value for key, value in self.fields if key.lower() == name.lower()]

    def number(self, name: str) -> int | None:
        """A whole number, or None where there is none."""
        value = self.get(name)
        return int(value) if value.isascii() and value.isdigit() and len(value) < 10 else None

    def flag(self, name: str) -> bool | None:
        """A Yes/No field, or None where it is neither."""
        return {"yes": True, "no": False}.get(self.get(name).lower())

    @property
    def action_id(self) -> str:
        return self.get("ActionID")

    @property
    def succeeded(self) -> bool:
        """Whether a response is a good one (`Goodbye` answers a Logoff)."""
        return self.kind is Kind.RESPONSE and self.name in ("Success", "Goodbye")

    @property
    def message(self) -> str:
        return self.get("Message")

    @property
    def opens_list(self) -> bool:
        """Whether more packets with the same ActionID follow this response."""
        return self.kind is Kind.RESPONSE and self.get("EventList").lower() == "start"

    @property
    def closes_list(self) -> bool:
        return self.kind is Kind.EVENT and self.get("EventList").lower() in ("complete", "cancelled")

    def __repr__(self) -> str:
        return f"<{self.kind.value} {self.name} {self.action_id}>"


def parse(block: bytes) -> Packet:
    """Read the bytes of one packet without its closing empty line.

    A line without a colon becomes a field with an empty value: nothing is lost, nothing is invented.
    """
    fields = []
    for line in block.decode("utf-8", "replace").split("\r\n"):
        if line:
            key, _, value = line.partition(":")
            fields.append((key.strip(), value.lstrip(" ")))
    return Packet(fields)


def encode(fields: Iterable[Field]) -> bytes:
    """The bytes of one packet, for either direction.

    Raises GrammarError for a field that would break out of its line or that Asterisk would cut.
    """
    lines = []
    for key, value in fields:
        if not key or ":" in key or key != key.strip() or _UNSAFE.search(key) or _UNSAFE.search(value):
            raise GrammarError(f"header {key!r} holds a line break or is no name: one line per header")
        line = f"{key}: {value}".encode()
        if len(line) > MAX_LINE:
            raise GrammarError(f"header {key!r} has {len(line)} bytes; at most {MAX_LINE}")
        lines.append(line)
    if not 0 < len(lines) <= MAX_HEADERS:
        raise GrammarError(f"a packet has 1 to {MAX_HEADERS} headers, not {len(lines)}")
    return b"\r\n".join(lines) + END


class Decoder:
    """Bytes in, packets out, however the bytes are cut.

    `greets` says that a single line (the greeting) comes before the first packet. With
    `wanted`, events of other names are counted in `skipped` and not parsed. Raises
    GrammarError for a packet above `max_packet`: the stream is of no use after that.
    """

    __slots__ = ("_buffer", "_greeted", "_max", "_searched", "_wanted", "greeting", "skipped")

    def __init__(
        self, *, greets: bool = True, wanted: frozenset[str] | None = None, max_packet: int = MAX_PACKET
    ) -> None:
        self._buffer = bytearray()
        self._searched = 0
        self._greeted = not greets
        self._max = max_packet
        self._wanted = None if wanted is None else frozenset(name.encode() for name in wanted)
        self.greeting = ""
        self.skipped = 0

    def feed(self, data: bytes) -> list[Packet]:
        """Take what the wire brought; return the packets it completed."""
        buffer = self._buffer
        buffer += data
        packets: list[Packet] = []
        start = 0
        if not self._greeted:
            end = buffer.find(b"\n")
            if end < 0:
                if len(buffer) > MAX_LINE:
                    raise GrammarError(f"no greeting line within {MAX_LINE} bytes")
                return packets
            self.greeting = bytes(buffer[:end]).decode("utf-8", "replace").strip()
            self._greeted = True
            self._searched = start = end + 1
        while True:
            # Some events end in one empty line too many: an empty line before a packet is nothing.
            while buffer.startswith(b"\r\n", start):
                start += 2
            end = buffer.find(END, max(start, self._searched))
            if end < 0:
                break
            self._bound(end - start)
            block = bytes(buffer[start:end])
            start = self._searched = end + len(END)
            if self._is_wanted(block):
                packets.append(parse(block))
            else:
                self.skipped += 1
        del buffer[:start]
        self._searched = max(0, len(buffer) - len(END) + 1)
        self._bound(len(buffer))
        return packets

    def _bound(self, size: int) -> None:
        if size > self._max:
            raise GrammarError(f"a packet of {size} bytes or more; at most {self._max}")

    def _is_wanted(self, block: bytes) -> bool:
        if self._wanted is None or not block.startswith(b"Event: "):
            return True
        end = block.find(b"\r\n")
        return (block[7:] if end < 0 else block[7:end]) in self._wanted


# ---- what a client says -------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Action:
    """An order or a question, still without its ActionID."""

    name: str
    headers: tuple[Field, ...] = ()

    def encode(self, action_id: str) -> bytes:
        return encode((("Action", self.name), ("ActionID", action_id), *self.headers))

    def shown(self) -> str:
        """One line for a trace: never a key, a secret or a digit of a PIN."""
        return " ".join([self.name, *(f"{key}={'***' if key in _HIDDEN else value}" for key, value in self.headers)])


def challenge_key(challenge: str, secret: str) -> str:
    """What proves the secret: md5 of challenge and secret, in hexadecimal."""
    return md5(f"{challenge}{secret}".encode(), usedforsecurity=False).hexdigest()


def challenge() -> Action:
    return Action("Challenge", (("AuthType", "MD5"),))


def login_md5(username: str, key: str, events: str) -> Action:
    return Action("Login", (("AuthType", "MD5"), ("Username", username), ("Key", key), ("Events", events)))


def login_plain(username: str, secret: str, events: str) -> Action:
    return Action("Login", (("Username", username), ("Secret", secret), ("Events", events)))


def logoff() -> Action:
    return Action("Logoff")


def ping() -> Action:
    return Action("Ping")


def core_settings() -> Action:
    return Action("CoreSettings")


def list_channels() -> Action:
    return Action("CoreShowChannels")


def list_rooms() -> Action:
    return Action("ConfbridgeListRooms")


def list_members(conference: str) -> Action:
    return Action("ConfbridgeList", (("Conference", conference),))


def mute(conference: str, channel: str, on: bool) -> Action:
    return Action("ConfbridgeMute" if on else "ConfbridgeUnmute", (("Conference", conference), ("Channel", channel)))


def kick(conference: str, channel: str) -> Action:
    return Action("ConfbridgeKick", (("Conference", conference), ("Channel", channel)))


def hang_up(channel: str) -> Action:
    """End a channel, named by its name or by its unique id."""
    return Action("Hangup", (("Channel", channel), ("Cause", "16")))


def play_digit(channel: str, digit: str, duration_ms: int) -> Action:
    return Action("PlayDTMF", (("Channel", channel), ("Digit", digit), ("Duration", str(duration_ms))))


def originate(
    *,
    channel_id: str,
    channel: str,
    conference: str,
    profiles: Sequence[str],
    caller_name: str,
    ring_s: float,
    codecs: str = "",
) -> Action:
    """Call `channel` into ConfBridge; the answer comes later as events of `channel_id`.

    Raises GrammarError for a conference or profile that would add an application argument.
    """
    data = ",".join([conference, *profiles]).rstrip(",")
    for part in (conference, *profiles):
        if "," in part:
            raise GrammarError(f"{part!r} holds a comma, which separates ConfBridge's arguments")
    headers = [
        ("ChannelId", channel_id),
        ("Channel", channel),
        ("Application", "ConfBridge"),
        ("Data", data),
        ("CallerID", caller_id(caller_name, conference)),
        ("Timeout", str(max(1, round(ring_s * 1000)))),
        ("Async", "true"),
    ]
    if codecs:
        headers.append(("Codecs", codecs))
    return Action("Originate", tuple(headers))


def caller_id(name: str, number: str) -> str:
    """`"Name" <number>`, as Asterisk splits it; characters that would end a part are taken out."""
    shown = " ".join(re.sub(r'[\x00-\x1f\x7f"<>\\]', " ", name).split())[:64]
    return f'"{shown}" <{re.sub(r"[^0-9A-Za-z._+*#-]", "", number)}>'


# ---- what a bridge says (for a twin) ------------------------------------------------------


def greet(version: str = "11.0.0") -> bytes:
    return f"{GREETING}{version}\r\n".encode()


def respond(to: Packet | str, outcome: str = "Success", message: str = "", *fields: Field) -> bytes:
    """The response to an action packet (or ActionID): `outcome` is Success, Error or Goodbye."""
    action_id = to if isinstance(to, str) else to.action_id
    head: list[Field] = [("Response", outcome)]
    if action_id:
        head.append(("ActionID", action_id))
    tail = [("Message", message)] if message else []
    return encode([*head, *fields, *tail])


def report(name: str, *fields: Field, privilege: str = "call,all") -> bytes:
    """An event packet; an empty `privilege` leaves that line out, as in list replies."""
    return encode([("Event", name), *([("Privilege", privilege)] if privilege else []), *fields])

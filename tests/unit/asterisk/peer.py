"""A manager on a real socket that does what a test says: refuses, is silent, lies, goes away."""

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Any

from adapters.bridges.asterisk import grammar
from adapters.bridges.asterisk.adapter import AsteriskBridge
from adapters.bridges.asterisk.grammar import Decoder, Packet, report, respond
from adapters.bridges.asterisk.profile import Pace
from adapters.values import Control
from tests.support.heard import PATIENT_S, Heard, Surroundings

SECRET = "s3cret-of-the-test"
QUICK = Pace(
    open_s=2.0,
    boot_s=0.5,
    order_s=2.0,
    list_s=2.0,
    ping_every_s=30.0,
    ping_s=1.0,
    retry_first_s=0.01,
    retry_most_s=0.05,
    settle_s=0.05,
    no_channel_s=0.02,
    overdue_s=0.3,
    digit_ms=1,
    digit_gap_s=0.0,
    digit_pause_s=0.0,
)
Reply = Callable[[Packet], bytes | None]


class Manager:
    """Logs in whoever knows the secret and replies from `replies`; remembers every action."""

    def __init__(self, *, md5: bool = True, booted: bool = True) -> None:
        self.md5 = md5
        self.booted = booted
        self.greeting = grammar.greet()
        self.secret = SECRET
        self.asked: list[Packet] = []
        self.raw = bytearray()
        self.logins = 0
        self.port = 0
        self.replies: dict[str, Reply] = {
            "Challenge": self._challenge,
            "Login": self._login,
            "Ping": lambda p: respond(p, "Success", "", ("Ping", "Pong")),
            "Logoff": lambda p: respond(p, "Goodbye", "Thanks for all the fish."),
            "CoreSettings": lambda p: respond(p, "Success", "", ("AsteriskVersion", "22.10.1")),
            "ConfbridgeListRooms": lambda p: respond(p, "Error", "No active conferences."),
            "ConfbridgeList": lambda p: respond(p, "Error", "No active conferences."),
            "CoreShowChannels": lambda p: listing(p, "CoreShowChannel"),
            "Originate": lambda p: respond(p, "Success", "Originate successfully queued"),
            "Hangup": lambda p: respond(p, "Success", "Channel Hungup"),
            "PlayDTMF": lambda p: respond(p, "Success", "DTMF successfully queued"),
            "ConfbridgeMute": lambda p: respond(p, "Success", "User muted"),
            "ConfbridgeUnmute": lambda p: respond(p, "Success", "User unmuted"),
        }
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._news = asyncio.Condition()

    async def __aenter__(self) -> "Manager":
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
            self.cut()
            await self._server.wait_closed()
            self._server = None

    def cut(self) -> None:
        """Drop every connection at once."""
        for writer in self._writers:
            writer.transport.abort()

    @property
    def connections(self) -> int:
        return len(self._writers)

    async def until_left(self) -> None:
        """Wait until nobody is connected."""
        async with asyncio.timeout(PATIENT_S), self._news:
            await self._news.wait_for(lambda: not self._writers)

    def say(self, *packets: bytes) -> None:
        """Tell every session."""
        for writer in self._writers:
            writer.write(b"".join(packets))

    async def until_asked(self, name: str, times: int = 1) -> Packet:
        """The nth action of that name, once it has come."""
        async with asyncio.timeout(PATIENT_S), self._news:
            await self._news.wait_for(lambda: len(self.of(name)) >= times)
        return self.of(name)[times - 1]

    def of(self, name: str) -> list[Packet]:
        return [packet for packet in self.asked if packet.name == name]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        decoder = Decoder(greets=False)
        writer.write(self.greeting)
        try:
            while data := await reader.read(65536):
                self.raw += data
                for packet in decoder.feed(data):
                    self.asked.append(packet)
                    async with self._news:
                        self._news.notify_all()
                    reply = self.replies[packet.name](packet)
                    if reply is not None:
                        writer.write(reply)
        except ConnectionError:
            pass
        finally:
            self._writers.discard(writer)
            writer.close()
            async with self._news:
                self._news.notify_all()

    def _challenge(self, packet: Packet) -> bytes:
        if not self.md5:
            return respond(packet, "Error", "Must specify AuthType")
        return respond(packet, "Success", "", ("Challenge", "840415273"))

    def _login(self, packet: Packet) -> bytes:
        self.logins += 1
        proof = packet.get("Key") if self.md5 else packet.get("Secret")
        wanted = grammar.challenge_key("840415273", self.secret) if self.md5 else self.secret
        if packet.get("Username") != "orch" or proof != wanted:
            return respond(packet, "Error", "Authentication failed")
        accepted = respond(packet, "Success", "Authentication accepted")
        return accepted + (fully_booted() if self.booted and packet.get("Events") != "off" else b"")


def fully_booted() -> bytes:
    return report("FullyBooted", ("Status", "Fully Booted"), privilege="system,all")


def listing(packet: Packet, name: str, *entries: tuple[tuple[str, str], ...], between: bytes = b"") -> bytes:
    """A list reply; `between` comes after each entry as an event would."""
    action_id = ("ActionID", packet.action_id)
    parts = [respond(packet, "Success", "will follow", ("EventList", "start"))]
    for entry in entries:
        parts += [report(name, action_id, *entry, privilege=""), between]
    end = (("EventList", "Complete"), ("ListItems", str(len(entries))))
    parts.append(
        report(f"{name}sComplete" if name == "CoreShowChannel" else f"{name}Complete", action_id, *end, privilege="")
    )
    return b"".join(parts)


def channel(leg: str, state: str = "Up", name: str = "") -> tuple[tuple[str, str], ...]:
    """A channel block."""
    return (
        ("Channel", name or f"PJSIP/x-{leg}"),
        ("ChannelStateDesc", state),
        ("CallerIDNum", "8001"),
        ("CallerIDName", "MCU"),
        ("ConnectedLineNum", "<unknown>"),
        ("Uniqueid", leg),
    )


def made(leg: str) -> bytes:
    return report("Newchannel", *channel(leg, "Down"))


def ringing(leg: str) -> bytes:
    return report("Newstate", *channel(leg, "Ringing"))


def joined(leg: str, conference: str = "8001") -> bytes:
    return report("ConfbridgeJoin", ("Conference", conference), *channel(leg), ("Admin", "No"), ("Muted", "No"))


def left(leg: str, conference: str = "8001") -> bytes:
    return report("ConfbridgeLeave", ("Conference", conference), *channel(leg), ("Admin", "No"))


def hung_up(leg: str, cause: int = 16, *more: tuple[str, str]) -> bytes:
    return report("Hangup", *channel(leg), ("Cause", str(cause)), ("Cause-txt", "text"), *more)


def verdict(order: Packet, outcome: str = "Failure", reason: int = 0) -> bytes:
    return report(
        "OriginateResponse",
        ("ActionID", order.action_id),
        ("Response", outcome),
        ("Reason", str(reason)),
        ("Uniqueid", order.get("ChannelId")),
    )


def in_room(leg: str, state: str = "Up", conference: str = "8001") -> tuple[tuple[str, str], ...]:
    """A line of CoreShowChannels for a leg in ConfBridge."""
    bridged = "b1" if state == "Up" else ""
    return (
        *channel(leg, state),
        ("Application", "ConfBridge"),
        ("ApplicationData", f"{conference},main"),
        ("BridgeId", bridged),
    )


def bridge(port: int, heard: Heard, *, pace: Pace = QUICK, secret: str = SECRET, **settings: Any) -> AsteriskBridge:
    control = Control("main-bridge", "127.0.0.1", port, "orch", secret, settings=settings)
    return AsteriskBridge(control, Surroundings(heard), pace)  # type: ignore[arg-type]

"""A raw manager client, the captured samples, and how the two are compared."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from adapters.bridges.asterisk.grammar import Decoder, Kind, Packet, encode
from adapters.bridges.asterisk.twin import AsteriskTwin, Login
from adapters.sip.agent import SipAgent
from adapters.sip.call import Call
from adapters.sip.listener import CallListener, Ending
from adapters.sip.message import Response
from adapters.sip.sdp import hold
from adapters.sip.transaction import Timing
from adapters.values import Address
from adapters.virtual.behavior import Behavior
from adapters.virtual.bridge import USERNAME, Bridge
from adapters.virtual.endpoint import Endpoint
from adapters.virtual.exchange import Exchange
from adapters.virtual.media import Session
from adapters.virtual.province import Province
from adapters.virtual.switch import Switch

SAMPLES = Path(__file__).parents[2] / "transcripts"
SECRET = "a-secret-of-the-test"
LOGIN = (("Action", "Login"), ("ActionID", "login-1"), ("Username", "lab"), ("Secret", SECRET), ("Events", "on"))


class Manager:
    """One raw manager connection: sends fields, keeps every packet that came."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._decoder = Decoder()
        self.packets: list[Packet] = []
        self._read = 0
        self._more = asyncio.Condition()
        self.closed = asyncio.Event()
        self._task = asyncio.create_task(self._listen())

    @classmethod
    async def connect(cls, port: int, host: str = "127.0.0.1") -> "Manager":
        return cls(*await asyncio.open_connection(host, port))

    async def _listen(self) -> None:
        try:
            while data := await self._reader.read(65536):
                packets = self._decoder.feed(data)
                async with self._more:
                    self.packets += packets
                    self._more.notify_all()
        except ConnectionError:
            pass
        self.closed.set()

    @property
    def greeting(self) -> str:
        return self._decoder.greeting

    def send(self, *fields: tuple[str, str]) -> None:
        self._writer.write(encode(fields))

    def send_raw(self, data: bytes) -> None:
        self._writer.write(data)

    async def wait(self, wanted: Callable[[Packet], bool], within_s: float = 10.0) -> Packet:
        """The next packet that fits, from where the last wait stopped."""
        async with asyncio.timeout(within_s), self._more:
            while True:
                while self._read < len(self.packets):
                    packet = self.packets[self._read]
                    self._read += 1
                    if wanted(packet):
                        return packet
                await self._more.wait()

    async def event(self, name: str, within_s: float = 10.0, **fields: str) -> Packet:
        return await self.wait(
            lambda p: p.kind is Kind.EVENT and p.name == name and all(p.get(k) == v for k, v in fields.items()),
            within_s,
        )

    async def ask(self, action: str, *fields: tuple[str, str], within_s: float = 10.0) -> Packet:
        """Send an action with an ActionID of its own; its response."""
        action_id = f"a-{len(self.packets)}-{action}"
        self.send(("Action", action), ("ActionID", action_id), *fields)
        return await self.wait(lambda p: p.kind is Kind.RESPONSE and p.action_id == action_id, within_s)

    async def listed(self, action: str, *fields: tuple[str, str]) -> list[Packet]:
        """The entries of a list action; empty where it is refused."""
        answer = await self.ask(action, *fields)
        entries: list[Packet] = []
        while answer.opens_list:
            packet = await self.wait(lambda p: p.action_id == answer.action_id)
            if packet.closes_list:
                break
            entries.append(packet)
        return entries

    async def close(self) -> None:
        self._writer.close()
        self._task.cancel()


class Bench:
    """A switch with its manager port, and H.323 endpoints around it."""

    def __init__(self, name: str = "mcu", **options: object) -> None:
        self.exchange = Exchange()
        self.switch = Switch(name, self.exchange, **options)  # type: ignore[arg-type]
        readers = {
            "lab": Login(SECRET),
            "reader": Login(SECRET, write=frozenset({"reporting"})),
            "caller": Login(SECRET, read=frozenset({"call"})),
        }
        self.twin = AsteriskTwin(self.switch, readers)
        self.stack = AsyncExitStack()
        self.endpoints: dict[str, Endpoint] = {}

    def endpoint(self, number: str, peer: str, script: str) -> Endpoint:
        endpoint = Endpoint(number, Behavior.parse(script))
        self.exchange.settle(endpoint, Address("h323", number, peer))
        self.endpoints[number] = endpoint
        self.stack.callback(endpoint.close)
        return endpoint

    async def connect(self) -> Manager:
        manager = await Manager.connect(self.twin.port)
        self.stack.push_async_callback(manager.close)
        return manager

    async def manager(self, username: str = "lab", events: str = "on") -> Manager:
        manager = await self.connect()
        fields = (("Username", username), ("Secret", SECRET), ("Events", events))
        assert (await manager.ask("Login", *fields)).succeeded
        return manager


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    bench = Bench()
    await bench.twin.start("127.0.0.1")
    yield bench
    await bench.stack.aclose()
    await bench.twin.stop()
    bench.switch.close()


class Phone(CallListener):
    """A plain caller: hears what becomes of its calls."""

    def __init__(self) -> None:
        self.heard: asyncio.Queue[tuple[str, object]] = asyncio.Queue()
        self.sdp = b""

    def ringing(self, call: Call, response: Response) -> None:
        self.heard.put_nowait(("ringing", response.status))

    def answered(self, call: Call, sdp: bytes) -> None:
        self.sdp = sdp
        call.ack(b"" if call.local_sdp else hold(sdp, 1, call.host))
        self.heard.put_nowait(("answered", 200))

    def refused(self, call: Call, status: int, reason: str, response: Response | None) -> None:
        self.heard.put_nowait(("refused", status))

    def ended(self, call: Call, ending: Ending, request: object) -> None:
        self.heard.put_nowait(("ended", str(ending)))

    async def hears(self, *expected: tuple[str, object], within_s: float = 10.0) -> None:
        async with asyncio.timeout(within_s):
            assert [await self.heard.get() for _ in expected] == list(expected)


async def digits(call: Call, text: str) -> None:
    """Send DTMF by INFO, one after another; each must be accepted."""
    for digit in text:
        done: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        body = f"Signal={digit}\r\nDuration=160\r\n".encode()
        call.inform("application/dtmf-relay", body, lambda r, done=done: done.set_result(r.status if r else 0))
        assert await asyncio.wait_for(done, 5) == 200


OFFER = Session(7, "127.0.0.1", video=False).offer()
RINGING, ANSWERED, BYE = ("ringing", 180), ("answered", 200), ("ended", "bye")


class Town:
    """A province and whoever the test needs to reach it: manager connections, plain SIP callers."""

    def __init__(self) -> None:
        self.stack = AsyncExitStack()
        self.agent = SipAgent("127.0.0.1", timing=Timing(t1=0.1))
        self.province: Province

    async def build(self, sites: int = 3, **options: object) -> Province:
        await self.agent.start()
        self.stack.push_async_callback(self.agent.close)
        self.province = Province(sites, **options)  # type: ignore[arg-type]
        return await self.stack.enter_async_context(self.province)

    async def manager(self, bridge: Bridge | None = None, events: str = "on") -> Manager:
        bridge = bridge or self.province.main
        manager = await Manager.connect(bridge.ami_port, bridge.host)
        self.stack.push_async_callback(manager.close)
        answer = await manager.ask("Login", ("Username", USERNAME), ("Secret", bridge.secret), ("Events", events))
        assert answer.message == "Authentication accepted"
        return manager

    def call(self, to: object, phone: Phone, *, sdp: bytes = OFFER, user: str = "test", display: str = "") -> Call:
        return self.agent.call(str(to), phone, sdp=sdp, user=user, display=display)

    def site(self, code: str) -> str:
        return str(self.province.endpoint(code).addresses[0])


@pytest.fixture
async def town() -> AsyncIterator[Town]:
    town = Town()
    yield town
    await town.stack.aclose()


# ---- captured samples --------------------------------------------------------------------

_HEAD = re.compile(r"^---\s+([\d.]+) ([<>])$", re.M)

CHANGES = re.compile(
    r"(Dest)?(Channel|Uniqueid|Linkedid|DialString|BridgeUniqueid|ConnectedLineName)"
    r"|BridgeI[dD]|Seconds|AnsweredTime|Duration|DurationMs|Uptime|LastReload|Timestamp|SystemName|ListItems|Talking"
    r"|BridgeVideoSourceMode"
)
"""Fields whose value depends on the machine, its profiles, the moment or whether sound flows."""


def sample(name: str, folder: str = "asterisk_twin") -> list[Packet]:
    """What Asterisk sent in a captured session, in order."""
    text = (SAMPLES / folder / f"{name}.txt").read_text(encoding="utf-8")
    parts = _HEAD.split(text)[1:]
    packets = []
    for _, arrow, body in zip(parts[::3], parts[1::3], parts[2::3], strict=True):
        pairs = [line.partition(":") for line in body.splitlines() if ":" in line]
        if arrow == "<" and pairs:
            packets.append(Packet([(key, value.strip()) for key, _, value in pairs]))
    return packets


def shape(packet: Packet) -> tuple[tuple[str, str], ...]:
    """A packet with the values taken out that cannot be the same twice."""
    return tuple((key, "*" if CHANGES.fullmatch(key) else value.strip()) for key, value in packet.fields)


def events_of(packets: list[Packet], *ids: str) -> list[Packet]:
    """The events of the calls with these unique ids, and of the rooms; noise left out."""
    return [
        p
        for p in packets
        if p.kind is Kind.EVENT
        and p.name not in ("DeviceStateChange", "FullyBooted", "VarSet")
        and (not ids or (p.get("Uniqueid") or p.get("DestUniqueid") or ids[0]) in ids)
    ]

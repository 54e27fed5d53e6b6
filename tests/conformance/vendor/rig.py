"""One vendor's device for the clauses: its twin, somebody it can call, and an adapter of it.

Everything is on real sockets. Paces are hastened; nothing else differs from the field.
"""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from adapters import registry
from adapters.capabilities import Capability
from adapters.causes import ClearCause
from adapters.contract import EndpointAdapter
from adapters.control.fault import Faults
from adapters.control.grammar import Grammar
from adapters.control.twin import Twin
from adapters.evidence import Basis
from adapters.hostkeys import HostKeysInMemory
from adapters.registry import Surroundings
from adapters.transcript import Recorder
from adapters.values import Address, AutoAnswerMode, Control, LegState
from adapters.virtual.behavior import Behavior
from adapters.virtual.codec import Codec, dialer
from adapters.virtual.exchange import Exchange
from adapters.virtual.port import Port
from tests.support.heard import Heard
from tests.unit.sip.stage import until

NAME = "Điểm cầu xã B"
SECRET = "geheim-4711"
REPLY_S = 1.0

QUICK: Mapping[str, float] = {
    "open_s": 8.0,
    "gap_s": 0.0,
    "settle_s": 0.0,
    "reply_s": REPLY_S,
    "busy_poll_s": 0.1,
    "idle_poll_s": 0.5,
    "unseen_s": 1.0,
    "retry_first_s": 0.05,
    "retry_most_s": 0.2,
    "digit_gap_s": 0.0,
}

TELLS: Mapping[str, ClearCause] = {
    "busy": ClearCause.BUSY,
    "decline": ClearCause.DECLINED,
    "ring 0.05; no answer": ClearCause.NO_ANSWER,
    "not found": ClearCause.NOT_FOUND,
}
"""What a device makes of a far end's behavior, when it tells causes at all."""
TELLS_NOTHING: Mapping[str, ClearCause] = dict.fromkeys(TELLS, ClearCause.UNKNOWN)


def quick(profile: Any, **figures: float) -> Any:
    """The same profile with a pace for tests."""
    return replace(profile, pace=replace(profile.pace, **{**QUICK, **figures}))


@dataclass(frozen=True)
class Vendor:
    """One family, in one dialect, as the clauses need it.

    `twin(codec, secret=, username=, faults=)` makes the device; `wire` says how the commands begin that a
    fault shall meet: dial, hang_up, calls and mute (or another order that changes something). `noise` are
    lines that may come at any time, `identity` is make, model and firmware of the twin. `grammar` is None for
    a family that is not text.
    """

    family: str
    label: str
    twin: Callable[..., Twin]
    profile: Any
    grammar: Callable[[], Grammar] | None
    evidence: Basis
    identity: tuple[str, str, str]
    wire: Mapping[str, str]
    noise: tuple[str, ...] = ()
    transport: str = "telnet"
    username: str = ""
    secret: str = SECRET
    """Empty for a family without any log-in."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    causes: Mapping[str, ClearCause] = field(default_factory=lambda: TELLS)
    tells_ringing: bool | None = True
    """Whether the device tells a ringing far end from a silent one; None: only to a poll that falls into it."""
    far_hang_up: ClearCause = ClearCause.FAR_END
    """What is told when the far end hangs up."""
    lacks: frozenset[Capability] = frozenset()
    """What this dialect has not of the family's abilities."""
    acknowledges: bool = True
    """Whether it answers an order that it takes; else its silence means yes."""
    shares_outside_calls: bool = True
    has_other_calls: bool = True
    """Whether it can have, and list, a call of ours beside one made by hand."""
    lists_calls: bool = True
    """Whether it can be asked for its calls; one that cannot tells nothing of what happened while nobody listened."""

    @property
    def capabilities(self) -> frozenset[Capability]:
        found: frozenset[Capability] = registry._load(registry.ENDPOINTS, "endpoint", self.family).capabilities
        return found - self.lacks

    def __str__(self) -> str:
        return f"{self.family}-{self.label}"


class Rig:
    """The device, its far end (`far`, a codec that follows a script) and what was heard."""

    def __init__(self, vendor: Vendor) -> None:
        self.vendor = vendor
        self.heard = Heard()
        self.tapes: list[Recorder] = []
        self.memories: dict[str, dict[str, Any]] = {}
        self.sent_at: list[float] = []
        self._stack = AsyncExitStack()
        self._exchange = Exchange()
        self._port = Port(self._exchange, "virtual codec")
        self._hosts = HostKeysInMemory()
        self._adapters: list[EndpointAdapter] = []
        self.twin: Twin
        self.codec: Codec
        self.far: Codec

    async def start(self) -> "Rig":
        place = await self._port.open("127.0.0.1")
        self._stack.push_async_callback(self._port.close)
        dial = dialer(self._port, self._exchange)
        self.far = Codec("room", dial, Behavior.parse("ring 0.05; answer"), "Phòng họp")
        self.far.addresses = (Address("sip", "room", *place), Address("h323", "room", "127.0.0.1"))
        self.codec = Codec("unit", dial, title="Boardroom")
        self.codec.addresses = (Address("sip", "unit", *place),)
        self._exchange.settle(self.far, *self.far.addresses)
        self._exchange.settle(self.codec, *self.codec.addresses)
        self.twin = self.vendor.twin(
            self.codec, secret=self.vendor.secret, username=self.vendor.username, faults=Faults()
        )
        await self.twin.start(transport=self.vendor.transport)
        self._stack.push_async_callback(self.twin.stop)
        return self

    async def stop(self) -> None:
        for adapter in self._adapters:
            await adapter.close()
        self.codec.close()
        self.far.close()
        await self._stack.aclose()

    # ---- who is who

    @property
    def to(self) -> Address:
        """Whom the device is made to call, by SIP where it can."""
        return self.far.addresses[0 if Capability.SIP in self.vendor.capabilities else 1]

    @property
    def h323(self) -> Address:
        return self.far.addresses[1]

    def adapter(self, heard: Heard | None = None, *, secret: str | None = None, **more: Any) -> Any:
        """A new adapter of the device, as another process would have it."""
        vendor = self.vendor
        host, port = self.twin.address
        settings = {
            **({"transport": vendor.transport} if vendor.grammar is not None else {}),
            **vendor.settings,
            **more.pop("settings_more", {}),
        }
        control = Control(
            NAME,
            host,
            more.pop("port", port),
            vendor.username,
            vendor.secret if secret is None else secret,
            settings=settings,
        )
        surroundings = Surroundings(
            heard or self.heard,
            self._remember,
            lambda: datetime.now(UTC),
            None,  # type: ignore[arg-type]
            host_keys=self._hosts,
            tape=self._tape,
        )
        adapter = registry._load(registry.ENDPOINTS, "endpoint", vendor.family)(
            control, surroundings, more.pop("profile", vendor.profile)
        )
        self._adapters.append(adapter)
        return adapter

    async def _remember(self, leg: str, memory: Mapping[str, Any]) -> None:
        self.memories[leg] = dict(memory)

    def _tape(self, device: str, family: str, secret: str) -> Recorder:
        tape = _Timed(family, (secret,), self)
        self.tapes.append(tape)
        return tape

    # ---- what people do

    def behave(self, script: str) -> None:
        """From now on the far end does this with calls."""
        self.far.behave(Behavior.parse(script))

    def call_by_hand(self) -> None:
        """Somebody in the device's room dials with the remote control."""
        self.codec.dial(self.to)

    def call_in(self) -> None:
        """The far end calls the device."""
        self.far.dial(self.codec.addresses[0])

    async def answer_far(self) -> None:
        """Somebody at the far end picks up."""
        await until(lambda: any(call.state is LegState.RINGING for call in self.far.call_table.values()))
        self.far.take(next(iter(self.far.call_table.values())))

    def expect_answered_by_hand(self) -> None:
        self.codec.auto_answer = AutoAnswerMode.OFF


class _Timed(Recorder):
    """A tape that also says when each order left."""

    def __init__(self, family: str, secrets: tuple[str, ...], rig: Rig) -> None:
        super().__init__(family, secrets, asyncio.get_running_loop().time)
        self._rig = rig

    def sent(self, data: bytes) -> None:
        self._rig.sent_at.append(asyncio.get_running_loop().time())
        super().sent(data)

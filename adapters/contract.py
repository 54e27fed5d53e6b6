"""The promise every device family keeps.

The law of the hands:

1. Accepted is not done. A verb returns when the device took the order. The world
   changes only through events.
2. Repeating is safe: hanging up a cleared leg, closing twice, opening a conference with
   the same tag.
3. A declared capability works; an undeclared one raises `NotSupported` before a byte is sent.
4. Every verb has a deadline.
5. If an order may have reached the device, say so: `OutcomeUnknown`.
6. A busy far end is an event (`LegCleared`), not an exception.
7. Unknown is an answer. What a device does not reveal is unknown, never guessed.
8. A line that nobody understands is traced and counted: never fatal, never a state.

Events go into the `Sink` that the adapter was built with: a plain call, in the event
loop, in the order the device reported them; the sink never blocks and never raises
(docs/decisions/0003-events-into-a-sink.md).
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol, runtime_checkable

from adapters.capabilities import Capability
from adapters.events import Event
from adapters.values import (
    Address,
    AutoAnswer,
    ConferenceSpec,
    DialOptions,
    EndpointStatus,
    Identity,
    LegMemory,
    LegSeen,
    Ports,
    Roster,
)

Sink = Callable[[Event], None]
"""Takes an event; called in the event loop, never blocks, never raises."""

Remember = Callable[[str, LegMemory], Awaitable[None]]
"""`await remember(leg, memory)` returns once the memory is safely stored."""

MayAct = Callable[[str], bool | None]
"""`may_act(leg)` before a step that nobody orders at this moment (the far side's call, the next
digit, giving up): True; None for "ask again soon"; False when the leg is another process's now:
then nothing more is sent for it."""


def always(leg: str) -> bool | None:
    """For those who share their legs with nobody."""
    return True


@runtime_checkable
class EndpointAdapter(Protocol):
    """A codec in a room, or the way to make its calls for it."""

    family: str
    capabilities: frozenset[Capability]

    async def open(self) -> Identity:
        """Have a session and say what the device is.

        Returns when logged in. Raises Unreachable, LoginRefused. Safe to repeat.
        """
        ...

    async def close(self) -> None:
        """Give the session up; calls stay as they are. Safe to repeat, raises nothing."""
        ...

    async def snapshot(self) -> tuple[LegSeen, ...]:
        """The legs this adapter knows, each as the device reports it now."""
        ...

    async def dial(self, leg: str, to: Address, options: DialOptions) -> None:
        """Make the endpoint call `to`; `leg` names the call in all later events.

        Returns when the order is taken, before the answer. Emits LegRinging, LegConnected,
        LegCleared. Raises Busy, Rejected, OutcomeUnknown, SessionLost, NotSupported.
        A leg name that is already in use is the same order: nothing is dialed twice.
        """
        ...

    async def hang_up(self, leg: str) -> None:
        """End one call, whatever its state. Emits LegCleared(local). Safe to repeat."""
        ...

    async def adopt(self, leg: str, memory: LegMemory) -> LegSeen:
        """Pick up a leg of an earlier process from what it remembered.

        Asks the far sides; returns the leg as they report it: `connected`, or `cleared`
        when every side denies it (then nothing is left to hang up). Raises
        OutcomeUnknown when no side answers. Behind Capability.ADOPT. Safe to repeat.
        """
        ...

    async def status(self) -> EndpointStatus:
        """Everything the device shows of itself, calls placed by hand included. Behind Capability.STATUS."""
        ...

    async def answer(self, leg: str) -> None:
        """Answer the call that is ringing here; it is `leg` from now on. Behind Capability.ANSWER.

        Raises Rejected when nothing rings. Emits LegConnected. Safe to repeat.
        """
        ...

    async def mute(self, on: bool) -> None:
        """Switch the room's microphone off (`on`) or on again. Behind Capability.MUTE. Safe to repeat."""
        ...

    async def set_volume(self, percent: int) -> None:
        """Set the loudspeaker, 0 to 100. Behind Capability.VOLUME. Safe to repeat."""
        ...

    async def send_digits(self, leg: str, digits: str) -> None:
        """Send DTMF into a connected leg, all of it in order. Behind Capability.DTMF."""
        ...

    async def recall_preset(self, number: int) -> None:
        """Turn the camera to a stored position. Behind Capability.PRESET. Safe to repeat."""
        ...

    async def share_content(self, on: bool) -> None:
        """Start or stop sending the second picture. Behind Capability.CONTENT. Safe to repeat."""
        ...

    async def wake(self) -> None:
        """Wake the device from its sleep. Behind Capability.WAKE. Safe to repeat."""
        ...

    async def show_text(self, text: str, for_s: float) -> None:
        """Show a line of text on the room's screen. Behind Capability.TEXT."""
        ...

    async def auto_answer(self) -> AutoAnswer:
        """How calls that come in are taken now. Behind Capability.AUTO_ANSWER."""
        ...

    async def set_auto_answer(self, wanted: AutoAnswer) -> None:
        """Have calls that come in taken so. Behind Capability.AUTO_ANSWER. Safe to repeat.

        Raises NotSupported for a wish that the device has no setting for, before a byte is sent.
        """
        ...


@runtime_checkable
class BridgeAdapter(Protocol):
    """The MCU: conferences, who is in them, calls out of them."""

    family: str
    capabilities: frozenset[Capability]

    async def open(self) -> Identity:
        """Have a session and say what the bridge is. Raises Unreachable, LoginRefused.

        Once open the adapter keeps the session up by itself and emits SessionGone and
        SessionReady, each once per outage. Safe to repeat.
        """
        ...

    async def close(self) -> None:
        """Give the session up; conferences stay. Safe to repeat, raises nothing."""
        ...

    async def ports(self) -> Ports:
        """How many ports the bridge has and uses; None where it does not say."""
        ...

    def expect(self, conference: str) -> Address:
        """The address that an endpoint dials to enter `conference`."""
        ...

    async def open_conference(self, spec: ConferenceSpec) -> None:
        """Have the conference ready to be entered. Same spec again: fine.

        Raises NoFreePorts, Rejected, SessionLost, OutcomeUnknown.
        """
        ...

    async def end_conference(self, conference: str) -> None:
        """Give the conference up. Whoever is still in it and is not ours stays. Safe to repeat."""
        ...

    async def invite(self, leg: str, conference: str, to: Address, options: DialOptions) -> None:
        """Make the bridge call `to` into `conference`. Behind Capability.INVITE.

        Same promises as `EndpointAdapter.dial`. LegConnected means the called party
        answered and the bridge has it in the conference.
        """
        ...

    async def snapshot(self, conference: str) -> Roster:
        """Who is in the conference now; `known=False` without Capability.ROSTER."""
        ...

    async def adopt(self, legs: Sequence[str]) -> tuple[LegSeen, ...]:
        """Pick up calls that an earlier process invited, by their leg names.

        Returns one LegSeen for every name: answered, still dialing or ringing, or
        `cleared` when the bridge has no such call. Events of the living ones follow from
        now on. Raises SessionLost. Safe to repeat. Empty without Capability.INVITE.
        """
        ...

    async def drop(self, leg: str) -> None:
        """End a leg that `invite` made. Emits LegCleared(local). Safe to repeat."""
        ...

    async def mute(self, conference: str, member: str, on: bool) -> None:
        """Mute or unmute one member (`Member.id`). Behind Capability.MUTE."""
        ...

    async def send_digits(self, leg: str, digits: str) -> None:
        """Send DTMF to the party of a leg that `invite` made. Behind Capability.DTMF."""
        ...

"""An Asterisk with ConfBridge as the main bridge, driven over AMI.

Who calls whom: `invite` makes Asterisk originate a channel whose unique id is our leg name, and
puts the answered party into ConfBridge. Rosters come from ConfbridgeList and the Confbridge*
events. Settings, measured facts and quirks: README.md beside this file.
"""

import asyncio
import logging
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from adapters.bridges.asterisk import grammar, meaning, profile
from adapters.bridges.asterisk.call import Call
from adapters.bridges.asterisk.calls import RINGING, Calls
from adapters.bridges.asterisk.connection import Target
from adapters.bridges.asterisk.digits import Keypad, are_digits
from adapters.bridges.asterisk.grammar import Action, GrammarError, Packet
from adapters.bridges.asterisk.meaning import ChannelListed
from adapters.bridges.asterisk.profile import PACE, Pace
from adapters.bridges.asterisk.questions import Questions
from adapters.bridges.asterisk.roster import Presence
from adapters.bridges.asterisk.session import Session
from adapters.capabilities import Capability
from adapters.causes import ClearCause, Cleared, Side
from adapters.errors import AdapterError, LoginRefused, NoFreePorts, OutcomeUnknown, Rejected, SessionLost, Unreachable
from adapters.events import SessionGone, SessionReady
from adapters.values import (
    Address,
    ConferenceSpec,
    Control,
    DialOptions,
    Identity,
    LegSeen,
    LegState,
    Ports,
    Roster,
)

if TYPE_CHECKING:
    from adapters.registry import Surroundings

log = logging.getLogger(__name__)


class AsteriskBridge:
    """One Asterisk; see `adapters.contract.BridgeAdapter` for what each verb promises."""

    family = "asterisk"
    capabilities = frozenset(
        {
            Capability.INVITE,
            Capability.ROSTER,
            Capability.DROP,
            Capability.MUTE,
            Capability.DTMF,
            Capability.SIP,
            Capability.H323,
            Capability.VIDEO,
        }
    )

    def __init__(self, control: Control, surroundings: "Surroundings", pace: Pace = PACE) -> None:
        self._control = control
        self._profile = profile.read(control)
        self._pace = pace
        self._sink = surroundings.sink
        self._now = surroundings.now
        self._presence = Presence(control.name, surroundings.sink, surroundings.now)
        self._calls = Calls(pace, surroundings.sink, surroundings.now, time.monotonic)
        self._calls.on_doubt = self._arm
        self._calls.on_connected = self._after_connected
        self._session = Session(
            Target(control.name, control.host, control.port or profile.DEFAULT_PORT, control.username, control.secret),
            pace,
            on_event=self._on_event,
            on_up=self._catch_up,
            on_gone=lambda reason: self._sink(SessionGone(control.name, self._now(), reason)),
            on_ready=lambda: self._sink(SessionReady(control.name, self._now())),
        )
        self._questions = Questions(self._session, pace)
        self._titles: dict[str, str] = {}
        self._ordering: dict[str, asyncio.Event] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._keypad = Keypad(self._session, pace, surroundings.may_act)

    # ---- the session

    async def open(self) -> Identity:
        await self._session.open()
        try:
            settings = await self._questions.ask(grammar.core_settings(), "open")
        except SessionLost as error:
            raise Unreachable(error.device, "open", error.why, error.trace) from None
        return Identity(make="Asterisk", model="ConfBridge", firmware=settings.get("AsteriskVersion"))

    async def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        await self._session.close()
        self._calls.drop_all()

    async def _catch_up(self) -> None:
        """After every login: may we do what we need, who is in, and what became of our calls."""
        await self._questions.parties("open")
        channels = await self._questions.channels("open")
        self._presence.seed(channels.values())
        for call in self._calls:
            seen = channels.get(call.leg)
            if seen is not None:
                self._calls.listed(seen)
                if call.dropping:
                    self._calls.doubt(call, 0)
            elif call.unsure or not call.channel:
                self._calls.doubt(call, self._pace.settle_s)
            else:
                self._calls.missing(call)

    # ---- conferences

    async def ports(self) -> Ports:
        return Ports(self._profile.ports, await self._questions.parties("ports"))

    def expect(self, conference: str) -> Address:
        self._check(conference, "expect", "conference number")
        host = self._control.host
        return Address.parse(self._profile.conference_address.format(number=conference, host=host))

    async def open_conference(self, spec: ConferenceSpec) -> None:
        self._check(spec.number, "open_conference", "conference number")
        await self._questions.ask(grammar.ping(), "open_conference")
        if not self._presence.has(spec.number):
            self._check_ports("open_conference")
        self._titles[spec.number] = spec.title
        self._presence.watch(spec.number)

    async def end_conference(self, conference: str) -> None:
        # A ConfBridge room goes with its last member; putting strangers out is not ours to do.
        self._titles.pop(conference, None)
        self._presence.forget(conference)

    async def snapshot(self, conference: str) -> Roster:
        self._check(conference, "snapshot", "conference number")
        self._presence.watch(conference)
        listed = await self._questions.members(conference, "snapshot")
        return Roster(conference, self._presence.read(conference, listed), self._now())

    async def mute(self, conference: str, member: str, on: bool) -> None:
        try:
            await self._questions.ask(grammar.mute(conference, member, on), "mute", changes=True)
        except Rejected as error:
            raise self._questions.rejected(
                "mute", f"member {member!r} of conference {conference!r}: {error.why}"
            ) from None

    # ---- calls

    async def invite(self, leg: str, conference: str, to: Address, options: DialOptions) -> None:
        while (ordering := self._ordering.get(leg)) is not None:
            await ordering.wait()
        call = self._calls.get(leg)
        if call is not None:
            if call.unsure:
                raise OutcomeUnknown(self._control.name, "invite", f"leg {leg!r} was ordered and not acknowledged")
            return
        action, call = self._order(leg, conference, to, options)
        done = self._ordering[leg] = asyncio.Event()
        self._calls.add(call)
        self._presence.watch(conference)
        try:
            await self._questions.ask(action, "invite", changes=True, action_id=call.action_id)
            call.unsure = False
        except OutcomeUnknown:
            raise
        except AdapterError:
            self._calls.withdraw(call)
            raise
        finally:
            del self._ordering[leg]
            done.set()

    def _order(self, leg: str, conference: str, to: Address, options: DialOptions) -> tuple[Action, Call]:
        """The Originate for a leg and what to remember of it; refuses what cannot be."""
        self._check(leg, "invite", "leg name")
        self._check(conference, "invite", "conference number")
        if self._calls.is_finished(leg):
            raise self._questions.rejected("invite", f"leg {leg!r} is over; a new call needs a new name")
        if options.digits:
            self._check_digits(options.digits, "invite")
        self._check_ports("invite")
        try:
            target = profile.channel(self._profile, to)
            action = grammar.originate(
                channel_id=leg,
                channel=target,
                conference=conference,
                profiles=self._profile.application_profiles,
                caller_name=options.display or self._titles.get(conference, conference),
                ring_s=options.ring_s,
                # Without Codecs Asterisk offers sound only; chan_ooh323 has no pictures anyway.
                codecs=self._profile.codecs if options.video and to.is_sip else "",
            )
        except (ValueError, GrammarError) as error:
            raise self._questions.rejected("invite", str(error)) from None
        return action, Call(
            leg=leg,
            conference=conference,
            target=target,
            ring_s=options.ring_s,
            ordered_at=time.monotonic(),
            action_id=self._session.new_action_id("invite"),
            digits=options.digits,
            digits_delay_s=options.digits_delay_s,
            unsure=True,
        )

    async def drop(self, leg: str) -> None:
        if "/" in leg:
            await self._put_out(leg)
            return
        self._check(leg, "drop", "leg name")
        if self._calls.is_finished(leg):
            return
        call = self._calls.get(leg)
        stranger = call is None
        if call is None:
            call = self._calls.add(Call(leg))
        was_dropping, call.dropping = call.dropping, True
        try:
            absent = await self._questions.hang_up(leg)
        except (Rejected, SessionLost, LoginRefused):
            call.dropping = was_dropping
            if stranger:
                self._calls.withdraw(call)
            raise
        if absent and stranger:
            self._calls.clear(call, Cleared(ClearCause.LOCAL, Side.OURS, absent))
            return
        # Either its Hangup is on the way, or Originate has not made the channel yet
        # (measured: a hang-up sent right behind the Originate finds no channel, and the room rings).
        if not call.over:
            self._calls.doubt(call, self._pace.settle_s)

    async def _put_out(self, member: str) -> None:
        """Hang up a channel by its name (`Member.id`), whoever made it; no leg, so no leg event."""
        if member.startswith("/"):  # Asterisk would take /.../ as a pattern for many channels
            raise self._questions.rejected("drop", f"{member!r} is no channel name, like PJSIP/unit-00000001")
        await self._questions.hang_up(member)

    async def adopt(self, legs: Sequence[str]) -> tuple[LegSeen, ...]:
        names = tuple(dict.fromkeys(legs))
        for leg in names:
            self._check(leg, "adopt", "leg name")
        fresh = {leg for leg in names if self._calls.get(leg) is None and not self._calls.is_finished(leg)}
        # Followed before the bridge is asked: what happens in between must not be missed.
        for leg in fresh:
            self._calls.add(Call(leg))
        try:
            channels = await self._questions.channels("adopt")
            if any(self._may_come_yet(leg) for leg in names if leg not in channels):
                await asyncio.sleep(self._pace.settle_s)
                channels = await self._questions.channels("adopt")
        except BaseException:
            for leg in fresh:
                if (call := self._calls.get(leg)) is not None:
                    self._calls.withdraw(call)
            raise
        at = self._now()
        return tuple(LegSeen(leg, self._adopted(leg, channels.get(leg), leg in fresh), at) for leg in names)

    def _may_come_yet(self, leg: str) -> bool:
        call = self._calls.get(leg)
        return (
            call is not None
            and not call.channel
            and call.ordered_at > 0
            and time.monotonic() - call.ordered_at < self._pace.settle_s
        )

    def _adopted(self, leg: str, seen: ChannelListed | None, fresh: bool) -> LegState:
        call = self._calls.get(leg)
        if call is None:
            return LegState.CLEARED
        if seen is None:
            if fresh and not call.channel:
                self._calls.withdraw(call)
                self._calls.finish_unseen(leg)
            else:
                self._calls.missing(call)
            return LegState.CLEARED
        self._calls.listed(seen, quiet=fresh)
        if call.conference:
            self._presence.watch(call.conference)
        if call.connected:
            return LegState.CONNECTED
        if fresh:
            self._calls.doubt(call, self._pace.overdue_s)
        return LegState.RINGING if seen.party.state in RINGING else LegState.DIALING

    # ---- digits

    async def send_digits(self, leg: str, digits: str) -> None:
        self._check(leg, "send_digits", "leg name")
        self._check_digits(digits, "send_digits")
        try:
            await self._keypad.press(leg, digits)
        except Rejected as error:
            raise self._questions.rejected("send_digits", f"leg {leg!r}: {error.why}") from None

    def _after_connected(self, call: Call) -> None:
        if call.digits:
            self._spawn(self._enter_digits(call))

    async def _enter_digits(self, call: Call) -> None:
        await asyncio.sleep(call.digits_delay_s)
        if call.over:
            return
        try:
            await self.send_digits(call.leg, call.digits)
        except AdapterError as error:
            log.warning("digits not sent", extra={"device": self._control.name, "leg": call.leg, "why": error.why})

    # ---- what the bridge says

    def _on_event(self, packet: Packet) -> None:
        try:
            self._hear(meaning.read(packet))
        except Exception:
            # Law 8: one packet, however odd, ends nothing.
            self._session.trace.not_understood(f"{packet!r}")
            log.exception("event not understood", extra={"device": self._control.name, "event": packet.name})

    def _hear(self, said: meaning.Meaning | None) -> None:
        match said:
            case meaning.Progressed():
                self._calls.progressed(said)
            case meaning.Answered():
                self._calls.answered(said.uniqueid)
            case meaning.Joined():
                self._presence.joined(said)
                self._calls.joined(said.party.uniqueid, said.party.channel)
            case meaning.Left():
                self._presence.left(said)
            case meaning.MuteChanged():
                self._presence.mute_changed(said)
            case meaning.RoomEnded():
                self._presence.ended(said.conference)
            case meaning.HangupAsked():
                self._calls.hangup_asked(said)
            case meaning.HungUp():
                self._presence.hung_up(said.party.channel)
                self._calls.hung_up(said)
            case meaning.Originated():
                self._calls.originated(said)
            case meaning.ChannelMade():
                call = self._calls.channel_made(said)
                leg = said.party.uniqueid
                if call.dropping if call is not None else self._calls.is_finished(leg):
                    self._spawn(self._hang_up_late(leg))

    async def _hang_up_late(self, leg: str) -> None:
        """End a channel that came into being after its leg was dropped."""
        try:
            await self._questions.hang_up(leg)
        except AdapterError as error:
            log.warning("late hang-up", extra={"device": self._control.name, "leg": leg, "why": error.why})

    # ---- doubts

    def _arm(self) -> None:
        due = self._calls.next_doubt()
        if due is None:
            return
        loop = asyncio.get_running_loop()
        at = loop.time() + max(0.0, due - time.monotonic())
        if self._timer is not None:
            if self._timer.when() <= at:
                return
            self._timer.cancel()
        self._timer = loop.call_at(at, self._clear_up)

    def _clear_up(self) -> None:
        self._timer = None
        calls = [call for call in self._calls.due() if call.dropping or not call.connected]
        if calls:
            self._spawn(self._look(calls))
        self._arm()

    async def _look(self, calls: list[Call]) -> None:
        """Ask the bridge once what became of calls whose end or beginning was not reported."""
        try:
            channels = await self._questions.channels("look")
        except AdapterError as error:
            log.info("look postponed", extra={"device": self._control.name, "why": error.why})
            for call in calls:
                if not call.over:
                    self._calls.doubt(call, self._pace.overdue_s)
            return
        for call in calls:
            if call.over:
                continue
            seen = channels.get(call.leg)
            if seen is None:
                self._calls.missing(call)
                continue
            self._calls.listed(seen)
            if call.dropping:
                await self._hang_up_late(call.leg)
            self._calls.doubt(call, self._pace.overdue_s)

    # ---- checks

    def _check(self, text: str, verb: str, what: str) -> None:
        if not profile.is_token(text):
            raise self._questions.rejected(
                verb, f"{what} {text!r} must be 1 to 64 letters, digits, dots, dashes or underscores"
            )

    def _check_digits(self, digits: str, verb: str) -> None:
        if not are_digits(digits):
            raise self._questions.rejected(
                verb, "the digits hold something other than 0-9 A-D * # (w or , for a pause)"
            )

    def _check_ports(self, verb: str) -> None:
        total, used = self._profile.ports, len(self._presence) + self._calls.waiting
        if total is not None and used >= total:
            raise NoFreePorts(self._control.name, verb, f"{used} of {total} ports are in use")

    def _spawn(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

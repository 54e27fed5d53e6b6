"""The inside of a virtual Asterisk: channels, ConfBridge rooms and the dial plan of the lab.

It takes lines (SIP or patched H.323), leads them through the lab's dial plan, calls out, and
tells everything in the words of AMI events to whoever watches; `bridges.asterisk.twin` is
that watcher, `confbridge` has the conferences. 8xxx is an open room, 9xxx asks for a PIN; any
other number is not found. `max_calls` refuses new channels as asterisk.conf does (not captured).
"""

import asyncio
import itertools
import re
import time
from collections.abc import Callable

from adapters.values import Address
from adapters.virtual.block import UNKNOWN
from adapters.virtual.channel import CAUSE_TEXTS, Channel, Order, Room, cause_of
from adapters.virtual.confbridge import MAX_DIGITS, ConfBridge, Fields, Watcher
from adapters.virtual.exchange import Exchange, Line
from adapters.virtual.referee import Asked

Dialer = Callable[[str, str, bool, "Switch"], Line]
"""Places a SIP call: target URI, caller's name, whether to offer video, listener."""


_PJSIP = re.compile(r"(?P<endpoint>[^/\s]+)/(?P<uri>sips?:[^\s]+)")
_OOH323 = re.compile(r"(?:(?P<user>[^@/\s]+)@)?(?P<peer>[^@/\s:]+)(?::\d+)?")


class Switch:
    """A bridge without its control interface. All of it runs in one event loop."""

    def __init__(
        self,
        name: str,
        exchange: Exchange,
        *,
        pin: str = "",
        max_members: int = 0,
        max_calls: int = 0,
        input_s: float = 12.6,
        notice_s: float = 2.4,
        refusal_s: float = 1.8,
        digit_gap_s: float = 0.35,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.name = name
        self.exchange = exchange
        self.max_calls = max_calls
        self.digit_gap_s = digit_gap_s
        self.now = now
        self.dial: Dialer | None = None
        self.watch: Watcher = lambda name, channel, room, fields: None
        self.channels: dict[str, Channel] = {}  # by name
        self.by_id: dict[str, Channel] = {}
        self.conferences = ConfBridge(
            self._told,
            self.hang_up,
            now,
            pin=pin,
            max_members=max_members,
            input_s=input_s,
            notice_s=notice_s,
            refusal_s=refusal_s,
        )
        self._by_line: dict[str, Channel] = {}
        self._numbers = itertools.count()
        self._names = itertools.count()
        self._h323_names = itertools.count()
        self.started_at = now()
        self.answered_calls = 0

    @property
    def rooms(self) -> dict[str, Room]:
        """The conferences with somebody in them, by number."""
        return self.conferences.rooms

    @property
    def pin(self) -> str:
        """What callers of a 9xxx room are asked for."""
        return self.conferences.pin

    # ---- being called (Device) ----

    def hears(self) -> bool:
        return True

    def route(self, number: str) -> bool:
        """Whether the dial plan has this number."""
        return len(number) == 4 and number.isascii() and number.isdigit() and number[0] in "89"

    def ignores(self, key: str) -> bool:
        return False

    def ignored(self, key: str) -> bool:
        return False

    def offered(self, line: Line) -> None:
        if not self.route(line.called):
            line.reject(404)
            return
        if self.max_calls and len(self.channels) >= self.max_calls:
            line.reject(503)
            return
        h323 = line.key.startswith("patch-")
        name = f"OOH323/p-{line.caller}-{next(self._h323_names)}" if h323 else self._pjsip_name("labudp")
        channel = self._make(name, "", "Ring", "from-h323" if h323 else "from-sip", line.called, line)
        channel.caller, channel.caller_name = line.caller, line.caller_name
        channel.has_pbx = True
        self._tell("Newchannel", channel)
        self._extend(channel, channel.exten, "Answer", "")
        line.answer()
        self._up(channel)
        channel.priority = 2
        self._confer(channel, line.called)

    def asked(self, order: Asked) -> int:
        return 501  # as Asterisk 22 says (measured)

    # ---- calling ----

    def originate(self, order: Order) -> None:
        """Do an accepted Originate; what becomes of it is told to the watcher."""
        tech, _, rest = order.channel.partition("/")
        match = {"PJSIP": _PJSIP, "OOH323": _OOH323}.get(tech, _PJSIP).fullmatch(rest)
        known = match is not None and tech in ("PJSIP", "OOH323")
        if tech == "OOH323" and match is not None:
            known = self.exchange.has_peer(match["peer"])
        taken = order.channel_id in self.by_id
        full = self.max_calls and len(self.channels) >= self.max_calls
        if not known or match is None or taken or full:
            self._verdict(None, order, False, 0)
            return
        if tech == "PJSIP":
            name, context, exten = self._pjsip_name(match["endpoint"]), "from-sip", "s"
        else:
            name = f"OOH323/{match['peer']}-{next(self._h323_names)}"
            context, exten = "from-h323", match["user"] or ""
        channel = self._make(name, order.channel_id, "Down", context, exten, None)
        channel.order = order
        channel.dial_string = rest
        if channel.h323:
            channel.connected_name = self.name
        self._tell("Newchannel", channel)
        self._extend(channel, exten, "AppDial2", "(Outgoing Line)")
        for key, value in order.variables.items():
            self._tell("VarSet", channel, ("Variable", key), ("Value", value))
        if order.has_caller_id:
            channel.caller, channel.caller_name = order.caller, order.caller_name
            channel.block = ""
            presented = "0 (Presentation Allowed, Not Screened)"
            self._tell("NewCallerid", channel, ("CID-CallingPres", presented))
            channel.connected, channel.connected_name = order.caller, order.caller_name
            channel.block = ""
            self._tell("NewConnectedLine", channel)
        self._tell("DialBegin", channel, ("DialString", rest))
        loop = asyncio.get_running_loop()
        channel.timer = loop.call_later(order.timeout_s, self._ring_out, channel)
        if channel.h323:
            to = Address("h323", exten, match["peer"].lower())
            line: Line = self.exchange.call_h323(self.name, order.caller_name, to, self)
        else:
            assert self.dial is not None, "a switch without a SIP side cannot dial sip:"
            try:
                line = self.dial(match["uri"], order.caller_name, order.video, self)
            except ValueError:
                self._failed(channel, 404)
                return
        channel.line = line
        self._by_line[line.key] = channel

    def _pjsip_name(self, endpoint: str) -> str:
        return f"PJSIP/{endpoint}-{next(self._names):08x}"

    def _make(self, name: str, uniqueid: str, state: str, context: str, exten: str, line: Line | None) -> Channel:
        now = self.now()
        channel = Channel(name, uniqueid or f"{self.name}-{int(now)}.{next(self._numbers)}", state, context, exten, now)
        self.channels[name] = self.by_id[channel.uniqueid] = channel
        if line is not None:
            channel.line = line
            line.listener = self
            self._by_line[line.key] = channel
        return channel

    def _up(self, channel: Channel) -> None:
        channel.answered_at = self.now()
        self.answered_calls += 1
        self._state(channel, "Up")
        self._device(channel, "INUSE")

    # ---- what a line reports (Listener) ----

    def rang(self, line: Line) -> None:
        channel = self._by_line.get(line.key)
        if channel is not None and channel.state == "Down":
            self._state(channel, "Ringing")
            self._device(channel, "RINGING")
            self._tell("DialState", channel, ("DialStatus", "RINGING"))

    def answered(self, line: Line) -> None:
        channel = self._by_line.get(line.key)
        if channel is None or channel.order is None or channel.state == "Up":
            return
        order = channel.order
        channel.still()
        self._verdict(channel, order, True, 4)
        self._up(channel)
        self._tell("DialEnd", channel, ("DialStatus", "ANSWER"))
        if order.application:
            channel.application, channel.data = order.application, order.data
            self._confer(channel, order.data.partition(",")[0])
            return
        channel.has_pbx = True
        channel.context, channel.exten, channel.block = order.context, order.exten, ""
        self._extend(channel, order.exten, "Answer", "")
        if order.context == "cascade":
            self._cascade(channel, order)
        else:
            channel.priority = 2
            self._confer(channel, order.exten)

    def _cascade(self, channel: Channel, order: Order) -> None:
        """Context `cascade`: wait, send the digits, then join: Wait, SendDTMF, ConfBridge."""
        delay = order.variables.get("DTMFDELAY", "")
        wait_s = float(delay) if re.fullmatch(r"\d{1,3}(\.\d+)?", delay) else 2.0
        digits = order.variables.get("DTMFSEQ", "")[:MAX_DIGITS]
        channel.priority = 3
        channel.block = ""
        self._extend(channel, order.exten, "SendDTMF", f"{digits},250")
        loop = asyncio.get_running_loop()
        channel.timer = loop.call_later(wait_s, self._cascade_digit, channel, digits, order.exten)

    def _cascade_digit(self, channel: Channel, digits: str, room: str) -> None:
        loop = asyncio.get_running_loop()
        if not digits:
            channel.priority = 4
            self._confer(channel, room)
            return
        if channel.line is not None and digits[0] != "w":
            channel.line.send_digit(digits[0])
        # "w" waits half a second (app_senddtmf); a digit takes its length and the gap
        gap = 0.5 if digits[0] == "w" else self.digit_gap_s
        channel.timer = loop.call_later(gap, self._cascade_digit, channel, digits[1:], room)

    def digit(self, line: Line, digit: str) -> None:
        channel = self._by_line.get(line.key)
        if channel is None:
            return
        if not channel.h323:
            self._tell("DTMFBegin", channel, ("Digit", digit), ("Direction", "Received"))
        length = "0" if channel.h323 else "160"
        self._tell("DTMFEnd", channel, ("Digit", digit), ("DurationMs", length), ("Direction", "Received"))
        self.conferences.digit(channel, digit)

    def ended(self, line: Line, code: int) -> None:
        channel = self._by_line.get(line.key)
        if channel is None:
            return
        if channel.state != "Up" and channel.order is not None:
            self._failed(channel, code)
            return
        self._tell("HangupRequest", channel)
        self.conferences.leave(channel)
        self._gone(channel, cause_of(code))

    # ---- ends ----

    def _failed(self, channel: Channel, code: int) -> None:
        """The called side refused, before it answered."""
        cause = cause_of(code)
        tech: Fields = () if channel.h323 else (("TechCause", str(code)),)
        status = {17: "BUSY", 34: "CONGESTION"}.get(cause, "NOANSWER")
        self._tell("HangupRequest", channel, ("Cause", str(cause)), *tech)
        self._tell("DialEnd", channel, ("DialStatus", status))
        if channel.order is not None:
            self._verdict(channel, channel.order, False, 0)
        self._gone(channel, cause, tech)

    def _ring_out(self, channel: Channel) -> None:
        """The Originate's Timeout is over: whoever rings, or says nothing, is given up."""
        tech: Fields = () if channel.h323 else (("TechCause", "480"),)
        if channel.line is not None:
            channel.line.hang_up()
        order = channel.order
        # captured: a SIP verdict comes before its Hangup, an H.323 one after it
        if order is not None and not channel.h323:
            self._verdict(channel, order, False, 3)
        self._gone(channel, 19, tech)
        if order is not None and channel.h323:
            self._verdict(channel, order, False, 3)

    def hang_up(self, channel: Channel, cause: int = 16) -> None:
        """End a channel from our side (AMI Hangup, a kick, the end of the dial plan)."""
        self.conferences.leave(channel)
        if channel.line is not None:
            channel.line.hang_up()
        if channel.state != "Up" and channel.order is not None:
            self._tell("DialEnd", channel, ("DialStatus", "NOANSWER"))
            self._verdict(channel, channel.order, False, 0)
        self._gone(channel, cause)

    def _gone(self, channel: Channel, cause: int, tech: Fields = ()) -> None:
        channel.still()
        channel.pin = None
        if channel.line is not None:
            self._by_line.pop(channel.line.key, None)
        if self.channels.pop(channel.name, None) is None:
            return
        self.by_id.pop(channel.uniqueid, None)
        if channel.has_pbx:
            self._tell("SoftHangupRequest", channel, ("Cause", str(cause)))
        text = CAUSE_TEXTS.get(cause, "Unknown")
        self._tell("Hangup", channel, ("Cause", str(cause)), ("Cause-txt", text), *tech)
        self._device(channel, "UNAVAILABLE")

    def _confer(self, channel: Channel, number: str) -> None:
        """The dial plan has come to ConfBridge()."""
        channel.application = "ConfBridge"
        profile = self.conferences.profile(channel, number)
        channel.data = channel.data or f"{number},main,{profile},usermenu"
        channel.block = ""
        if channel.has_pbx:
            self._extend(channel, channel.exten, "ConfBridge", channel.data)
        self.conferences.enter(channel, number)

    # ---- telling ----

    def _told(self, name: str, channel: Channel | None, room: Room | None, fields: Fields) -> None:
        self.watch(name, channel, room, fields)

    def _tell(self, name: str, channel: Channel | None, *fields: tuple[str, str]) -> None:
        self.watch(name, channel, None, fields)

    def _state(self, channel: Channel, state: str) -> None:
        channel.state = state
        channel.block = ""
        self._tell("Newstate", channel)

    def _device(self, channel: Channel, state: str) -> None:
        device = channel.name.rpartition("-")[0]
        self._tell("DeviceStateChange", None, ("Device", device), ("State", state))

    def _extend(self, channel: Channel, exten: str, application: str, data: str) -> None:
        fields = (("Extension", exten), ("Application", application), ("AppData", data))
        self._tell("Newexten", channel, *fields)

    def _verdict(self, channel: Channel | None, order: Order, success: bool, reason: int) -> None:
        what: Fields = (
            (("Application", order.application), ("Data", order.data))
            if order.application
            else (("Context", order.context), ("Exten", order.exten))
        )
        self._tell(
            "OriginateResponse",
            None,
            *((("ActionID", order.action_id),) if order.action_id else ()),
            ("Response", "Success" if success else "Failure"),
            ("Channel", channel.name if channel and success else order.channel),
            *what,
            ("Reason", str(reason)),
            ("Uniqueid", channel.uniqueid if channel and success else order.channel_id or UNKNOWN),
            ("CallerIDNum", order.caller or UNKNOWN),
            ("CallerIDName", order.caller_name or UNKNOWN),
        )

    def close(self) -> None:
        """Stop every timer; nothing is sent."""
        for channel in self.channels.values():
            channel.still()

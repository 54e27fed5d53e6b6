"""One logged-in text conversation, from the first byte to the end: one command at a time.

Whatever does not belong to the reply that is awaited is an unsolicited line. A reply that does not
come in time ends the conversation: what comes later could not be told from the next reply.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, TypeVar, cast

from adapters.cli.dialogue import Dialogue, LineTooLong
from adapters.cli.profile import SECRET, USER, Login, Profile
from adapters.cli.reply import MOST_LINES, Ask, Taken
from adapters.cli.wire import OpenWire, Target, Wire
from adapters.control.order import Order
from adapters.control.turn import Turn
from adapters.errors import (
    AdapterError,
    Busy,
    Garbled,
    LoginRefused,
    NotSupported,
    OutcomeUnknown,
    Rejected,
    SessionLost,
    Unreachable,
)
from adapters.trace import Trace
from adapters.transcript import Tape

T = TypeVar("T")

_ECHO_S = 1.0
"""So long after an echo that could be the reply itself, it was the reply."""


async def _telnet(target: Target, receiver: Any) -> Wire:
    from adapters.cli.telnet import TelnetWire

    return await TelnetWire.open(target, receiver)


async def _ssh(target: Target, receiver: Any) -> Wire:
    from adapters.cli.ssh import SshWire

    return await SshWire.open(target, receiver)


async def _console(target: Target, receiver: Any) -> Wire:
    from adapters.cli.console import ConsoleWire

    return await ConsoleWire.open(target, receiver)


TRANSPORTS: Mapping[str, OpenWire] = {"telnet": _telnet, "ssh": _ssh, "console": _console}


class _Pending:
    """The command whose reply is awaited."""

    __slots__ = ("ask", "is_echoed", "reply", "timer", "verb")

    def __init__(self, ask: Ask[Any], verb: str) -> None:
        self.ask = ask
        self.verb = verb
        self.is_echoed = False
        self.reply: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.timer: asyncio.TimerHandle | None = None


class Connection:
    """A conversation that is logged in until it ends; made by `Connection.open`.

    `on_line(text)` gets every line that nobody asked for, and says whether it was understood.
    """

    __slots__ = (
        "_dialogue",
        "_entering",
        "_eol",
        "_has_echo",
        "_login",
        "_on_line",
        "_pending",
        "_profile",
        "_secret_sent",
        "_tape",
        "_target",
        "_trace",
        "_turn",
        "_wire",
        "ended",
    )

    def __init__(
        self,
        target: Target,
        profile: Profile,
        login: Login,
        on_line: Callable[[str], bool],
        trace: Trace,
        tape: Tape | None = None,
    ) -> None:
        self.ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._target = target
        self._profile = profile
        self._login = login
        self._on_line = on_line
        self._trace = trace
        self._tape = tape
        self._eol = profile.eol
        self._wire: Wire | None = None
        self._pending: _Pending | None = None
        self._has_echo: bool | None = None
        self._secret_sent = False
        self._entering: asyncio.Future[None] | None = asyncio.get_running_loop().create_future()
        self._turn = Turn(profile.pace.gap_s)
        self._dialogue = Dialogue(
            (*login.prompts, *profile.prompts),
            self._line,
            self._prompt,
            encoding=profile.encoding,
            longest=profile.longest_line,
        )

    @classmethod
    async def open(
        cls,
        target: Target,
        transport: str,
        profile: Profile,
        on_line: Callable[[str], bool],
        trace: Trace,
        tape: Tape | None = None,
    ) -> "Connection":
        """Connect and log in. Raises Unreachable, LoginRefused within the profile's `open_s`."""
        login = profile.ssh_login if transport == "ssh" and profile.ssh_login is not None else profile.login
        connection = cls(target, profile, login, on_line, trace, tape)
        stage = "no connection"
        try:
            async with asyncio.timeout(profile.pace.open_s):
                connection._wire = await TRANSPORTS[transport](target, connection)
                stage = "no log-in"
                await connection._enter()
                return connection
        except TimeoutError:
            unfinished = connection._dialogue.unfinished
            left = f"; it stands at {trace.redact(unfinished)!r}" if unfinished else ""
            why: AdapterError = connection._unreachable(f"{stage} within {profile.pace.open_s:g} s{left}")
        except OSError as error:
            why = connection._unreachable(error.strerror or str(error) or type(error).__name__)
        except AdapterError as error:
            error.trace = error.trace or trace.tail()
            why = error
        except BaseException:
            await connection.close()
            raise
        await connection.close()
        raise why from None

    def _unreachable(self, why: str) -> Unreachable:
        return Unreachable(self._target.device, "open", f"{self._target.place}: {why}", self._trace.tail())

    # ---- log-in

    async def _enter(self) -> None:
        entering = self._entering
        assert entering is not None
        nudge = None
        if self._login.nudge_s is not None:
            nudge = asyncio.get_running_loop().call_later(self._login.nudge_s, self._nudge)
        elif self._login.done is None and not self._login.ready and not entering.done():
            entering.set_result(None)  # there is nothing to wait for
        try:
            await entering
        finally:
            self._entering = None
            if nudge is not None:
                nudge.cancel()
        self._dialogue.expect_prompts(self._profile.prompts)
        self._turn = Turn(self._profile.pace.gap_s, self._profile.pace.settle_s)

    def _nudge(self) -> None:
        if self._entering is not None and not self._dialogue.unfinished:
            self._send(b"")

    def _enter_line(self, text: str) -> None:
        """A line before we are in."""
        self._trace.received(text)
        login = self._login
        if login.refused is not None and login.refused.search(text):
            self._refused(text)
        elif login.away is not None and login.away.search(text):
            self._fail(self._unreachable(f"it is not up yet: {self._trace.redact(text)}"))
        elif login.done is not None and login.done.match(text):
            self._entered()

    def _enter_prompt(self, name: str) -> None:
        target = self._target
        if name == self._login.ready:
            self._entered()
        elif name == SECRET:
            if self._secret_sent:
                self._refused("asks for it again")
                return
            self._secret_sent = True
            self._trace.sent("***")
            self._send(target.secret.encode(self._profile.encoding))
        elif name == USER:
            if self._secret_sent:
                self._refused("asks for the user again")
                return
            self._trace.sent(target.username)
            self._send(target.username.encode(self._profile.encoding))
        elif name in self._login.says:
            self._trace.sent(self._login.says[name])
            self._send(self._login.says[name].encode(self._profile.encoding))

    def _entered(self) -> None:
        if self._entering is not None and not self._entering.done():
            self._entering.set_result(None)

    def _refused(self, text: str) -> None:
        who = f"user {self._target.username!r}" if self._target.username else "our password"
        self._fail(
            LoginRefused(
                self._target.device,
                "open",
                f"{self._target.place} refuses {who} ({self._trace.redact(text)}): wrong user or secret",
                self._trace.tail(),
            )
        )

    def _fail(self, error: AdapterError) -> None:
        if self._entering is not None and not self._entering.done():
            self._entering.set_exception(error)

    # ---- orders

    async def ask(self, order: Order[T], verb: str, sent: Callable[[], None] | None = None) -> T:
        """See `adapters.control.link.Link.ask`."""
        ask = cast(Ask[T], order)
        await self._turn.take()
        if self.ended.done():
            self._turn.give()
            raise SessionLost(self._target.device, verb, self.ended.result(), self._trace.tail())
        try:
            raw = ask.text.encode(self._profile.encoding)
        except UnicodeEncodeError as error:
            self._turn.give()
            raise Rejected(self._target.device, verb, f"the device cannot be sent {ask.shown!r}: {error}") from None
        pending = self._pending = _Pending(ask, verb)
        wait_s = ask.reply.quiet_s
        loop = asyncio.get_running_loop()
        if wait_s is not None:
            pending.timer = loop.call_later(wait_s, self._finish, pending)
        else:
            wait_s = ask.deadline_s or self._profile.pace.reply_s
            pending.timer = loop.call_later(wait_s, self._missed, pending, wait_s)
        self._turn.sent()
        self._trace.sent(ask.shown)
        if sent is not None:
            sent()
        shown = ask.shown.encode(self._profile.encoding)
        if self._tape is not None and shown != raw:
            self._tape.hide(raw, shown)
        self._send(raw, shown)
        # Cancelled from here on, the reply is still awaited and taken off the stream before the next order.
        value: T = await pending.reply
        return value

    def _send(self, raw: bytes, shown: bytes | None = None) -> None:
        if self._wire is not None:
            if self._tape is not None:
                self._tape.sent((raw if shown is None else shown) + self._eol)
            self._wire.write(raw + self._eol)

    def _settle(self, pending: _Pending, value: Any = None, error: AdapterError | None = None) -> None:
        if self._pending is not pending:
            return
        self._pending = None
        if pending.timer is not None:
            pending.timer.cancel()
        if not pending.reply.done():
            if error is not None:
                pending.reply.set_exception(error)
            else:
                pending.reply.set_result(value)
        self._turn.give()

    def _missed(self, pending: _Pending, wait_s: float) -> None:
        self._end(f"no reply to {pending.ask.shown!r} within {wait_s:g} s")

    def _finish(self, pending: _Pending) -> None:
        """The reply is whole."""
        ask = pending.ask
        try:
            value = ask.read(tuple(ask.reply.lines))
        except (ValueError, LookupError) as error:
            kind = OutcomeUnknown if ask.changes else Garbled
            why = f"the reply to {ask.shown!r} cannot be read: {self._trace.redact(ask.hidden(str(error)))}"
            self._settle(pending, error=kind(self._target.device, pending.verb, why, self._trace.tail()))
        else:
            self._settle(pending, value)

    # ---- what comes

    def received(self, data: bytes) -> bool:
        if self.ended.done():
            return False
        if self._tape is not None:
            self._tape.received(data)
        try:
            return self._dialogue.feed(data)
        except LineTooLong as error:
            self._end(str(error))
            return False

    def lost(self, reason: str) -> None:
        """The wire is gone."""
        self._end(reason)

    def _prompt(self, name: str) -> None:
        if self.ended.done():
            return
        if self._entering is not None:
            if not self._entering.done():
                self._enter_prompt(name)
            return
        pending = self._pending
        if pending is not None and pending.ask.reply.prompt(name) is Taken.DONE:
            self._finish(pending)

    def _line(self, text: str) -> None:
        if self.ended.done():
            return
        if self._entering is not None and not self._entering.done():
            self._enter_line(text)
            return
        text = text.strip()
        if not text:
            self._blank()
            return
        pending = self._pending
        self._trace.received(text if pending is None else pending.ask.hidden(text))
        if pending is not None:
            if self._is_echo(pending, text):
                return
            taken = pending.ask.reply.line(text)
            if taken is not Taken.NOT_MINE:
                self._take(pending, taken)
                return
        if not self._on_line(text):
            self._trace.not_understood(text if pending is None else pending.ask.hidden(text))

    def _blank(self) -> None:
        pending = self._pending
        if pending is not None:
            taken = pending.ask.reply.line("")
            if taken not in (Taken.NOT_MINE, Taken.MORE):
                self._take(pending, taken)

    def _is_echo(self, pending: _Pending, text: str) -> bool:
        """Our own command come back.

        Whether a device echoes is learned from commands whose replies look different. Where a reply
        may look the same, the first such line of a device that echoes is the echo, unless no other follows.
        """
        reply = pending.ask.reply
        if pending.is_echoed or reply.sees_echo or text != pending.ask.text.strip():
            return False
        known = len(reply.lines)
        is_reply = reply.line(text) is not Taken.NOT_MINE
        del reply.lines[known:]
        if not is_reply:
            self._has_echo = True
        elif not self._has_echo:
            return False
        elif pending.timer is not None:
            pending.timer.cancel()
            wait_s = reply.quiet_s or _ECHO_S
            pending.timer = asyncio.get_running_loop().call_later(wait_s, self._was_reply, pending, text)
        pending.is_echoed = True
        return True

    def _was_reply(self, pending: _Pending, text: str) -> None:
        """Nothing followed what looked like an echo: it was the reply."""
        self._take(pending, pending.ask.reply.line(text))

    def _take(self, pending: _Pending, taken: Taken) -> None:
        reply = pending.ask.reply
        if taken is Taken.MORE:
            if len(reply.lines) > MOST_LINES:
                self._end(f"a reply of more than {MOST_LINES} lines to {pending.ask.shown!r}")
            elif reply.quiet_s is not None and pending.timer is not None:
                pending.timer.cancel()
                pending.timer = asyncio.get_running_loop().call_later(reply.quiet_s, self._finish, pending)
            return
        if taken is Taken.DONE:
            self._finish(pending)
            return
        kind = {Taken.BUSY: Busy, Taken.UNKNOWN: NotSupported}.get(taken, Rejected)
        why = f"{pending.ask.shown!r}: {pending.ask.hidden(reply.why)}"
        self._settle(
            pending, error=kind(self._target.device, pending.verb, self._trace.redact(why), self._trace.tail())
        )

    # ---- the end

    def _end(self, why: str) -> None:
        if self.ended.done():
            return
        why = self._trace.redact(why)
        self.ended.set_result(why)
        if self._entering is not None and not self._entering.done():
            self._entering.set_exception(self._unreachable(why))
        pending = self._pending
        if pending is not None:
            changes = pending.ask.changes
            kind = OutcomeUnknown if changes else SessionLost
            words = f"{why}; the order was sent" if changes else why
            self._settle(pending, error=kind(self._target.device, pending.verb, words, self._trace.tail()))

    async def close(self) -> None:
        """End it. Safe to repeat, raises nothing."""
        self._end("closed by us")
        if self._entering is not None and self._entering.done() and not self._entering.cancelled():
            self._entering.exception()  # whoever opened has heard it by another way
        wire, self._wire = self._wire, None
        if wire is not None:
            await wire.close()

"""One logged-in AMI connection, from greeting to end: questions with answers, and a stream of events.

Replies are matched by ActionID. AMI broadcasts OriginateResponse with the ActionID of whoever
ordered it, so ours start with a random word. A missed deadline ends the connection: what
comes later could not be trusted.
"""

import asyncio
import itertools
import secrets
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from adapters.bridges.asterisk import grammar
from adapters.bridges.asterisk.grammar import Action, Decoder, GrammarError, Kind, Packet
from adapters.bridges.asterisk.meaning import LIST_EVENTS, WANTED
from adapters.errors import AdapterError, LoginRefused, OutcomeUnknown, Rejected, SessionLost, Unreachable
from adapters.trace import Trace

MAX_LIST = 50_000
_CHUNK = 65536


@dataclass(frozen=True, slots=True)
class Target:
    """Where a manager interface is and as whom to log in; `device` is its name in the inventory."""

    device: str
    host: str
    port: int
    username: str
    secret: str = field(repr=False)

    @property
    def place(self) -> str:
        return f"{self.host}:{self.port}"


@dataclass(slots=True)
class _Pending:
    reply: "asyncio.Future[list[Packet]]"
    lists: bool
    packets: list[Packet] = field(default_factory=list)


class _Dropped(Exception):
    """The connection ended while an answer was awaited."""


class Connection:
    """A logged-in session until it ends; made by `Connection.open`."""

    def __init__(
        self,
        target: Target,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        on_event: Callable[[Packet], None],
        trace: Trace,
    ) -> None:
        self.target = target
        self.trace = trace
        self.heard = 0
        """How many times the wire brought something; tells a quiet connection from a live one."""
        self.ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        """Done when the connection is over; the result says why."""
        self._reader = reader
        self._writer = writer
        self._on_event = on_event
        self._decoder = Decoder(wanted=WANTED)
        self._pending: dict[str, _Pending] = {}
        self._prefix = secrets.token_hex(4)
        self._count = itertools.count(1)
        self._greeted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._task = asyncio.create_task(self._read(), name=f"ami {target.device}")

    @classmethod
    async def open(
        cls,
        target: Target,
        *,
        events: str,
        deadline_s: float,
        on_event: Callable[[Packet], None],
        trace: Trace,
    ) -> "Connection":
        """Connect and log in. Raises Unreachable, LoginRefused, both within `deadline_s`."""

        def unreachable(why: str) -> Unreachable:
            return Unreachable(target.device, "open", f"{target.place}: {why}", trace.tail())

        connection = None
        try:
            async with asyncio.timeout(deadline_s):
                reader, writer = await asyncio.open_connection(target.host, target.port, limit=_CHUNK)
                connection = cls(target, reader, writer, on_event, trace)
                await connection._log_in(events, deadline_s)
                return connection
        except TimeoutError:
            stage = "no connection"
            if connection is not None:
                stage = "no answer to our login" if connection.greeted else f"no {grammar.GREETING!r} greeting"
            why = unreachable(f"{stage} within {deadline_s:g} s")
        except OSError as error:
            why = unreachable(error.strerror or str(error) or type(error).__name__)
        except (_Dropped, GrammarError) as error:
            why = unreachable(str(error))
        except (SessionLost, OutcomeUnknown) as error:
            why = unreachable(error.why)
        except BaseException:
            if connection is not None:
                await connection.close()
            raise
        if connection is not None:
            await connection.close()
        raise why from None

    async def _log_in(self, events: str, deadline_s: float) -> None:
        await self._until_greeted()
        target = self.target
        try:
            answer = await self.ask(grammar.challenge(), "open", deadline_s)
        except Rejected:
            # No MD5 here (an old or restricted server): the secret goes in plain.
            login = grammar.login_plain(target.username, target.secret, events)
        else:
            key = grammar.challenge_key(answer.get("Challenge"), target.secret)
            login = grammar.login_md5(target.username, key, events)
        try:
            await self.ask(login, "open", deadline_s)
        except Rejected as error:
            raise LoginRefused(
                target.device,
                "open",
                f"{target.place} refuses AMI user {target.username!r} ({error.why}): wrong user or secret,"
                " or manager.conf does not permit our address",
                self.trace.tail(),
            ) from None

    async def _until_greeted(self) -> None:
        either: set[asyncio.Future[Any]] = {self._greeted, self.ended}
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if self.ended.done():
            raise _Dropped(self.ended.result())
        greeting = self._decoder.greeting
        if not greeting.startswith(grammar.GREETING):
            raise _Dropped(f"that is no Asterisk manager: it says {greeting[:60]!r}, not {grammar.GREETING!r}")

    def new_action_id(self) -> str:
        """An ActionID that no other order of any session has."""
        return f"{self._prefix}-{next(self._count)}"

    async def ask(
        self, action: Action, verb: str, deadline_s: float, *, changes: bool = False, action_id: str = ""
    ) -> Packet:
        """Send an action and wait for its response.

        Raises Rejected with the bridge's words, SessionLost before anything was sent, and when
        the answer stays away OutcomeUnknown for an order (`changes`), SessionLost for a question.
        """
        packets = await self._request(action, verb, deadline_s, changes, action_id, lists=False)
        return packets[0]

    async def collect(self, action: Action, verb: str, deadline_s: float) -> list[Packet]:
        """Ask for a list and wait until it is complete; the packets in between. Raises like `ask`."""
        packets = await self._request(action, verb, deadline_s, False, "", lists=True)
        return packets[1:]

    async def _request(
        self, action: Action, verb: str, deadline_s: float, changes: bool, action_id: str, *, lists: bool
    ) -> list[Packet]:
        if self.ended.done():
            raise SessionLost(self.target.device, verb, self.ended.result(), self.trace.tail())
        action_id = action_id or self.new_action_id()
        try:
            raw = action.encode(action_id)
        except GrammarError as error:
            raise Rejected(self.target.device, verb, str(error)) from None
        pending = _Pending(asyncio.get_running_loop().create_future(), lists)
        self._pending[action_id] = pending
        self.trace.sent(action.shown())
        try:
            async with asyncio.timeout(deadline_s):
                self._writer.write(raw)
                await self._writer.drain()
                packets = await pending.reply
        except TimeoutError:
            self._end(f"no reply to {action.name} within {deadline_s:g} s")
            raise self._unanswered(verb, changes) from None
        except (_Dropped, ConnectionError) as error:
            self._end(str(error) or type(error).__name__)
            raise self._unanswered(verb, changes) from None
        finally:
            del self._pending[action_id]
        response = packets[0]
        if not response.succeeded:
            why = self.trace.redact(response.message) or "no reason given"
            raise Rejected(self.target.device, verb, why, self.trace.tail())
        return packets

    def _unanswered(self, verb: str, changes: bool) -> AdapterError:
        why = f"{self.ended.result()}; the order was sent" if changes else self.ended.result()
        kind = OutcomeUnknown if changes else SessionLost
        return kind(self.target.device, verb, why, self.trace.tail())

    async def close(self) -> None:
        """End it politely. Safe to repeat, raises nothing."""
        if not self.ended.done():
            with suppress(OSError, GrammarError):
                self._writer.write(grammar.logoff().encode(self.new_action_id()))
            self._end("closed by us")
        self._task.cancel()
        await asyncio.wait({self._task})
        with suppress(OSError, TimeoutError):
            async with asyncio.timeout(1):
                await self._writer.wait_closed()

    def _end(self, why: str) -> None:
        if self.ended.done():
            return
        self.ended.set_result(why)
        for pending in self._pending.values():
            if not pending.reply.done():
                pending.reply.set_exception(_Dropped(why))
        self._writer.close()

    async def _read(self) -> None:
        why = "the bridge closed the connection"
        try:
            while data := await self._reader.read(_CHUNK):
                self.heard += 1
                for packet in self._decoder.feed(data):
                    self._take(packet)
                if self._decoder.greeting and not self._greeted.done():
                    self._greeted.set_result(None)
        except GrammarError as error:
            why = f"unreadable stream: {error}"
        except OSError as error:
            why = error.strerror or type(error).__name__
        finally:
            self._end(why)

    def _take(self, packet: Packet) -> None:
        pending = self._pending.get(packet.action_id)
        if packet.kind is Kind.RESPONSE:
            self.trace.received(f"{packet.name} {packet.message}")
            if pending is None or pending.packets:
                self.trace.not_understood(f"{packet!r} answers nothing")
                return
            pending.packets.append(packet)
            if not (pending.lists and packet.opens_list):
                self._answer(pending)
        elif packet.kind is Kind.EVENT:
            if packet.name not in LIST_EVENTS:
                self.trace.received(f"{packet.name} {packet.get('Channel')} {packet.get('Uniqueid')}")
                self._on_event(packet)
            elif pending is not None and pending.lists and pending.packets:
                if packet.closes_list:
                    self._answer(pending)
                elif len(pending.packets) > MAX_LIST:
                    self._end(f"a list of more than {MAX_LIST} entries")
                else:
                    pending.packets.append(packet)
        else:
            self.trace.not_understood(f"{packet!r}")

    @staticmethod
    def _answer(pending: _Pending) -> None:
        if not pending.reply.done():
            pending.reply.set_result(pending.packets)

    @property
    def greeted(self) -> bool:
        """Whether the other side has said what it is."""
        return self._greeted.done()

    @property
    def skipped(self) -> int:
        """How many events came that say nothing to us."""
        return self._decoder.skipped

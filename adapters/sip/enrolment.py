"""The registrar at the sockets of an agent: takes its REGISTERs, and finds the way to who is registered.

What `screen` can answer is answered without state; the others are at most `MOST_AT_ONCE` tasks,
each as short as one transaction of the roll.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

from adapters.sip.binding import Reach, Source
from adapters.sip.dialog import Dialog
from adapters.sip.message import Request, uri_of
from adapters.sip.registrar import Registrar, Reply
from adapters.sip.route import Way
from adapters.sip.transaction import Server
from adapters.sip.transport import Flow
from adapters.sip.uri import BadUri, Uri

if TYPE_CHECKING:
    from adapters.sip.agent import SipAgent
    from adapters.sip.exchange import Exchange
    from adapters.sip.route import Go

_log = logging.getLogger(__name__)

MOST_AT_ONCE = 200


class Enrolment:
    """Plugs a registrar into an agent."""

    def __init__(self, agent: SipAgent, registrar: Registrar) -> None:
        self._agent = agent
        self._registrar = registrar
        self._answering = 0
        self._tasks: set[asyncio.Task[None]] = set()
        agent.screens["REGISTER"] = self._screen
        agent.serves["REGISTER"] = self._serve
        agent.locator = self

    async def close(self) -> None:
        """Wait for what is being stored; nothing more comes in once the agent is closed."""
        if self._tasks:
            await asyncio.wait(self._tasks)

    def _start(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = self._agent.works.loop.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # -- REGISTER ---------------------------------------------------------------------

    def _screen(self, request: Request, flow: Flow) -> Reply | None:
        reply = self._registrar.screen(request, _source(flow))
        if reply is None and self._answering >= MOST_AT_ONCE:
            return Reply(503, headers=(("Retry-After", "5"),))
        return reply

    def _serve(self, request: Request, server: Server, flow: Flow) -> None:
        self._answering += 1
        self._start(self._answer(request, server, flow))

    async def _answer(self, request: Request, server: Server, flow: Flow) -> None:
        try:
            reply = await self._registrar.register(request, _source(flow))
        finally:
            self._answering -= 1
        self._agent.reply(server, request, reply.status, reply.reason, headers=reply.headers)

    # -- calls ------------------------------------------------------------------------

    def takes(self, exchange: Exchange, go: Go) -> bool:
        """Whether a request is for somebody who registers with us; then it goes on when that is looked up."""
        dialog = exchange.dialog
        if exchange.ways is not None or dialog is None:
            return False
        if dialog.remote_tag:
            if not self._is_cut_off(exchange, dialog):
                return False
            to = self._ours(uri_of(dialog.remote))
        else:
            to = self._ours(exchange.hop)
        if to is None:
            return False
        self._start(self._locate(to, exchange, dialog, go))
        return True

    def _ours(self, text: str) -> Uri | None:
        try:
            uri = Uri.parse(text)
        except BadUri:
            return None
        is_ours = uri.host in self._registrar.domains and uri.port in (None, 5060, self._agent.address[1])
        return uri if is_ours and uri.user else None

    def _is_cut_off(self, exchange: Exchange, dialog: Dialog) -> bool:
        """Whether the connection that carried a call is gone: its endpoint may have come back by another one."""
        if dialog.peer is None or dialog.transport not in ("TCP", "TLS") or dialog.routes:
            return False
        return self._agent.routes.standing(dialog.transport, *dialog.peer, exchange.bound.address) is None

    async def _locate(self, to: Uri, exchange: Exchange, dialog: Dialog, go: Go) -> None:
        why = ""
        ways: tuple[Reach, ...] = ()
        try:
            found = await self._registrar.find(to)
            ways, why = found.ways, found.why
        except Exception as error:
            _log.error("sip.registration_unknown: %s", type(error).__name__, exc_info=error)
            why = "where it is registered cannot be looked up"
        exchange.ways = () if dialog.remote_tag else ways
        if dialog.remote_tag:
            for way in ways:
                if way.target == dialog.target and way.peer is not None:
                    dialog.transport, dialog.peer = way.peer[0], way.peer[1:]
        elif not exchange.next_way():
            self._agent.works.guarded(lambda: go(Way(None, why=why)))
            return
        self._agent.works.guarded(lambda: self._agent.route(exchange, go))


def _source(flow: Flow) -> Source:
    return Source(flow.transport, flow.host, flow.port, flow.local)

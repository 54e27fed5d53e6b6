"""One request of ours, from sending to its final response: digest, large requests and failover included.

A 401 or 407 is answered with the credentials there are (RFC 3261 section 22); a request
that went over TCP only for its size goes by UDP when nobody takes TCP (section 18.1.1). Where
a name leads to several places, the next one is tried when one cannot be reached, keeps silent
for a quarter of 64*T1, or says 503 (RFC 3263 section 4.3). Who is registered at several places is
tried at one after the other in the same way, and also where one says that nobody is there.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from hashlib import blake2b
from typing import TYPE_CHECKING, NamedTuple

from adapters.sip.dialog import Dialog
from adapters.sip.digest import Keyring
from adapters.sip.message import Request, Response
from adapters.sip.transaction import Client
from adapters.sip.uri import BadUri, Uri

if TYPE_CHECKING:
    from adapters.sip.agent import SipAgent
    from adapters.sip.binding import Reach
    from adapters.sip.locate import Target
    from adapters.sip.route import Bound, Way
    from adapters.sip.transport import Flow

MAX_TRIES = 8
"""How often one request is sent anew for a challenge, another transport or another place."""
_MAX_CHALLENGES = 3
_NOBODY_THERE = frozenset({404, 408, 410, 480, 500, 502, 504})
"""From a place that somebody registered at: another one of theirs may be better."""

Done = Callable[[Response | None], None]
"""Told the final response of a request, or None when none came."""


class Identity(NamedTuple):
    """What a call is known by on the wire, the same each time it is derived.

    Whoever sends an INVITE again under the same identity repeats it (RFC 3261 section
    17.2.3: same branch, same sender): a process that takes over goes on with the call that
    is ringing, instead of placing another one.
    """

    call_id: str
    tag: str
    branch: str

    @classmethod
    def derive(cls, name: str, secret: bytes) -> Identity:
        """The identity of the call `name`; strangers cannot guess it without `secret`."""
        digest = blake2b(name.encode(), key=secret[:64], digest_size=24).hexdigest()
        return cls(f"{name}.{digest[:12]}", digest[12:28], "z9hG4bK" + digest[28:])

    def again(self) -> Identity:
        """For another call in place of one that was refused: as reproducible, but not the same."""
        return Identity(f"{self.call_id}.again", self.tag, f"{self.branch}again")


def _nothing(response: Response | None) -> None:
    return


def _no_more(branch: str) -> Request:
    raise RuntimeError("this request has had its final response")


class Exchange:
    """One request of ours and its final response, digest and another transport included."""

    __slots__ = (
        "_agent",
        "_branch",
        "_build",
        "_by_size",
        "_challenges",
        "_credentials",
        "_done",
        "_flow",
        "_keys",
        "_limit_s",
        "_may_switch",
        "_more",
        "_tries",
        "bound",
        "client",
        "dialog",
        "hop",
        "stopped",
        "user",
        "ways",
        "why",
    )

    def __init__(
        self,
        agent: SipAgent,
        bound: Bound,
        hop: str,
        build: Callable[[str], Request],
        done: Done,
        *,
        dialog: Dialog | None = None,
        user: str = "",
        keys: Keyring | None = None,
        credentials: tuple[str, str] | None = None,
        limit_s: float | None = None,
        branch: str = "",
    ) -> None:
        self._agent = agent
        self._branch = branch
        self.bound = bound
        self.hop = hop
        self._build = build
        self._done = done
        self.dialog = dialog
        self.user = user
        self._keys = keys
        self._credentials = credentials
        self._limit_s = limit_s
        self._tries = 0
        self._challenges = 0
        self._may_switch = True
        self._by_size = False
        self._flow: Flow | None = None
        self._more: tuple[Target, ...] = ()
        self.ways: tuple[Reach, ...] | None = None
        """Further places at which the called one is registered; None when nobody has looked."""
        self.client: Client | None = None
        self.stopped = False
        self.why = ""
        """Why there was no final response, in words."""

    def start(self) -> None:
        """Send it; `done` is told later, never from within this call."""
        self._agent.route(self, self._go)

    @property
    def key(self) -> str:
        """What decides between equal servers: the same for the same call in every process."""
        return self.dialog.call_id if self.dialog is not None else self._branch

    def _go(self, way: Way) -> None:
        if self.stopped:
            return
        if way.flow is None:
            self.why = way.why
            self._agent.soon(lambda: self._finish(None))
            return
        self._more = way.more
        self._over(way.flow)

    def _over(self, flow: Flow) -> None:
        agent = self._agent
        self._flow = flow
        branch = f"{self._branch}.{self._tries}" if self._branch else "z9hG4bK" + os.urandom(9).hex()
        request = self._build(branch)
        if self._keys is not None:
            self._keys.sign(request, self._lookup, os.urandom(8).hex())
        way = agent.dress(request, flow, self.bound, self.user, self._may_switch)
        self._by_size = way is not flow
        if self.dialog is not None:
            self.dialog.transport, self.dialog.peer = way.transport, (way.host, way.port)
        limit_s = self._limit_s
        if self._more or self.ways:
            quarter_s = agent.timing.limit / 4
            limit_s = quarter_s if limit_s is None else min(limit_s, quarter_s)
        self.client = agent.start_client(request, way, self, limit_s)

    def _again(self) -> None:
        """Send it once more to the same place."""
        if self._flow is None or self._flow.closed:
            self.start()
        else:
            self._over(self._flow)

    def _elsewhere(self) -> bool:
        """Send it to the next place that the name leads to; False when there is none."""
        if self.stopped or self._tries >= MAX_TRIES:
            return False
        if not self._more:
            if not self.next_way():
                return False
            self._tries += 1
            self._may_switch = True
            self.start()
            return True
        self._tries += 1
        target, *more = self._more
        self._more = tuple(more)
        dialog = self.dialog
        if dialog is not None and self.client is not None and not self.client.request.to_tag:
            dialog.remote_tag = ""  # of a 1xx from the place that is given up
        self._may_switch = True
        self._over(self._agent.routes.flow(target, self.bound, self.hop, dialog))
        return True

    def next_way(self) -> bool:
        """Turn to the next place at which the called one is registered; False when there is none."""
        dialog = self.dialog
        if not self.ways or dialog is None:
            return False
        way, *more = self.ways
        self.ways = tuple(more)
        dialog.remote_tag = ""
        dialog.target, dialog.routes, dialog.outbound = way.target, way.routes, way.hop
        dialog.transport, dialog.peer = (way.peer[0], way.peer[1:]) if way.peer is not None else ("", None)
        self.hop = dialog.next_hop()
        return True

    def _lookup(self, realm: str) -> tuple[str, str] | None:
        if self._credentials is not None:
            return self._credentials
        try:
            return self._agent.credentials(realm, Uri.parse(self.hop).host)
        except BadUri:
            return None

    def provisional(self, response: Response) -> None:
        """A 1xx came."""

    def response(self, response: Response) -> None:
        if response.status < 200:
            self.provisional(response)
        elif not self._goes_on(response):
            self._finish(response)

    def _goes_on(self, response: Response) -> bool:
        if response.status == 503 or (self.ways and response.status in _NOBODY_THERE):
            return self._elsewhere()
        return response.status in (401, 407) and self._retry(response)

    def _retry(self, response: Response) -> bool:
        self._tries += 1
        self._challenges += 1
        keys = self._keys = self._keys or Keyring()
        client = self.client
        if self.stopped or client is None or self._challenges > _MAX_CHALLENGES or self._tries >= MAX_TRIES:
            return False
        if not keys.learn(client.request, response) or not keys.can_answer(self._lookup):
            return False
        self._again()
        return True

    def expired(self, why: str) -> None:
        if why == "transport" and self._by_size and not self.stopped and self._tries < MAX_TRIES:
            self._tries += 1
            self._may_switch = False
            self._again()  # TCP was only for its size: UDP takes it as well
            return
        if self._elsewhere():
            return
        failed = self.client.flow.why if self.client is not None else ""
        self.why = (failed or "nobody listens there") if why == "transport" else "no answer"
        self._finish(None)

    def _finish(self, response: Response | None) -> None:
        # what was to be built and told refers back to us: let go, or only the collector finds it
        done, self._done = self._done, _nothing
        self._build = _no_more
        done(response)

    @property
    def keys(self) -> Keyring | None:
        return self._keys

"""The registrar: who may register with us, what a REGISTER is answered, where the registered are called.

RFC 3261 section 10.3, with digest (section 22, RFC 8760) asked of everybody. It keeps nothing
but nonces in use and wrong log-ins, both bounded: log-ins and bindings are its `Roll`'s, which
is written before the 200 goes out. What a stranger sends is refused by `screen`, without any
state and before anybody is asked. Pure but for awaiting the roll.

    unknown domain 404    no or an old nonce 401    wrong log-in, unknown name 403
    out of order 500      too short 423             the roll is away 503
"""

import logging
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from email.utils import format_datetime
from typing import Protocol

from adapters.registration import Registration
from adapters.sip.binding import (
    Asked,
    Binding,
    Reach,
    Refused,
    Source,
    Terms,
    in_turn,
    living,
    reach,
    shown,
)
from adapters.sip.login import ALGORITHMS, Answer, BadAnswer, challenges
from adapters.sip.message import Request, uri_of
from adapters.sip.nonce import Judgment, Nonces
from adapters.sip.throttle import Throttle
from adapters.sip.uri import BadUri, Uri

_log = logging.getLogger(__name__)

NOT_REGISTERED = "not registered"
_TRIES = 5
_TRIES_PER_S = 0.1
"""Wrong log-ins from one address: five at once, then one in ten seconds."""
_WEAKEST = ALGORITHMS[-1]
_REMEMBERED = 10_000
_LONGEST_USER = 100
_LONGEST_PRODUCT = 100

Rule = Callable[[Registration], Registration]


class Roll(Protocol):
    """Who may register, and where they are. Addresses are written `sip:user@domain`."""

    async def login(self, address: str) -> tuple[str, str] | None:
        """User name and secret of whoever may register as `address`; None: nobody may."""
        ...

    async def load(self, address: str) -> Registration:
        """What is known of `address`; an empty one when it never registered."""
        ...

    async def change(self, address: str, rule: Rule) -> Registration:
        """Store what `rule` makes of the registration, in one transaction; returns it.

        What `rule` raises comes through, and nothing is changed.
        """
        ...


@dataclass(frozen=True, slots=True)
class Whereabouts:
    """The ways to a registered endpoint, best first; without any, `gone_at` is since when, if known."""

    ways: tuple[Reach, ...] = ()
    gone_at: datetime | None = None

    @property
    def why(self) -> str:
        """Why there is no way, in words."""
        return NOT_REGISTERED + (f" since {self.gone_at.isoformat(timespec='minutes')}" if self.gone_at else "")


@dataclass(frozen=True, slots=True)
class Reply:
    """What a REGISTER is answered."""

    status: int
    reason: str = ""
    headers: tuple[tuple[str, str], ...] = ()


class Registrar:
    """The registrar of some domains; `key` seals its nonces."""

    def __init__(
        self, domains: Iterable[str], roll: Roll, key: bytes, now: Callable[[], datetime], terms: Terms | None = None
    ) -> None:
        self.domains = frozenset(domain.lower() for domain in domains)
        self._roll = roll
        self._now = now
        self._terms = terms or Terms()
        self._nonces = Nonces(key, now().timestamp())
        self._tries = Throttle(_TRIES_PER_S, _TRIES)
        self._offered: OrderedDict[tuple[str, str], tuple[tuple[str, int], bool]] = OrderedDict()
        self.refused = 0
        """Wrong log-ins."""

    # -- what a REGISTER is answered --------------------------------------------------

    def screen(self, request: Request, source: Source) -> Reply | None:
        """What can be answered without remembering or asking anything; None when it deserves more."""
        try:
            address = self._address(request)
            answer = self._answer(request, address)
        except Refused as refused:
            return _reply(refused)
        now_s = self._now().timestamp()
        if answer is None:
            return self._challenge(address, source, self._offer(address, source, request))
        judgment = self._nonces.judge(answer.nonce, source.host, now_s)
        if judgment is not Judgment.GOOD:
            if judgment is Judgment.FORGED:
                return self._challenge(address, source, self._offer(address, source, request))
            return self._challenge(address, source, (answer.algorithm,), stale=True)
        if not self._tries.has(source.host, now_s):
            return Reply(403, "Too many wrong log-ins", (("Retry-After", str(round(1 / _TRIES_PER_S))),))
        return None

    async def register(self, request: Request, source: Source) -> Reply:
        """Answer a REGISTER that `screen` let pass; what it changes is stored by then."""
        try:
            return await self._register(request, source)
        except Refused as refused:
            return _reply(refused)
        except Exception as error:  # the database is away: the endpoint comes again
            _log.error("sip.registration_failed from %s: %s", source, type(error).__name__, exc_info=error)
            return Reply(503, headers=(("Retry-After", "10"),))

    async def _register(self, request: Request, source: Source) -> Reply:
        address = self._address(request)
        answer = self._answer(request, address)
        login = await self._roll.login(address)
        now = self._now()
        if answer is None or login is None or not answer.proves(request.method, *login):
            self.refused += 1
            self._tries.take(source.host, now.timestamp())
            _log.warning("sip.login_refused %s from %s", address, source)
            return Reply(403)
        if not self._nonces.count(answer.nonce, answer.nc):
            return self._challenge(address, source, (answer.algorithm,), stale=True)
        if answer.algorithm != _WEAKEST:
            self._offered.pop((address, source.host), None)
        asked = Asked.read(request, source, self._terms)
        if asked.contacts or asked.everything:
            product = request.get("user-agent")[:_LONGEST_PRODUCT]
            after = await self._roll.change(address, lambda before: _changed(before, asked, product, now))
        else:
            after = await self._roll.load(address)
        headers = [("Contact", shown(binding, now)) for binding in living(_bindings(after), now)]
        headers += [("Path", value) for value in request.headers.get("path", ())]
        headers.append(("Date", format_datetime(now, usegmt=True)))
        return Reply(200, headers=tuple(headers))

    def _address(self, request: Request) -> str:
        """The address of record (step 5)."""
        try:
            to = Uri.parse(uri_of(request.headers["to"][0]))
        except BadUri:
            raise Refused(400, "the To is no sip: URI") from None
        if to.host not in self.domains or not 0 < len(to.user) <= _LONGEST_USER or not to.user.isprintable():
            raise Refused(404)
        return f"sip:{to.user}@{to.host}"

    def _answer(self, request: Request, address: str) -> Answer | None:
        for value in request.headers.get("authorization", ()):
            try:
                answer = Answer.parse(value)
            except BadAnswer as wrong:
                raise Refused(400, f"Authorization: {wrong}") from None
            if answer.realm == _domain(address):
                return answer
        return None

    def _challenge(self, address: str, source: Source, algorithms: Iterable[str], *, stale: bool = False) -> Reply:
        nonce = self._nonces.make(source.host, self._now().timestamp())
        return Reply(401, headers=tuple(challenges(_domain(address), nonce, stale=stale, algorithms=algorithms)))

    def _offer(self, address: str, source: Source, request: Request) -> tuple[str, ...]:
        """All algorithms; MD5 alone for who came back from that without an answer.

        baresip 1.0.0 gives up when any of several challenges names what it does not know
        ("Function not implemented", measured); RFC 7616 devices take the first they know.
        """
        key, this = (address, source.host), (request.call_id, request.cseq)
        first, is_weak = self._offered.get(key, (this, False))
        is_weak = is_weak or first != this
        self._offered[key] = first, is_weak
        self._offered.move_to_end(key)
        if len(self._offered) > _REMEMBERED:
            self._offered.popitem(last=False)
        return (_WEAKEST,) if is_weak else ALGORITHMS

    # -- where the registered are called ----------------------------------------------

    async def find(self, to: Uri) -> Whereabouts:
        """Where an address of one of our domains is called. Raises what the roll raises."""
        registration = await self._roll.load(f"sip:{to.user}@{to.host}")
        bindings = in_turn(living(_bindings(registration), self._now()))
        return Whereabouts(tuple(reach(each) for each in bindings), None if bindings else registration.until_at)


def _changed(before: Registration, asked: Asked, product: str, now: datetime) -> Registration:
    """The registration after what was asked. Raises Refused."""
    had = living(_bindings(before), now)
    has = asked.apply(had, now)
    if not has:
        return Registration(None, now if had else before.until_at)
    return Registration(
        before.since_at if had else now,
        max(binding.expires_at for binding in has),
        str(in_turn(has)[0].source),
        product,
        tuple(binding.to_json() for binding in has),
    )


def _bindings(registration: Registration) -> Sequence[Binding]:
    return [Binding.from_json(row) for row in registration.bindings]


def _domain(address: str) -> str:
    return address.rpartition("@")[2]


def _reply(refused: Refused) -> Reply:
    return Reply(refused.status, refused.reason, refused.headers)

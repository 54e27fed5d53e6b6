"""A roll in memory: who may register, and where they are; and a device that registers by hand."""

import asyncio
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any

from adapters.registration import Registration
from adapters.sip.agent import SipAgent
from adapters.sip.binding import Terms
from adapters.sip.digest import Challenge, authorization
from adapters.sip.enrolment import Enrolment
from adapters.sip.message import Response
from adapters.sip.registrar import Registrar
from tests.unit.sip.wire import Wire

DOMAIN = "diem.example"
KEY = b"a key of the installation"


class MemoryRoll:
    """Keeps registrations; `asked` counts what it was asked, `away` makes it fail."""

    def __init__(self, **logins: str) -> None:
        self.logins = {f"sip:{user}@{DOMAIN}": (user, secret) for user, secret in logins.items()}
        self.rows: dict[str, Registration] = {}
        self.asked = 0
        self.stored = 0
        self.away = False
        self.gate: asyncio.Event | None = None

    async def login(self, address: str) -> tuple[str, str] | None:
        self.asked += 1
        if self.gate is not None:
            await self.gate.wait()
        if self.away:
            raise ConnectionError("the database is away")
        return self.logins.get(address)

    async def load(self, address: str) -> Registration:
        if self.away:
            raise ConnectionError("the database is away")
        return self.rows.get(address, Registration())

    async def change(self, address: str, rule: Callable[[Registration], Registration]) -> Registration:
        self.rows[address] = rule(await self.load(address))
        self.stored += 1
        return self.rows[address]


class Turnable:
    """The registrar's clock."""

    def __init__(self) -> None:
        self.at = datetime.now(UTC)

    def __call__(self) -> datetime:
        return self.at


def enrol(
    agent: SipAgent, roll: MemoryRoll, now: Callable[[], datetime] | None = None, terms: Terms | None = None
) -> Registrar:
    """A registrar plugged into the agent."""
    registrar = Registrar([DOMAIN], roll, KEY, now or agent.now, terms)
    Enrolment(agent, registrar)
    return registrar


class Registrant:
    """A device that registers over a wire of its own, step by step."""

    def __init__(self, wire: Wire, to: tuple[str, int], user: str = "qt05", secret: str = "s3cret") -> None:
        self.wire = wire
        self.to = to
        self.user = user
        self.secret = secret
        self.call_id = f"reg-{user}-{wire.address[1]}"
        self.cseq = 0
        self.nonce: Challenge | None = None
        self.nc = 0
        self.sent = b""

    @property
    def contact(self) -> str:
        return f"<{self.wire.uri(self.user)}>"

    async def send(
        self,
        contacts: Iterable[str] | None = None,
        *,
        signed: bool = True,
        uri: str = f"sip:{DOMAIN}",
        to: str = "",
        **headers: str,
    ) -> Response:
        """One REGISTER; returns its answer. `contacts` is its own one unless given."""
        self.cseq += 1
        fields: dict[str, Any] = {
            "via": f"SIP/2.0/UDP {self.wire.address[0]}:{self.wire.address[1]};"
            f"branch=z9hG4bK{self.call_id}{self.cseq};rport",
            "from": f"<sip:{self.user}@{DOMAIN}>;tag=r",
            "to": to or f"<sip:{self.user}@{DOMAIN}>",
            "call-id": self.call_id,
            "cseq": f"{self.cseq} REGISTER",
            "max-forwards": "70",
            **{name.replace("_", "-"): value for name, value in headers.items()},
        }
        lines = [f"REGISTER {uri} SIP/2.0", *(f"{name}: {value}" for name, value in fields.items())]
        lines += [f"Contact: {value}" for value in ([self.contact] if contacts is None else contacts)]
        if signed and self.nonce is not None:
            self.nc += 1
            value = authorization(self.nonce, "REGISTER", uri, self.user, self.secret, count=self.nc, cnonce="c0ffee")
            lines.append(f"Authorization: {value}")
        self.sent = "\r\n".join([*lines, "Content-Length: 0", "", ""]).encode()
        self.wire.send(self.sent, self.to)
        while True:
            message, _ = await self.wire.any()
            if isinstance(message, Response) and message.cseq == self.cseq and message.call_id == self.call_id:
                return message

    def learn(self, response: Response, algorithm: str = "") -> None:
        """Take a challenge of a 401 up: the first, or the one of an algorithm."""
        found = [Challenge.parse(value) for value in response.headers["www-authenticate"]]
        known = [each for each in found if each is not None and algorithm in ("", each.algorithm)]
        self.nonce, self.nc = known[0], 0

    async def register(self, contacts: Iterable[str] | None = None, **headers: str) -> Response:
        """Register as devices do: once without, once with the password; returns the last answer."""
        response = await self.send(contacts, signed=False, **headers)
        if response.status != 401:
            return response
        self.learn(response)
        return await self.send(contacts, **headers)

"""One virtual Asterisk, whole: its switch, its SIP port and its manager port on real sockets."""

import secrets
import string
from typing import Any

from adapters.bridges.asterisk.twin import AsteriskTwin, Login
from adapters.values import Address
from adapters.virtual.exchange import Exchange, Line
from adapters.virtual.port import Port
from adapters.virtual.switch import Switch

USERNAME = "orchestrator"


def new_secret() -> str:
    """A secret nobody else has: 24 letters and digits."""
    return "".join(secrets.choice(string.ascii_letters + string.digits) for _ in range(24))


def new_pin() -> str:
    """A PIN of six digits."""
    return f"{secrets.randbelow(1_000_000):06}"


class Bridge:
    """A bridge that can be dialed, dials, and is controlled over AMI.

    `switch_options` are those of `Switch` (pin, max_members, max_calls, input_s, notice_s, refusal_s).
    """

    def __init__(self, name: str, host: str, exchange: Exchange, **switch_options: Any) -> None:
        self.name = name
        self.host = host
        self.secret = new_secret()
        self.switch = Switch(name, exchange, **switch_options)
        self.manager = AsteriskTwin(self.switch, {USERNAME: Login(self.secret)})
        self.port = Port(exchange, f"Asterisk PBX 22.10.1 (virtual {name})", self.switch)
        self.switch.dial = self._dial
        self.sip_port = 0
        self._exchange = exchange

    async def start(self, sip_port: int = 0, ami_port: int = 0) -> None:
        """Open both ports; 0 takes a free one. Raises OSError."""
        self.sip_port = (await self.port.open(self.host, sip_port))[1]
        await self.manager.start(self.host, ami_port)

    async def stop(self) -> None:
        """Go down as a bridge without power does: nobody is told."""
        self.switch.close()
        await self.manager.stop()
        await self.port.close()

    async def manager_down(self) -> None:
        """Nobody listens on the manager port any more; calls stay. Safe to repeat."""
        await self.manager.stop()

    async def manager_up(self) -> None:
        """The manager port is back where it was. Safe to repeat. Raises OSError when it was taken."""
        await self.manager.start(self.host, self.manager.port)

    @property
    def ami_port(self) -> int:
        return self.manager.port

    def address(self, number: str, scheme: str = "sip") -> Address:
        """Where to dial one of its rooms."""
        return Address(scheme, number, self.host, self.sip_port if scheme == "sip" else None)

    def settle_h323(self, *numbers: str) -> None:
        """Let these rooms be called by H.323 as well."""
        self._exchange.settle(self.switch, *(self.address(number, "h323") for number in numbers))

    def paper(self) -> dict[str, object]:
        """Its row of the inventory, secret included."""
        return {
            "name": self.name,
            "family": "asterisk",
            "control_host": self.host,
            "control_port": self.ami_port,
            "control_username": USERNAME,
            "control_secret": self.secret,
            "conference_address": f"sip:{{number}}@{self.host}:{self.sip_port}",
            "ports": self.switch.max_calls or None,
        }

    def _dial(self, uri: str, caller_name: str, video: bool, listener: Switch) -> Line:
        return self.port.call(uri, listener, user=self.name, display=caller_name or "Anonymous", video=video)

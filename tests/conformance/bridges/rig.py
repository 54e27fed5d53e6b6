"""What a family brings to the clauses: a bridge on a real control port, and parties it can call."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

from adapters.bridges.asterisk.adapter import AsteriskBridge
from adapters.bridges.asterisk.profile import PACE
from adapters.contract import BridgeAdapter
from adapters.values import Address, Control
from adapters.virtual.behavior import Behavior
from adapters.virtual.bridge import USERNAME, Bridge
from adapters.virtual.endpoint import Endpoint
from adapters.virtual.exchange import Exchange, Line
from tests.support.heard import Heard, Surroundings

NAME = "cầu chính"


class Rig(Protocol):
    """A bridge of one family as the clauses need it."""

    place: str
    """host:port of its control interface."""
    username: str
    secret: str

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    def adapter(self, heard: Heard, *, secret: str = "", ports: int | None = None) -> BridgeAdapter:
        """A new adapter of the bridge; with the wrong secret where one is given."""
        ...

    def party(self, behavior: str) -> Address:
        """Somebody the bridge can call, who behaves as told."""
        ...

    def nobody(self) -> Address:
        """An address where nobody is."""
        ...

    def rings(self, party: Address) -> int:
        """How often that party was called."""
        ...

    def digits(self, party: Address) -> str:
        """What digits that party heard."""
        ...

    def hang_up(self, party: Address) -> None:
        """That party hangs up."""
        ...

    def dial_in(self, conference: str) -> None:
        """A stranger dials into a conference by hand."""
        ...

    def cut(self) -> None:
        """Every control session drops; calls stay."""
        ...

    async def control_down(self) -> None: ...

    async def control_up(self) -> None: ...


class Listening(Endpoint):
    """An endpoint that keeps the digits it hears."""

    __slots__ = ("heard",)

    def __init__(self, name: str, behavior: Behavior) -> None:
        super().__init__(name, behavior)
        self.heard = ""

    def digit(self, line: Line, digit: str) -> None:
        self.heard += digit


class Stranger:
    """Calls by hand and stays."""

    def rang(self, line: Line) -> None:
        pass

    def answered(self, line: Line) -> None:
        pass

    def digit(self, line: Line, digit: str) -> None:
        pass

    def ended(self, line: Line, code: int) -> None:
        pass


class AsteriskRig:
    """The twin of an Asterisk; parties are H.323 ones, patched inside the process, AMI is a real socket."""

    username = USERNAME
    pace = replace(
        PACE, retry_first_s=0.01, retry_most_s=0.05, settle_s=0.1, no_channel_s=0.05, digit_ms=1, digit_gap_s=0.0
    )

    def __init__(self) -> None:
        self.exchange = Exchange()
        self.bridge = Bridge("main", "127.0.0.1", self.exchange)
        self._parties: dict[Address, Listening] = {}

    async def start(self) -> None:
        await self.bridge.start()
        self.bridge.settle_h323("8001", "8002")

    async def stop(self) -> None:
        await self.bridge.stop()

    @property
    def place(self) -> str:
        return f"127.0.0.1:{self.bridge.ami_port}"

    @property
    def secret(self) -> str:
        return self.bridge.secret

    def adapter(self, heard: Heard, *, secret: str = "", ports: int | None = None) -> BridgeAdapter:
        control = Control(
            NAME, "127.0.0.1", self.bridge.ami_port, USERNAME, secret or self.secret, settings={"ports": ports}
        )
        return AsteriskBridge(control, Surroundings(heard), self.pace)  # type: ignore[arg-type]

    def party(self, behavior: str) -> Address:
        number = len(self._parties) + 1
        address = Address.parse(f"h323:unit{number}@127.0.23.{number % 250 + 1}")
        endpoint = self._parties[address] = Listening(address.user, Behavior.parse(behavior))
        self.exchange.settle(endpoint, address)
        return address

    def nobody(self) -> Address:
        known = self.party("answer")
        return replace(known, user="nobody")

    def rings(self, party: Address) -> int:
        return self._parties[party].tally.rings

    def digits(self, party: Address) -> str:
        return self._parties[party].heard

    def hang_up(self, party: Address) -> None:
        assert self._parties[party].hang_up() == 1

    def dial_in(self, conference: str) -> None:
        self.exchange.call_h323("stranger", "A stranger", self.bridge.address(conference, "h323"), Stranger())

    def cut(self) -> None:
        self.bridge.manager.drop_sessions()

    async def control_down(self) -> None:
        await self.bridge.manager_down()

    async def control_up(self) -> None:
        await self.bridge.manager_up()


RIGS: Sequence[type[Rig]] = (AsteriskRig,)

"""A province on loopback: sites with codecs, the main bridge, and the provincial room with its PIN.

    async with Province(41, behaviors="demo") as province:
        province.inventory()      # rows as in an inventory file, with the addresses as they are
        province.main.paper()     # the main bridge as an inventory row, with its AMI secret
        province.room             # where the provincial room is, and its PIN

Everything is on real sockets, and the same adapters drive it as drive real devices; only
calls to `h323:` addresses are patched inside (see `exchange`). Secrets are new each time.
"""

import asyncio
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from adapters.control.twin import Twin
from adapters.values import Address
from adapters.virtual.bridge import Bridge, new_pin
from adapters.virtual.codec import Codec
from adapters.virtual.console import plain, twin_of
from adapters.virtual.endpoint import Endpoint
from adapters.virtual.exchange import Exchange, Line
from adapters.virtual.inventory import EVERYBODY, behaviors, papers
from adapters.virtual.port import Port

OWN_SOCKETS = 64
"""This many endpoints have a UDP socket of their own; further ones share."""
SHARED_SOCKETS = 16
ROOM = "9001"
BACKUP_ROOM = "9002"


@dataclass(frozen=True, slots=True)
class RoomPaper:
    """The provincial room as somebody else tells it: its address, a second one, the PIN."""

    name: str
    address: str
    backup_address: str
    number: str
    bridge: str
    pin: str

    def __repr__(self) -> str:
        return f"RoomPaper({self.name!r}, {self.address!r})"


class Province:
    """Sites, a main bridge and the provincial room. Start it before anything else is asked.

    With `consoles` the sites of vendor families have their control ports too, each a twin on a real
    socket; without, such a site is an endpoint that only takes calls, and its row says so.
    `behaviors` is None (everybody answers at once), "demo", one script for everybody, or
    scripts by site code with `*` for the rest. `bridge` are options of the main bridge's
    switch and `provincial` of the other one (max_members, max_calls, input_s, notice_s).
    Raises ValueError for a wrong size or script.
    """

    def __init__(
        self,
        sites: int = 41,
        *,
        behaviors: str | Mapping[str, str] | None = None,
        host: str = "127.0.20",
        main_host: str = "127.0.10.1",
        provincial_host: str = "127.0.10.2",
        bridge: Mapping[str, Any] | None = None,
        provincial: Mapping[str, Any] | None = None,
        consoles: bool = False,
    ) -> None:
        self._papers = list(papers(sites))
        self._scripts = _read(behaviors, {row["code"] for row in self._papers})
        self._network = host
        self.exchange = Exchange()
        self.main = Bridge("mcu", main_host, self.exchange, **(bridge or {}))
        options = {"pin": new_pin(), **(provincial or {})}
        self.provincial = Bridge("tinh", provincial_host, self.exchange, **options)
        self.endpoints: dict[str, Endpoint] = {}
        self._port = Port(self.exchange, "virtual codec")
        self._places: dict[str, tuple[str, int]] = {}
        self._consoles = consoles
        self.twins: dict[str, Twin] = {}
        self.secrets: dict[str, str] = {}
        """What the rows' `env:NAME` stand for, by NAME."""
        self._started = False

    # ---- life ----

    async def start(self) -> "Province":
        """Open every socket. Raises OSError when an address cannot be had; then nothing is open."""
        try:
            await self.main.start()
            await self.provincial.start()
            self.provincial.settle_h323(ROOM, BACKUP_ROOM)
            shared: list[tuple[str, int]] = []
            for index, row in enumerate(self._papers):
                if index < OWN_SOCKETS:
                    place = await self._port.open(f"{self._network}.{index + 1}")
                else:
                    if len(shared) < SHARED_SOCKETS:
                        shared.append(await self._port.open(f"{self._network}.{OWN_SOCKETS + 1 + len(shared)}"))
                    place = shared[index % SHARED_SOCKETS] if len(shared) == SHARED_SOCKETS else shared[-1]
                endpoint = self._settle(row, index, place)
                if isinstance(endpoint, Codec):
                    await self._open_console(row, endpoint, place[0])
        except OSError:
            await self.stop()
            raise
        self._started = True
        return self

    async def stop(self) -> None:
        """Close every socket and stop every timer; nobody is told. Safe to repeat."""
        for twin in self.twins.values():
            await twin.stop()
        self.twins.clear()
        for endpoint in self.endpoints.values():
            endpoint.close()
        await self._port.close()
        await self.main.stop()
        await self.provincial.stop()
        self._started = False

    async def __aenter__(self) -> "Province":
        return await self.start()

    async def __aexit__(self, *exc: object) -> None:
        await self.stop()

    def _settle(self, row: dict[str, str], index: int, place: tuple[str, int]) -> Endpoint:
        """Build the endpoint of one row and put it at its addresses."""
        code = row["code"]
        schemes = [text.partition(":")[0] for text in row["addresses"].split()]
        h323_host = f"{self._network}.{index % 250 + 1}"
        addresses = tuple(
            Address("sip", code, *place) if scheme == "sip" else Address("h323", code, h323_host) for scheme in schemes
        )
        behavior = self._scripts.get(code) or self._scripts[EVERYBODY]
        has_sip = "sip" in schemes
        endpoint: Endpoint
        if self._consoles and row["control_port"]:
            endpoint = Codec(code, self._dial, behavior, row["name"])
        else:
            plain(row)
            endpoint = Endpoint(code, behavior, self._dial if has_sip else None, row["name"])
        endpoint.addresses = addresses
        self.exchange.settle(endpoint, *addresses)
        self.endpoints[code] = endpoint
        self._places[code] = place
        row["addresses"] = " ".join(str(address) for address in addresses)
        return endpoint

    async def _open_console(self, row: dict[str, str], codec: Codec, host: str) -> None:
        """Give a codec its control port, and the row where that is."""
        secret = secrets.token_urlsafe(9)
        twin, transport = twin_of(row["family"], codec, secret, row["control_username"])
        self.twins[row["code"]] = twin
        control_host, control_port = await twin.start(host, 0, transport)
        row["control_host"], row["control_port"] = control_host, str(control_port)
        self.secrets[row["control_secret"].removeprefix("env:")] = secret

    def _dial(self, endpoint: Endpoint, to: Address) -> Line:
        place = self._places[endpoint.name]
        return self._port.call(to, endpoint, user=endpoint.name, display=endpoint.title, local=place)

    # ---- papers ----

    def inventory(self) -> list[dict[str, str]]:
        """A row for every site with the columns of an inventory file; addresses are the live ones."""
        return [dict(row) for row in self._papers]

    @property
    def room(self) -> RoomPaper:
        """The provincial room."""
        bridge = self.provincial
        return RoomPaper(
            "Phòng họp tỉnh",
            str(bridge.address(ROOM)),
            str(bridge.address(BACKUP_ROOM)),
            ROOM,
            bridge.name,
            bridge.switch.pin,
        )

    def papers(self) -> dict[str, object]:
        """Everything a stranger needs to drive the province, secrets included; JSON-ready."""
        room = self.room
        return {
            "bridge": {**self.main.paper(), "pace_per_s": None},
            "provincial_bridge": {**self.provincial.paper(), "pace_per_s": None},
            "room": {
                "name": room.name,
                "address": room.address,
                "backup_address": room.backup_address,
                "pin": room.pin,
                "bridge": room.bridge,
                "number": room.number,
            },
            "sites": self.inventory(),
            "secrets": dict(self.secrets),
        }

    # ---- what happens in it ----

    def endpoint(self, code: str) -> Endpoint:
        """The endpoint of a site. Raises LookupError that names the code."""
        try:
            return self.endpoints[code]
        except KeyError:
            raise LookupError(f"there is no site {code!r}; the province has {len(self.endpoints)} sites") from None

    def call_by_hand(self, code: str, conference: str = "8001") -> Line:
        """Somebody at the site dials a conference of the main bridge with the remote control."""
        return self.endpoint(code).call_by_hand(self.main.address(conference))

    def stats(self) -> dict[str, object]:
        """What happened so far: per endpoint, per room, and in all. JSON-ready.

        `never_rung_twice` is True as long as no endpoint was offered a call while it had one.
        """
        ends = self.endpoints.values()
        sites = {
            end.name: {
                "rings": end.tally.rings,
                "answers": end.tally.answers,
                "refusals": end.tally.refusals,
                "hang_ups": end.tally.hang_ups,
                "doubles": end.tally.doubles,
                "most_calls": end.tally.most_calls,
                "calls": end.calls,
                "calls_up": end.calls_up,
                "dead": end.dead,
            }
            for end in ends
        }
        rooms = {
            f"{bridge.name}/{room.name}": len(room.members)
            for bridge in (self.main, self.provincial)
            for room in bridge.switch.rooms.values()
        }
        return {
            "sites": sites,
            "rooms": rooms,
            "waiting_for_pin": sum(c.pin is not None for c in self.provincial.switch.channels.values()),
            "bridge_calls": {b.name: len(b.switch.channels) for b in (self.main, self.provincial)},
            "rings": sum(end.tally.rings for end in ends),
            "calls": sum(end.calls for end in ends),
            "calls_up": sum(end.calls_up for end in ends),
            "doubles": sum(end.tally.doubles for end in ends),
            "never_rung_twice": all(end.tally.doubles == 0 for end in ends),
        }

    async def until(self, condition: Callable[["Province"], bool], within_s: float = 10.0) -> None:
        """Wait until something has become so. Raises TimeoutError with the totals as they were."""
        try:
            async with asyncio.timeout(within_s):
                while not condition(self):  # noqa: ASYNC110 - thousands of counters, no event of their own
                    await asyncio.sleep(0.005)
        except TimeoutError:
            totals = {key: value for key, value in self.stats().items() if key != "sites"}
            raise TimeoutError(f"not so within {within_s} s; the province has {totals}") from None


def _read(scripts: str | Mapping[str, str] | None, codes: set[str]) -> Mapping[str, Any]:
    if isinstance(scripts, Mapping):
        unknown = sorted(set(scripts) - codes - {EVERYBODY})
        if unknown:
            raise ValueError(f"behaviors for sites that are not there: {', '.join(unknown[:5])}")
    return behaviors(scripts)

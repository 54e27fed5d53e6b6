"""What is there: sites, their endpoints, bridges, and rooms on other people's bridges.

What changes rows here first takes its `turn`, so that what was checked stays true until
the commit. Rows leave through `orchestrator.store.removal`, which asks who still needs them.
"""

import ipaddress
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from sqlalchemy import JSON, Column, ColumnElement, Float, delete
from sqlmodel import Field, SQLModel, col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from adapters import Address
from orchestrator.refusal import NotThere, Taken, Things
from orchestrator.store.database import turn

_Row = TypeVar("_Row", "Site", "Endpoint", "Bridge", "Room")
_Value = TypeVar("_Value")

_IN_LIST = 10_000
"""How many values one IN () may carry; SQLite stops at 32,766 bound values, asyncpg at 32,767."""


class Site(SQLModel, table=True):
    """A place with people (điểm cầu)."""

    id: int | None = Field(default=None, primary_key=True)
    code: str = Field(unique=True, index=True)
    name: str
    zone: str = ""
    priority: int = 5
    contact_role: str = ""
    contact_email: str = ""
    time_zone: str = "Asia/Ho_Chi_Minh"


class Endpoint(SQLModel, table=True):
    """A codec in a site's room. `ladder` lists the ways to reach it, best first."""

    id: int | None = Field(default=None, primary_key=True)
    name: str = Field(unique=True, index=True)
    site_id: int = Field(foreign_key="site.id", index=True)
    position: int = 0  # 0 is the site's first endpoint, others stand by
    family: str
    control_host: str = ""
    control_port: int | None = None
    control_username: str = ""
    control_secret: str = ""  # sealed text, or env:NAME
    ladder: list[str] = Field(default_factory=list, sa_column=Column(JSON, nullable=False))
    max_kbps: int | None = None
    auto_answer: bool = False  # answers by itself, microphone off, while a meeting's window is open
    settings: dict[str, object] = Field(default_factory=dict, sa_column=Column(JSON, nullable=False))


class EndpointAddress(SQLModel, table=True):
    """One address of an endpoint, in order of preference; no two endpoints share one."""

    __tablename__ = "endpoint_address"

    id: int | None = Field(default=None, primary_key=True)
    endpoint_id: int = Field(foreign_key="endpoint.id", index=True)
    position: int = 0
    address: str
    key: str = Field(unique=True)  # address_key(address)


class Bridge(SQLModel, table=True):
    """The MCU. `conference_address` has `{number}` where the conference number goes."""

    id: int | None = Field(default=None, primary_key=True)
    name: str = Field(unique=True, index=True)
    family: str
    control_host: str = ""
    control_port: int | None = None
    control_username: str = ""
    control_secret: str = ""
    conference_address: str  # sip:{number}@192.0.2.10
    first_number: int = 8000
    last_number: int = 8999
    ports: int | None = None
    # set-ups a second; None is no limit. A column default would turn a None that is given into 5.
    pace_per_s: float | None = Field(default=5.0, sa_column=Column(Float))
    settings: dict[str, object] = Field(default_factory=dict, sa_column=Column(JSON, nullable=False))


class Room(SQLModel, table=True):
    """A conference on somebody else's bridge, such as the province's.

    Where that bridge may be read by us, `bridge_id` and `number` let its roster prove that
    a link was let in.
    """

    id: int | None = Field(default=None, primary_key=True)
    name: str = Field(unique=True, index=True)
    address: str
    backup_address: str = ""
    pin: str = ""  # sealed text, or env:NAME
    bridge_id: int | None = Field(default=None, foreign_key="bridge.id")
    number: str = ""


@dataclass(frozen=True, slots=True)
class EndpointAt:
    """An endpoint with its addresses in order of preference."""

    endpoint: Endpoint
    addresses: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SiteEndpoints:
    """A site with its endpoints, the first one first."""

    site: Site
    endpoints: list[EndpointAt] = field(default_factory=list)


def address_key(text: str) -> str:
    """The text under which two spellings of one address are equal.

    Same signaling protocol, user, host and port: `sip:a@h`, `sip:a@h:5060` and
    `sip:a@h;transport=tcp` reach the same device (RFC 3261 section 19.1.2 for the
    default ports; H.225.0 call signaling listens on 1720). Raises ValueError.
    """
    address = Address.parse(text)
    try:
        host = ipaddress.ip_address(address.host.strip("[]")).compressed
    except ValueError:
        host = address.host.lower()
    tls = address.scheme == "sips" or address.transport == "tls"
    port = address.port or (1720 if not address.is_sip else 5061 if tls else 5060)
    return f"{'sip' if address.is_sip else 'h323'}:{address.user}@{host}:{port}"


def id_of(row: Site | Endpoint | Bridge | Room) -> int:
    """The id of a row that is in the database."""
    assert row.id is not None, f"{row!r} has not been flushed"
    return row.id


# --- what the mind asks ---------------------------------------------------------------------------------------------


async def sites_with_endpoints(session: AsyncSession, site_ids: Collection[int] | None) -> list[SiteEndpoints]:
    """These sites, or all (None), by priority and code; three queries for every 10,000 of them."""
    if site_ids is None:
        return await sites_with_endpoints_where(session)
    found: list[SiteEndpoints] = []
    for some in _slices(sorted(site_ids)):
        found += await sites_with_endpoints_where(session, col(Site.id).in_(some))
    return sorted(found, key=lambda at: (at.site.priority, at.site.code))


async def sites_with_endpoints_where(session: AsyncSession, *where: ColumnElement[bool]) -> list[SiteEndpoints]:
    """The sites for which `where` (over columns of Site) holds, by priority and code; three queries."""
    sites = (await session.exec(select(Site).where(*where).order_by(col(Site.priority), col(Site.code)))).all()
    by_site = {id_of(site): SiteEndpoints(site) for site in sites}
    for at in await _endpoints_at(session, col(Endpoint.site_id).in_(select(Site.id).where(*where))):
        if at.endpoint.site_id in by_site:  # a site booked in between the two queries waits for the next look
            by_site[at.endpoint.site_id].endpoints.append(at)
    return list(by_site.values())


async def _endpoints_at(session: AsyncSession, *where: ColumnElement[bool]) -> list[EndpointAt]:
    order = (col(Endpoint.site_id), col(Endpoint.position), col(Endpoint.id))
    endpoints = (await session.exec(select(Endpoint).where(*where).order_by(*order))).all()
    query = select(EndpointAddress.endpoint_id, EndpointAddress.address)
    query = query.where(col(EndpointAddress.endpoint_id).in_(select(Endpoint.id).where(*where)))
    addresses: dict[int, list[str]] = {}
    for endpoint_id, address in await session.exec(query.order_by(col(EndpointAddress.position))):
        addresses.setdefault(endpoint_id, []).append(address)
    return [EndpointAt(endpoint, tuple(addresses.get(id_of(endpoint), ()))) for endpoint in endpoints]


async def endpoints_with_login(session: AsyncSession, family: str) -> list[EndpointAt]:
    """The family's endpoints that have a user name, with their addresses."""
    return await _endpoints_at(session, col(Endpoint.family) == family, col(Endpoint.control_username) != "")


async def endpoints_by_names(
    session: AsyncSession, names: Collection[str], *where: ColumnElement[bool]
) -> dict[str, EndpointAt]:
    """Those of these endpoints that exist and for which `where` holds, by name, with their addresses."""
    found: dict[str, EndpointAt] = {}
    for some in _slices(sorted(names)):
        those = await _endpoints_at(session, col(Endpoint.name).in_(some), *where)
        found |= {at.endpoint.name: at for at in those}
    return found


async def answering_endpoints(session: AsyncSession, names: Collection[str]) -> dict[str, EndpointAt]:
    """Those of these endpoints that are to answer by themselves in a meeting's window."""
    return await endpoints_by_names(session, names, col(Endpoint.auto_answer).is_(True))


async def bridge_by_id(session: AsyncSession, bridge_id: int) -> Bridge | None:
    """The bridge, or None."""
    return await session.get(Bridge, bridge_id)


async def rooms_by_ids(session: AsyncSession, room_ids: Collection[int]) -> list[Room]:
    """These rooms, by name."""
    found: list[Room] = []
    for some in _slices(sorted(room_ids)):
        found += (await session.exec(select(Room).where(col(Room.id).in_(some)))).all()
    return sorted(found, key=lambda room: room.name)


# --- what the face asks ---------------------------------------------------------------------------------------------


async def page_of_sites(session: AsyncSession, after: str = "", limit: int = 100) -> list[Site]:
    """Sites in order of code, from the first one behind `after`."""
    query = select(Site).where(col(Site.code) > after).order_by(col(Site.code)).limit(limit)
    return list((await session.exec(query)).all())


async def page_of_endpoints(
    session: AsyncSession, after: str = "", limit: int = 100, site_id: int | None = None
) -> list[EndpointAt]:
    """Endpoints in order of name, from the first one behind `after`; of one site when `site_id` is given."""
    query = select(Endpoint.id).where(col(Endpoint.name) > after).order_by(col(Endpoint.name)).limit(limit)
    if site_id is not None:
        query = query.where(col(Endpoint.site_id) == site_id)
    ids = (await session.exec(query)).all()
    found = await _endpoints_at(session, col(Endpoint.id).in_(ids))
    return sorted(found, key=lambda at: at.endpoint.name)


async def page_of_bridges(session: AsyncSession, after: str = "", limit: int = 100) -> list[Bridge]:
    """Bridges in order of name, from the first one behind `after`."""
    query = select(Bridge).where(col(Bridge.name) > after).order_by(col(Bridge.name)).limit(limit)
    return list((await session.exec(query)).all())


async def page_of_rooms(session: AsyncSession, after: str = "", limit: int = 100) -> list[Room]:
    """Rooms in order of name, from the first one behind `after`."""
    query = select(Room).where(col(Room.name) > after).order_by(col(Room.name)).limit(limit)
    return list((await session.exec(query)).all())


async def site_by_code(session: AsyncSession, code: str) -> Site:
    """The site. Raises NotThere."""
    site = (await session.exec(select(Site).where(Site.code == code))).first()
    if site is None:
        raise NotThere("site", code)
    return site


async def sites_by_codes(session: AsyncSession, codes: Collection[str]) -> dict[str, Site]:
    """Those of these sites that exist, by code."""
    found: dict[str, Site] = {}
    for some in _slices(sorted(codes)):
        found |= {site.code: site for site in await session.exec(select(Site).where(col(Site.code).in_(some)))}
    return found


async def endpoint_by_name(session: AsyncSession, name: str) -> EndpointAt:
    """The endpoint with its addresses. Raises NotThere."""
    found = await _endpoints_at(session, col(Endpoint.name) == name)
    if not found:
        raise NotThere("endpoint", name)
    return found[0]


async def bridge_by_name(session: AsyncSession, name: str) -> Bridge:
    """The bridge. Raises NotThere."""
    bridge = (await session.exec(select(Bridge).where(Bridge.name == name))).first()
    if bridge is None:
        raise NotThere("bridge", name)
    return bridge


async def room_by_name(session: AsyncSession, name: str) -> Room:
    """The room. Raises NotThere."""
    room = (await session.exec(select(Room).where(Room.name == name))).first()
    if room is None:
        raise NotThere("room", name)
    return room


async def rooms_by_names(session: AsyncSession, names: Collection[str]) -> dict[str, Room]:
    """Those of these rooms that exist, by name."""
    return {room.name: room for room in await session.exec(select(Room).where(col(Room.name).in_(names)))}


async def address_owners(session: AsyncSession, keys: Collection[str]) -> dict[str, str]:
    """Address key -> name of the endpoint that has it, for those that are taken."""
    owners: dict[str, str] = {}
    for some in _slices(sorted(keys)):
        query = select(EndpointAddress.key, Endpoint.name).join(Endpoint).where(col(EndpointAddress.key).in_(some))
        owners |= {key: name for key, name in await session.exec(query)}
    return owners


async def ids_of_sites(session: AsyncSession, codes: Collection[str]) -> dict[str, int]:
    """Site code -> id, for those of these codes that exist."""
    return await _ids(session, select(Site.code, Site.id), col(Site.code), codes)


async def ids_of_endpoints(session: AsyncSession, names: Collection[str]) -> dict[str, int]:
    """Endpoint name -> id, for those of these names that exist."""
    return await _ids(session, select(Endpoint.name, Endpoint.id), col(Endpoint.name), names)


async def _ids(session: AsyncSession, query: Any, named: Any, names: Collection[str]) -> dict[str, int]:
    ids: dict[str, int] = {}
    for some in _slices(sorted(names)):
        ids |= {name: row_id for name, row_id in await session.exec(query.where(named.in_(some)))}
    return ids


async def endpoint_sites(session: AsyncSession, names: Collection[str]) -> dict[str, str]:
    """Endpoint name -> code of its site, for those of these names that are taken."""
    sites: dict[str, str] = {}
    for some in _slices(sorted(names)):
        query = select(Endpoint.name, Site.code).join(Site).where(col(Endpoint.name).in_(some))
        sites |= {name: code for name, code in await session.exec(query)}
    return sites


# --- what the face changes ------------------------------------------------------------------------------------------


async def add_site(session: AsyncSession, site: Site) -> Site:
    """Keep a new site. Raises Taken."""
    await turn(session)
    if await sites_by_codes(session, [site.code]):
        thing = Things([("site", site.code)])
        raise Taken("/code", "there is a {thing} already", "another code, or a change of that site", thing=thing)
    return await _keep(session, site)


async def add_endpoint(session: AsyncSession, endpoint: Endpoint, addresses: Sequence[str]) -> EndpointAt:
    """Keep a new endpoint with its addresses. Raises Taken, naming both endpoints for an address."""
    await turn(session)
    await _name_is_free(session, Endpoint, endpoint.name)
    await _addresses_are_free(session, endpoint.name, addresses)
    await _keep(session, endpoint)
    return await _place(session, endpoint, addresses)


async def move_endpoint(session: AsyncSession, endpoint: Endpoint, addresses: Sequence[str]) -> EndpointAt:
    """Give an endpoint other addresses. Raises Taken, naming both endpoints."""
    await turn(session)
    await _addresses_are_free(session, endpoint.name, addresses)
    await forget_addresses(session, [id_of(endpoint)])
    return await _place(session, endpoint, addresses)


async def add_bridge(session: AsyncSession, bridge: Bridge) -> Bridge:
    """Keep a new bridge. Raises Taken."""
    await turn(session)
    await _name_is_free(session, Bridge, bridge.name)
    return await _keep(session, bridge)


async def add_room(session: AsyncSession, room: Room) -> Room:
    """Keep a new room. Raises Taken."""
    await turn(session)
    await _name_is_free(session, Room, room.name)
    return await _keep(session, room)


async def forget_addresses(session: AsyncSession, endpoint_ids: Collection[int]) -> None:
    """Take all addresses from these endpoints."""
    for some in _slices(sorted(endpoint_ids)):
        await session.exec(delete(EndpointAddress).where(col(EndpointAddress.endpoint_id).in_(some)))


async def _place(session: AsyncSession, endpoint: Endpoint, addresses: Sequence[str]) -> EndpointAt:
    session.add_all(address_rows(endpoint, addresses))
    await session.flush()
    return EndpointAt(endpoint, tuple(addresses))


def address_rows(endpoint: Endpoint, addresses: Iterable[str]) -> list[EndpointAddress]:
    """The rows of an endpoint's addresses, in order of preference."""
    return [
        EndpointAddress(endpoint_id=id_of(endpoint), position=position, address=address, key=address_key(address))
        for position, address in enumerate(addresses)
    ]


async def _addresses_are_free(session: AsyncSession, name: str, addresses: Sequence[str]) -> None:
    keys = [address_key(address) for address in addresses]
    owners = await address_owners(session, keys)
    for position, (address, key) in enumerate(zip(addresses, keys, strict=True)):
        path, expected = f"/addresses/{position}", "every address once, at one endpoint only"
        if key in keys[:position]:
            raise Taken(path, "{address} stands in this list twice", expected, address=address)
        if owners.get(key, name) != name:
            problem = "{address} of endpoint {name} is an address of endpoint {other} already"
            raise Taken(path, problem, expected, address=address, name=name, other=owners[key])


async def _name_is_free(session: AsyncSession, table: type[Endpoint] | type[Bridge] | type[Room], name: str) -> None:
    if (await session.exec(select(table.id).where(table.name == name))).first() is not None:
        thing = Things([(table.__name__.lower(), name)])
        raise Taken("/name", "there is a {thing} already", "another name", thing=thing)


async def _keep(session: AsyncSession, row: _Row) -> _Row:
    session.add(row)
    await session.flush()
    return row


def _slices(values: Sequence[_Value]) -> Iterable[Sequence[_Value]]:
    return (values[at : at + _IN_LIST] for at in range(0, len(values), _IN_LIST))

"""Takes a spreadsheet into the inventory: all of it or nothing."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import insert
from sqlmodel import SQLModel
from sqlmodel.ext.asyncio.session import AsyncSession

from orchestrator.refusal import Complaint
from orchestrator.sheet import Remark, Sheet, SheetRow
from orchestrator.store.database import Database, turn
from orchestrator.store.inventory import (
    Endpoint,
    EndpointAddress,
    EndpointAt,
    Site,
    SiteEndpoints,
    address_owners,
    endpoint_sites,
    forget_addresses,
    id_of,
    ids_of_endpoints,
    ids_of_sites,
    sites_by_codes,
    sites_with_endpoints,
)
from orchestrator.store.runs import update_rows

_SITE_COLUMNS = ("name", "zone", "priority", "contact_role", "contact_email")
_ENDPOINT_COLUMNS = ("family", "control_host", "control_port", "control_username", "max_kbps")


@dataclass(frozen=True, slots=True)
class Intake:
    """What a spreadsheet did, or with a dry run would do; codes of sites, in the order of the file."""

    created: list[str] = field(default_factory=list)
    updated: list[str] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)
    notices: list[Remark] = field(default_factory=list)


class SheetRefused(Exception):
    """The file has errors; nothing of it was taken in."""

    def __init__(self, errors: list[Remark]) -> None:
        super().__init__("\n".join(str(error) for error in errors))
        self.errors = errors


async def take_in(
    database: Database, sheet: Sheet, *, dry_run: bool = False, time_zone: str = "Asia/Ho_Chi_Minh"
) -> Intake:
    """Create the sites of the file that are new, update those that are there (by code).

    Only the site and its first endpoint change; a sealed secret stays where the file has
    none. The file has no column for a zone: new sites get `time_zone`. Raises SheetRefused
    with every error, those of the file and those against what is in the database; then,
    and after a dry run, nothing has changed.
    """
    async with database.write() as session:
        await turn(session)
        there = await _there(session, sheet)
        errors = sheet.errors + await _conflicts(session, sheet, there)
        if errors:
            raise SheetRefused(sorted(errors, key=lambda error: error.row))
        intake = Intake(notices=list(sheet.notices))
        for row in sheet.rows:
            at = there.get(row.code)
            what = intake.created if at is None else intake.updated if _differs(row, at) else intake.unchanged
            what.append(row.code)
            if at is not None and at.endpoints and not row.family:
                problem = "the row has no endpoint; endpoint {name} of site {code} stays"
                values = {"name": at.endpoints[0].endpoint.name, "code": row.code}
                intake.notices.append(Remark(row.row, Complaint("family", problem, "", values)))
        if not dry_run:
            await _apply(session, sheet, there, time_zone)
    return intake


async def _there(session: AsyncSession, sheet: Sheet) -> dict[str, SiteEndpoints]:
    """The sites of the file that exist, by code."""
    sites = await sites_by_codes(session, [row.code for row in sheet.rows if row.code])
    found = await sites_with_endpoints(session, [id_of(site) for site in sites.values()])
    return {at.site.code: at for at in found}


async def _conflicts(session: AsyncSession, sheet: Sheet, there: Mapping[str, SiteEndpoints]) -> list[Remark]:
    """What the file says against the database, besides its own errors."""
    replaced = {at.endpoints[0].endpoint.name for at in _with_endpoint(sheet, there)}
    wanted = {key: (row, address) for row in sheet.rows for address, key in zip(row.addresses, row.keys, strict=True)}
    conflicts: list[Remark] = []
    for key, owner in (await address_owners(session, wanted)).items():
        row, address = wanted[key]
        if owner not in replaced:  # whose addresses the file replaces is judged by the file alone
            problem = "{address} of {code} is an address of endpoint {other} already"
            values = {"address": address, "code": row.code, "other": owner}
            expected = "every address at one endpoint only"
            conflicts.append(Remark(row.row, Complaint("addresses", problem, expected, values)))
    fresh = {row.code: row for row in sheet.rows if row.family and not _first(there.get(row.code))}
    for name, code in (await endpoint_sites(session, fresh)).items():
        problem = "an endpoint of site {other} has the name {code}, which the endpoint of this row would have"
        values = {"code": name, "other": code}
        conflicts.append(Remark(fresh[name].row, Complaint("code", problem, "another code", values)))
    return conflicts


async def _apply(session: AsyncSession, sheet: Sheet, there: Mapping[str, SiteEndpoints], time_zone: str) -> None:
    """Write what differs, in statements for many rows: ten thousand objects would hold up whatever else runs here."""
    sites = [row for row in sheet.rows if row.code not in there]
    await _insert(session, Site, [_values(row, ("code", *_SITE_COLUMNS)) | {"time_zone": time_zone} for row in sites])
    changed_sites = {row.code: _values(row, _SITE_COLUMNS) for row in sheet.rows if _site_differs(row, there)}
    await update_rows(session, Site, "code", changed_sites)
    site_ids = await ids_of_sites(session, [row.code for row in sheet.rows])
    names: dict[str, SheetRow] = {}
    fresh: list[dict[str, Any]] = []
    changed: dict[str, dict[str, Any]] = {}
    for row in sheet.rows:
        first = _first(there.get(row.code))
        if not row.family or (first and not _endpoint_differs(row, first)):
            continue
        values = _values(row, _ENDPOINT_COLUMNS) | {"ladder": list(row.ladder)}
        if first is None:
            names[row.code] = row
            rest = {"name": row.code, "site_id": site_ids[row.code], "position": 0, "settings": {}}
            fresh.append(values | rest | {"control_secret": row.control_secret})
        else:
            names[first.endpoint.name] = row
            changed[first.endpoint.name] = values | {"control_secret": _secret(row, first.endpoint)}
    await _insert(session, Endpoint, fresh)
    await update_rows(session, Endpoint, "name", changed)
    endpoint_ids = await ids_of_endpoints(session, names)
    # All old addresses go before the first new one comes, so that two endpoints may swap theirs.
    await forget_addresses(session, endpoint_ids.values())
    addresses = [
        {"endpoint_id": endpoint_ids[name], "position": position, "address": address, "key": key}
        for name, row in names.items()
        for position, (address, key) in enumerate(zip(row.addresses, row.keys, strict=True))
    ]
    await _insert(session, EndpointAddress, addresses)


async def _insert(session: AsyncSession, table: type[SQLModel], rows: list[dict[str, Any]]) -> None:
    if rows:
        connection = await session.connection()
        await connection.execute(insert(table), rows)


def _values(row: SheetRow, columns: Iterable[str]) -> dict[str, Any]:
    return {column: getattr(row, column) for column in columns}


def _with_endpoint(sheet: Sheet, there: Mapping[str, SiteEndpoints]) -> list[SiteEndpoints]:
    return [there[row.code] for row in sheet.rows if row.family and _first(there.get(row.code))]


def _first(at: SiteEndpoints | None) -> EndpointAt | None:
    return at.endpoints[0] if at is not None and at.endpoints else None


def _secret(row: SheetRow, endpoint: Endpoint) -> str:
    """The file's `env:NAME`; without one a sealed secret stays, for no file carries it."""
    if row.control_secret or endpoint.control_secret.startswith("env:"):
        return row.control_secret
    return endpoint.control_secret


def _differs(row: SheetRow, at: SiteEndpoints) -> bool:
    first = _first(at)
    endpoint = bool(row.family) and (first is None or _endpoint_differs(row, first))
    return endpoint or _site_differs(row, {row.code: at})


def _site_differs(row: SheetRow, there: Mapping[str, SiteEndpoints]) -> bool:
    """Whether the row's site is there and other than the row says."""
    at = there.get(row.code)
    return at is not None and any(getattr(row, column) != getattr(at.site, column) for column in _SITE_COLUMNS)


def _endpoint_differs(row: SheetRow, first: EndpointAt) -> bool:
    return (
        any(getattr(row, column) != getattr(first.endpoint, column) for column in _ENDPOINT_COLUMNS)
        or row.addresses != first.addresses
        or list(row.ladder) != first.endpoint.ladder
        or _secret(row, first.endpoint) != first.endpoint.control_secret
    )

"""Takes a spreadsheet into the inventory: all of it or nothing."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from sqlmodel.ext.asyncio.session import AsyncSession

from orchestrator.refusal import Complaint
from orchestrator.sheet import Remark, Sheet, SheetRow
from orchestrator.store.database import Database, turn
from orchestrator.store.inventory import (
    Endpoint,
    EndpointAt,
    Site,
    SiteEndpoints,
    address_key,
    address_owners,
    address_rows,
    endpoint_sites,
    forget_addresses,
    id_of,
    sites_by_codes,
    sites_with_endpoints,
)

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
    wanted = {address_key(address): (row, address) for row in sheet.rows for address in row.addresses}
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
    sites: dict[str, Site] = {}
    for row in sheet.rows:
        at = there.get(row.code)
        site = at.site if at is not None else Site(code=row.code, name=row.name, time_zone=time_zone)
        for column in _SITE_COLUMNS:
            setattr(site, column, getattr(row, column))
        sites[row.code] = site
    session.add_all(sites.values())
    await session.flush()
    endpoints: list[tuple[SheetRow, Endpoint]] = []
    for row in sheet.rows:
        if not row.family:
            continue
        first = _first(there.get(row.code))
        endpoint = first.endpoint if first else Endpoint(name=row.code, site_id=id_of(sites[row.code]), family="")
        for column in _ENDPOINT_COLUMNS:
            setattr(endpoint, column, getattr(row, column))
        endpoint.ladder = list(row.ladder)
        endpoint.control_secret = _secret(row, endpoint)
        endpoints.append((row, endpoint))
    session.add_all(endpoint for _, endpoint in endpoints)
    await session.flush()
    # All old addresses go before the first new one comes, so that two endpoints may swap theirs.
    await forget_addresses(session, [id_of(endpoint) for _, endpoint in endpoints])
    for row, endpoint in endpoints:
        session.add_all(address_rows(endpoint, row.addresses))
    await session.flush()


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
    if any(getattr(row, column) != getattr(at.site, column) for column in _SITE_COLUMNS):
        return True
    if not row.family:
        return False
    first = _first(at)
    if first is None:
        return True
    return (
        any(getattr(row, column) != getattr(first.endpoint, column) for column in _ENDPOINT_COLUMNS)
        or row.addresses != first.addresses
        or list(row.ladder) != first.endpoint.ladder
        or _secret(row, first.endpoint) != first.endpoint.control_secret
    )

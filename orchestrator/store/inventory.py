"""What is there: sites, their endpoints, bridges, and rooms on other people's bridges."""

from sqlalchemy import JSON, Column
from sqlmodel import Field, SQLModel


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
    settings: dict[str, object] = Field(default_factory=dict, sa_column=Column(JSON, nullable=False))


class EndpointAddress(SQLModel, table=True):
    """One address of an endpoint, in order of preference; no two endpoints share one."""

    __tablename__ = "endpoint_address"

    id: int | None = Field(default=None, primary_key=True)
    endpoint_id: int = Field(foreign_key="endpoint.id", index=True)
    position: int = 0
    address: str = Field(unique=True)


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
    pace_per_s: float | None = 5.0  # set-ups a second; None is no limit
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

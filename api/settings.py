"""What an installation may set: environment variables DIEMCAU_..., read once, refused with their name."""

import ipaddress
import os
import re
import sys
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict, SettingsError

from orchestrator.lease import LeaseTerms
from orchestrator.limits import HOST, time_zones
from orchestrator.rules.redial import RedialRules
from orchestrator.runner import RunTerms

PREFIX = "DIEMCAU_"
SHORTEST_TOKEN = 16


def default_data_dir() -> Path:
    """/var/lib/diemcau for root, the user's own data folder for others."""
    if os.geteuid() == 0:
        return Path("/var/lib/diemcau")
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "diemcau"


def _zone(name: str) -> str:
    if name not in time_zones():
        raise ValueError(f"{name!r} is no time zone; expected a name such as Asia/Ho_Chi_Minh")
    return name


def _domain(name: str) -> str:
    if re.fullmatch(HOST, name) is None:
        raise ValueError(f"{name!r} is no domain; expected names such as diemcau.example, or IP addresses")
    return name.strip("[]").lower()


_Domain = Annotated[str, AfterValidator(_domain)]


def _token(token: SecretStr | None) -> SecretStr | None:
    if token is not None and len(token.get_secret_value()) < SHORTEST_TOKEN:
        raise ValueError(f"the token is too short to be safe; expected at least {SHORTEST_TOKEN} characters")
    return token


class Settings(BaseSettings):
    """One field, one variable: `port` is DIEMCAU_PORT."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="ignore", frozen=True, env_ignore_empty=True)

    data_dir: Path = Field(default_factory=default_data_dir)
    database_url: str = ""  # empty: SQLite in data_dir
    host: str = "127.0.0.1"
    port: int = Field(default=8080, ge=0, le=65535)  # 0: any free one
    token: Annotated[SecretStr | None, AfterValidator(_token)] = None  # empty: the file `token` in data_dir
    sip_host: str = "127.0.0.1"
    sip_port: int = Field(default=5060, ge=0, le=65535)
    sip_tls_port: int | None = Field(default=None, ge=0, le=65535)  # empty: one above `DIEMCAU_SIP_PORT`
    sip_certificate: Path | None = None  # PEM; with it SIP is also taken over TLS
    sip_key: Path | None = None  # PEM; empty: in the certificate's file
    sip_ca: Path | None = None  # PEM; whom we believe over TLS; empty: whom the system believes
    sip_pins: dict[str, str] = Field(default_factory=dict)  # `{"host": "SHA-256 of its certificate"}`
    name_servers: tuple[str, ...] = ()  # `["192.0.2.53"]`; empty: the system's
    registrar_domains: tuple[_Domain, ...] = ()  # `["sip.example"]`: whose addresses register here; empty: none do
    time_zone: Annotated[str, AfterValidator(_zone)] = "Asia/Ho_Chi_Minh"
    language: Literal["vi", "en"] = "vi"
    lead_min: int = Field(default=10, ge=0, le=1440)  # dialing opens so long before the start
    # how a run is conducted; seconds
    ring_s: float = Field(default=45, ge=5, le=600)
    grace_s: float = Field(default=60, ge=0, le=3600)  # after the end, before our legs are hung up
    settle_s: float = Field(default=20, ge=1, le=600)  # how long a connected leg may be missing from the roster
    admission_s: float = Field(default=60, ge=0, le=600)  # how long a link must hold where the far room is not readable
    roster_s: float = Field(default=30, ge=1, le=3600)
    redial_s: tuple[float, ...] = (30, 30, 60, 120, 240)  # waits between the first tries
    redial_steady_s: float = Field(default=300, ge=1, le=86400)  # and between all later ones
    redial_after_drop_s: tuple[float, ...] = (3, 10, 30)
    redial_after_hang_up_s: float = Field(default=30, ge=1, le=86400)
    lease_ttl_s: float = Field(default=9, ge=1, le=600)  # silent for so long, a process loses its runs to another
    # line checks (`diemcau check`); seconds, and the UDP ports of their sound
    check_s: float = Field(default=8, ge=1, le=60)  # how long the tone is sent
    check_ring_s: float = Field(default=30, ge=5, le=120)
    check_first_port: int = Field(default=16400, ge=1024, le=65534)
    check_last_port: int = Field(default=17399, ge=1025, le=65535)  # two ports a call
    pace_off: bool = False  # no limit to set-ups a second, whatever the bridges say
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["auto", "console", "json"] = "auto"  # auto: console at a terminal

    @property
    def database(self) -> str:
        """The database's URL."""
        return self.database_url or f"sqlite:///{self.data_dir.absolute() / 'diemcau.sqlite3'}"

    @property
    def terms(self) -> RunTerms:
        """The figures runs are conducted by."""
        redial = RedialRules(
            waits_s=self.redial_s,
            steady_s=self.redial_steady_s,
            after_drop_s=self.redial_after_drop_s,
            after_hang_up_s=self.redial_after_hang_up_s,
        )
        return RunTerms(redial, self.ring_s, self.grace_s, self.settle_s, self.admission_s, roster_s=self.roster_s)

    @property
    def lease_terms(self) -> LeaseTerms:
        """How long a process may conduct a run without renewing its lease."""
        return LeaseTerms(self.lease_ttl_s, renew_s=self.lease_ttl_s / 4, margin_s=self.lease_ttl_s / 6)

    @property
    def key_file(self) -> Path:
        return self.data_dir / "key"

    @property
    def token_file(self) -> Path:
        return self.data_dir / "token"

    @property
    def is_local(self) -> bool:
        """Whether only this machine can reach us."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"


def make_data_dir(settings: Settings) -> None:
    """Have the data folder, for us alone when it is made now."""
    settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)


class SettingsWrong(Exception):
    """A variable holds what cannot be; names it, never its value."""


def read_settings(**given: object) -> Settings:
    """The settings of the environment, `given` ones first. Raises SettingsWrong naming every bad variable."""
    try:
        return Settings(**given)  # type: ignore[arg-type]
    except ValidationError as error:
        lines = [
            f"{PREFIX}{'_'.join(str(part) for part in each['loc']).upper()}: "
            + each["msg"].removeprefix("Value error, ").replace("Input should be", "expected")
            for each in error.errors(include_input=False, include_url=False)
        ]
        raise SettingsWrong("\n".join(lines)) from None
    except SettingsError as error:
        named = re.search(r'field "(\w+)"', str(error))
        what = f"{PREFIX}{named[1].upper()}" if named else "a variable"
        raise SettingsWrong(f'{what}: expected JSON, such as [30, 60] or {{"name": "value"}}') from None


def at_terminal() -> bool:
    """Whether a person reads what we write to stderr."""
    return sys.stderr.isatty()

"""The 41 sites of the lab's province, as the inventory file that is imported over REST."""

import csv
import io
from dataclasses import dataclass

CODECS_IP = "127.0.10.3"

THIRD_PARTY = "third-party"
BRIDGE_SIP = "bridge-dials sip"
BRIDGE_H323 = "bridge-dials h323"

H323_SITES = (13, 25, 39)
COLUMNS = (
    "code name zone priority contact_role contact_email family control_host control_port control_username "
    "control_secret addresses ladder max_kbps"
)


@dataclass(frozen=True)
class SiteRow:
    """One site: its code, the way that has to work for it, and its line of the file."""

    number: int
    priority: int

    @property
    def code(self) -> str:
        return f"qt{self.number:02d}"

    @property
    def way(self) -> str:
        if self.number in H323_SITES:
            return BRIDGE_H323
        return THIRD_PARTY if self.number % 2 else BRIDGE_SIP

    @property
    def ip(self) -> str:
        return CODECS_IP if self.way == BRIDGE_H323 else f"127.0.20.{self.number}"

    @property
    def address(self) -> str:
        if self.way == BRIDGE_H323:
            return f"h323:{self.code}@{self.ip}"
        return f"sip:{self.code}@{self.ip}:5060"

    def fields(self) -> dict[str, str]:
        ladder = {
            THIRD_PARTY: "third-party bridge-dials",
            BRIDGE_SIP: "bridge-dials third-party",
            BRIDGE_H323: "bridge-dials",
        }
        return {
            "code": self.code,
            "name": f"Điểm cầu {self.number}",
            "zone": "Hải Lăng" if self.number % 3 else "Đông Hà",
            "priority": str(self.priority),
            "contact_role": "Cán bộ CNTT",
            "contact_email": f"cntt@{self.code}.example",
            "family": "h323" if self.way == BRIDGE_H323 else "sip",
            "addresses": self.address,
            "ladder": ladder[self.way],
            "max_kbps": "1024",
        }


def province(count: int = 41) -> list[SiteRow]:
    """All sites, the first dialed first."""
    return [SiteRow(number, 1 + (number - 1) // 14) for number in range(1, count + 1)]


def inventory(rows: list[SiteRow]) -> str:
    """The CSV file that `POST /sites/import` takes."""
    out = io.StringIO()
    writer = csv.DictWriter(out, COLUMNS.split(), restval="")
    writer.writeheader()
    writer.writerows(row.fields() for row in rows)
    return out.getvalue()

"""The lab's configuration as files for containers: `python -m tests.peers.lab.write FOLDER`.

Writes, with new secrets each time, what docker-compose's `lab` profile mounts:

    FOLDER/main/       an Asterisk, the main bridge
    FOLDER/province/   an Asterisk, the provincial room (conference 9001, asks for a PIN)
    FOLDER/codecs/     an Asterisk that answers H.323 calls for the H.323 sites
    FOLDER/endpoints/  one baresip with an account per SIP site
    FOLDER/sites.csv   the inventory of all 41 sites, for POST /api/v1/sites/import
    FOLDER/lab.json    addresses, logins and PIN, for whoever books bridge and room

Each folder holds files for that container only; all are readable by their owner alone.
"""

import argparse
import ipaddress
import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.peers.lab.asterisk import VOICE, eyes, new_secret
from tests.peers.lab.config import Folders, Instance, Login, files
from tests.peers.lab.endpoint import CONFIG, CONTROL_PORT, SIP_PORT
from tests.peers.lab.scene import ROOM
from tests.peers.lab.sites import BRIDGE_H323, SiteRow, inventory, province

SUBNET = "172.28.40.0/24"
INSIDE = Folders(etc="/etc/asterisk", var="/var/asterisk", modules="/usr/lib/asterisk-modules")
BARESIP_MODULES = "/usr/lib/baresip/modules"


@dataclass(frozen=True)
class Addresses:
    """Who is where in the lab's network."""

    main: str
    province: str
    codecs: str
    endpoints: str
    network: str

    @classmethod
    def within(cls, subnet: str) -> "Addresses":
        """Hosts 11, 12, 13 and 20 of the subnet. Raises ValueError for one that is too small."""
        network = ipaddress.IPv4Network(subnet)
        if network.num_addresses < 32:
            raise ValueError(f"{subnet} is too small; it must have 32 addresses or more, like {SUBNET}")
        main, room, codecs, endpoints = (str(network[host]) for host in (11, 12, 13, 20))
        return cls(main, room, codecs, endpoints, str(network))


@dataclass(frozen=True)
class Placed(SiteRow):
    """A site of the lab, at the addresses of the containers."""

    where: Addresses

    @property
    def ip(self) -> str:
        return self.where.codecs if self.way == BRIDGE_H323 else self.where.endpoints


def write(folder: Path, subnet: str = SUBNET) -> None:
    """Write everything anew. Raises ValueError for a subnet that will not do."""
    where = Addresses.within(subnet)
    rows = [Placed(row.number, row.priority, where) for row in province()]
    pin = f"{secrets.randbelow(900_000) + 100_000}"
    login, province_login = Login("diemcau", new_secret()), Login("diemcau", new_secret())
    peers = {"main": where.main, "province": where.province, "codecs": where.codecs}
    h323 = [row.code for row in rows if row.way == BRIDGE_H323]

    def instance(name: str, ip: str, logins: Sequence[Login], pin: str = "", codecs: Sequence[str] = ()) -> Instance:
        return Instance(name, ip, logins, pin=pin, codecs=codecs, h323_peers=peers, networks=(where.network,))

    for one in (
        instance("main", where.main, [login]),
        instance("province", where.province, [province_login], pin=pin),
        instance("codecs", where.codecs, [eyes()], codecs=h323),
    ):
        for name, text in files(one, INSIDE).items():
            _put(folder / one.name / name, text)
    for name, conferences in (("province", [ROOM]), ("codecs", h323)):
        for conference in conferences:
            _put(folder / name / f"voice-{conference}.call", _voice(conference))
    for name, text in _endpoints(rows, where).items():
        _put(folder / "endpoints" / name, text)
    _put(folder / "sites.csv", inventory(list(rows)))
    _put(folder / "lab.json", json.dumps(_booking(where, login, province_login, pin), indent=2, ensure_ascii=False))


def _voice(conference: str) -> str:
    """A call file (pbx_spool): somebody speaks in the conference from the start, so that a caller hears something."""
    return f"Channel: {VOICE}/n\nApplication: ConfBridge\nData: {conference},main,guest\nMaxRetries: 60\nRetryTime: 2\n"


def _endpoints(rows: Sequence[SiteRow], where: Addresses) -> dict[str, str]:
    config = CONFIG.format(
        ip=where.endpoints, port=SIP_PORT, control=CONTROL_PORT, tone=440, modules=BARESIP_MODULES
    ).replace("call_max_calls 10\n", "call_max_calls 200\n")
    accounts = "".join(
        f"<sip:{row.code}@{row.ip}>;regint=0;answermode=auto;audio_codecs=pcmu,pcma\n"
        for row in rows
        if row.way != BRIDGE_H323
    )
    return {"config": config, "accounts": accounts, "contacts": ""}


def _booking(where: Addresses, login: Login, province_login: Login, pin: str) -> dict[str, object]:
    """The bodies for POST /bridges and POST /rooms."""

    def bridge(name: str, ip: str, user: Login, first: int, last: int) -> dict[str, object]:
        return {
            "name": name,
            "family": "asterisk",
            "control_host": ip,
            "control_port": 5038,
            "control_username": user.name,
            "control_secret": user.secret,
            "conference_address": f"sip:{{number}}@{ip}:5060",
            "first_number": first,
            "last_number": last,
            "settings": {
                "sip_endpoint": "lan",
                "bridge_profile": "main",
                "user_profile": "guest",
                "h323_peers": {where.codecs: "codecs", where.province: "province"},
            },
        }

    return {
        "bridges": [
            bridge("main", where.main, login, 8100, 8199),
            bridge("province", where.province, province_login, 9000, 9099),
        ],
        "rooms": [
            {
                "name": "province",
                "address": f"sip:{ROOM}@{where.province}:5060",
                "pin": pin,
                "bridge": "province",
                "number": ROOM,
            }
        ],
    }


def _put(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.unlink(missing_ok=True)
    file.touch(mode=0o600)
    file.write_text(text)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Write the lab's configuration for containers.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--subnet", default=SUBNET, help=f"the lab's network (default {SUBNET})")
    given = parser.parse_args()
    try:
        write(given.folder, given.subnet)
    except ValueError as error:
        parser.error(str(error))
    print(f"lab: configuration with new secrets in {given.folder}")

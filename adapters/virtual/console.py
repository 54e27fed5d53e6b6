"""Which twin stands behind the control port of a site, by its family."""

from importlib import import_module

from adapters.control.twin import Twin
from adapters.virtual.codec import Codec

TWINS = {
    "cisco": "CiscoTwin",
    "huawei": "HuaweiTwin",
    "lifesize": "LifesizeTwin",
    "polycom": "PolycomTwin",
    "sony": "SonyTwin",
    "yealink": "YealinkTwin",
}
"""Imported when first used: a province of plain endpoints loads none of them."""


def twin_of(family: str, codec: Codec, secret: str, username: str) -> tuple[Twin, str]:
    """The twin of a family's device and the transport that it usually has."""
    folder = f"adapters.endpoints.{family}"
    twin: Twin = getattr(import_module(f"{folder}.twin"), TWINS[family])(codec, secret=secret, username=username)
    return twin, next(iter(import_module(f"{folder}.profile").PROFILE.ports))


def plain(row: dict[str, str]) -> None:
    """Make a site's row that of an endpoint without a control port."""
    if row["control_port"]:
        row["family"] = "sip"
        row["ladder"] = " ".join(way for way in row["ladder"].split() if way != "endpoint-dials")
        row.update({key: "" for key in row if key.startswith("control_")})

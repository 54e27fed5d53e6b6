"""Huawei: a Box over HTTPS as newer firmware speaks, and an old TE over plain HTTP."""

from dataclasses import replace
from functools import partial

from adapters.causes import ClearCause
from adapters.endpoints.huawei.evidence import EVIDENCE
from adapters.endpoints.huawei.profile import PROFILE
from adapters.endpoints.huawei.twin import HuaweiTwin
from tests.conformance.vendor.rig import TELLS_NOTHING, Vendor, quick

BOX = Vendor(
    family="huawei",
    label="box",
    twin=HuaweiTwin,
    profile=quick(PROFILE),
    grammar=None,
    evidence=EVIDENCE,
    identity=("Huawei", "Box 300", "V600R021C00SPC100"),
    wire={
        "dial": "WEB_CallNumberAPI",
        "hang_up": "WEB_HangupCallAPI",
        "calls": "WEB_GetMailboxDataAPI",
        "mute": "WEB_CloseMicAPI",
    },
    noise=("MSG_CONF_STATE_CHANGE", '{"state":{}}'),  # fields that nobody knows
    transport="https",
    username="api",
    settings={"transport": "https"},
    causes=TELLS_NOTHING,
    tells_ringing=False,
    far_hang_up=ClearCause.UNKNOWN,
    has_other_calls=False,
)
TE = replace(
    BOX,
    label="te",
    twin=partial(HuaweiTwin, is_old=True),
    identity=("Huawei", "TE20", "V500R002C00SPC800"),
    transport="http",
    settings={"transport": "http"},
)
VENDORS = (BOX, TE)

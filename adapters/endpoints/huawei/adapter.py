"""The family `huawei`: TE10 to TE60 and CloudLink Bar and Box over HTTP."""

from typing import TYPE_CHECKING

from adapters.capabilities import Capability
from adapters.endpoints.huawei.grammar import HuaweiGrammar
from adapters.endpoints.huawei.link import HIDDEN, HuaweiLink
from adapters.endpoints.huawei.profile import PROFILE
from adapters.http.endpoint import HttpEndpoint
from adapters.http.profile import HttpProfile
from adapters.values import Control

if TYPE_CHECKING:
    from adapters.registry import Surroundings


class HuaweiEndpoint(HttpEndpoint):
    """One TE or CloudLink."""

    family = "huawei"
    has_call_ids = False
    tells_changes = False
    hidden = HIDDEN
    link = HuaweiLink
    capabilities = frozenset(
        {
            Capability.DIAL,
            Capability.SIP,
            Capability.ADOPT,
            Capability.STATUS,
            Capability.ANSWER,
            Capability.MUTE,
            Capability.VOLUME,
            Capability.CONTENT,
            Capability.WAKE,
        }
    )

    def __init__(self, control: Control, surroundings: "Surroundings", profile: HttpProfile = PROFILE) -> None:
        super().__init__(control, surroundings, profile, HuaweiGrammar)

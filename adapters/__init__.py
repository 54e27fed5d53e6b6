"""The hands: everything that speaks to a device.

This front door re-exports the promise (`contract`) and its vocabulary. The rooms
above import from here only; families, transports and the registry stay behind it.
"""

from adapters.capabilities import Capability
from adapters.causes import ClearCause, Cleared, Side
from adapters.contract import BridgeAdapter, EndpointAdapter, Remember, Sink
from adapters.errors import (
    AdapterError,
    Advice,
    Busy,
    Garbled,
    LoginRefused,
    NoFreePorts,
    NotSupported,
    OutcomeUnknown,
    Rejected,
    SessionLost,
    Unreachable,
)
from adapters.events import (
    ConferenceEnded,
    Event,
    LegCleared,
    LegConnected,
    LegRinging,
    MemberChanged,
    MemberJoined,
    MemberLeft,
    SessionGone,
    SessionReady,
)
from adapters.linecheck.order import LineChecks, LineEnd, LineOrder, LineReport
from adapters.values import (
    Address,
    ConferenceSpec,
    Control,
    DialOptions,
    Identity,
    LegMemory,
    LegSeen,
    LegState,
    Member,
    Ports,
    Roster,
)

__all__ = [
    "AdapterError",
    "Address",
    "Advice",
    "BridgeAdapter",
    "Busy",
    "Capability",
    "ClearCause",
    "Cleared",
    "ConferenceEnded",
    "ConferenceSpec",
    "Control",
    "DialOptions",
    "EndpointAdapter",
    "Event",
    "Garbled",
    "Identity",
    "LegCleared",
    "LegConnected",
    "LegMemory",
    "LegRinging",
    "LegSeen",
    "LegState",
    "LineChecks",
    "LineEnd",
    "LineOrder",
    "LineReport",
    "LoginRefused",
    "Member",
    "MemberChanged",
    "MemberJoined",
    "MemberLeft",
    "NoFreePorts",
    "NotSupported",
    "OutcomeUnknown",
    "Ports",
    "Rejected",
    "Remember",
    "Roster",
    "SessionGone",
    "SessionLost",
    "SessionReady",
    "Side",
    "Sink",
    "Unreachable",
]

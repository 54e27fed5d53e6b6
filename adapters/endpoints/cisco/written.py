"""How the twin writes a call, its steps and its end."""

from adapters.values import LegState
from adapters.virtual.codec import CodecCall
from adapters.virtual.exchange import NORMAL

_STATUS = {
    LegState.DIALING: "Dialling",
    LegState.RINGING: "Ringing",
    LegState.CONNECTED: "Connected",
    LegState.CLEARING: "Disconnecting",
}
_CAUSES = {
    486: ("RemoteBusy", "Busy here"),
    600: ("RemoteBusy", "Busy everywhere"),
    603: ("RemoteRejected", "Declined"),
    408: ("RemoteNoAnswer", "Request timeout"),
    480: ("RemoteNoAnswer", "Temporarily unavailable"),
    404: ("UnknownRemoteSite", "Not found"),
    604: ("UnknownRemoteSite", "Does not exist anywhere"),
}


def call_fields(call: CodecCall, state: LegState) -> list[str]:
    """The fields of a call, as `xStatus Call` has them."""
    answered = state is LegState.CONNECTED or call.is_outgoing
    number = call.far.partition(":")[2] or call.far
    return [
        f"AnswerState: {'Answered' if answered else 'Unanswered'}",
        "CallType: Video",
        f'CallbackNumber: "{call.protocol}:{number}"',
        "DeviceType: Endpoint",
        f"Direction: {'Outgoing' if call.is_outgoing else 'Incoming'}",
        f'DisplayName: "{number.partition("@")[0]}"',
        "Duration: 12",
        'Encryption Type: "None"',
        "FacilityServiceId: 0",
        "HoldReason: None",
        "PlacedOnHold: False",
        f'Protocol: "{call.protocol}"',
        f"ReceiveCallRate: {call.kbps}",
        f'RemoteNumber: "{number}"',
        f"Status: {_STATUS[state] if call.is_outgoing or state is not LegState.DIALING else 'Ringing'}",
        f"TransmitCallRate: {call.kbps}",
    ]


def end_fields(call: CodecCall) -> list[str]:
    """The fields of `CallDisconnect`."""
    code, text, origin = 0, "", "Internal"
    if call.ended_here:
        word = "LocalDisconnect"
    elif call.code == NORMAL:
        word = "RemoteDisconnect"
    else:
        word, text = _CAUSES.get(call.code, ("OtherRemote", ""))
        code, origin = call.code, "SIP"
    return [
        "CauseValue: 1",
        f'CauseString: "{text}"',
        f'OrigCallDirection: "{"outgoing" if call.is_outgoing else "incoming"}"',
        f'RemoteURI: "{call.far}"',
        f'CauseType: "{word}"',
        f"CauseCode: {code}",
        f'CauseOrigin: "{origin}"',
        f'Protocol: "{call.protocol}"',
        "Duration: 12",
        'CallType: "Video"',
        f"CallId: {call.id}",
    ]

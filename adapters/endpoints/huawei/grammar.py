"""Pure: the actions of `action.cgi` in our words, both ways.

Sources: four independent drivers in the field and the TE20 Administrator Guide; the README card says which
line rests on what.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from adapters.control.grammar import Grammar
from adapters.control.order import CallSeen, Order, Reports, RoomSeen
from adapters.errors import Rejected
from adapters.http.order import Action, Answer, NotNow, Refused, SessionOver, Steps, Talk, Unknown
from adapters.values import Address, DialOptions, Identity, LegState

VOLUME_TOP = 15
STATE = "WEB_GetMailboxDataAPI"
_NUMBER = re.compile(r"[^\s\"\\\x00-\x1f]{1,250}")
_SITE = {"ucSiteHandle": 1}
_MAKING, _ANSWERING = 1, 2  # of `confstate`
_CALLING = 1  # of `callstate`; its 2 is "disconnected" to two drivers and "in conference" to a third: not used


def said(answer: Answer) -> Mapping[str, Any]:
    """What an answer holds behind `data`, which is a JSON object or, more often, one written as a text.

    Raises Refused, SessionOver, Unknown, NotNow, and ValueError for what is no answer of such a device.
    """
    if answer.status in (401, 403):
        raise SessionOver(f"status {answer.status}")
    if answer.status in (404, 405, 501):
        raise Unknown(f"status {answer.status}")
    if answer.status == 503:
        raise NotNow(f"status {answer.status}")
    if answer.status != 200:
        raise ValueError(f"status {answer.status}")
    outer = _object(answer.body.decode("utf-8"))
    success = outer.get("success")
    if str(success) not in ("0", "1"):
        raise ValueError(f"'success' is {success!r}; expected 0 or 1")
    if str(success) == "0":
        raise Refused(_reason(outer))
    data = outer.get("data")
    if isinstance(data, str):
        # An empty text is no empty answer: a caller that needs what is in it must not take it for "no call".
        return {} if not data else _object(data)
    if data is not None and not isinstance(data, dict):
        raise ValueError(f"'data' is {type(data).__name__}; expected an object or a text")
    return data or {}


def _object(text: str) -> dict[str, Any]:
    try:
        read = json.loads(text)
    except RecursionError:
        raise ValueError("JSON that is nested too deep") from None
    if not isinstance(read, dict):
        raise ValueError(f"{text[:40]!r} is not a JSON object")
    return read


def _reason(outer: Mapping[str, Any]) -> str:
    for key in ("error", "exception"):
        if words := outer.get(key):
            return (words if isinstance(words, str) else json.dumps(words))[:200]
    return ""


def number(to: Address) -> str:
    """What is dialed for an address. Raises ValueError for one that the device cannot be given."""
    if to.scheme == "sips":
        raise ValueError(f"{to}: the device cannot be asked for TLS; what it uses is set in it")
    host = to.host if to.port is None else f"{to.host}:{to.port}"
    text = f"{to.user}@{host}" if to.user else host
    if not _NUMBER.fullmatch(text):
        raise ValueError(f"{text!r} cannot be dialed: no blanks, quotes or backslashes, 250 characters at most")
    return text


def _whole(state: Mapping[str, Any], key: str) -> int | None:
    """A number, which may come as a text; None where it does not stand there."""
    value = state.get(key)
    if value is None or value == "":
        return None
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise ValueError(f"{key!r} is {value!r}; expected a number")
    return int(value)


def call_in(data: Mapping[str, Any]) -> LegState | None:
    """How far the one call is, and None without any. Raises ValueError where that is not said.

    RINGING is a call that comes in: of one that goes out the device does not tell ringing from dialing.
    """
    state = data.get("state")
    if isinstance(state, str):
        state = _object(state)
    if not isinstance(state, dict):
        raise ValueError("there is no 'state' in it")
    kind, inside = _whole(state, "conftype"), _whole(state, "IsInConf")
    calling, making = _whole(state, "callstate"), _whole(state, "confstate")
    if kind or inside == 1:
        return LegState.CONNECTED
    if making == _ANSWERING:
        return LegState.RINGING
    if making == _MAKING or calling == _CALLING:
        return LegState.DIALING
    if kind is None and inside is None:
        raise ValueError("'state' says neither 'conftype' nor 'IsInConf'")
    return None


def _calls(data: Mapping[str, Any]) -> Sequence[CallSeen]:
    state = call_in(data)
    if state is None:
        return ()
    outgoing = {LegState.DIALING: True, LegState.RINGING: False}.get(state)
    return (CallSeen("", state, outgoing=outgoing),)


def _look() -> Action[LegState | None]:
    return Action(STATE, read=call_in)


def _is(key: str, yes: str, no: str) -> Callable[[Mapping[str, Any]], bool]:
    def read(data: Mapping[str, Any]) -> bool:
        value = data.get(key)
        if value not in (yes, no):
            raise ValueError(f"{key!r} is {value!r}; expected {yes} or {no}")
        return bool(value == yes)

    return read


def _order(name: str, fields: Mapping[str, Any] | None = None) -> Action[None]:
    return Action(name, fields, changes=True)


def _ending(state: LegState) -> Action[None]:
    """What ends a call in this state: each has an action of its own."""
    if state is LegState.DIALING:
        return _order("WEB_CancelCallAPI", _SITE)
    if state is LegState.RINGING:
        return _order("WEB_IncomingCallProcAPI", {"ucValue": 0, "ucMediaType": 0, **_SITE})
    return _order("WEB_HangupCallAPI", _SITE)


class HuaweiGrammar(Grammar):
    """TE10 to TE60, and CloudLink's Bar and Box as far as they answer `action.cgi`."""

    # ---- questions

    def identity(self) -> Sequence[Order[Identity]]:
        return (Action("WEB_GetVersionInfoAPI", read=_identity),)

    def calls(self) -> Order[Sequence[CallSeen]]:
        return Action(STATE, read=_calls)

    def room(self) -> Sequence[Order[RoomSeen]]:
        asleep = _is("isSystemSleep", "sleep", "unsleep")
        sharing = _is("isSendAux", "auxOpen", "auxClose")
        return (
            Action("WEB_InitAudioCtrlParamsAPI", read=_audio),
            Action("WEB_IsSystemSleepAPI", read=lambda data: RoomSeen(asleep=asleep(data))),
            Action("WEB_IsSendAuxStreamAPI", read=lambda data: RoomSeen(sharing=sharing(data))),
        )

    def heard(self, line: str) -> Reports | None:
        return None  # nothing comes unasked over HTTP

    # ---- orders

    def dial(self, to: Address, options: DialOptions) -> Order[str]:
        return Action("WEB_CallNumberAPI", {"szNumber": number(to)}, read=lambda data: "", changes=True)

    def hang_up(self, call: str) -> Order[object]:
        return Talk(_hang_up, changes=True)

    def answer(self, call: str) -> Order[object]:
        return _order("WEB_IncomingCallProcAPI", {"ucValue": 1, "ucMediaType": 0, **_SITE})

    def mute(self, on: bool) -> Order[object]:
        return _order("WEB_CloseMicAPI" if on else "WEB_OpenMicAPI")

    def volume(self, percent: int) -> Order[object]:
        return _order("WEB_SetSpeakVolumeAPI", {"speaker": 1, "speakerValue": round(percent * VOLUME_TOP / 100)})

    def content(self, on: bool) -> Order[object]:
        return _order("WEB_StartSendAuxStreamAPI" if on else "WEB_StopSendAuxStreamAPI")

    def wake(self) -> Order[object]:
        return _order("WEB_SystemWakeUpAPI")


def _hang_up() -> Steps[bool]:
    """Look, end it the way its state asks for, and look again: it may have been answered in between.

    Gives whether a call was there. One that was dialed a moment ago may not be shown yet: it is cancelled unseen.
    """
    state = yield _look()
    was_there = state is not None
    for _ in range(3):
        refused: Rejected | None = None
        try:
            yield _ending(state or LegState.DIALING)
        except Rejected as no:
            refused = no
        before, state = state, (yield _look())
        if state is None:
            return was_there
        was_there = True
        if state is before:
            if refused is not None:
                raise refused
            break  # it takes its time
    return was_there


def _identity(data: Mapping[str, Any]) -> Identity:
    model, firmware = data.get("model"), data.get("softVersion")
    if not isinstance(model, str) and not isinstance(firmware, str):
        raise ValueError("it says neither 'model' nor 'softVersion'")
    # The vendor spells it so; drivers take it for the serial number.
    return Identity("Huawei", *(str(one or "").strip()[:100] for one in (model, firmware, data.get("lisence"))))


def _audio(data: Mapping[str, Any]) -> RoomSeen:
    # Drivers disagree on which SpeakerSwitch is off, so it is not looked at.
    microphone, volume = _whole(data, "MicSwitch"), _whole(data, "speakerValue")
    if volume is not None and not 0 <= volume <= VOLUME_TOP:
        raise ValueError(f"'speakerValue' is {volume}; expected 0 to {VOLUME_TOP}")
    return RoomSeen(
        microphone_muted=None if microphone is None else microphone == 0,
        volume=None if volume is None else round(volume * 100 / VOLUME_TOP),
    )

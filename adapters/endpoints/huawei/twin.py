"""The twin of a TE or CloudLink: `action.cgi` on a real socket, its calls real calls.

`is_old` is a TE as older firmware has it: no session name in the body, `data` as an object, no change of the session,
the second spelling of the log-in, and the newer words of the call's state missing.
"""

import json
import secrets
from collections.abc import Callable, Mapping
from typing import Any

from adapters.control.fault import Faults
from adapters.endpoints.huawei.grammar import VOLUME_TOP
from adapters.http.order import Answer, Request
from adapters.http.twin import HttpTwin
from adapters.values import Address, LegState
from adapters.virtual.codec import Codec, CodecCall

_Fields = Mapping[str, Any]
_PATH = "/action.cgi?ActionID="
_OPEN = ("WEB_RequestSessionIDAPI", "WEB_RequestCertificateAPI", "WEB_RequestCertificate")
_SIP_IP, _P2P = 8, 1


class HuaweiTwin(HttpTwin):
    """One device. Refusals are `{"success":0}`, as are requests of a session that it does not know."""

    def __init__(
        self,
        codec: Codec,
        *,
        secret: str = "",
        username: str = "",
        faults: Faults | None = None,
        is_old: bool = False,
    ) -> None:
        super().__init__(codec, secret=secret, username=username, faults=faults)
        self.is_old = is_old
        self.model = "TE20" if is_old else "Box 300"
        self.sessions: dict[str, str] = {}  # a session's name: its token, empty before the log-in
        self._actions: dict[str, Callable[[_Fields], Answer]] = {
            "WEB_CallNumberAPI": self._dial,
            "WEB_CancelCallAPI": lambda fields: self._end(LegState.DIALING, LegState.RINGING),
            "WEB_HangupCallAPI": lambda fields: self._end(LegState.CONNECTED),
            "WEB_IncomingCallProcAPI": self._incoming,
            "WEB_GetMailboxDataAPI": lambda fields: self._data({"state": self._state()}),
            "WEB_CloseMicAPI": lambda fields: self._mute(True),
            "WEB_OpenMicAPI": lambda fields: self._mute(False),
            "WEB_InitAudioCtrlParamsAPI": self._audio,
            "WEB_SetSpeakVolumeAPI": self._volume,
            "WEB_StartSendAuxStreamAPI": lambda fields: self._share(True),
            "WEB_StopSendAuxStreamAPI": lambda fields: self._share(False),
            "WEB_IsSendAuxStreamAPI": lambda fields: self._data(
                {"isSendAux": "auxOpen" if self.codec.is_sharing else "auxClose"}
            ),
            "WEB_StartTermSleepAPI": lambda fields: self._sleep(True),
            "WEB_SystemWakeUpAPI": lambda fields: self._sleep(False),
            "WEB_IsSystemSleepAPI": lambda fields: self._data(
                {"isSystemSleep": "sleep" if self.codec.is_asleep else "unsleep"}
            ),
            "WEB_GetVersionInfoAPI": self._version,
            "WEB_RequestRebootAPI": self._reboot,
        }

    # ---- requests

    def command(self, request: Request) -> str:
        name = request.target.removeprefix(_PATH)
        if name in _OPEN:
            return name
        fields = {key: value for key, value in _fields(request).items() if key != "acCSRFToken"}
        return f"{name} {json.dumps(fields)}" if fields else name

    def took(self, request: Request) -> Answer:
        name = request.target.removeprefix(_PATH)
        if not request.target.startswith(_PATH) or request.method != "POST":
            return Answer(404)
        if name == "WEB_RequestSessionIDAPI":
            return self._begin()
        session = _session(request)
        if name in _OPEN:
            return self._log_in(name, session, _fields(request))
        token = self.sessions.get(session)
        if not token or _fields(request).get("acCSRFToken") != token:
            return self._no()
        if name == "WEB_ChangeSessionIDAPI" and not self.is_old:
            changed = self._new_session()
            self.sessions[changed] = self.sessions.pop(session)
            return self._data(None, session=changed)
        action = self._actions.get(name)
        return self.does_not_know(request) if action is None else action(_fields(request))

    def does_not_know(self, request: Request) -> Answer:
        # Nobody saw what a real one says to an action it has not; an old TE may well be a plain web server here.
        return Answer(404) if self.is_old else self._no()

    def end_sessions(self) -> None:
        self.sessions.clear()

    # ---- the log-in

    def _new_session(self) -> str:
        return secrets.token_hex(16)

    def _begin(self) -> Answer:
        session = self._new_session()
        self.sessions[session] = ""
        return self._data({"acSessionId": "" if self.is_old else session}, session=session)

    def _log_in(self, name: str, session: str, fields: _Fields) -> Answer:
        if name.endswith("API") is self.is_old:
            return Answer(404)
        if session not in self.sessions:
            return self._no()
        if (fields.get("user"), fields.get("password")) != (self.username, self.secret):
            self.refusals += 1
            return self._no()
        self.log_ins += 1
        token = self.sessions[session] = secrets.token_hex(16)
        return self._data({"acCSRFToken": token})

    # ---- actions

    def _dial(self, fields: _Fields) -> Answer:
        number = fields.get("szNumber")
        if not isinstance(number, str) or not number or self.codec.call_table:
            return self._no()
        try:
            to = Address.parse(f"sip:{number}")
        except ValueError:
            self.codec.refuse_to_dial(number, 0, 404)
        else:
            self.codec.dial(to)
        return self._data(None)

    def _end(self, *states: LegState) -> Answer:
        calls = [call for call in self.codec.call_table.values() if call.state in states]
        if not calls:
            return self._no()
        for call in calls:
            self.codec.end(call)
        return self._data(None)

    def _incoming(self, fields: _Fields) -> Answer:
        ringing = [call for call in self.codec.call_table.values() if _is_ringing_here(call)]
        if not ringing:
            return self._no()
        if fields.get("ucValue") == 1:
            self.codec.take(ringing[0])
        else:
            self.codec.end(ringing[0])
        return self._data(None)

    def _state(self) -> dict[str, object]:
        call = next(iter(self.codec.call_table.values()), None)
        is_up = call is not None and call.state in (LegState.CONNECTED, LegState.CLEARING)
        is_in = call is not None and _is_ringing_here(call)
        state: dict[str, object] = {
            "callstate": 0 if call is None or is_in else 2 if is_up else 1,
            "calltype": _SIP_IP if call is not None else 0,
            "confstate": 0 if call is None or is_up else 2 if is_in else 1,
            "conftype": _P2P if is_up else 0,
            "mic": 0 if self.codec.is_muted else 1,
        }
        if not self.is_old:
            state |= {"IsInConf": int(is_up), "joinSum": 2 if is_up else 0, "confState": ""}
        return state

    def _mute(self, on: bool) -> Answer:
        self.codec.is_muted = on
        return self._data(None)

    def _audio(self, fields: _Fields) -> Answer:
        volume = round(self.codec.volume * VOLUME_TOP / 100)
        return self._data(
            {"MicSwitch": int(not self.codec.is_muted), "SpeakerSwitch": 1, "speakerValue": volume, "mic1Value": 12}
        )

    def _volume(self, fields: _Fields) -> Answer:
        value = fields.get("speakerValue")
        if not isinstance(value, int) or not 0 <= value <= VOLUME_TOP:
            return self._no()
        self.codec.volume = round(value * 100 / VOLUME_TOP)
        return self._data(None)

    def _share(self, on: bool) -> Answer:
        self.codec.is_sharing = on
        return self._data(None)

    def _sleep(self, on: bool) -> Answer:
        self.codec.is_asleep = on
        return self._data(None)

    def _version(self, fields: _Fields) -> Answer:
        return self._data(
            {
                "softVersion": "V500R002C00SPC800" if self.is_old else "V600R021C00SPC100",
                "model": self.model,
                "lisence": self.codec.serial,
                "hardVersion": "VER.B",
                "logicVersion": "101",
                "micVersion": [],
            }
        )

    def _reboot(self, fields: _Fields) -> Answer:
        self.reboot()
        return self._data(None)

    # ---- answers

    def _data(self, data: Mapping[str, object] | None, session: str = "") -> Answer:
        extra = {f"unheard{count}": line for count, line in enumerate(self.faults.noise)}
        outer: dict[str, object] = {"success": 1, **extra}
        if data is not None:
            inner = {**extra, **data}
            # most firmware writes it as a text inside the text
            outer["data"] = inner if self.is_old else json.dumps(inner, separators=(",", ":"))
        headers = [("Content-Type", "application/json")]
        if session:
            headers.append(("Set-Cookie", f"SessionID={session}; path=/; HttpOnly"))
        return Answer(200, tuple(headers), json.dumps(outer, separators=(",", ":")).encode())

    def _no(self) -> Answer:
        return Answer(200, (("Content-Type", "application/json"),), b'{"success":0}')


def _is_ringing_here(call: CodecCall) -> bool:
    return not call.is_outgoing and call.state in (LegState.DIALING, LegState.RINGING)


def _fields(request: Request) -> dict[str, Any]:
    try:
        read = json.loads(request.body or b"{}")
    except ValueError:
        return {}
    return read if isinstance(read, dict) else {}


def _session(request: Request) -> str:
    """Either way of naming it is good."""
    for part in request.headers.get("cookie", "").split(";"):
        name, _, value = part.strip().partition("=")
        if name == "SessionID":
            return value
    return request.headers.get("sessionid", "")

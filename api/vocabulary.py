"""What machine names mean to people: states, ways, causes, sides, events.

Keys are what stands in rows and in JSON; texts are msgids of `words`. A name that is
not listed is shown as it stands, never hidden.
"""

import re
from collections.abc import Mapping
from typing import Any

from api.words import msgid, say

PARTICIPANT_STATES = {
    "waiting": msgid("waiting"),
    "dialing": msgid("dialing"),
    "ringing": msgid("ringing"),
    "half-in": msgid("half in"),
    "in": msgid("in"),
    "retrying": msgid("trying again"),
    "stopped": msgid("stopped"),
    "absent": msgid("absent"),
}

RUN_STATES = {
    "due": msgid("due"),
    "preparing": msgid("preparing"),
    "calling": msgid("calling"),
    "live": msgid("live"),
    "degraded": msgid("live, somebody is missing"),
    "closing": msgid("closing"),
    "done": msgid("done"),
    "cancelled": msgid("cancelled"),
    "missed": msgid("missed"),
    "failed": msgid("failed"),
    "leftover": msgid("over, some calls are still up"),
}

WAYS = {
    "endpoint-dials": msgid("endpoint dials"),
    "third-party": msgid("third-party call"),
    "refer": msgid("endpoint told to call"),
    "bridge-dials": msgid("bridge dials"),
    "by-hand": msgid("called by hand"),
}

ENDPOINT_EVIDENCE = {
    "connected": msgid("endpoint: connected"),
    "not-connected": msgid("endpoint: not connected"),
    "unknown": msgid("endpoint: unknown"),
}

BRIDGE_EVIDENCE = {
    "in": msgid("bridge: in the conference"),
    "not-in": msgid("bridge: not in the conference"),
    "unknown": msgid("bridge: unknown"),
}

CAUSES = {
    "local": msgid("hung up by us"),
    "far_end": msgid("the site hung up"),
    "busy": msgid("busy in another call"),
    "no_answer": msgid("nobody answered"),
    "declined": msgid("the call was declined"),
    "unreachable": msgid("cannot be reached (switched off, or network down)"),
    "not_found": msgid("the address does not exist"),
    "not_allowed": msgid("not allowed to call"),
    "no_common_media": msgid("no common audio or video format"),
    "bandwidth": msgid("not enough bandwidth"),
    "lost": msgid("the connection was lost"),
    "bridge_full": msgid("the bridge is full"),
    "bridge_ended": msgid("the bridge ended the call"),
    "unknown": msgid("reason unknown"),
    # errors of the control session (adapters.errors), by class name
    "Unreachable": msgid("the device does not answer our control session"),
    "LoginRefused": msgid("the device refused the login: check the credentials"),
    "SessionLost": msgid("the control session was lost"),
    "OutcomeUnknown": msgid("no reply to the order; looking before trying again"),
    "Rejected": msgid("the device refused the order"),
    "Busy": msgid("the device is busy"),
    "NoFreePorts": msgid("no free port on the bridge"),
    "Garbled": msgid("the device gave an unreadable reply"),
    "NotSupported": msgid("this equipment cannot do it"),
}

SIDES = {
    "ours": msgid("our side"),
    "device": msgid("the device"),
    "bridge": msgid("the bridge"),
    "far_end": msgid("the far end"),
    "network": msgid("the network"),
}

EVENTS = {
    "run-claimed": msgid("run claimed"),
    "run-missed": msgid("start missed"),
    "conference-opened": msgid("conference opened"),
    "conference-trouble": msgid("the conference cannot be had"),
    "leg-dialed": msgid("dialed"),
    "leg-ringing": msgid("ringing"),
    "leg-connected": msgid("answered"),
    "leg-admitted": msgid("let into the conference"),
    "leg-cleared": msgid("call ended"),
    "outcome-unknown": msgid("no reply to an order; looking first"),
    "site-in": msgid("in"),
    "site-out": msgid("out"),
    "site-absent": msgid("absent"),
    "device-gone": msgid("device gone"),
    "device-back": msgid("device back"),
    "command-taken": msgid("order taken"),
    "command-done": msgid("order done"),
    "run-state": msgid("run state"),
    "run-extended": msgid("run extended"),
    "adopted": msgid("call adopted"),
    "leg-left-over": msgid("call left over"),
    "endpoint-registered": msgid("endpoint registered"),
    "endpoint-unregistered": msgid("endpoint no longer registered"),
    "auto-answer-on": msgid("answers by itself, microphone off"),
    "auto-answer-refused": msgid("does not answer by itself"),
    "auto-answer-restored": msgid("answers as before again"),
    "note": msgid("note"),
}

STOPPED = (  # what the mind writes when it stops dialing somebody
    msgid("hung up by an operator"),
    msgid("hung up on purpose again"),
    msgid("no way is left that could work: every way was refused for good"),
    msgid("there is no way to reach it: no address that the bridge or third-party control can call"),
)
_IN_A_ROW = re.compile(r"(\w+) ([0-9]+) times in a row")
_NOT_REGISTERED = re.compile(r"not registered(?: since ([0-9T:-]{16}))?")
_SIP_CODE = re.compile(r"(?:SIP/2\.0 |SIP )?([3-6][0-9]{2})\b[ :]*")


def meaning(language: str, table: dict[str, str], name: str) -> str:
    """The words for a machine name; the name itself where there are none."""
    return say(language, table[name]) if name in table else name


def device_words(raw: str) -> str:
    """The device's own words, a SIP status marked as such: `SIP 486 Busy Here`."""
    match = _SIP_CODE.match(raw)
    return f"SIP {match[1]} {raw[match.end() :]}".strip() if match else raw


def reason(language: str, cause: str, side: str = "", raw: str = "") -> str:
    """Why a call ended or never came about, for a person: words, whose side, the code.

    Empty where nothing has ended yet.
    """
    if not cause and not raw:
        return ""
    details = [meaning(language, SIDES, side)] if side in SIDES and cause in ("local", "unknown", "lost") else []
    registration = _NOT_REGISTERED.match(raw)
    if registration is not None and registration[1]:
        details.append(say(language, "not registered with us since {at} UTC", at=registration[1].replace("T", " ")))
    elif registration is not None:
        details.append(say(language, "not registered with us"))
    elif raw:
        details.append(device_words(raw))
    words = meaning(language, CAUSES, cause or "unknown")
    return f"{words} ({', '.join(details)})" if details else words


def stopped(language: str, text: str) -> str:
    """Why somebody is not dialed again."""
    match = _IN_A_ROW.fullmatch(text)
    if match is not None:
        return say(language, "{reason}, {n} times in a row", reason=meaning(language, CAUSES, match[1]), n=match[2])
    return say(language, text) if text in STOPPED else text


def why(language: str, line: Mapping[str, Any]) -> str:
    """Why a line of the board is not (quite) in; empty where it is, or where nothing is known yet."""
    if line["state"] == "in":
        return ""
    if line["state"] == "half-in":
        if line["evidence"]["bridge"] == "in" and line["kind"] == "room":
            return say(language, "the far room has not let us in yet")
        if line["evidence"]["bridge"] == "in":
            return say(language, "the endpoint does not confirm it yet")
        return say(language, "the bridge does not show it yet")
    ended = reason(language, line["cause"], line["side"], line["raw"])
    if line["stopped_why"]:
        words = stopped(language, line["stopped_why"])
        return f"{words}: {ended}" if ended and line["cause"] != "local" else words
    return ended

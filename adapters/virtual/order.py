"""Reads an AMI Originate: what Asterisk refuses at once, and the order it becomes. Pure.

Source: action_originate in main/manager.c, in its order of checks.
"""

import re
from collections.abc import Callable

from adapters.bridges.asterisk.grammar import Packet
from adapters.virtual.channel import Order

_CALLER = re.compile(r'\s*(?:"(?P<quoted>[^"]*)"|(?P<bare>[^<"]*?))\s*(?:<(?P<number>[^<>]*)>)?\s*')


def refusal(packet: Packet, route: Callable[[str], bool]) -> str:
    """What action_originate refuses at once, in its order of checks; empty for a good order."""
    channel, timeout, priority = packet.get("Channel"), packet.get("Timeout"), packet.get("Priority")
    if not channel:
        return "Channel not specified"
    if priority and not priority.isdecimal():
        return "Invalid priority"
    if timeout and not re.fullmatch(r"\d{1,9}", timeout):
        return "Invalid timeout"
    if "/" not in channel:
        return "Invalid channel"
    if packet.get("Application"):
        return ""
    context, exten = packet.get("Context"), packet.get("Exten")
    if not (context and exten and priority):
        return "Originate with 'Exten' requires 'Context' and 'Priority'"
    known = context in ("conf", "cascade") and exten.startswith("8") and route(exten)
    if priority != "1" or not (known or (context == "from-sip" and route(exten))):
        return "Extension does not exist."
    return ""


def read(packet: Packet) -> Order:
    caller = _CALLER.fullmatch(packet.get("CallerID"))
    name = (caller["quoted"] or caller["bare"] or "") if caller else ""
    pairs = (text.partition("=") for text in packet.all("Variable"))
    return Order(
        action_id=packet.action_id,
        channel=packet.get("Channel"),
        channel_id=packet.get("ChannelId"),
        application=packet.get("Application"),
        data=packet.get("Data"),
        context=packet.get("Context"),
        exten=packet.get("Exten"),
        caller=(caller["number"] or "") if caller else "",
        caller_name=name,
        timeout_s=int(packet.get("Timeout") or "30000") / 1000,
        variables={key.strip(): value for key, _, value in pairs},
        has_caller_id=bool(packet.get("CallerID")),
        video=any(codec in packet.get("Codecs").lower() for codec in ("h26", "vp8", "vp9")),
    )

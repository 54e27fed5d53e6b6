"""`python -m tests.peers.sippy_phone HOST PORT`: a phone made of sippy, an independent SIP stack.

It has an event loop of its own, hence a process of its own. It answers every call: an INVITE without SDP with an
offer, one with SDP with an answer. Lines on stdin are orders (`bye`, `register HOST:PORT DOMAIN USER SECRET`); what
happens is told on stdout, one JSON object a line.
"""

import json
import os
import sys
import threading
from typing import Any

SDP = (
    "v=0\r\no=sippy {port} 1 IN IP4 {host}\r\ns=-\r\nc=IN IP4 {host}\r\nt=0 0\r\n"
    "m=audio {port} RTP/AVP 0 8\r\na=rtpmap:0 PCMU/8000\r\n"
)


_OUT = sys.stdout
sys.stdout = sys.stderr  # sippy prints its troubles


def tell(**fact: Any) -> None:
    print(json.dumps(fact), file=_OUT, flush=True)


def main(host: str, port: int) -> None:
    from sippy.CCEvents import (
        CCEventConnect,
        CCEventDisconnect,
        CCEventPreConnect,
        CCEventRing,
        CCEventTry,
        CCEventUpdate,
    )
    from sippy.Core.EventDispatcher import ED2
    from sippy.MsgBody import MsgBody
    from sippy.SipConf import SipConf
    from sippy.SipLogger import SipLogger
    from sippy.SipRegistrationAgent import SipRegistrationAgent
    from sippy.SipTransactionManager import SipTransactionManager
    from sippy.SipURL import SipURL
    from sippy.UA import UA

    config: dict[str, Any] = {"_sip_address": host, "_sip_port": port, "_sip_logger": SipLogger("phone")}
    SipConf.my_address, SipConf.my_port = host, port
    calls: list[Any] = []

    def take(event: Any, call: Any) -> None:
        body = event.getData()[2] if isinstance(event, CCEventConnect) else None
        if isinstance(event, CCEventTry):
            offer = event.getData()[3]
            tell(event="Try", sdp=str(offer) if offer is not None else "")
            call.recvEvent(CCEventRing((180, "Ringing", None), origin="switch"))
            ours = MsgBody(SDP.format(host=host, port=4000 + 2 * len(calls)))
            kind = CCEventConnect if offer is not None else CCEventPreConnect
            call.recvEvent(kind((200, "OK", ours), origin="switch"))
            return
        if isinstance(event, CCEventUpdate):  # a re-INVITE
            call.recvEvent(
                CCEventConnect((200, "OK", call.lSDP or MsgBody(SDP.format(host=host, port=4000))), origin="switch")
            )
            tell(event="Update", sdp=str(event.getData()))
        else:
            tell(event=type(event).__name__.removeprefix("CCEvent"), sdp=str(body) if body is not None else "")

    def requested(request: Any, transaction: Any) -> Any:
        if request.getHFBody("to").getTag() is not None:
            return request.genResponse(481, "Call Leg/Transaction Does Not Exist"), None, None
        if request.getMethod() != "INVITE":
            return request.genResponse(200 if request.getMethod() == "OPTIONS" else 405, "Said"), None, None
        call = UA(config, event_cb=take, disc_cbs=(lambda *_: tell(event="Over"),))
        calls.append(call)
        return call.recvRequest(request, transaction)

    def order(line: str) -> None:
        word, *rest = line.split()
        if word == "bye":
            calls[-1].recvEvent(CCEventDisconnect(origin="switch"))
        elif word == "register":
            server, domain, user, secret = rest
            where = server.partition(":")
            agent = SipRegistrationAgent(
                config, SipURL(username=user, host=domain), SipURL(username=user, host=host, port=port),
                user, secret, 60, lambda *_: tell(event="Registered"),
                lambda status, _: tell(event="NotRegistered", status=str(status)),
                target=((where[0], int(where[2])), "udp"),
            )  # fmt: skip
            agent.doregister()

    def listen() -> None:
        for line in sys.stdin:
            ED2.callFromThread(order, line)
        ED2.callFromThread(ED2.breakLoop)

    config["_sip_tm"] = SipTransactionManager(config, requested)
    threading.Thread(target=listen, daemon=True).start()
    tell(event="Listening")
    ED2.loop()


if __name__ == "__main__":
    os.environ.update(SIPLOG_BEND="none", SIPLOG_LVL="CRIT")
    main(sys.argv[1], int(sys.argv[2]))
    os._exit(0)  # its threads would keep the process

"""How fast SIP messages are read and written, against sipmessage in the same run."""

import time
from collections.abc import Callable, Iterator

import sipmessage

from adapters.sip.message import Message, parse
from tests.bench.figure import Figure, need

_VIA = "Via: SIP/2.0/UDP 127.0.40.1:5060;branch=z9hG4bK5f2c7d9a1b3e;rport=5060;received=127.0.40.1\r\n"
_ENDS = (
    'From: "Giao ban" <sip:dc7f3a-12-345-1@127.0.40.1>;tag=9f8e7d6c5b4a\r\n'
    "To: <sip:8001@127.0.10.1:5060>;tag=as3b1f4c2d\r\n"
    "Call-ID: 0f1e2d3c4b5a69788796a5b4@127.0.40.1\r\n"
)
_REST = (
    "Contact: <sip:dc7f3a-12-345-1@127.0.40.1:5060>\r\nMax-Forwards: 70\r\nUser-Agent: diemcau/0.1.0\r\n"
    "Allow: INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, UPDATE\r\nSupported: timer, replaces\r\n"
)
_SDP = (
    "v=0\r\no=- 3976 1 IN IP4 127.0.20.1\r\ns=-\r\nc=IN IP4 127.0.20.1\r\nb=AS:1920\r\nt=0 0\r\n"
    "m=audio 10020 RTP/AVP 9 8 0 101\r\na=rtpmap:9 G722/8000\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:0 PCMU/8000\r\n"
    "a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\na=ptime:20\r\na=sendrecv\r\n"
    "m=video 10022 RTP/AVP 97\r\na=rtpmap:97 H264/90000\r\na=fmtp:97 profile-level-id=42801f\r\na=sendrecv\r\n"
)


def _message(first: str, cseq: str, body: str = "") -> bytes:
    kind = "Content-Type: application/sdp\r\n" if body else ""
    tail = f"CSeq: {cseq}\r\n{_REST}{kind}Content-Length: {len(body)}\r\n\r\n{body}"
    return f"{first}\r\n{_VIA}{_ENDS}{tail}".encode()


_TO = "sip:8001@127.0.10.1:5060"
CALL = (
    _message(f"INVITE {_TO} SIP/2.0", "1 INVITE", _SDP),
    _message("SIP/2.0 100 Trying", "1 INVITE"),
    _message("SIP/2.0 180 Ringing", "1 INVITE"),
    _message("SIP/2.0 200 OK", "1 INVITE", _SDP),
    _message(f"ACK {_TO} SIP/2.0", "1 ACK"),
    _message(f"BYE {_TO} SIP/2.0", "2 BYE"),
    _message("SIP/2.0 200 OK", "2 BYE"),
)
"""The messages of one dialog, as this project's own look."""


def measure(quick: bool) -> Iterator[Figure]:
    """Messages of one dialog in turn, for half a second each; the best of three.

    Both split a message into its fields and leave their values as text; ours also reads what
    a transaction is found by.
    """
    seconds = 0.2 if quick else 0.5
    mine = [parse(raw) for raw in CALL]
    theirs = [sipmessage.Message.parse(raw) for raw in CALL]
    for ours, other in zip(mine, theirs, strict=True):
        need(ours.body == other.body and ours.call_id == other.call_id, f"they differ about {ours!r}")

    reading = _rate(parse, CALL, seconds)
    yield Figure("parser.read", reading, "messages/s", _rate(sipmessage.Message.parse, CALL, seconds))
    yield Figure("parser.write", _rate(Message.to_bytes, mine, seconds), "messages/s", _rate(bytes, theirs, seconds))


def _rate(act: Callable[..., object], values: list | tuple, seconds: float) -> float:
    best = 0.0
    for _ in range(3):
        count, began = 0, time.process_time()
        while (took := time.process_time() - began) < seconds:
            for value in values:
                act(value)
            count += len(values)
        best = max(best, count / took)
    return best

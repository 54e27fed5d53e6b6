"""What fuzzing starts from: the torture messages, and messages of real peers and of ours."""

from adapters.sip.dialog import Dialog
from adapters.sip.message import response_to
from tests.unit.sip.stage import FAR_SDP, NEAR_SDP
from tests.unit.sip.torture.messages import MESSAGES

CHALLENGES = (
    b'Digest realm="asterisk",nonce="1764/9e2a",opaque="5bd1",algorithm=MD5,qop="auth"',
    b'Digest realm="a\\"b", nonce="n", algorithm=SHA-256-sess, qop="auth,auth-int", stale=TRUE',
    b"Digest realm=plain, nonce=n, algorithm=SHA-512-256",
    b'Basic realm="x"',
)
URIS = (
    b"sip:room@192.0.2.1:5060;transport=tcp;lr",
    b"sips:[2001:db8::1]:5061?Subject=x",
    b"sip:a:secret@host.example.com;maddr=192.0.2.9",
    b"SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK1;rport",
    b"SIP / 2.0 / TCP [2001:db8::1]:5060 ;received=192.0.2.9;rport=7;branch=z9hG4bK2",
)
DOUBLED_SDP = NEAR_SDP.replace(b"m=video", b"m=audio 13928 RTP/SAVP 0\r\na=crypto:1 X inline:y\r\nm=video")


def _ours() -> list[bytes]:
    """A call as we set it up."""
    dialog = Dialog("seed@h", '"X\u00e3 A" <sip:a@192.0.2.1>', "ft", "<sip:b@192.0.2.2>", "sip:b@192.0.2.2")
    invite = dialog.request("INVITE", "z9hG4bK1")
    invite.headers["via"] = ["SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1;rport"]
    invite.headers["contact"] = ["<sip:a@192.0.2.1>"]
    invite.headers["content-type"] = ["application/sdp"]
    invite.body = NEAR_SDP
    ring = response_to(invite, 180, to_tag="tt", headers=[("Contact", "<sip:b@192.0.2.2>")])
    more = [("Contact", "<sip:b@192.0.2.2>"), ("Record-Route", "<sip:p;lr>"), ("Content-Type", "application/sdp")]
    answer = response_to(invite, 200, to_tag="tt", headers=more, body=FAR_SDP)
    asked = response_to(invite, 401, to_tag="tt", headers=[("WWW-Authenticate", CHALLENGES[0].decode())])
    dialog.establish(answer)
    bye = dialog.request("BYE", "z9hG4bK2")
    bye.headers["via"] = invite.headers["via"]
    return [message.to_bytes() for message in (invite, ring, answer, asked, bye)]


_HEAD = (
    b"INVITE sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\nTo: <sip:a@b>\r\nCall-ID: i\r\nCSeq: 1 INVITE\r\n"
)
FOUND = {
    "parser": (
        _HEAD + b"From: <sip:local\x1dresource@example.com>;tag=1\r\n\r\n",  # a BYE of ours that nobody could read
        _HEAD + b"From: <sip:x@y>;tag=1\r\nContact: ,\r\n\r\n",  # IndexError
    ),
    "sdp": (b"m=audi\xb5 5 RTP/AVP\xb5 0\r\n",),  # UnicodeEncodeError: its capital is not Latin-1
}
"""What fuzzing found; each was an error of ours once."""
STREAM = b"\r\n\r\n".join(_ours())
_REGISTER = (
    b"REGISTER sip:d SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\nFrom: <sip:a@d>;tag=1\r\nTo: <sip:a@d>\r\n"
    b'Call-ID: r\r\nCSeq: 1 REGISTER\r\nContact: "x" <sip:a@192.0.2.7>;expires=60;q=0.5;+sip.instance="<urn:1>"\r\n'
    b"Contact: sip:a@h2, <sip:a@h3>;expires=0\r\nPath: <sip:p;lr>\r\nExpires: 300\r\nl: 0\r\n\r\n"
)
SEEDS: dict[str, tuple[bytes, ...]] = {
    "parser": (*(message.data for message in MESSAGES), *_ours(), *FOUND["parser"]),
    "framing": (STREAM, b"\r\n\r\n", *(message.data for message in MESSAGES)),
    "login": (
        b'Digest username="a", realm="r", nonce="n", uri="sip:d", response="0a", algorithm=MD5, qop=auth, nc=00000001, '
        b'cnonce="c"',
        b'Digest username="a\\"b", realm=r, nonce=n, uri="sip:d", response="", algorithm=SHA-256, qop=auth, '
        b"nc=0000000f, cnonce=c",
        b"Basic x",
    ),
    "register": (_REGISTER, *(message.data for message in MESSAGES if message.data.startswith(b"REGISTER"))),
    "timer": (b"1800;refresher=uac", b"90 ; refresher = uas;x=y", b"0", b"99999999999"),
    "fragment": (b"SIP/2.0 200 OK\r\n", b"SIP/2.0 486 Busy Here\r\nTo: x\r\n", b" sip / 2.0\t100"),
    "uri": URIS,
    "digest": CHALLENGES,
    "sdp": (NEAR_SDP, FAR_SDP, DOUBLED_SDP, *FOUND["sdp"]),
}

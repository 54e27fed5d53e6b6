"""The 49 messages of RFC 4475, what the RFC asks of a user agent, and what ours does.

The bytes stand in one file a message beside this one. They are the RFC's; only the PKCS#7
part of `mpart01` is other binary of the same length, NULs included.
"""

from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent
DROPPED = 0
"""Instead of a status: read or not, nothing is answered."""


@dataclass(frozen=True, slots=True)
class Message:
    """`status` is what a user agent without a registrar, which is busy (486), answers over UDP."""

    name: str
    section: str
    asked: str
    status: int
    read: bool = True

    @property
    def data(self) -> bytes:
        return (FOLDER / f"{self.name}.dat").read_bytes()


_ = Message
MESSAGES = (
    # well formed
    _("wsinv", "3.1.1.1", "well formed: folds and blanks everywhere; its To tag names a call nobody knows", 481),
    _("intmeth", "3.1.1.2", "well formed: 501 with Allow", 501),
    _("esc01", "3.1.1.3", "well formed: % escapes are read once, and only where they are escapes", 486),
    _("escnull", "3.1.1.4", "well formed: %00 does not end a user name", 405),
    _("esc02", "3.1.1.5", "well formed: an escaped method name is another method, 501", 501),
    _("lwsdisp", "3.1.1.6", "accept although no blank stands before <", 200),
    _("longreq", "3.1.1.7", "well formed: long values, 34 Vias", 486),
    _("dblreq", "3.1.1.8", "what follows the body in a datagram is noise", 405),
    _("semiuri", "3.1.1.9", "well formed: a semicolon inside the user part", 200),
    _("transports", "3.1.1.10", "well formed: transports nobody knows in lower Vias", 200),
    _("mpart01", "3.1.1.11", "well formed: NULs in a body", 405),
    _("unreason", "3.1.1.12", "well formed response; it answers nothing of ours", DROPPED),
    _("noreason", "3.1.1.13", "well formed response without a reason; it answers nothing of ours", DROPPED),
    # not well formed
    _("badinv01", "3.1.2.1", "400: empty parameters and values in Via", 400, read=False),
    _("clerr", "3.1.2.2", "400 over UDP: Content-Length is larger than what came", 400, read=False),
    _("ncl", "3.1.2.3", "an error: Content-Length is negative", 400, read=False),
    _("scalar02", "3.1.2.4", "400: CSeq is out of range", 400, read=False),
    _("scalarlg", "3.1.2.5", "discard: CSeq of a response is out of range", DROPPED, read=False),
    _("quotbal", "3.1.2.6", "400: a quote in To has no end", 400, read=False),
    _("ltgtruri", "3.1.2.7", "400, or ignore the brackets around the Request-URI", 400, read=False),
    _("lwsruri", "3.1.2.8", "400: a blank in the Request-URI", 400, read=False),
    _("lwsstart", "3.1.2.9", "400, or ignore the blanks in the start line", 486),
    _("trws", "3.1.2.10", "400, or ignore the blanks behind the start line", 200),
    _("escruri", "3.1.2.11", "400, or ignore the headers in the Request-URI", 486),
    _("baddate", "3.1.2.12", "ignore a Date that is of no use here", 486),
    _("regbadct", "3.1.2.13", "400, or infer the brackets (no registrar: 405)", 405),
    _("badaspec", "3.1.2.14", "400, or ignore the blanks in To", 200),
    _("baddn", "3.1.2.15", "400, or infer the quotes around the display names", 200),
    _("badvers", "3.1.2.16", "505: SIP/7.0", 505, read=False),
    _("mismatch01", "3.1.2.17", "400: CSeq is of another method", 400, read=False),
    _("mismatch02", "3.1.2.18", "501 or 400: CSeq is of another method, and this one is unknown", 400, read=False),
    _("bigcode", "3.1.2.19", "drop: a response code above 699", DROPPED, read=False),
    # transactions
    _("badbranch", "3.2.1", "400, or match as RFC 2543 did: a branch that is only the cookie", 200),
    # what an application has to decide
    _("insuf", "3.3.1", "400: no Call-ID, From and To", 400, read=False),
    _("unkscm", "3.3.2", "416: a scheme nobody knows", 416),
    _("novelsc", "3.3.3", "416: a known scheme that no SIP element takes", 416),
    _("unksm2", "3.3.4", "a registrar's business: To and Contact of other schemes", 405),
    _("bext01", "3.3.5", "420 with Unsupported; Proxy-Require concerns proxies", 420),
    _("invut", "3.3.6", "415 with Accept", 415),
    _("regaut01", "3.3.7", "a registrar's business: an unknown authorization scheme", 405),
    _("multi01", "3.3.8", "400: several From, To, Call-ID and CSeq", 400, read=False),
    _("mcl01", "3.3.9", "400: two Content-Lengths", 400, read=False),
    _("bcast", "3.3.10", "discard: a second Via in a response", DROPPED),
    _("zeromf", "3.3.11", "answer: Max-Forwards 0 stops only who forwards", 200),
    _("cparam01", "3.3.12", "a registrar's business: a header parameter of Contact", 405),
    _("cparam02", "3.3.13", "a registrar's business: a URI parameter of Contact", 405),
    _("regescrt", "3.3.14", "a registrar's business: a header in a Contact URI", 405),
    _("sdp01", "3.3.15", "406, or 400: SDP may not be answered", 406),
    _("inv2543", "3.4.1", "take it as RFC 2543 did: no branch, no From tag, no Content-Length", 486),
)

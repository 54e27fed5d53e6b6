"""SIP messages: tolerant in what it takes, strict in what it believes.

Taken as it comes: compact names, folded lines, bare LF, `Name:value`, any order, several
Vias, header and body bytes that are not UTF-8 (RFC 3261 sections 7 and 25, RFC 4475).
Believed only when it holds: one From, To, Call-ID and CSeq; CSeq below 2**31 and its method
the request's; a Content-Length that fits (sections 8.1.1 and 18.3). What is not believed
raises `Malformed`, which carries the request when a 400 can still be sent to somebody.
"""

import re
from collections.abc import Iterable
from functools import lru_cache

Headers = dict[str, list[str]]
"""Lower-case full header name -> its values, in the order they stood."""

MAX_HEAD = 32_768
MAX_BODY = 262_144
MAX_LINES = 256
MAX_VIAS = 100
"""In one line; a request has 70 hops to live (section 8.1.1.6)."""

_COMPACT = {
    "a": "accept-contact",
    "b": "referred-by",
    "c": "content-type",
    "e": "content-encoding",
    "f": "from",
    "i": "call-id",
    "k": "supported",
    "l": "content-length",
    "m": "contact",
    "o": "event",
    "r": "refer-to",
    "s": "subject",
    "t": "to",
    "u": "allow-events",
    "v": "via",
    "x": "session-expires",
}
_SPELLING = {
    "call-id": "Call-ID",
    "cseq": "CSeq",
    "www-authenticate": "WWW-Authenticate",
    "mime-version": "MIME-Version",
}
_USUAL = (
    "Via|From|To|Call-ID|CSeq|Contact|Max-Forwards|Content-Length|Content-Type|Allow|Supported|Require|User-Agent|"
    "Server|Route|Record-Route|Expires|Date|Accept|Authorization|Proxy-Authorization|WWW-Authenticate|"
    "Proxy-Authenticate|Reason|Warning|Allow-Events|Session-Expires|Min-SE|Timestamp|Retry-After|Event|"
    "Subscription-State|Refer-To|Referred-By|P-Asserted-Identity|Remote-Party-ID|Subject|Organization"
)
_KEYS: dict[str, str] = {}
for _name in _USUAL.split("|"):
    _SPELLING.setdefault(_name.lower(), _name)
    _KEYS[_name] = _KEYS[_name.lower()] = _name.lower()
_OPENING = {key: f"\r\n{name}: " for key, name in _SPELLING.items()}
"""What stands before a value on the wire."""
for _name, _long in _COMPACT.items():
    _KEYS[_name] = _KEYS[_name.upper()] = _long

_TOKEN = re.compile(r"[A-Za-z0-9.!%*_+`'~-]+", re.ASCII)
_BRANCH = re.compile(r";\s*branch\s*=\s*([^\s;,]+)", re.IGNORECASE)
_TAG = re.compile(r";\s*tag\s*=\s*([^\s;,>]+)", re.IGNORECASE)
_CSEQ = re.compile(r"([0-9]{1,10})[ \t]+([A-Za-z0-9.!%*_+`'~-]+)", re.ASCII)
_BLANK = " \t"
_EMPTY_LINE = re.compile(rb"\n\r?\n")
_CSEQ_END = 2**31
_ONCE = ("from", "to", "call-id", "cseq")
_UNQUOTED = re.compile(r'[^"]*+(?:"(?:[^"\\]|\\.)*+"[^"]*+)*+', re.DOTALL)
"""A value in which every quote ends."""
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*+"?', re.DOTALL)
"""A quoted string; one without an end goes on to the last character, so that none is read twice."""
_VIA_START = re.compile(r"[A-Za-z0-9.]+[ \t]*/")

REASONS = {
    100: "Trying",
    180: "Ringing",
    183: "Session Progress",
    200: "OK",
    202: "Accepted",
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    406: "Not Acceptable",
    407: "Proxy Authentication Required",
    408: "Request Timeout",
    415: "Unsupported Media Type",
    416: "Unsupported URI Scheme",
    420: "Bad Extension",
    422: "Session Interval Too Small",
    480: "Temporarily Unavailable",
    481: "Call/Transaction Does Not Exist",
    482: "Loop Detected",
    486: "Busy Here",
    487: "Request Terminated",
    488: "Not Acceptable Here",
    491: "Request Pending",
    500: "Server Internal Error",
    501: "Not Implemented",
    503: "Service Unavailable",
    505: "Version Not Supported",
    600: "Busy Everywhere",
    603: "Decline",
    606: "Not Acceptable",
}
_STATUS_LINES = {f"SIP/2.0 {status} {reason}": (status, reason) for status, reason in REASONS.items()}
"""What most peers write, known without taking it apart."""


class Malformed(ValueError):
    """Bytes that are no SIP message we believe; `request` is there when `status` can be answered."""

    def __init__(self, why: str, request: "Request | None" = None, status: int = 400) -> None:
        super().__init__(why)
        self.request = request
        self.status = status


class Message:
    """What requests and responses share. `branch`, `cseq` and the tags are read once."""

    __slots__ = ("body", "branch", "call_id", "cseq", "cseq_method", "from_tag", "headers", "to_tag")
    headers: Headers
    body: bytes
    branch: str
    call_id: str
    cseq: int
    cseq_method: str
    from_tag: str
    to_tag: str

    def get(self, name: str, default: str = "") -> str:
        """The first value of a header, by its lower-case full name."""
        values = self.headers.get(name)
        return values[0] if values else default

    def listed(self, name: str) -> list[str]:
        """Every value of a header whose values may share a line with commas."""
        return [part for value in self.headers.get(name, ()) for part in split_commas(value)]

    @property
    def sdp(self) -> bytes:
        """The body when it is SDP, else nothing."""
        if not self.body:
            return b""
        kind = self.get("content-type")
        if kind != "application/sdp":
            kind = kind.partition(";")[0].strip().lower()
        return self.body if kind == "application/sdp" else b""

    def start_line(self) -> str:
        raise NotImplementedError

    def to_bytes(self) -> bytes:
        """The message on the wire; Content-Length is always counted anew."""
        out = [self.start_line()]
        for key, values in self.headers.items():
            name = _OPENING.get(key) or f"\r\n{key.title()}: "
            for value in values:
                out.append(name)
                out.append(value)
        out.append(f"\r\nContent-Length: {len(self.body)}\r\n\r\n")
        return "".join(out).encode("utf-8", "surrogateescape") + self.body

    def read_identity(self) -> None:
        """Fill the fields that say which call and transaction this is. Raises Malformed."""
        headers = self.headers
        try:
            (sender,) = headers["from"]
            (to,) = headers["to"]
            (self.call_id,) = headers["call-id"]
            (cseq,) = headers["cseq"]
            first = headers["via"][0]
        except (KeyError, ValueError):
            raise Malformed(_miscounted(headers)) from None
        self.cseq, self.cseq_method = _cseq(cseq)
        if not self.call_id:
            raise Malformed("empty Call-ID")
        for value in (sender, to):
            if '"' in value and (value.count('"') % 2 or "\\" in value) and _UNQUOTED.fullmatch(value) is None:
                raise Malformed(f"{value[:60]!r} has a quote without an end")
        self.from_tag = tag_of(sender)
        self.to_tag = tag_of(to)
        if "," in first:
            if first.count(",") >= MAX_VIAS:
                raise Malformed(f"more than {MAX_VIAS} Vias in one line")
            several = split_commas(first)
            if not all(_VIA_START.match(one) for one in several):
                raise Malformed(f"Via {first[:60]!r} names something that is no Via")
            first = "".join(several[:1])
        plain = first.partition(";branch=")[2].partition(";")[0]
        if plain.isalnum():  # as most write it
            self.branch = plain
        else:
            found = _BRANCH.search(first)
            self.branch = found[1] if found else ""


class Request(Message):
    __slots__ = ("method", "uri")

    def __init__(self, method: str, uri: str, headers: Headers, body: bytes = b"") -> None:
        self.headers = headers
        self.body = body
        self.method = method
        self.uri = uri
        self.branch = self.call_id = self.cseq_method = self.from_tag = self.to_tag = ""
        self.cseq = 0

    def start_line(self) -> str:
        return f"{self.method} {self.uri} SIP/2.0"

    def __repr__(self) -> str:
        return f"<Request {self.method} {self.uri}>"


class Response(Message):
    __slots__ = ("reason", "status")

    def __init__(self, status: int, reason: str, headers: Headers, body: bytes = b"") -> None:
        self.headers = headers
        self.body = body
        self.status = status
        self.reason = reason
        self.branch = self.call_id = self.cseq_method = self.from_tag = self.to_tag = ""
        self.cseq = 0

    def start_line(self) -> str:
        return f"SIP/2.0 {self.status} {self.reason}"

    def __repr__(self) -> str:
        return f"<Response {self.status} {self.reason} to {self.cseq_method}>"


def parse(datagram: bytes) -> Request | Response:
    """Read one whole message: a datagram, or what the framer cut from a stream.

    Raises Malformed and nothing else.
    """
    data = datagram if datagram[:1] not in (b"\r", b"\n") else datagram.lstrip(b"\r\n")
    empty = _EMPTY_LINE.search(data)
    end = empty.start() if empty else len(data)
    if end > MAX_HEAD:
        raise Malformed(f"a head of {end} bytes; the limit is {MAX_HEAD}")
    message = _parse_head(data[:end].rstrip(b"\r\n"))
    request = message if isinstance(message, Request) else None
    try:
        message.read_identity()
        if request is not None and message.cseq_method != request.method:
            raise Malformed(f"CSeq is for {message.cseq_method[:20]}, the request is {request.method[:20]}")
        if empty is None:
            raise Malformed("no empty line after the head")
        message.body = _body(message, data[empty.end() :])
    except Malformed as wrong:
        if request is not None and _answerable(request):
            wrong.request = request
        raise
    return message


@lru_cache(maxsize=256)
def _cseq(value: str) -> tuple[int, str]:
    """Number and method. Raises Malformed."""
    match = _CSEQ.fullmatch(value)
    if match is None or (number := int(match[1])) >= _CSEQ_END:
        raise Malformed(f"CSeq {value[:60]!r} is not a number below 2**31 and a method")
    return number, match[2]


def _miscounted(headers: Headers) -> str:
    """Which header that belongs there once is not."""
    for name in _ONCE:
        values = headers.get(name, [])
        if len(values) != 1:
            return (
                f"{len(values)} {_SPELLING[name]} headers where one belongs"
                if values
                else f"no {_SPELLING[name]} header"
            )
    return "no Via header"


def _parse_head(raw: bytes) -> Request | Response:
    head = raw.decode("utf-8", "surrogateescape")
    lines = head.split("\r\n")
    ends = len(lines) - 1
    if head.count("\n") != ends or head.count("\r") != ends:
        head = head.replace("\r\n", "\n")
        if "\r" in head:
            raise Malformed("a bare CR in the head")
        lines = head.split("\n")
    if len(lines) > MAX_LINES:
        raise Malformed(f"{len(lines)} header lines; the limit is {MAX_LINES}")
    if "\0" in head and "\0" in head.replace("\\\0", ""):  # as a quoted pair it may stand there (section 25.1)
        raise Malformed("a NUL in the head")
    headers: Headers = {}
    odd: Malformed | None = None
    try:
        message = _start(lines[0], headers)
    except Malformed as wrong:
        if wrong.request is None:
            raise
        odd, message = wrong, wrong.request
    last: list[str] = []
    for line in lines[1:]:
        name, colon, value = line.partition(":")
        key = _KEYS.get(name)
        if key is None or not colon:
            if last and line.startswith((" ", "\t")):  # folded (section 7.3.1)
                last[-1] = f"{last[-1]} {line.strip(_BLANK)}".strip(_BLANK)
                continue
            key = _key(name)
            if not colon or not key:
                raise Malformed(f"{line[:60]!r} is not a header line", _answerable(message))
        values = headers.get(key)
        if values is None:
            last = headers[key] = [value.strip(_BLANK)]
        else:
            values.append(value.strip(_BLANK))
            last = values
    if odd is not None:
        odd.request = _answerable(message)
        raise odd
    return message


def _start(line: str, headers: Headers) -> Request | Response:
    usual = _STATUS_LINES.get(line)
    if usual is not None:
        return Response(*usual, headers)
    parts = line.split(" ", 2)
    if parts[0].upper() == "SIP/2.0":
        code = parts[1] if len(parts) > 1 else ""
        if len(code) == 3 and code.isascii() and code.isdigit() and "100" <= code <= "699":
            return Response(int(code), parts[2] if len(parts) == 3 else "", headers)
    elif len(parts) == 3 and parts[2].upper() == "SIP/2.0" and _TOKEN.fullmatch(parts[0]) and parts[1]:
        if parts[1][0] == "<":
            raise _odd_start(line, headers)
        return Request(parts[0], parts[1], headers)
    plain = " ".join([word for word in line.replace("\t", " ").split(" ") if word])
    if plain != line:
        return _start(plain, headers)
    raise _odd_start(line, headers)


def _odd_start(line: str, headers: Headers) -> Malformed:
    """What is wrong with a start line, and what its sender can be told once the headers are read."""
    method, _, rest = line.strip().partition(" ")
    uri, _, version = rest.rpartition(" ")
    if not (_TOKEN.fullmatch(method) and uri.strip() and version.upper().startswith("SIP/")):
        return Malformed(f"{line[:60]!r} is neither a request line nor a status line")
    request = Request(method, uri.strip(), headers)
    if version.upper() != "SIP/2.0":
        return Malformed(f"{version[:20]!r} is not SIP/2.0", request, 505)
    return Malformed(f"{uri[:60]!r} is no URI as a request line takes it", request)


def _key(name: str) -> str:
    """The lower-case full name of a header as it was written, or "" for no name at all."""
    name = name.rstrip(_BLANK)
    if not _TOKEN.fullmatch(name):
        return ""
    name = name.lower()
    return _COMPACT.get(name, name)


def _body(message: Message, rest: bytes) -> bytes:
    values = message.headers.pop("content-length", None)
    if values == [str(len(rest))] and len(rest) <= MAX_BODY:
        return rest
    if values is None:
        if len(rest) > MAX_BODY:
            raise Malformed(f"a body of {len(rest)} bytes; the limit is {MAX_BODY}")
        return rest
    length = content_length(values)
    if length > len(rest):
        raise Malformed(f"Content-Length is {length}, but {len(rest)} bytes came")
    return rest[:length]


def content_length(values: list[str]) -> int:
    """The one length that all Content-Length headers give. Raises Malformed."""
    text = values[0]
    if not (text.isascii() and text.isdigit()) or len(text) > 9 or values.count(text) != len(values):
        raise Malformed(f"Content-Length {', '.join(values)[:60]!r} is not one number")
    length = int(text)
    if length > MAX_BODY:
        raise Malformed(f"Content-Length is {length}; the limit is {MAX_BODY}")
    return length


def _answerable(message: Message) -> "Request | None":
    """The message, if it is a request that `rejection` can be sent for."""
    if not isinstance(message, Request) or message.method == "ACK" or not message.headers.get("via"):
        return None
    message.call_id, message.to_tag = message.get("call-id"), tag_of(message.get("to"))
    return message


def split_commas(value: str) -> list[str]:
    """The parts of a comma-separated value; commas in quotes and angle brackets stay."""
    if "," not in value:
        return [value] if value else []
    parts, start, quoted, deep, at = [], 0, False, 0, 0
    while at < len(value):
        char = value[at]
        if quoted:
            if char == "\\":
                at += 1
            elif char == '"':
                quoted = False
        elif char == '"':
            quoted = True
        elif char == "<":
            deep += 1
        elif char == ">":
            deep = max(0, deep - 1)
        elif char == "," and not deep:
            parts.append(value[start:at].strip())
            start = at + 1
        at += 1
    parts.append(value[start:].strip())
    return [part for part in parts if part]


def tag_of(value: str) -> str:
    """The tag of a From or To value, or ""."""
    head, _, tag = value.rpartition(";tag=")
    if head[-1:] == ">" and tag.isalnum():
        return tag  # as most write it
    match = _TAG.search(value[value.rfind(">") + 1 :])
    return match[1] if match else ""


def uri_of(value: str) -> str:
    """The URI of a name-addr or addr-spec value (From, To, Contact, Route)."""
    if value.endswith(">"):  # no parameters behind it: the last bracket opens the URI
        return value[value.rfind("<") + 1 : -1].strip()
    value = _without_quoted(value)
    start = value.find("<")
    if start >= 0:
        end = value.find(">", start)
        return value[start + 1 : end if end >= 0 else len(value)].strip()
    return value.partition(";")[0].strip()


def display_of(value: str) -> str:
    """The display name of a name-addr, unquoted, or ""."""
    value = value.strip()
    if value.startswith('"'):
        match = re.match(r'"((?:[^"\\]|\\.)*)"', value)
        return re.sub(r"\\(.)", r"\1", match[1]) if match else ""
    return value.partition("<")[0].strip() if "<" in value else ""


def _without_quoted(value: str) -> str:
    if '"' not in value:
        return value
    return _QUOTED.sub("", value)


def name_addr(uri: str, display: str = "", tag: str = "") -> str:
    """A From/To/Contact value; control characters never pass into a header."""
    shown = _printable(display)[:120].replace("\\", "\\\\").replace('"', '\\"')
    value = f'"{shown}" <{uri}>' if shown else f"<{uri}>"
    return f"{value};tag={tag}" if tag else value


def _printable(text: str) -> str:
    return text if text.isprintable() else "".join(char for char in text if char.isprintable())


def response_to(
    request: Request,
    status: int,
    reason: str = "",
    *,
    to_tag: str = "",
    headers: Iterable[tuple[str, str]] = (),
    body: bytes = b"",
) -> Response:
    """The response to a request, with what RFC 3261 section 8.2.6.2 wants copied."""
    theirs = request.headers
    to = theirs["to"][0]
    if to_tag and not request.to_tag:
        to = f"{to};tag={to_tag}"
    ours: Headers = {"via": theirs["via"], "from": theirs["from"], "to": [to], "call-id": theirs["call-id"]}
    ours["cseq"] = theirs["cseq"]
    if "record-route" in theirs and 100 < status < 300:
        ours["record-route"] = theirs["record-route"]
    for name, value in headers:
        ours.setdefault(name.lower(), []).append(value)
    reason = reason or REASONS.get(status, "Unknown")
    return Response(status, _printable(reason)[:80], ours, body)


def rejection(request: Request, wrong: Malformed, to_tag: str) -> Response:
    """The answer to a request that is not believed: what of its headers is there, each once."""
    theirs = request.headers
    for name in _ONCE:
        theirs[name] = theirs.get(name, [""])[:1]
    reason = f"{REASONS[wrong.status]}: {wrong}"
    response = response_to(request, wrong.status, reason, to_tag=to_tag if theirs["to"][0] else "")
    for name in _ONCE:
        if not response.headers[name][0]:
            del response.headers[name]
    return response

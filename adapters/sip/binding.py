"""Bindings: where a registered endpoint can be called, and the rules by which a REGISTER changes them.

RFC 3261 section 10.3 (steps 6 to 8), RFC 3327 (Path), RFC 5626 (`+sip.instance`: a device that
comes with a new Contact takes the place of its old one). Pure: what is asked and the time go
in, the bindings come out.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from adapters.sip.message import Request, uri_of
from adapters.sip.uri import BadUri, Uri, host_port

MOST_BINDINGS = 4
"""Of one endpoint; a fifth takes the place of the one refreshed longest ago."""
_MOST_ASKED = 8
_MOST_PATHS = 4
_LONGEST = 512
_Q = re.compile(r"(?:0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)")
_SECONDS = re.compile(r"[0-9]{1,10}")
_PARAM = re.compile(r';\s*([A-Za-z0-9.+_-]+)\s*(?:=\s*(?:"([^"]*)"|([^\s;"]*)))?')


class Refused(Exception):
    """A REGISTER that changes nothing: status, reason and headers of the answer."""

    def __init__(self, status: int, reason: str = "", headers: Iterable[tuple[str, str]] = ()) -> None:
        super().__init__(f"{status} {reason}")
        self.status = status
        self.reason = reason
        self.headers = tuple(headers)


@dataclass(frozen=True, slots=True)
class Terms:
    """How long bindings last; seconds."""

    least_s: int = 60
    usual_s: int = 300
    most_s: int = 3600
    natted_s: int = 60
    """Over UDP through an address translation: its hole closes when nothing goes through it."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where a request really came from, and on which of our addresses it came in."""

    transport: str
    host: str
    port: int
    local: tuple[str, int] = ("", 0)

    def __str__(self) -> str:
        return f"{self.transport.lower()} {host_port(self.host, self.port)}"


@dataclass(frozen=True, slots=True)
class Binding:
    """One Contact of a registered endpoint."""

    contact: str
    expires_at: datetime
    refreshed_at: datetime
    call_id: str
    cseq: int
    source: Source
    q: float = 1.0
    path: tuple[str, ...] = ()
    instance: str = ""

    def to_json(self) -> dict[str, Any]:
        """JSON-ready facts; no secret is in them."""
        return {
            "contact": self.contact,
            "expires_at": self.expires_at.isoformat(),
            "refreshed_at": self.refreshed_at.isoformat(),
            "call_id": self.call_id,
            "cseq": self.cseq,
            "source": [self.source.transport, self.source.host, self.source.port, *self.source.local],
            "q": self.q,
            "path": list(self.path),
            "instance": self.instance,
        }

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> "Binding":
        """The binding again. Raises ValueError when it is none."""
        try:
            transport, host, port, local_host, local_port = row["source"]
            return cls(
                str(row["contact"]),
                datetime.fromisoformat(row["expires_at"]),
                datetime.fromisoformat(row["refreshed_at"]),
                str(row["call_id"]),
                int(row["cseq"]),
                Source(str(transport), str(host), int(port), (str(local_host), int(local_port))),
                float(row["q"]),
                tuple(str(each) for each in row["path"]),
                str(row["instance"]),
            )
        except (KeyError, TypeError, ValueError) as wrong:
            raise ValueError(f"this is no binding: {wrong!r}") from None


@dataclass(frozen=True, slots=True)
class Asked:
    """What a REGISTER asks for; `everything` is `Contact: *`, no contacts at all is a question."""

    call_id: str
    cseq: int
    source: Source
    contacts: tuple["Wanted", ...]
    path: tuple[str, ...]
    everything: bool = False

    @classmethod
    def read(cls, request: Request, source: Source, terms: Terms) -> "Asked":
        """Read a REGISTER (steps 6 and 7). Raises Refused."""
        values = request.listed("contact")
        if len(values) > _MOST_ASKED:
            raise Refused(400, f"{len(values)} Contacts; the limit is {_MOST_ASKED}")
        path = tuple(request.listed("path"))
        if len(path) > _MOST_PATHS or any(len(each) > _LONGEST for each in path):
            raise Refused(400, f"expected at most {_MOST_PATHS} Path values of {_LONGEST} characters")
        for each in path:
            _uri(uri_of(each), "Path")
        usual = _seconds(request.get("expires"))
        if "*" in values:
            if len(values) > 1 or usual != 0:
                raise Refused(400, "Contact: * stands alone and with Expires: 0")
            return cls(request.call_id, request.cseq, source, (), path, everything=True)
        contacts = tuple(Wanted.read(value, source, usual, terms) for value in values)
        return cls(request.call_id, request.cseq, source, contacts, path)

    def apply(self, before: Sequence[Binding], now: datetime) -> tuple[Binding, ...]:
        """The bindings after it, all or nothing. Raises Refused when it comes out of order (step 7)."""
        kept = {binding.contact: binding for binding in living(before, now)}
        if self.everything:
            for binding in kept.values():
                self._in_order(binding)
            return ()
        for wanted in self.contacts:
            known = kept.pop(wanted.uri, None)
            if known is not None:
                self._in_order(known)
            if not wanted.seconds:
                continue
            if wanted.instance:
                kept = {uri: each for uri, each in kept.items() if each.instance != wanted.instance}
            kept[wanted.uri] = Binding(
                wanted.uri, now + timedelta(seconds=wanted.seconds), now, self.call_id, self.cseq, self.source,
                wanted.q, self.path, wanted.instance,
            )  # fmt: skip
        newest = sorted(kept.values(), key=lambda binding: binding.refreshed_at, reverse=True)
        return tuple(newest[:MOST_BINDINGS])

    def _in_order(self, binding: Binding) -> None:
        if binding.call_id == self.call_id and self.cseq <= binding.cseq:
            raise Refused(500, f"CSeq {self.cseq} is not after {binding.cseq}")


@dataclass(frozen=True, slots=True)
class Wanted:
    """One Contact of a REGISTER; no seconds take it away."""

    uri: str
    seconds: int
    q: float
    instance: str

    @classmethod
    def read(cls, value: str, source: Source, usual: int | None, terms: Terms) -> "Wanted":
        uri = uri_of(value)
        target = _uri(uri, "Contact")
        params = _params(value)
        asked = _seconds(params.get("expires", ""))
        seconds = next((each for each in (asked, usual) if each is not None), terms.usual_s)
        if 0 < seconds < terms.least_s:
            raise Refused(423, headers=[("Min-Expires", str(terms.least_s))])
        most = terms.natted_s if source.transport == "UDP" and target.host != source.host else terms.most_s
        q = params.get("q", "")
        if q and not _Q.fullmatch(q):
            raise Refused(400, "a q value is a number from 0 to 1")
        return cls(uri, min(seconds, most), float(q) if q else 1.0, params.get("+sip.instance", "")[:200])


def _seconds(text: str) -> int | None:
    """Seconds as they stand there, or None; what is no number counts as not there (section 10.2.1.1)."""
    return min(int(text), 2**31) if _SECONDS.fullmatch(text.strip()) else None


def _params(value: str) -> dict[str, str]:
    """The parameters behind a name-addr, names in lower case, values unquoted."""
    opened = re.sub(r'^\s*"(?:[^"\\]|\\.)*"', "", value)  # a display name may have brackets in it
    behind = opened.partition(">")[2] if "<" in opened else ";" + opened.partition(";")[2]
    return {name.lower(): quoted or plain for name, quoted, plain in _PARAM.findall(behind)}


def _uri(text: str, where: str) -> Uri:
    if len(text) > _LONGEST:
        raise Refused(400, f"a {where} of {len(text)} characters; the limit is {_LONGEST}")
    try:
        return Uri.parse(text)
    except BadUri:
        raise Refused(400, f"a {where} that is no sip: URI") from None


def living(bindings: Iterable[Binding], now: datetime) -> list[Binding]:
    """Those that have not run out."""
    return [binding for binding in bindings if binding.expires_at > now]


@dataclass(frozen=True, slots=True)
class Reach:
    """One way to a registered endpoint: request URI and Route set.

    `hop` is where requests really go, if neither says it; `peer` the connection it came by
    (transport, host, port), to be used while it stands.
    """

    target: str
    routes: tuple[str, ...] = ()
    hop: str = ""
    peer: tuple[str, str, int] | None = None


def reach(binding: Binding) -> Reach:
    """How to call a binding: along its Path, or over the connection it came by (RFC 5626 section 5.3),
    or to the address it really came from where its Contact names another one (a translated address,
    RFC 3581), or as its Contact says."""
    source = binding.source
    if binding.path:
        return Reach(binding.contact, binding.path)
    if source.transport != "UDP":
        return Reach(binding.contact, peer=(source.transport, source.host, source.port))
    if Uri.parse(binding.contact).host != source.host:
        return Reach(binding.contact, hop=f"sip:{host_port(source.host, source.port)};transport=udp")
    return Reach(binding.contact)


def in_turn(bindings: Iterable[Binding]) -> list[Binding]:
    """The order to try them in: by q, and of equals the one heard of last."""
    return sorted(bindings, key=lambda binding: (-binding.q, -binding.refreshed_at.timestamp()))


def shown(binding: Binding, now: datetime) -> str:
    """A binding as a Contact value of our answer."""
    left_s = max(1, round((binding.expires_at - now).total_seconds()))
    q = f";q={binding.q:g}" if binding.q != 1.0 else ""
    return f"<{binding.contact}>;expires={left_s}{q}"

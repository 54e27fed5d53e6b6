"""The state that two user agents share for one call (RFC 3261 section 12), without I/O.

It is small, it is JSON-ready (`to_memory`, `from_memory`), and it outlives the process:
who has the memory can query the call and end it, from another socket as well.
"""

from collections.abc import Mapping
from typing import Any

from adapters.sip.message import Headers, Message, Request, Response, split_commas, tag_of, uri_of
from adapters.sip.uri import BadUri, Uri

_CSEQ_LEAP = 1000
_CSEQ_PER_S = 10
"""A later process continues this far on: in-dialog requests that were sent after the memory
was written must not be numbered again (gaps are fine, section 12.2.2)."""


class Dialog:
    """One side's view. `local` and `remote` are the From and To values without tags."""

    __slots__ = (
        "call_id",
        "cseq",
        "heard_at",
        "local",
        "local_tag",
        "outbound",
        "peer",
        "remembered_cseq",
        "remote",
        "remote_cseq",
        "remote_tag",
        "routes",
        "target",
        "transport",
    )

    def __init__(self, call_id: str, local: str, local_tag: str, remote: str, target: str, cseq: int = 0) -> None:
        self.call_id = call_id
        self.local = local
        self.local_tag = local_tag
        self.remote = remote
        self.remote_tag = ""
        self.target = target
        self.routes: tuple[str, ...] = ()
        self.outbound = ""
        """Where requests really go when no Route says it: a registered peer behind a NAT is not where its
        Contact says."""
        self.cseq = self.remembered_cseq = cseq
        self.remote_cseq = -1
        self.transport = ""
        self.peer: tuple[str, int] | None = None
        """Transport and remote socket that last carried it."""
        self.heard_at = 0.0
        """When the peer last showed that it knows the dialog, by the clock of the loop."""

    @classmethod
    def received(cls, invite: Request, local_tag: str) -> "Dialog":
        """The dialog that an INVITE to us makes (section 12.1.1)."""
        headers = invite.headers
        dialog = cls(
            invite.call_id,
            _without_tag(headers["to"][0]),
            local_tag,
            _without_tag(headers["from"][0]),
            uri_of(invite.get("contact")) or uri_of(headers["from"][0]),
        )
        dialog.remote_tag = invite.from_tag
        dialog.remote_cseq = invite.cseq
        dialog.routes = tuple(invite.listed("record-route"))
        return dialog

    @property
    def key(self) -> tuple[str, str]:
        """How an in-dialog request names this dialog to us: Call-ID and our tag."""
        return self.call_id, self.local_tag

    def establish(self, response: Response) -> None:
        """Take up what a 2xx (or a 1xx with a tag) to our INVITE says (section 12.1.2)."""
        self.remote_tag = response.to_tag
        self.routes = tuple(reversed(response.listed("record-route")))
        self.refresh(response)

    def refresh(self, message: Message) -> None:
        """Target refresh: the peer may move with a re-INVITE or UPDATE (section 12.2)."""
        contacts = message.headers.get("contact")
        if contacts:
            target = uri_of(next(iter(split_commas(contacts[0])), ""))
            try:
                Uri.parse(target)
            except BadUri:
                return
            self.target = target

    def next_hop(self) -> str:
        """The URI whose host the next request is sent to (section 8.1.2)."""
        return uri_of(self.routes[0]) if self.routes else self.outbound or self.target

    def request(self, method: str, branch: str, cseq: int | None = None) -> Request:
        """A request inside the dialog; takes the next CSeq unless `cseq` is given (ACK).

        Its Via is empty: whoever sends it knows over which socket.
        """
        if cseq is None:
            self.cseq += 1
            cseq = self.cseq
        uri, routes = self.target, list(self.routes)
        if routes:
            first = uri_of(routes[0])
            if ";lr" not in first.lower():  # a strict router (section 12.2.1.1)
                uri, routes = first, [*routes[1:], f"<{self.target}>"]
        headers: Headers = {
            "via": [""],
            "from": [f"{self.local};tag={self.local_tag}"],
            "to": [f"{self.remote};tag={self.remote_tag}" if self.remote_tag else self.remote],
            "call-id": [self.call_id],
            "cseq": [f"{cseq} {method}"],
            "max-forwards": ["70"],
        }
        if routes:
            headers["route"] = routes
        request = Request(method, uri, headers)
        request.branch = branch
        request.call_id = self.call_id
        request.cseq = cseq
        request.cseq_method = method
        request.from_tag = self.local_tag
        request.to_tag = self.remote_tag
        return request

    def accepts(self, request: Request) -> bool:
        """Whether an in-dialog request is in order: right tags, CSeq not behind (12.2.2)."""
        if request.from_tag != self.remote_tag:
            return False
        if request.cseq < self.remote_cseq:
            return False
        self.remote_cseq = request.cseq
        return True

    def to_memory(self) -> dict[str, Any]:
        """JSON-ready facts."""
        return {
            "call_id": self.call_id,
            "local": self.local,
            "local_tag": self.local_tag,
            "remote": self.remote,
            "remote_tag": self.remote_tag,
            "target": self.target,
            "routes": list(self.routes),
            "outbound": self.outbound,
            "cseq": self.cseq,
            "remote_cseq": self.remote_cseq,
            "transport": self.transport,
            "peer": list(self.peer) if self.peer else None,
        }

    @classmethod
    def from_memory(cls, memory: Mapping[str, Any], age_s: float) -> "Dialog":
        """The dialog again, `age_s` after it was remembered.

        Raises ValueError when the memory is not one of a dialog.
        """
        try:
            leap = _CSEQ_LEAP + int(max(0.0, min(age_s, 1e7)) * _CSEQ_PER_S)
            dialog = cls(
                str(memory["call_id"]),
                str(memory["local"]),
                str(memory["local_tag"]),
                str(memory["remote"]),
                str(memory["target"]),
                int(memory["cseq"]) + leap,
            )
            dialog.remembered_cseq = int(memory["cseq"])
            dialog.remote_tag = str(memory["remote_tag"])
            dialog.routes = tuple(str(route) for route in memory["routes"])
            dialog.outbound = str(memory.get("outbound", ""))
            dialog.remote_cseq = int(memory["remote_cseq"])
            dialog.transport = str(memory["transport"])
            peer = memory["peer"]
            dialog.peer = (str(peer[0]), int(peer[1])) if peer else None
        except (KeyError, TypeError, IndexError, ValueError) as wrong:
            raise ValueError(f"this is no memory of a SIP dialog: {wrong!r}") from None
        return dialog


def _without_tag(value: str) -> str:
    """A From or To value without its tag; other parameters stay."""
    tag = tag_of(value)
    if not tag:
        return value
    at = value.rfind(">") + 1
    head, rest = value[:at], value[at:]
    kept = [part for part in rest.split(";") if part.strip().partition("=")[0].strip().lower() != "tag"]
    return head + ";".join(kept)

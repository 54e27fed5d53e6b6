"""A wish of the peer inside a call that waits for its answer."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from adapters.sip.message import Request
    from adapters.sip.transaction import Server
    from adapters.sip.usage import Usage

Pairs = Iterable[tuple[str, str]]
"""Headers: name and value."""


class Offer:
    """A re-INVITE or UPDATE of the peer that waits for an answer; `sdp` may be empty."""

    __slots__ = ("_call", "_request", "_server", "method", "sdp")

    def __init__(self, call: Usage, request: Request, server: Server) -> None:
        self._call = call
        self._request: Request | None = request
        self._server = server
        self.method = request.method
        self.sdp = request.sdp

    def answer(self, sdp: bytes) -> None:
        """Accept: our answer, or our offer when `self.sdp` is empty."""
        request, self._request = self._request, None
        if request is not None:
            self._call._answer_offer(self._server, request, sdp)

    def refuse(self, status: int, reason: str = "", headers: Pairs = ()) -> None:
        """Keep the session as it was."""
        request, self._request = self._request, None
        if request is not None:
            self._call._refuse_offer(self._server, request, status, reason, headers)

    @property
    def open(self) -> bool:
        """Whether an answer is still owed."""
        return self._request is not None

"""What every way of moving SIP has in common: a `Flow` is a peer over one socket, an `Owner` gets what comes.

The sockets are in `udp` and `stream`; which of them a message takes is decided in `route`.
"""

from typing import Protocol

from adapters.sip.message import Malformed

PING = b"\r\n\r\n"
"""Keep-alive that wants an answer on a stream, and opens NATs under UDP (RFC 5626 section 3.5.1)."""
PONG = b"\r\n"


class Owner(Protocol):
    """Who gets what the sockets bring."""

    def received(self, data: bytes, flow: "Flow") -> None: ...

    def unreadable(self, wrong: Malformed, flow: "Flow") -> None: ...

    def flow_failed(self, flow: "Flow") -> None: ...

    def datagram_refused(self, branch: str, method: str) -> None: ...


class Flow:
    """A peer over one socket; `local` names the address of ours that it belongs to (`Routes.at`)."""

    __slots__ = ("host", "local", "port")
    reliable = False
    transport = "UDP"
    closed = False
    why = ""
    """Why it failed, in words; empty when nobody knows more."""

    def __init__(self, host: str, port: int, local: tuple[str, int]) -> None:
        self.host = host
        self.port = port
        self.local = local

    def send(self, data: bytes) -> None:
        raise NotImplementedError

    def ping(self) -> None:
        """Keep NATs between us open; nothing is expected back."""
        self.send(PING)

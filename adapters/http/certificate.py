"""The certificate of a device: pinned on first use, refused when it changes.

Such devices sign their own certificates or have one of a private authority, often run out and in nobody's name, so
that only their being the same says anything. The pin is judged inside the TLS handshake: to a device that
shows another certificate not a byte of a request is sent.
"""

import hashlib
import ssl
from typing import Any


class Pin:
    """The certificate that one place must show: `known`, or whatever it shows first."""

    __slots__ = ("is_changed", "known", "shown")

    def __init__(self, known: str | None) -> None:
        self.known = known
        self.shown = ""
        self.is_changed = False

    def judge(self, certificate: bytes | None) -> None:
        """Raises ssl.SSLCertVerificationError for another certificate, or none."""
        self.shown = fingerprint(certificate) if certificate else "none"
        if self.known is None and certificate:
            self.known = self.shown  # for every further connection of this session
        self.is_changed = self.shown != self.known
        if self.is_changed:
            raise ssl.SSLCertVerificationError("it shows another certificate than the one pinned for it")


def fingerprint(certificate: bytes) -> str:
    """How a certificate (DER) is pinned."""
    return f"sha256:{hashlib.sha256(certificate).hexdigest()}"


def context(pin: Pin) -> ssl.SSLContext:
    """A context for one device. The chain and the name are not looked at: the pin is, at every handshake."""

    class Judged(ssl.SSLObject):
        def do_handshake(self) -> None:
            super().do_handshake()
            pin.judge(self.getpeercert(binary_form=True))

    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.check_hostname = False
    made.verify_mode = ssl.CERT_NONE
    made.sslobject_class = Judged
    # Judged is no part of a plain socket's TLS: who wraps one instead of a stream must not go unjudged.
    made.sslsocket_class = _Never
    return made


class _Never(ssl.SSLSocket):
    def __init__(self, *arguments: Any, **named: Any) -> None:
        raise TypeError("the pin is judged on asyncio streams only")

    @classmethod
    def _create(cls, *arguments: Any, **named: Any) -> Any:
        raise TypeError("the pin is judged on asyncio streams only")

"""TLS for SIP: what we show, whom we believe, and what went wrong in words (RFC 3261 section 26.2).

A peer must have a certificate of an issuer that is trusted and in the name that its URI has
(RFC 5922 section 7: the URI's host, before any look-up; no wildcards). The one way around is
a pin: the fingerprint of the very certificate of one host. Nothing is ever just not checked.
"""

import ipaddress
import logging
import re
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256

_log = logging.getLogger(__name__)

_SHA256 = re.compile(r"(?:sha256:)?([0-9a-f]{2}(?::?[0-9a-f]{2}){31})", re.IGNORECASE)
_NOT_YET, _EXPIRED = 9, 10
_SELF_SIGNED, _SELF_SIGNED_ABOVE = 18, 19
_NO_ISSUER = frozenset({_SELF_SIGNED_ABOVE, 2, 20, 21})
"""X509_V_ERR_... of OpenSSL, as `ssl.SSLCertVerificationError.verify_code` has them."""
_LONGEST = 120
"""Characters of a stranger's certificate that may stand in a message."""


class BadCertificate(ValueError):
    """A certificate, key, CA file or pin of ours that cannot be used: which, and why."""


@dataclass(frozen=True, slots=True)
class Trust:
    """What an installation has: files in PEM, and pins (host -> SHA-256 of its certificate).

    Without `certificate` nobody can call us over TLS. `key` may be in the certificate's file.
    `ca` holds the issuers and self-signed certificates that are believed; without it these are
    the system's.
    """

    certificate: Path | None = None
    key: Path | None = None
    ca: Path | None = None
    pins: Mapping[str, str] = field(default_factory=dict)


class Tls:
    """The contexts of an installation. Raises BadCertificate."""

    def __init__(self, trust: Trust | None = None) -> None:
        self._trust = trust or Trust()
        self._pins = {host.strip("[]").lower(): fingerprint(pin) for host, pin in self._trust.pins.items()}
        self._told: set[str] = set()
        self._stamp: tuple[int, ...] = ()
        self._server: ssl.SSLContext | None = None
        self._client: ssl.SSLContext | None = None
        self._pinned: ssl.SSLContext | None = None
        if self._trust.key and not self._trust.certificate:
            raise BadCertificate(f"there is a key, {self._trust.key}, but no certificate to it")
        self._read()

    @property
    def has_certificate(self) -> bool:
        """Whether we have one to show: then we listen, and show it to whom we call."""
        return self._trust.certificate is not None

    def server(self) -> ssl.SSLContext:
        """For a connection to us. Needs `has_certificate`."""
        self._renew()
        assert self._server is not None
        return self._server

    def client(self, names: Sequence[str]) -> ssl.SSLContext:
        """For a connection to somebody known by `names`, the first being the one in the URI."""
        self._renew()
        pinned = next((name for name in names if name in self._pins), None)
        if pinned is None:
            if self._client is None:
                self._client = self._calling(ssl.CERT_REQUIRED)
            return self._client
        if pinned not in self._told:
            self._told.add(pinned)
            _log.warning("sip.tls_pinned host=%s: its certificate is known by its fingerprint alone", pinned)
        if self._pinned is None:
            self._pinned = self._calling(ssl.CERT_NONE)
        return self._pinned

    def objection(self, shown: ssl.SSLObject, names: Sequence[str]) -> str:
        """What is wrong with a peer that has shaken hands; empty when it is who it should be."""
        for name in names:
            if name in self._pins:
                raw = shown.getpeercert(binary_form=True)
                actual = _fingerprint(raw) if raw else "none"
                return (
                    "" if actual == self._pins[name] else f"its certificate is not the pinned one but sha256:{actual}"
                )
        certificate = shown.getpeercert() or {}
        if any(covers(certificate, name) for name in names):
            return ""
        owned = ", ".join(owners(certificate)) or "nobody"
        return f"the certificate is not for {names[0]} but for {owned[:_LONGEST]}"

    # -- files ------------------------------------------------------------------------

    def _read(self) -> None:
        trust = self._trust
        stamp = self._on_disk()
        if trust.certificate is not None:
            server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            server.minimum_version = ssl.TLSVersion.TLSv1_2
            server.options |= ssl.OP_NO_RENEGOTIATION
            self._show(server)
            self._server = server
        self._client = self._calling(ssl.CERT_REQUIRED) if trust.ca is not None else None
        self._pinned = None
        self._stamp = stamp

    def _renew(self) -> None:
        """Read the files again when they have changed: a renewed certificate is used from then on."""
        if self._stamp and self._on_disk() != self._stamp:
            try:
                self._read()
            except BadCertificate as wrong:
                self._stamp = self._on_disk()
                _log.error("sip.tls_not_renewed: %s; the one before stays in use", wrong)
            else:
                _log.info("sip.tls_renewed")

    def _on_disk(self) -> tuple[int, ...]:
        found = []
        for path in (self._trust.certificate, self._trust.key, self._trust.ca):
            try:
                found.append(path.stat().st_mtime_ns if path is not None else 0)
            except OSError:
                found.append(-1)
        return tuple(found)

    def _calling(self, mode: ssl.VerifyMode) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.options |= ssl.OP_NO_RENEGOTIATION
        context.check_hostname = False  # RFC 5922 has rules of its own: `objection`
        context.verify_mode = mode
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # a device's own certificate in the CA file will do
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        ca = self._trust.ca
        if mode is ssl.CERT_REQUIRED and ca is None:
            context.load_default_certs(ssl.Purpose.SERVER_AUTH)
        elif mode is ssl.CERT_REQUIRED:
            try:
                context.load_verify_locations(ca)
            except (OSError, ssl.SSLError) as error:
                raise BadCertificate(f"the CA file {ca} cannot be used: {_short(error)}") from None
        if self._trust.certificate is not None:
            self._show(context)
        return context

    def _show(self, context: ssl.SSLContext) -> None:
        certificate, key = self._trust.certificate, self._trust.key
        assert certificate is not None
        for path in (certificate, key):
            try:
                if path is not None:
                    path.open("rb").close()
            except OSError as error:
                raise BadCertificate(f"{path} cannot be read: {error.strerror}") from None
        try:
            context.load_cert_chain(certificate, key, password=_no_password)
        except (OSError, ssl.SSLError, ValueError) as error:
            where = f"the certificate {certificate}" + (f" with the key {key}" if key else "")
            raise BadCertificate(f"{where} cannot be used: {_short(error)}") from None


def _no_password() -> bytes:
    raise ValueError("the key is locked with a password; expected one without")


def _short(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        reason = str(error.reason or "").replace("_", " ").lower()
        return {
            "key values mismatch": "key and certificate do not belong together",
            "": "expected PEM with a certificate, and its key there or in a file of its own",
            "no certificate or crl found": "expected PEM with certificates",
        }.get(reason, reason)
    return getattr(error, "strerror", None) or str(error)


def fingerprint(text: str) -> str:
    """A SHA-256 fingerprint as 64 hex digits; taken with or without colons. Raises BadCertificate."""
    match = _SHA256.fullmatch(text.strip())
    if match is None:
        raise BadCertificate(f"{text[:80]!r} is no SHA-256 fingerprint; expected 64 hex digits (colons are fine)")
    return match[1].replace(":", "").lower()


def _fingerprint(certificate: bytes) -> str:
    return x509.load_der_x509_certificate(certificate).fingerprint(SHA256()).hex()


# -- whom a certificate is for ----------------------------------------------------------------


def owners(certificate: Mapping[str, Any]) -> list[str]:
    """The names in a certificate (`SSLObject.getpeercert`) that mean a SIP host (RFC 5922 section 7.1)."""
    alternatives = certificate.get("subjectAltName", ())
    found = []
    for kind, value in alternatives:
        if kind == "URI":
            scheme, _, host = value.partition(":")
            if scheme.lower() == "sip" and "@" not in host:
                found.append(host.partition(";")[0].lower())
        elif kind in ("DNS", "IP Address"):
            found.append(value.strip().lower())
    if not alternatives:  # only where there are no others does the old place count
        for part in certificate.get("subject", ()):
            found += [value.lower() for name, value in part if name == "commonName"]
    return found


def covers(certificate: Mapping[str, Any], host: str) -> bool:
    """Whether a certificate is for this host: the same name, no wildcard (RFC 5922 section 7.2)."""
    wanted = _plain(host)
    return any(_plain(name) == wanted for name in owners(certificate))


def _plain(host: str) -> str:
    host = host.strip("[]").rstrip(".").lower()
    try:
        return ipaddress.ip_address(host).compressed
    except ValueError:
        return host


# -- what went wrong --------------------------------------------------------------------------


def in_words(error: BaseException, shown: x509.Certificate | None = None) -> str:
    """Why a connection over TLS did not come about; `shown` is the certificate that was refused."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return _distrust(error, shown)
    if isinstance(error, ssl.SSLError):
        reason = str(error.reason or "")
        if "ALERT" in reason:
            return f"the peer ended the handshake: {reason.rpartition('ALERT_')[2].replace('_', ' ').lower()}"
        if reason == "UNSUPPORTED_PROTOCOL":
            return "the peer has no TLS 1.2 or newer"
        if reason in ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG", "HTTP_REQUEST"):
            return "the peer speaks no TLS on that port"
        return f"the handshake failed: {reason.replace('_', ' ').lower() or 'no reason given'}"
    if isinstance(error, ConnectionRefusedError):
        return "nobody listens there"
    if isinstance(error, ConnectionError):
        return "the peer broke the handshake off; perhaps it speaks no TLS on that port, or none of 1.2 and newer"
    if isinstance(error, TimeoutError):
        return "no answer in time; perhaps it speaks no TLS on that port"
    return str(getattr(error, "strerror", None) or error)


def _distrust(error: ssl.SSLCertVerificationError, shown: x509.Certificate | None) -> str:
    code = error.verify_code
    subject = _name(shown.subject) if shown is not None else ""
    if code == _EXPIRED:
        return "the certificate expired" + (f" on {_day(shown.not_valid_after_utc)}" if shown is not None else "")
    if code == _NOT_YET:
        since = f" before {_day(shown.not_valid_before_utc)}" if shown is not None else " yet"
        return f"the certificate is not valid{since}"
    if code == _SELF_SIGNED:
        return f"the certificate {subject} is self-signed and is not in the CA file".replace("  ", " ")
    if code in _NO_ISSUER:
        issuer = f" {_name(shown.issuer)}" if shown is not None else ""
        return f"the certificate's issuer{issuer} is not trusted"
    return f"the certificate is not trusted: {error.verify_message}"


def _name(name: x509.Name) -> str:
    text = name.rfc4514_string()
    return repr("".join(char for char in text if char.isprintable())[:_LONGEST])


def _day(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")

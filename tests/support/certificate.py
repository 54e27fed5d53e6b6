"""An authority of a test's own, and certificates that are right, or wrong in one way."""

import ipaddress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


@dataclass(frozen=True)
class Pair:
    """A certificate and its key, in files."""

    certificate: Path
    key: Path
    fingerprint: str


class Authority:
    """Issues certificates into a folder; `ca` is its own."""

    def __init__(self, folder: Path, name: str = "Test CA") -> None:
        self._folder = folder
        self._name = name
        self._key = _key(name)
        self._self = _build(name, name, self._key, self._key, (), None, is_ca=True)
        self.ca = folder / f"{name.replace(' ', '-')}.pem"
        self.ca.write_bytes(self._self.public_bytes(serialization.Encoding.PEM))

    def issue(
        self, *names: str, expired: bool = False, early: bool = False, common: str = "", is_self: bool = False
    ) -> Pair:
        """A certificate for these names: a host, an address, or `sip:host`; without any only the common name."""
        common = common or (names[0] if names else "somebody")
        key = _key(common)
        day = timedelta(days=1)
        now = datetime.now(UTC)
        span = (now - 30 * day, now - day) if expired else (now + day, now + 30 * day) if early else None
        issuer, signer = (common, key) if is_self else (self._name, self._key)
        made = _build(common, issuer, key, signer, names, span)
        stem = "-".join([*names, common, "expired" * expired, "early" * early, "self" * is_self]).replace(":", "_")
        pair = Pair(self._folder / f"{stem}.crt", self._folder / f"{stem}.key", made.fingerprint(hashes.SHA256()).hex())
        pair.certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
        pair.key.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        return pair


@cache
def _key(name: str) -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def _build(
    common: str,
    issuer: str,
    key: ec.EllipticCurvePrivateKey,
    signer: ec.EllipticCurvePrivateKey,
    names: tuple[str, ...],
    span: tuple[datetime, datetime] | None,
    *,
    is_ca: bool = False,
) -> x509.Certificate:
    since, until = span or (datetime.now(UTC) - timedelta(hours=1), datetime.now(UTC) + timedelta(days=1))
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(since)
        .not_valid_after(until)
        .add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
    )
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName([_general(name) for name in names]), critical=False)
    return builder.sign(signer, hashes.SHA256())


def _general(name: str) -> x509.GeneralName:
    if name.startswith("sip:"):
        return x509.UniformResourceIdentifier(name)
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)

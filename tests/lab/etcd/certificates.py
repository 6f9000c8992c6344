"""Certificates for an etcd that talks to nobody without one: an authority, members, clients."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_LIFETIME = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Certificate:
    """Where a certificate and its key are, as PEM."""

    certificate: Path
    key: Path


class Authority:
    """Signs certificates; ``ca`` is what others trust it by."""

    def __init__(self, folder: Path, name: str = "authority") -> None:
        self._folder = folder
        self._name = _name(name)
        self._key = ec.generate_private_key(ec.SECP256R1())
        self.ca = folder / f"{name}.pem"
        builder = _builder(self._name, self._name, self._key.public_key()).add_extension(
            x509.BasicConstraints(ca=True, path_length=None), critical=True
        )
        self.ca.write_bytes(_pem(builder.sign(self._key, hashes.SHA256())))

    def issue(self, name: str, addresses: Sequence[str] = (), *, is_named: bool = True) -> Certificate:
        """A certificate for both ends: etcd's HTTP gateway is a client of its own member, with its own.

        One that is not named has no common name, only an organisation.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        usage = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        subject = _name(name) if is_named else _name(name, NameOID.ORGANIZATION_NAME)
        builder = _builder(subject, self._name, key.public_key()).add_extension(
            x509.ExtendedKeyUsage(usage), critical=False
        )
        if addresses:
            names = x509.SubjectAlternativeName(
                [x509.IPAddress(IPv4Address(address)) for address in addresses]
            )
            builder = builder.add_extension(names, critical=False)
        written = Certificate(self._folder / f"{name}.pem", self._folder / f"{name}.key")
        written.certificate.write_bytes(_pem(builder.sign(self._key, hashes.SHA256())))
        written.key.write_bytes(_key_pem(key))
        return written


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _LIFETIME)
        .not_valid_after(now + _LIFETIME)
    )


def _name(text: str, kind: x509.ObjectIdentifier = NameOID.COMMON_NAME) -> x509.Name:
    return x509.Name([x509.NameAttribute(kind, text)])


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )

"""OpenSSH's certificates of hosts and users (PROTOCOL.certkeys): what they are good for, and until when."""

from __future__ import annotations

import base64
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    SSHCertificate,
    SSHCertificateType,
    load_ssh_public_identity,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

SUFFIX = "-cert-v01@openssh.com"
"""What the algorithm of a certificate ends with."""
FOR_EVER = (1 << 64) - 1
_SHA1 = b"\x00\x00\x00\x07ssh-rsa\x00\x00"
_SHOWN_PRINCIPALS = 5


def algorithm_of(blob: bytes) -> str:
    """The algorithm that a key or certificate begins with; empty when it is none."""
    length = int.from_bytes(blob[:4], "big")
    return blob[4 : 4 + length].decode("ascii", "replace") if 0 < length <= 64 else ""  # noqa: PLR2004  # RFC 4251


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate as it travels in the protocol."""

    blob: bytes
    parsed: SSHCertificate
    authority: bytes
    """The key that signed it."""
    key: bytes
    """The key that it is for."""

    @classmethod
    def parse(cls, blob: bytes) -> Certificate:
        """The certificate in these bytes; its signature is not checked yet.

        Raises:
            ValueError: There is none that can be understood.
        """
        line = f"{algorithm_of(blob)} {base64.b64encode(blob).decode()}".encode()
        try:
            parsed = load_ssh_public_identity(line)
            if not isinstance(parsed, SSHCertificate):
                raise ValueError("is no certificate")  # noqa: TRY004  # the caller asks for one kind of error
            return cls(blob, parsed, _blob(parsed.signature_key()), _blob(parsed.public_key()))
        except UnsupportedAlgorithm as error:
            raise ValueError(str(error)) from error

    @property
    def label(self) -> str:
        """The certificate's key id, as ``ssh-keygen -L`` prints it."""
        return f'"{self.parsed.key_id.decode(errors="replace")}"'

    def host_fault(self, names: Sequence[str], now: float) -> str | None:
        """Why it does not vouch for a host of these names now; None when it does.

        Principals are compared as they are, without patterns. One that names none vouches for nobody: an
        authority that signs a key without ``-n`` by mistake would vouch for every host that trusts it.
        """
        if self.parsed.type is not SSHCertificateType.HOST:
            return "is one of a user, not of a host"
        if (why := self._forged()) is not None:
            return why
        if (why := self.time_fault(now)) is not None:
            return why
        if self.parsed.critical_options:
            return f"has the critical option {_text(min(self.parsed.critical_options))}, which is not known"
        principals = [_text(name) for name in self.parsed.valid_principals]
        if not {principal.lower() for principal in principals} & set(names):
            shown = ", ".join(principals[:_SHOWN_PRINCIPALS]) or "nobody"
            more = ", …" if len(principals) > _SHOWN_PRINCIPALS else ""
            return f"is for {shown}{more}, not for {' or '.join(names)}"
        return None

    def time_fault(self, now: float) -> str | None:
        """Why it is not valid at this time (seconds of the epoch); None when it is."""
        if now >= self.parsed.valid_before:
            return f"expired on {_date(self.parsed.valid_before)}"
        if now < self.parsed.valid_after:
            return f"is not valid before {_date(self.parsed.valid_after)}"
        return None

    def _forged(self) -> str | None:
        key = self.parsed.signature_key()
        if isinstance(key, RSAPublicKey):
            signature_bytes = (key.key_size + 7) // 8
            if self.blob[: -signature_bytes - 2].endswith(_SHA1):
                return "is signed with SHA-1, which can be forged"
        try:
            self.parsed.verify_cert_signature()
        except (InvalidSignature, ValueError):
            return "is not signed by the authority that it names"
        return None


def _blob(key: Ed25519PublicKey | EllipticCurvePublicKey | RSAPublicKey) -> bytes:
    return base64.b64decode(key.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).split()[1])


def _text(name: bytes) -> str:
    return name.decode(errors="replace")


def _date(seconds: int) -> str:
    try:
        return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(seconds))
    except (OverflowError, ValueError, OSError):
        return f"second {seconds}"

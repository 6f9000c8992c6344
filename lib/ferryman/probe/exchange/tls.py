"""TLS over our own TCP: Python's ssl module between two buffers in memory, and what it tells of the peer.

Certificates are not verified, and old versions and weak keys are taken: the question is whether packets pass.
What was seen is told. Nothing is said at the end (close_notify): a server that has closed would reset.
"""

from __future__ import annotations

import ssl
from functools import cache
from typing import TYPE_CHECKING

from ferryman.printable import printable
from ferryman.probe.exchange.results import TlsSeen

if TYPE_CHECKING:
    from datetime import datetime
    from types import ModuleType

CERTIFICATE_BYTES = 65_536
"""Bytes of a certificate that is looked at, at most."""
SHOWN = 200
"""Characters shown of a certificate's subject."""
READ_BYTES = 65_536


class TlsError(Exception):
    """What came is no TLS, or the other side refused; its words are printable."""


class TlsLayer:
    """The TLS of one connection: bytes of the wire on this side, bytes of the application on the other."""

    def __init__(self, server_name: str | None) -> None:
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        try:
            self._tls = _unverified().wrap_bio(self._incoming, self._outgoing, server_hostname=server_name)
        except ValueError:  # a name that TLS has no form for: the question is the same without one
            self._tls = _unverified().wrap_bio(self._incoming, self._outgoing)
        self.is_secured = False
        """Whether the handshake is done."""

    def handshake(self) -> None:
        """Go on with the handshake, as far as what has come allows.

        Raises:
            TlsError: It cannot be done.
        """
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            return
        except (ssl.SSLError, ValueError) as error:
            raise TlsError(_words(error)) from error
        self.is_secured = True

    def came(self, data: bytes) -> None:
        """Take bytes from the wire."""
        self._incoming.write(data)

    def written(self, data: bytes) -> bytes:
        """The bytes for the wire of what the application sends."""
        self._tls.write(data)
        return self.to_send()

    def read(self) -> bytes:
        """What the application gets of what has come.

        Raises:
            TlsError: What came is no TLS.
        """
        found = bytearray()
        try:
            while piece := self._tls.read(READ_BYTES):
                found += piece
        except (ssl.SSLWantReadError, ssl.SSLZeroReturnError):
            pass
        except ssl.SSLError as error:
            raise TlsError(_words(error)) from error
        return bytes(found)

    def to_send(self) -> bytes:
        """What TLS itself has to say: handshake, alerts."""
        return self._outgoing.read()

    def seen(self) -> TlsSeen:
        """What the handshake told, once it is done."""
        subject, not_after = _certificate(self._tls.getpeercert(binary_form=True))
        cipher = self._tls.cipher()
        return TlsSeen(self._tls.version() or "", cipher[0] if cipher else "", subject, not_after)


def prepare() -> None:
    """Load what takes a while to load, before anybody waits for an answer."""
    _unverified()
    _x509()


@cache
def _unverified() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    return context


@cache
def _x509() -> ModuleType:
    from cryptography import x509  # noqa: PLC0415  # it takes a while to load, and most services have no TLS

    return x509


def _certificate(encoded: bytes | None) -> tuple[str | None, datetime | None]:
    """Subject and expiry of a certificate; None for what cannot be read."""
    if not encoded or len(encoded) > CERTIFICATE_BYTES:
        return None, None
    try:
        certificate = _x509().load_der_x509_certificate(encoded)
        subject = printable(certificate.subject.rfc4514_string(), keep="")[:SHOWN]
        return subject, certificate.not_valid_after_utc
    except Exception:  # noqa: BLE001  # whatever the library raises at a certificate made by anybody
        return None, None


def _words(error: Exception) -> str:
    """Why TLS failed, as OpenSSL names it."""
    reason = error.reason if isinstance(error, ssl.SSLError) else None
    return printable((reason or str(error)).replace("_", " ").lower(), keep="")[:SHOWN]

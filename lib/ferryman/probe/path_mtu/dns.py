"""DNS messages, as far as sizes matter: questions with EDNS, and of an answer what its header says."""

from __future__ import annotations

import struct
from typing import NamedTuple

from ferryman.errors import UsageError

DNS_PORT = 53
DNS_HEADER = 12
KINDS = {"A": 1, "NS": 2, "SOA": 6, "MX": 15, "TXT": 16, "AAAA": 28, "SRV": 33, "DNSKEY": 48, "ANY": 255}
"""Types of records that can be asked for (IANA's DNS parameters)."""
CODES = {0: "NOERROR", 1: "FORMERR", 2: "SERVFAIL", 3: "NXDOMAIN", 4: "NOTIMP", 5: "REFUSED"}
LONGEST_NAME, LONGEST_LABEL = 253, 63

_header = struct.Struct("!2sHHHHH")
"""Id, flags, and how many questions, answers, authorities and additional records there are."""
_opt = struct.Struct("!BHHBBHH")
"""Root, type, size, extended code, version, flags, length of the options (RFC 6891)."""
_option = struct.Struct("!HH")
_RECURSION, _RESPONSE, _TRUNCATED, _DO = 0x0100, 0x8000, 0x0200, 0x8000
_OPT, _PADDING, _IN, _NS = 41, 12, 1, 2
_SMALL = 512


class DnsHeader(NamedTuple):
    """What the beginning of an answer says."""

    truncated: bool
    code: int


def query(name: str, kind: str, size: int, ident: bytes) -> bytes:
    """A question with EDNS that welcomes answers of ``size`` bytes, signatures included.

    Raises:
        UsageError: It is no name, or no type of records that is known here.
    """
    return _message(_question(name, kind), size, ident, b"")


def padded_query(length: int, nonce: bytes) -> bytes:
    """A question for the root's name servers that padding makes as long as this (RFC 7830)."""
    question = b"\0" + struct.pack("!HH", _NS, _IN)
    room = length - DNS_HEADER - len(question) - _opt.size - _option.size
    return _message(question, _SMALL, nonce[:2], _option.pack(_PADDING, room) + bytes(room))


def header_of(message: bytes, name: str, kind: str, ident: bytes) -> DnsHeader | None:
    """What an answer to this question says; None for what is none. Its end need not be there."""
    question = _question(name, kind)
    if len(message) < DNS_HEADER + len(question):
        return None
    its, flags, questions, *_ = _header.unpack_from(message)
    same = message[DNS_HEADER : DNS_HEADER + len(question)].lower() == question.lower()
    if its != ident or not flags & _RESPONSE or questions != 1 or not same:
        return None
    return DnsHeader(bool(flags & _TRUNCATED), flags & 0x0F)


def _message(question: bytes, size: int, ident: bytes, options: bytes) -> bytes:
    opt = _opt.pack(0, _OPT, size, 0, 0, _DO, len(options))
    return _header.pack(ident, _RECURSION, 1, 0, 0, 1) + question + opt + options


def _question(name: str, kind: str) -> bytes:
    if kind not in KINDS:
        raise UsageError(f"{kind!a} is no type of DNS records; expected one of {', '.join(KINDS)}")
    labels = [label for label in name.removesuffix(".").split(".") if name not in ("", ".")]
    written = [label.encode("ascii", "ignore") for label in labels]
    good = all(
        len(data) == len(label) and 0 < len(data) <= LONGEST_LABEL
        for data, label in zip(written, labels, strict=True)
    )
    if not good or len(name) > LONGEST_NAME:
        raise UsageError(f"{name!a} is no name of DNS: labels of 1 to {LONGEST_LABEL} ASCII characters")
    wire = b"".join(bytes([len(data)]) + data for data in written)
    return wire + b"\0" + struct.pack("!HH", KINDS[kind], _IN)
